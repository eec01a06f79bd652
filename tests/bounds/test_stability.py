"""Stability bounds: above what twin runs do, and values by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import softplus

from dlparadox.bounds.stability import (
    bousquet_elisseeff_bound,
    convex_sgd_stability,
    nonconvex_sgd_stability,
    ridge_stability,
    strongly_convex_sgd_stability,
    twin_distance,
)
from dlparadox.seeding import generator


def test_values_by_hand() -> None:
    assert twin_distance(3.0, [0.1, 0.2, 0.3], 10) == pytest.approx(2 * 3 * 0.6 / 10)
    assert convex_sgd_stability(3.0, 1.0, [0.1, 0.2, 0.3], 10) == pytest.approx(2 * 9 * 0.6 / 10)
    assert strongly_convex_sgd_stability(3.0, 0.5, 10) == pytest.approx(2 * 9 / 5)
    # βc = 1: (1 + 1)/9 · sqrt(2cL²) · sqrt(T)
    assert nonconvex_sgd_stability(3.0, 2.0, 0.5, 100, 10) == pytest.approx(2 / 9 * 3 * 10)
    # βc = 2: (1 + 1/2)/9 · (2cL²)^(1/3) · T^(2/3)
    assert nonconvex_sgd_stability(2.0, 1.0, 2.0, 1000, 10) == pytest.approx(1.5 / 9 * 16 ** (1 / 3) * 100)
    assert ridge_stability(2.0, 3.0, 0.1, 50) == pytest.approx(36 / 10)
    assert bousquet_elisseeff_bound(0.1, 0.01, 1.0, 100, 0.05) == pytest.approx(
        0.12 + 5 * math.sqrt(math.log(20) / 200)
    )
    assert bousquet_elisseeff_bound(3.0, 0.01, 3.0, 100, 0.05) == pytest.approx(
        3.02 + 7 * math.sqrt(math.log(20) / 200)
    )


def test_steps_may_be_as_long_as_two_over_the_smoothness_and_as_short_as_nothing() -> None:
    """A step of 2/β on the loss β w²/2 turns a distance around, and does not stretch it."""
    assert convex_sgd_stability(1.0, 4.0, [0.5, 0.0], 5) == pytest.approx(2 / 5 * 0.5)


@pytest.mark.parametrize("n", [20, 80])
def test_twin_runs_of_logistic_regression_stay_closer_than_the_bound(n: int) -> None:
    stream, d, lr, steps = generator(0, "twins"), 5, 2.0, 3 * n
    distances = []
    for _ in range(40):
        x = torch.randn(n + 1, d, generator=stream, dtype=torch.float64)
        x /= x.norm(dim=1, keepdim=True)  # the loss ln(1 + exp(-y w·x)) is 1-Lipschitz and 1/4-smooth
        y = 2.0 * torch.randint(2, (n + 1,), generator=stream) - 1
        order = torch.cat([torch.randperm(n, generator=stream) for _ in range(3)])
        weights = torch.zeros(2, d, dtype=torch.float64)
        for i in order.tolist():
            for run, j in enumerate((i, n if i == 0 else i)):  # the twin has sample n in the place of sample 0
                weights[run] += lr * y[j] * x[j] * torch.sigmoid(-y[j] * (x[j] @ weights[run]))
        distances.append(float((weights[0] - weights[1]).norm()))
    bound = twin_distance(1.0, [lr] * steps, n)
    assert 0.01 * bound < sum(distances) / len(distances) <= bound


def test_a_linear_loss_with_opposite_samples_attains_the_bound() -> None:
    n, lr, epochs = 7, 0.3, 4
    weights = torch.zeros(2)  # two runs; the loss of sample i is -w for the one and, if i = 0, +w for the other
    for i in [i for _ in range(epochs) for i in range(n)]:
        weights += lr * torch.tensor([1.0, -1.0 if i == 0 else 1.0])
    assert float(weights[0] - weights[1]) == pytest.approx(twin_distance(1.0, [lr] * epochs * n, n), rel=1e-5)


def test_ridge_predictions_change_by_no_more_than_the_bound() -> None:
    stream, n, strength = generator(0, "ridge"), 30, 0.05
    x = torch.randn(n + 1, 3, generator=stream, dtype=torch.float64)
    x /= x.norm(dim=1, keepdim=True)
    y = (2.0 * torch.randint(2, (n + 1,), generator=stream) - 1).double()
    fits = []
    for kept in (list(range(n)), [*range(1, n), n]):  # logistic loss: convex, 1-Lipschitz in the prediction
        w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([w], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

        def loss(
            w: torch.Tensor = w, kept: list[int] = kept, optimizer: torch.optim.Optimizer = optimizer
        ) -> torch.Tensor:
            optimizer.zero_grad()
            value = softplus(-y[kept] * (x[kept] @ w)).mean() + strength * w.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        fits.append(w.detach())
    losses = [softplus(-sign * (x @ w)) for w in fits for sign in (1, -1)]
    change = max(float((losses[0] - losses[2]).abs().max()), float((losses[1] - losses[3]).abs().max()))
    bound = 2 * ridge_stability(1.0, 1.0, strength, n)  # exchanging a sample: twice the change of leaving one out
    assert 0 < change <= bound


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: twin_distance(0.0, [0.1], 5), "lipschitz must be positive and finite; got 0.0"),
        (lambda: twin_distance(1.0, [], 5), "steps must be at least one size"),
        (lambda: twin_distance(1.0, [-0.1], 5), r"none of them negative; got \[-0.1\]"),
        (lambda: twin_distance(1.0, [0.1], 0), "n must be at least 1; got 0"),
        (lambda: twin_distance(1.0, [math.inf], 5), r"steps must be at least one size.*got \[inf\]"),
        (lambda: convex_sgd_stability(1.0, 0.0, [0.1], 5), "smoothness must be positive and finite; got 0.0"),
        (lambda: convex_sgd_stability(1.0, 1.0, [0.1, 2.5], 5), "steps of at most 2/smoothness = 2; got 2.5"),
        (lambda: convex_sgd_stability(1.0, 1.0, [2.5], 5), "steps of at most 2/smoothness = 2; got 2.5"),
        (lambda: strongly_convex_sgd_stability(1.0, math.inf, 5), "convexity must be positive and finite; got inf"),
        (lambda: strongly_convex_sgd_stability(-1.0, 1.0, 5), "lipschitz must be positive and finite; got -1.0"),
        (lambda: nonconvex_sgd_stability(1.0, 1.0, 1.0, 0, 5), "steps at least 1; got n=5, steps=0"),
        (lambda: nonconvex_sgd_stability(1.0, 1.0, -1.0, 5, 5), "c must be positive and finite; got -1.0"),
        (lambda: nonconvex_sgd_stability(1.0, 1.0, 1.0, 5, 1), "n must be at least 2 and steps at least 1"),
        (lambda: ridge_stability(1.0, 1.0, 0.0, 5), "strength must be positive and finite; got 0.0"),
        (lambda: ridge_stability(1.0, -1.0, 1.0, 5), "kappa must be positive and finite; got -1.0"),
        (lambda: bousquet_elisseeff_bound(0.0, 0.1, 0.0, 5, 0.1), "largest must be positive and finite; got 0.0"),
        (lambda: bousquet_elisseeff_bound(2.0, 0.1, 1.0, 5, 0.1), "risk must lie between 0 and the largest loss, 1"),
        (lambda: bousquet_elisseeff_bound(0.5, math.nan, 1.0, 5, 0.1), "stability must be at least 0; got nan"),
        (lambda: bousquet_elisseeff_bound(0.5, 0.1, 1.0, 5, 1.0), "delta must lie between 0 and 1"),
    ],
)
def test_refuses_what_the_theorems_do_not_cover(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
