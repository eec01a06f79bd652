"""Least squares against LAPACK and scikit-learn, and exact risks against simulations and limits."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from sklearn.linear_model import Ridge
from torch import Tensor

from dlparadox.leastsquares import (
    LeastSquares,
    effective_ranks,
    isotropic_risk,
    minimum_norm,
    ridge,
    ridgeless_equivalent,
    split_index,
)
from dlparadox.seeding import generator

SHAPES = [(7, 3), (5, 5), (4, 9)]


def problem(n: int, p: int, seed: int = 0, *batch: int) -> tuple[Tensor, Tensor]:
    stream = generator(seed, "problem")
    return tuple(torch.randn(*batch, n, q, generator=stream, dtype=torch.float64) for q in (p, 2))  # type: ignore


@pytest.mark.parametrize("n, p", SHAPES)
def test_minimum_norm_against_lapack(n: int, p: int) -> None:
    x, y = problem(n, p)
    expected = torch.linalg.lstsq(x, y, driver="gelsd").solution
    torch.testing.assert_close(LeastSquares(x, y).minimum_norm(), expected, rtol=1e-10, atol=1e-12)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(0, 999))
def test_it_is_the_shortest_of_the_best(n: int, p: int, rank: int, seed: int) -> None:
    """Also without full rank: residuals are orthogonal to the columns, and weights lie in the span of the rows."""
    x = problem(n, rank, seed)[0] @ problem(rank, p, seed + 1)[0]
    y = problem(n, p, seed + 2)[1]
    w = LeastSquares(x, y).minimum_norm()
    scale = float(x.abs().max() * (y.abs().max() + x.abs().max() * w.abs().max())) * max(n, p)
    assert float((x.T @ (x @ w - y)).abs().max()) <= 1e-11 * scale * n
    null = torch.eye(p, dtype=x.dtype) - torch.linalg.pinv(x) @ x
    assert float((null @ w).abs().max()) <= 1e-8 * (1 + float(w.abs().max()))


@pytest.mark.parametrize("n, p", SHAPES)
def test_ridge_against_scikit_learn(n: int, p: int) -> None:
    x, y = problem(n, p)
    expected = Ridge(alpha=0.3 * n, fit_intercept=False, solver="cholesky").fit(x, y).coef_.T
    torch.testing.assert_close(LeastSquares(x, y).ridge(0.3), torch.from_numpy(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n, p", [*SHAPES, (40, 39), (40, 40), (40, 41)])
def test_the_direct_solutions_are_those_of_the_decomposition(n: int, p: int) -> None:
    x, y = problem(n, p)
    fit = LeastSquares(x, y)
    torch.testing.assert_close(minimum_norm(x, y), fit.minimum_norm(), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(ridge(x, y, 0.3), fit.ridge(0.3), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strength", [0.0, -1.0, math.nan])
def test_a_ridge_is_positive(strength: float) -> None:
    with pytest.raises(ValueError, match="strength must be positive"):
        ridge(*problem(4, 3), strength)
    with pytest.raises(ValueError, match="strength must be positive"):
        LeastSquares(*problem(4, 3)).ridge(strength)


@pytest.mark.parametrize("solve", [minimum_norm, lambda x, y: ridge(x, y, 1.0), LeastSquares])
def test_samples_must_match(solve: Callable[[Tensor, Tensor], object]) -> None:
    with pytest.raises(ValueError, match=r"x must be \[..., n, p\] and y \[..., n, k\]; got \(4, 3\) and \(5, 2\)"):
        solve(torch.ones(4, 3), torch.ones(5, 2))


@pytest.mark.parametrize("n, p", SHAPES)
def test_gradient_flow_against_a_solver(n: int, p: int) -> None:
    x, y = problem(n, p)
    target = y[:, :1]

    def slope(_: float, w: list[float]) -> Tensor:
        return (-x.T @ (x @ torch.as_tensor(w) - target[:, 0]) / n).numpy()

    found = solve_ivp(slope, (0.0, 2.5), torch.zeros(p).numpy(), rtol=1e-10, atol=1e-12).y[:, -1]
    torch.testing.assert_close(
        LeastSquares(x, target).gradient_flow(2.5)[:, 0], torch.from_numpy(found), rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("n, p", SHAPES)
def test_limits(n: int, p: int) -> None:
    x, y = problem(n, p)
    fit = LeastSquares(x, y)
    assert float(fit.gradient_flow(0.0).abs().max()) == 0.0
    torch.testing.assert_close(fit.gradient_flow(1e9), fit.minimum_norm(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(fit.ridge(1e-13), fit.minimum_norm(), rtol=1e-8, atol=1e-9)
    assert float(fit.ridge(1e9).norm()) < 1e-6
    if p >= n:
        torch.testing.assert_close(x @ fit.minimum_norm(), y)


def test_batches_are_separate_problems() -> None:
    x, y = problem(4, 6, 0, 3)
    together = LeastSquares(x, y)
    for index in range(3):
        alone = LeastSquares(x[index], y[index])
        torch.testing.assert_close(together.minimum_norm()[index], alone.minimum_norm())
        torch.testing.assert_close(together.ridge(0.1)[index], alone.ridge(0.1))


def test_zero_inputs_give_zero_weights() -> None:
    fit = LeastSquares(torch.zeros(3, 2), torch.ones(3, 1))
    for w in (fit.minimum_norm(), fit.ridge(0.1), fit.gradient_flow(5.0)):
        assert torch.equal(w, torch.zeros(2, 1))


@pytest.mark.parametrize("shapes", [((3, 2), (4, 1)), ((3,), (3,)), ((0, 2), (0, 1))])
def test_shapes_must_fit(shapes: tuple) -> None:
    with pytest.raises(ValueError, match="x must be"):
        LeastSquares(*(torch.zeros(shape) for shape in shapes))


@pytest.mark.parametrize("strength", [0.0, -1.0, math.nan])
def test_strength_must_be_positive(strength: float) -> None:
    with pytest.raises(ValueError, match="strength must be positive"):
        LeastSquares(*problem(3, 2)).ridge(strength)


@pytest.mark.parametrize("time", [-1.0, math.nan])
def test_time_does_not_run_backwards(time: float) -> None:
    with pytest.raises(ValueError, match=f"time must be at least 0; got {time}"):
        LeastSquares(*problem(3, 2)).gradient_flow(time)


def simulated(n: int, p: int, d: int, noise: float, repetitions: int) -> tuple[float, float]:
    """Mean and standard error of the risk, d coordinates of which the fit sees p."""
    stream = generator(n, "risk", str(p))
    x = torch.randn(repetitions, n, d, generator=stream, dtype=torch.float64)
    beta = torch.ones(d, 1, dtype=torch.float64)
    y = x @ beta + noise**0.5 * torch.randn(repetitions, n, 1, generator=stream, dtype=torch.float64)
    w = LeastSquares(x[..., :p], y).minimum_norm()
    risks = (w - beta[:p]).square().sum((1, 2)) + (d - p)
    return float(risks.mean()), float(risks.std()) / repetitions**0.5


@pytest.mark.parametrize("n, p, d", [(12, 4, 4), (12, 4, 7), (12, 24, 24), (12, 24, 30), (20, 13, 40), (8, 40, 40)])
def test_isotropic_risk_against_simulation(n: int, p: int, d: int) -> None:
    mean, error = simulated(n, p, d, 2.0, 4000)
    expected = isotropic_risk(n, p, signal=p, noise=2.0, unseen=d - p)
    assert abs(mean - expected) < 4 * error and error < 0.05 * expected


def test_isotropic_risk_is_finite_up_to_two_from_the_peak() -> None:
    assert isotropic_risk(10, 8, signal=5.0, noise=2.0) == pytest.approx(2 * 8)
    assert isotropic_risk(10, 12, signal=6.0, noise=2.0) == pytest.approx(1 + 2 * 10)


def test_isotropic_risk_by_hand() -> None:
    assert isotropic_risk(10, 4, signal=5.0, noise=2.0) == pytest.approx(2 * 4 / 5)
    assert isotropic_risk(10, 20, signal=5.0, noise=2.0) == pytest.approx(5 / 2 + 2 * 10 / 9)
    assert isotropic_risk(10, 4, signal=5.0, noise=2.0, unseen=3.0) == pytest.approx(3 + 5 * 4 / 5)
    assert isotropic_risk(10, 10**9, signal=5.0, noise=2.0) == pytest.approx(5.0)
    for p in (9, 10, 11):
        assert isotropic_risk(10, p, signal=0.0, noise=1.0) == math.inf


@pytest.mark.parametrize("n, p", [(0, 3), (5, 0)])
def test_risk_needs_a_sample_and_a_weight(n: int, p: int) -> None:
    with pytest.raises(ValueError, match=f"need n, p >= 1 .*got n={n}, p={p},"):
        isotropic_risk(n, p, signal=1.0, noise=1.0)


@pytest.mark.parametrize("bad", [{"noise": -1.0}, {"signal": -1.0}, {"unseen": -0.1}])
def test_variances_are_not_negative(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no negative variance"):
        isotropic_risk(5, 3, **{"signal": 1.0, "noise": 1.0, **bad})


@given(st.integers(10, 300), st.floats(1.5, 10.0))
def test_the_equivalent_of_equal_eigenvalues(n: int, ratio: float) -> None:
    """κ = λ (p/n - 1), and the risk is the asymptotic one of Hastie et al.: r² (1 - n/p) + σ² n/(p - n)."""
    p = math.ceil(ratio * n)
    found = ridgeless_equivalent(
        torch.full((p,), 2.0), n, signal=torch.full((p,), 3.0 / p, dtype=torch.float64), noise=0.7
    )
    assert found.kappa == pytest.approx(2 * (p / n - 1), rel=1e-9)
    assert found.variance == pytest.approx(0.7 * n / (p - n), rel=1e-9)
    assert found.bias == pytest.approx(2 * 3 * (1 - n / p), rel=1e-9)
    assert found.risk == found.bias + found.variance


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_the_equivalent_against_simulation(exponent: float) -> None:
    n, p, noise = 60, 400, 0.5
    spectrum = torch.arange(1, p + 1, dtype=torch.float64) ** -exponent
    beta = torch.arange(1, p + 1, dtype=torch.float64) ** -0.5
    stream, risks = generator(0, "equivalent"), []
    for _ in range(40):
        x = torch.randn(n, p, generator=stream, dtype=torch.float64) * spectrum.sqrt()
        y = x @ beta + noise**0.5 * torch.randn(n, generator=stream, dtype=torch.float64)
        w = LeastSquares(x, y[:, None]).minimum_norm()[:, 0]
        risks.append(float((spectrum * (w - beta).square()).sum()))
    expected = ridgeless_equivalent(spectrum, n, signal=beta.square(), noise=noise).risk
    mean = sum(risks) / len(risks)
    assert mean == pytest.approx(expected, rel=0.1)


def test_the_equivalent_needs_more_weights_than_samples() -> None:
    ones = torch.ones(10)
    with pytest.raises(ValueError, match="more positive eigenvalues than n = 10"):
        ridgeless_equivalent(ones, 10, signal=ones, noise=1.0)
    with pytest.raises(ValueError, match="and 9 signals"):
        ridgeless_equivalent(ones, 5, signal=ones[:9], noise=1.0)
    with pytest.raises(ValueError, match="the smallest 0"):
        ridgeless_equivalent(torch.tensor([1.0, 0.0]), 1, signal=torch.ones(2), noise=1.0)


def test_effective_ranks_by_hand() -> None:
    spectrum = torch.tensor([4.0, 1.0, 1.0, 2.0])
    assert effective_ranks(spectrum, 0) == (2.0, 64 / 22)
    assert effective_ranks(spectrum, 2) == (2.0, 2.0)
    assert effective_ranks(torch.ones(50), 10) == (40.0, 40.0)
    for values, k in ((spectrum, 4), (spectrum, -1), (torch.tensor([0.0, 1.0]), 1)):
        with pytest.raises(ValueError, match=f"k must leave a positive eigenvalue of {len(values)}; got {k}"):
            effective_ranks(values, k)


@given(st.integers(0, 20), st.integers(1, 400), st.integers(22, 300))
def test_split_index_of_a_step(k: int, tail: int, n: int) -> None:
    """Some large eigenvalues before a flat tail, which absorbs noise if it has a direction for each sample."""
    spectrum = torch.cat([torch.full((k,), 1e6), torch.ones(tail)])
    assert split_index(spectrum, n) == split_index(spectrum.flip(0), n) == (k if tail >= n else None)


def test_split_index_of_a_fast_decay_is_late() -> None:
    spectrum = 2.0 ** -torch.arange(40, dtype=torch.float64)
    assert split_index(spectrum, 10) is None
