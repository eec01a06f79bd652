"""Norms of weights: values by hand, invariances, and against what networks do."""

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlparadox.bounds.norms import (
    distance_from_initialization,
    frobenius_margin_bound,
    frobenius_product,
    frobenius_rademacher,
    margins,
    one_output,
    path_norm,
    spectral_complexity,
    spectral_product,
)
from dlparadox.bounds.rademacher import random_signs
from dlparadox.seeding import generator


def matrices(widths: tuple[int, ...], name: str = "weights") -> list[Tensor]:
    """Random weights of a network with these widths, in float64."""
    stream = generator(0, name)
    shapes = zip(widths[1:], widths[:-1], strict=True)
    return [torch.randn(shape, generator=stream, dtype=torch.float64) for shape in shapes]


def network(weights: list[Tensor], x: Tensor) -> Tensor:
    """The outputs of the network with these weights and ReLU."""
    for a in weights[:-1]:
        x = (x @ a.T).relu()
    return x @ weights[-1].T


def test_margins_by_hand() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0], [0.0, 0.0, -1.0]])
    assert margins(scores, torch.tensor([1, 2, 0])).tolist() == [1.0, -1.0, 0.0]


def test_path_norm_is_the_sum_over_all_paths() -> None:
    weights = matrices((3, 4, 2, 5))
    paths = sum(
        float(weights[0][j, i] * weights[1][k, j] * weights[2][m, k]) ** 2
        for i, j, k, m in product(range(3), range(4), range(2), range(5))
    )
    assert path_norm(weights) == pytest.approx(math.sqrt(paths), rel=1e-12)


@given(st.floats(0.01, 100))
def test_what_rescaling_a_unit_changes(c: float) -> None:
    weights = matrices((3, 4, 2))
    x = torch.randn(5, 3, generator=generator(0, "x"), dtype=torch.float64)
    moved = [weights[0].clone(), weights[1].clone()]
    moved[0][1] *= c
    moved[1][:, 1] /= c
    torch.testing.assert_close(network(moved, x), network(weights, x))
    assert path_norm(moved) == pytest.approx(path_norm(weights), rel=1e-9)
    scaled = [c * weights[0], weights[1] / c]
    for measure in (spectral_product, frobenius_product, spectral_complexity):
        assert measure(scaled) == pytest.approx(measure(weights), rel=1e-9)


def test_products_by_hand_for_diagonal_matrices() -> None:
    weights = [torch.diag(torch.tensor([3.0, 4.0])), torch.diag(torch.tensor([2.0, 1.0]))]
    assert spectral_product(weights) == pytest.approx(8.0)
    assert frobenius_product(weights) == pytest.approx(5 * math.sqrt(5))
    expected = 8 * ((7 / 4) ** (2 / 3) + (3 / 2) ** (2 / 3)) ** 1.5
    assert spectral_complexity(weights) == pytest.approx(expected)
    start = [torch.diag(torch.tensor([3.0, 1.0])), torch.diag(torch.tensor([2.0, 1.0]))]
    assert spectral_complexity(weights, start) == pytest.approx(8 * (3 / 4))
    assert distance_from_initialization(weights, start) == pytest.approx(3.0)
    assert distance_from_initialization(weights, weights) == 0.0


def test_the_21_norm_sums_the_norms_of_rows() -> None:
    # One output: the row's norm is its largest singular value, so the ratio is 1 for any row.
    assert spectral_complexity([torch.tensor([[1.0, 2.0, 2.0]])]) == pytest.approx(3.0)
    # One input: three outputs, norms 1, 2 and 2, largest singular value 3.
    assert spectral_complexity([torch.tensor([[1.0], [2.0], [2.0]])]) == pytest.approx(5.0)


def test_no_network_changes_faster_than_the_spectral_product() -> None:
    weights, stream = matrices((6, 8, 8, 3)), generator(0, "pairs")
    x, y = torch.randn(2, 500, 6, generator=stream, dtype=torch.float64)
    change = (network(weights, x) - network(weights, y)).norm(dim=1) / (x - y).norm(dim=1)
    assert 0 < float(change.max()) <= spectral_product(weights)


