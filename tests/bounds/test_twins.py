"""Twin runs against single runs, one after the other, and leaving one out against fitting again."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dlparadox.bounds.twins import distances, expansion, leave_one_out, twin_runs
from dlparadox.kernels import gaussian_kernel
from dlparadox.seeding import generator

SETS, N, D, STEPS = 2, 6, 3, [0.5, 0.4, 0.3, 0.2, 0.1, 0.5, 0.4, 0.3]


def logistic(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of ln(1 + exp(-y w·x))."""
    return (-torch.sigmoid(-y * (w * x).sum(-1)) * y)[..., None] * x


@pytest.fixture
def drawn() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor, Tensor]:
    """Samples, fresh samples, orders and a start."""
    stream = generator(0, "twins")
    x, fresh_x = torch.randn(2, SETS, N, D, generator=stream, dtype=torch.float64)
    y, fresh_y = 2.0 * torch.randint(2, (2, SETS, N), generator=stream).double() - 1
    order = torch.randint(N, (SETS, len(STEPS)), generator=stream)
    return (x, y), (fresh_x, fresh_y), order, torch.randn(SETS, D, generator=stream, dtype=torch.float64)


def alone(x: Tensor, y: Tensor, order: Tensor, w: Tensor) -> Tensor:
    """One run by itself."""
    for step, j in zip(STEPS, order.tolist(), strict=True):
        w = w - step * logistic(w, x[j], y[j])
    return w


def test_every_row_is_the_run_that_it_stands_for(drawn: tuple) -> None:  # type: ignore[type-arg]
    samples, fresh, order, start = drawn
    stream = generator(1, "which")
    for exchanged in (None, torch.rand(4, N, generator=stream) < 0.5):
        (w,) = twin_runs(
            logistic, start, samples, fresh, order, STEPS,
            at=[len(STEPS)], observe=lambda w, t: w.clone(), exchanged=exchanged,
        )  # fmt: skip
        which = torch.eye(N, dtype=torch.bool) if exchanged is None else exchanged
        assert w.shape == (SETS, 1 + len(which), D)
        for s in range(SETS):
            runs = [(samples[0][s], samples[1][s])] + [
                (
                    torch.where(mask[:, None], fresh[0][s], samples[0][s]),
                    torch.where(mask, fresh[1][s], samples[1][s]),
                )
                for mask in which
            ]
            expected = torch.stack([alone(x, y, order[s], start[s]) for x, y in runs])
            torch.testing.assert_close(w[s], expected, rtol=1e-12, atol=1e-12)


def test_twins_part_at_their_first_visit(drawn: tuple) -> None:  # type: ignore[type-arg]
    samples, fresh, order, start = drawn
    seen = twin_runs(
        logistic, start, samples, fresh, order, STEPS, at=range(len(STEPS) + 1), observe=lambda w, t: distances(w)
    )
    for s in range(SETS):
        for i in range(N):
            visits = (order[s] == i).nonzero()[:, 0].tolist()
            first = visits[0] + 1 if visits else len(STEPS) + 1
            assert [bool(seen[t][s, i] > 0) for t in range(len(STEPS) + 1)] == [
                t >= first for t in range(len(STEPS) + 1)
            ]


def test_distances_are_euclidean_and_from_the_original_run() -> None:
    w = torch.tensor([[[[0.0, 0.0]], [[3.0, 4.0]], [[6.0, 8.0]]]])
    assert distances(w).tolist() == [[5.0, 10.0]]


def test_a_run_without_twins_leaves_its_start_alone(drawn: tuple) -> None:  # type: ignore[type-arg]
    samples, fresh, order, start = drawn
    before, nobody = start.clone(), torch.zeros(0, N, dtype=torch.bool)
    (w,) = twin_runs(
        logistic, start, samples, fresh, order, STEPS, at=[8], observe=lambda w, t: w.clone(), exchanged=nobody
    )
    assert torch.equal(start, before)
    torch.testing.assert_close(w[1, 0], alone(samples[0][1], samples[1][1], order[1], start[1]))


