"""Bytes that gradients cost, against counts by hand."""

import torch

from dlparadox.ode.memory import peak_bytes, saved_bytes


def test_saved_bytes_are_those_of_a_count_by_hand() -> None:
    weight = torch.ones(7, 5, dtype=torch.float64, requires_grad=True)
    x = torch.ones(3, 5, dtype=torch.float64, requires_grad=True)
    # x for the gradient in the weight, tanh for its own; the weight does not count.
    assert saved_bytes(lambda: torch.tanh(x @ weight.T), but=[weight]) == 8 * (3 * 5 + 3 * 7)
    assert saved_bytes(lambda: torch.tanh(x @ weight.T)) == 8 * (3 * 5 + 3 * 7 + 7 * 5)


def test_a_tensor_that_is_saved_twice_counts_once() -> None:
    x = torch.ones(10, dtype=torch.float64, requires_grad=True)
    assert saved_bytes(lambda: x * x) == 80
    assert saved_bytes(lambda: x + x) == 0
    with torch.no_grad():
        assert saved_bytes(lambda: torch.tanh(x)) == 0


def test_peak_counts_what_is_alive_together() -> None:
    def in_turn() -> None:
        for _ in range(5):
            torch.ones(100, dtype=torch.float64)

    def together() -> list[torch.Tensor]:
        return [torch.ones(100, dtype=torch.float64) for _ in range(5)]

    assert peak_bytes(in_turn) == 800
    assert peak_bytes(together) == 4000


def test_peak_counts_views_and_changes_in_place_once_and_gradients_too() -> None:
    x = torch.ones(100, dtype=torch.float64)
    assert peak_bytes(lambda: x.clone().view(10, 10).t().mul_(2)) == 800
    assert peak_bytes(lambda: x.mul_(1.0)) == 0
    leaf = torch.ones(100, dtype=torch.float64, requires_grad=True)
    assert peak_bytes(lambda: torch.tanh(leaf).sum().backward()) >= 1600  # tanh, and the gradient
    assert leaf.grad is not None


def test_a_longer_chain_needs_more_unless_it_is_cut() -> None:
    x = torch.ones(1000, dtype=torch.float64, requires_grad=True)

    def chain(steps: int, cut: bool) -> None:
        y = x
        for _ in range(steps):
            y = torch.tanh(y.detach() if cut else y)
        y.sum()

    assert peak_bytes(lambda: chain(40, False)) - peak_bytes(lambda: chain(20, False)) == 20 * 8000
    assert peak_bytes(lambda: chain(40, True)) == peak_bytes(lambda: chain(20, True))