def test_rademacher_bound_is_above_the_exact_value_of_linear_functions() -> None:
    stream, n = generator(0, "linear"), 40
    x = torch.randn(n, 5, generator=stream, dtype=torch.float64)
    found = [2.0 * float((random_signs(n, stream) @ x).norm()) / n for _ in range(2000)]
    bound = frobenius_rademacher([2.0], x)
    exact = sum(found) / len(found)  # sup over |w| <= 2 of the mean of s_i w·x_i
    assert exact < bound < 3 * exact
    deeper = frobenius_rademacher([2.0, 1.0, 1.0], x)
    assert deeper == pytest.approx(bound * (math.sqrt(6 * math.log(2)) + 1) / (math.sqrt(2 * math.log(2)) + 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: margins(torch.zeros(3, 1), torch.zeros(3).long()), "k >= 2"),
        (lambda: margins(torch.zeros(3, 2), torch.tensor([0, 1, 2])), "between 0 and 1; got 0 to 2"),
        (lambda: margins(torch.zeros(3, 2), torch.tensor([0, 1, -1])), "between 0 and 1; got -1 to 1"),
        (lambda: path_norm([]), r"that follow on one another; got \[\]"),
        (lambda: spectral_product([torch.zeros(3, 2), torch.zeros(3, 2)]), r"got \[\(3, 2\), \(3, 2\)\]"),
        (lambda: frobenius_product([torch.zeros(3)]), "must be matrices"),
        (
            lambda: distance_from_initialization([torch.zeros(3, 2)], [torch.zeros(2, 3)]),
            r"same shapes; got \[\(3, 2\)\] and \[\(2, 3\)\]",
        ),
        (
            lambda: spectral_complexity([torch.ones(3, 2)], [torch.ones(1, 2)]),
            r"same shapes; got \[\(3, 2\)\] and \[\(1, 2\)\]",
        ),
        (lambda: frobenius_rademacher([math.inf], torch.zeros(2, 2)), r"one positive number; got \[inf\]"),
        (lambda: frobenius_rademacher([1.0], torch.zeros(0, 2)), r"n >= 1; got \(0, 2\)"),
        (lambda: frobenius_rademacher([1.0, 0.0], torch.zeros(2, 2)), "norms must be at least one positive number"),
        (lambda: frobenius_rademacher([1.0], torch.zeros(2)), r"inputs must be \[n, d\]"),
    ],
)
def test_refuses_what_is_no_network(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# --- two scores as one output ---


def test_one_output_is_the_difference_of_the_scores() -> None:
    first, last = matrices((3, 5, 2))
    x = torch.randn(7, 3, generator=generator(0, "x"), dtype=torch.float64)
    hidden, (inner, single) = torch.relu(x @ first.T), one_output([first, last])
    scores = hidden @ last.T
    assert inner is first
    torch.testing.assert_close(hidden @ single.T, (scores[:, 1] - scores[:, 0])[:, None])
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 0])
    torch.testing.assert_close((2 * labels - 1) * (hidden @ single.T)[:, 0], margins(scores, labels))


@pytest.mark.parametrize("outputs", [1, 3])
def test_one_output_needs_two_scores(outputs: int) -> None:
    with pytest.raises(ValueError, match=f"must have two rows, one for each score; got {outputs}"):
        one_output(matrices((3, 5, outputs)))


# --- the margin bound ---


@pytest.mark.parametrize(
    ("margin", "share", "j"), [(2.0, 0.0, 8), (3.0, 0.0, 4), (4.0, 1.0, 0), (1.0, 0.0, 16), (16.0, 1.0, -16)]
)
def test_margin_bound_of_one_weight_by_hand(margin: float, share: float, j: int) -> None:
    """f(x) = 4x on 4,000 samples x = +-1; the ratio 4/γ is rounded up to the eighth root of a power of two."""
    x = torch.ones(4000, 1, dtype=torch.float64)
    found = frobenius_margin_bound(4 * x[:, 0], [torch.tensor([[4.0]])], x, 0.1, margin)
    complexity = 2 * (math.sqrt(2 * math.log(2)) + 1) * 2 ** (j / 8) / math.sqrt(4000)
    confidence = 3 * math.sqrt(math.log(6 * (1 + abs(j)) ** 2 / 0.1) / 8000)
    assert found == pytest.approx(share + complexity + confidence)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_margin_bound_of_a_chain_of_weights_by_hand(depth: int) -> None:
    """f(x) = 4x through units in a row: the product of all norms counts, not that of each."""
    x = torch.ones(4000, 1, dtype=torch.float64)
    weights = [torch.tensor([[4.0 ** (1 / depth)]], dtype=torch.float64)] * depth
    found = frobenius_margin_bound(4 * x[:, 0], weights, x, 0.1, 3.0)
    complexity = 2 * (math.sqrt(2 * depth * math.log(2)) + 1) * 2 ** (4 / 8) / math.sqrt(4000)
    assert found == pytest.approx(complexity + 3 * math.sqrt(math.log(6 * 25 / 0.1) / 8000))