def test_expansion_is_that_of_the_shared_sample() -> None:
    """The loss (w·x - y)²/2 has the curvature |x|² along x: a step of 1 takes a distance along x times |1 - |x|²|."""
    w = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    for size in (0.5, 2.0):
        x, y = torch.tensor([[0.0, size]]), torch.tensor([3.0])
        found = expansion(lambda w, x, y: ((w * x).sum(-1) - y)[..., None] * x, w, x, y, 1.0)
        assert found == pytest.approx(abs(1 - size**2))


def test_expansion_of_a_quadratic_is_that_of_its_curvature() -> None:
    curvature = torch.tensor([0.5, 3.0], dtype=torch.float64)
    w = torch.tensor([[[1.0, 2.0], [1.0, 3.0], [4.0, 2.0], [1.0, 2.0 + 1e-9]]], dtype=torch.float64)

    def gradient(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return curvature * w

    nothing = torch.zeros(1, 2), torch.zeros(1)
    assert expansion(gradient, w, *nothing, 0.1) == pytest.approx(0.95)
    assert expansion(gradient, w, *nothing, 1.0) == pytest.approx(2.0)  # along the curvature 3: |1 - 3|
    assert expansion(gradient, w[:, [0, 3]], *nothing, 1.0) == 0.0  # too close to tell


def test_leaving_one_out_agrees_with_fitting_again() -> None:
    stream, n, ridge = generator(0, "ridge"), 9, 0.3
    x = torch.randn(n, 2, generator=stream, dtype=torch.float64)
    y = torch.randn(n, generator=stream, dtype=torch.float64)
    kernel = gaussian_kernel(x, x, 1.0)
    c, without = leave_one_out(kernel, y, ridge)
    torch.testing.assert_close((kernel + ridge * n * torch.eye(n)) @ c, y)
    for i in range(n):
        kept = [j for j in range(n) if j != i]
        again = torch.linalg.solve(kernel[kept][:, kept] + ridge * n * torch.eye(n - 1), y[kept])
        torch.testing.assert_close(without[i, kept], again)
        assert abs(float(without[i, i])) < 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fresh": (torch.zeros(SETS, N - 1, D), torch.zeros(SETS, N - 1))}, "fresh samples must be as many"),
        ({"exchanged": torch.ones(3, N + 1, dtype=torch.bool)}, r"exchanged \[twins, 6\]"),
        ({"order": torch.zeros(SETS, 2, dtype=torch.long)}, r"order must be \[2, at least 8\]; got \(2, 2\)"),
        ({"exchanged": torch.ones(N, dtype=torch.bool)}, r"exchanged \[twins, 6\]"),
        ({"order": torch.zeros(SETS, 7, dtype=torch.long)}, r"order must be \[2, at least 8\]; got \(2, 7\)"),
        ({"order": torch.zeros(SETS + 1, 8, dtype=torch.long)}, r"order must be \[2, at least 8\]; got \(3, 8\)"),
        ({"at": []}, r"must rise from 0 or more to at most 8; got \[\]"),
        ({"at": [-1, 1]}, r"must rise from 0 or more to at most 8; got \[-1, 1\]"),
        ({"at": [3, 3]}, r"must rise from 0 or more to at most 8; got \[3, 3\]"),
        ({"at": [9]}, "at most 8"),
    ],
)
def test_refuses_what_does_not_fit_together(drawn: tuple, change: dict[str, object], message: str) -> None:  # type: ignore[type-arg]
    samples, fresh, order, start = drawn
    given: dict[str, object] = {"fresh": fresh, "order": order, "at": [1], **change}
    with pytest.raises(ValueError, match=message):
        twin_runs(logistic, start, samples, steps=STEPS, observe=lambda w, t: None, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: leave_one_out(torch.eye(3), torch.zeros(2), 0.1), r"kernel must be \[n, n\] and y \[n\]"),
        (lambda: leave_one_out(torch.ones(3, 1), torch.zeros(3), 0.1), r"kernel must be .*got \(3, 1\) and \(3,\)"),
        (lambda: leave_one_out(torch.eye(3), torch.zeros(3), 0.0), "ridge must be positive; got 0.0"),
    ],
)
def test_refuses_a_ridge_that_it_cannot_fit(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