def test_single_precision_weights_are_measured_in_double() -> None:
    single = [a.float() for a in matrices((300, 200, 100, 1))]
    assert frobenius_product(single) == frobenius_product([a.double() for a in single])


def test_a_margin_that_is_no_number_counts_as_missed() -> None:
    x, weights = torch.ones(40, 1, dtype=torch.float64), [torch.ones(1, 1, dtype=torch.float64)]
    known = torch.full((40,), 2.0)
    some = known.clone()
    some[:10] = math.nan
    given = {"weights": weights, "inputs": x, "delta": 0.05, "margin": 1.0}
    assert frobenius_margin_bound(some, **given) == pytest.approx(frobenius_margin_bound(known, **given) + 0.25)


def test_the_confidence_is_not_overspent() -> None:
    assert sum(1 / (3 * (1 + abs(j)) ** 2) for j in range(-10_000, 10_001)) <= 1


@given(st.integers(-6, 6), st.integers(0, 99))
def test_the_margin_bound_does_not_see_the_scale_of_the_output(power: int, seed: int) -> None:
    weights, x = matrices((3, 5, 1)), torch.randn(20, 3, generator=generator(seed, "x"), dtype=torch.float64)
    values = (weights[1] @ torch.relu(weights[0] @ x.T))[0]
    y, scale = random_signs(20, generator(seed, "labels")), 2.0**power
    scaled = [weights[0], weights[1] * scale]
    assert frobenius_margin_bound(y * values * scale, scaled, x, 0.05, 0.3 * scale) == pytest.approx(
        frobenius_margin_bound(y * values, weights, x, 0.05, 0.3)
    )


def test_the_margin_bound_holds_where_it_says_something() -> None:
    """A linear classifier with a wide margin, a tenth of the labels flipped, and many samples."""
    n, stream = 40_000, generator(0, "samples")
    y = random_signs(n, stream)
    x = torch.stack([y * 1.0, 0.1 * torch.randn(n, generator=stream, dtype=torch.float64)], 1)
    y = torch.where(torch.rand(n, generator=stream) < 0.1, -y, y)
    weights = [torch.tensor([[1.0, 0.0]], dtype=torch.float64)]
    assert 0.1 < frobenius_margin_bound(y * x[:, 0], weights, x, 0.05, 0.99) < 0.2


def test_margin_bound_refuses() -> None:
    weights, x, y = matrices((3, 5, 1)), torch.ones(4, 3, dtype=torch.float64), torch.ones(4)
    for delta in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="delta"):
            frobenius_margin_bound(y, weights, x, delta, 1.0)
    for margin in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="margin and the norms of the weights must be positive and finite; got"):
            frobenius_margin_bound(y, weights, x, 0.1, margin)
    for scale in (0.0, math.inf):
        with pytest.raises(ValueError, match=f"must be positive and finite; got 1.0 and {scale}"):
            frobenius_margin_bound(y, [weights[0], scale * torch.ones(1, 5)], x, 0.1, 1.0)
    with pytest.raises(ValueError, match="need one output and a margin for each input; got 2 outputs"):
        frobenius_margin_bound(y, matrices((3, 2)), x, 0.1, 1.0)
    with pytest.raises(ValueError, match=r"margins of shape \(3,\), 4 inputs"):
        frobenius_margin_bound(y[:3], weights, x, 0.1, 1.0)
