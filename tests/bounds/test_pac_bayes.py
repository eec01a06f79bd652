"""PAC-Bayes bounds: against 60-digit arithmetic, against each other, and against exact coverage."""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import partial

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom
from torch.distributions import Normal, kl_divergence

from dlparadox.bounds.pac_bayes import (
    bernoulli_kl,
    catoni_bound,
    gaussian_kl,
    kl_bound,
    kl_inverse,
    lambda_bound,
    mcallester_bound,
    monte_carlo_bound,
    quadratic_bound,
)
from dlparadox.seeding import generator

PROBABILITY = st.floats(0, 1) | st.floats(0, 1e-6) | st.sampled_from([0.0, 0.5, 1.0])
SIZE = st.floats(0, 20) | st.floats(0, 1e-6)
FIXED: dict[str, Callable[[float, float, int, float], float]] = {
    "mcallester": mcallester_bound,
    "kl": kl_bound,
    "quadratic": quadratic_bound,
    "lambda": partial(lambda_bound, strength=0.7),
    "catoni": partial(catoni_bound, strength=1.5),
}


def exact_kl(q: float, p: float) -> Decimal:
    """kl(q||p) with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        value, one = Decimal(0), Decimal(1)
        for a, b in ((Decimal(q), Decimal(p)), (one - Decimal(q), one - Decimal(p))):
            if a > 0:
                if b <= 0:
                    return Decimal("Infinity")
                value += a * (a / b).ln()
        return value


@given(PROBABILITY, PROBABILITY)
def test_kl_of_coins_agrees_with_60_digits(q: float, p: float) -> None:
    expected = exact_kl(q, p)
    if not expected.is_finite():
        assert bernoulli_kl(q, p) == math.inf
    elif not (p > 1 - 1e-12 and q < 1):  # where 1 - p itself is rounded
        assert bernoulli_kl(q, p) == pytest.approx(float(expected), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("power", [4, 12, 20, 24])
def test_kl_of_coins_that_are_close_keeps_its_digits(power: int) -> None:
    """kl(1/2||1/2 + d) = -ln(1 - 4d²)/2; both logarithms are of the order of d, right to a relative 2⁻⁵²."""
    d = 2.0**-power
    expected = -math.log1p(-4 * d * d) / 2
    assert bernoulli_kl(0.5, 0.5 + d) == pytest.approx(expected, rel=4 * 2**-52 / d, abs=0)


@given(st.floats(0.01, 0.99), st.integers(-10_000, 10_000))
def test_kl_of_coins_that_are_very_close_is_not_negative(q: float, steps: int) -> None:
    assert bernoulli_kl(q, q + steps * 2.0**-53) >= 0


@given(PROBABILITY, SIZE)
def test_inverse_is_never_below_the_exact_one_and_hardly_above(q: float, bound: float) -> None:
    p = kl_inverse(q, bound)
    assert q <= p <= 1
    if p < 1:
        assert exact_kl(q, p) >= Decimal(bound)
    below = p - 1e-7
    if below > q:
        assert exact_kl(q, below) <= Decimal(bound)


def test_inverse_of_zero_errors_has_a_closed_form() -> None:
    assert kl_inverse(0.0, 0.3) == pytest.approx(1 - math.exp(-0.3), rel=1e-10)
    assert kl_inverse(1.0, 0.3) == 1.0
    assert kl_inverse(0.2, math.inf) == 1.0


def test_gaussian_kl_agrees_with_torch_and_with_its_gradient() -> None:
    stream = generator(0, "gaussian")
    mean, prior_mean = torch.randn(2, 50, generator=stream, dtype=torch.float64)
    std, prior_std = torch.rand(2, 50, generator=stream, dtype=torch.float64) + 0.1
    for value in (mean, std):
        value.requires_grad_()
    ours = gaussian_kl(mean, std, prior_mean, prior_std)
    theirs = kl_divergence(Normal(mean, std), Normal(prior_mean, prior_std)).sum()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    one, other = (torch.autograd.grad(value, (mean, std)) for value in (ours, theirs))
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert float(gaussian_kl(prior_mean, prior_std, prior_mean, prior_std)) == 0.0
    scalar = torch.tensor(0.5, dtype=torch.float64)
    broadcast = gaussian_kl(mean, std, prior_mean, scalar)
    torch.testing.assert_close(broadcast, gaussian_kl(mean, std, prior_mean, scalar.expand(50)))


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (mcallester_bound, 0.1 + math.sqrt((5 + math.log(2 * 100 / 0.05)) / 20_000)),
        (
            quadratic_bound,
            (math.sqrt(0.1 + (5 + math.log(4000)) / 20_000) + math.sqrt((5 + math.log(4000)) / 20_000)) ** 2,
        ),
        (FIXED["lambda"], 0.1 / 0.65 + (5 + math.log(4000)) / (10_000 * 0.7 * 0.65)),
        (
            FIXED["catoni"],
            (1 - math.exp(-0.15 - (5 + math.log(20)) / 10_000)) / (1 - math.exp(-1.5)),
        ),
    ],
)
def test_values_by_hand(bound: Callable[[float, float, int, float], float], expected: float) -> None:
    assert bound(0.1, 5.0, 10_000, 0.05) == pytest.approx(expected, rel=1e-9)


@given(PROBABILITY, st.floats(0, 1e4), st.integers(1, 10**6), st.floats(1e-6, 0.5))
def test_no_bound_is_below_the_exact_value_of_its_formula(risk: float, kl: float, n: int, delta: float) -> None:
    with localcontext() as context:
        context.prec = 60
        r, spent = Decimal(risk), Decimal(kl) - Decimal(delta).ln()
        size, weak, strong = (spent + (2 * Decimal(n).sqrt()).ln()) / n, Decimal.from_float(0.7), Decimal("1.5")
        exact = {
            "mcallester": r + (size / 2).sqrt(),
            "quadratic": ((r + size / 2).sqrt() + (size / 2).sqrt()) ** 2,
            "lambda": (r + size / weak) / (1 - weak / 2),
            "catoni": (1 - (-strong * r - spent / n).exp()) / (1 - (-strong).exp()),
        }
    for name, value in exact.items():
        assert Decimal(FIXED[name](risk, kl, n, delta)) >= min(value, Decimal(1)), name


@given(PROBABILITY, st.floats(0, 1e4), st.integers(1, 10**6), st.floats(1e-6, 0.5))
def test_the_kl_bound_is_tightest_of_those_made_from_it(risk: float, kl: float, n: int, delta: float) -> None:
    tight = kl_bound(risk, kl, n, delta)
    for name in ("mcallester", "quadratic", "lambda"):
        assert tight <= FIXED[name](risk, kl, n, delta) + 1e-7, name


@given(st.floats(0, 1), st.floats(0, 500), st.integers(500, 10**6), st.floats(1e-6, 0.5))
def test_the_quadratic_bound_is_the_lambda_bound_at_its_best(risk: float, kl: float, n: int, delta: float) -> None:
    best = quadratic_bound(risk, kl, n, delta)
    assume(best < 0.99)
    size = (kl + math.log(2 * math.sqrt(n) / delta)) / n
    strength = 2 / (math.sqrt(2 * risk / size + 1) + 1)
    assert lambda_bound(risk, kl, n, delta, strength) == pytest.approx(best, rel=1e-6)
    for other in (0.5 * strength, min(1.99, 1.5 * strength)):
        assert lambda_bound(risk, kl, n, delta, other) >= best * (1 - 1e-9)


@pytest.mark.parametrize("name", FIXED)
@given(data=st.data())
def test_bounds_are_above_the_risk_and_grow_with_it(name: str, data: st.DataObject) -> None:
    low, high = sorted([data.draw(PROBABILITY), data.draw(PROBABILITY)])
    kl, n, delta = data.draw(st.floats(0, 1e4)), data.draw(st.integers(1, 10**6)), data.draw(st.floats(1e-6, 0.5))
    bound = FIXED[name]
    assert bound(low, kl, n, delta) <= bound(high, kl, n, delta) * (1 + 1e-9)
    assert bound(low, kl, n, delta) <= bound(low, kl + 1, n, delta) * (1 + 1e-9)
    assert bound(low, kl, n, delta) <= bound(low, kl, n, delta / 2) * (1 + 1e-9)
    assert low <= bound(low, kl, n, delta) <= 1


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("p", [0.003, 0.1, 0.5, 0.8])
def test_covers_one_classifier_with_the_promised_probability(name: str, p: float) -> None:
    n, delta = 60, 0.1
    missed = sum(
        binom.pmf(k, n, p) for k in range(n + 1) if FIXED[name](k / n, 0.0, n, delta) < p
    )  # exact: with one classifier, Q = P and KL = 0
    assert missed <= delta


def test_monte_carlo_without_an_error_has_a_closed_form() -> None:
    assert monte_carlo_bound(0.0, 100, 0.1) == pytest.approx(1 - (0.1 / 2) ** (1 / 100), rel=1e-10)


@pytest.mark.parametrize("p", [0.003, 0.1, 0.5, 0.8])
def test_monte_carlo_covers_and_is_not_idle(p: float) -> None:
    draws, delta = 200, 0.2
    bounds = [monte_carlo_bound(k / draws, draws, delta) for k in range(draws + 1)]
    assert sum(binom.pmf(k, draws, p) for k in range(draws + 1) if bounds[k] < p) <= delta
    at_mean = monte_carlo_bound(p, draws, delta)
    assert at_mean - p < 2 * math.sqrt(math.log(2 / delta) / (2 * draws))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bernoulli_kl(-0.1, 0.5), "q must lie between 0 and 1; got -0.1"),
        (lambda: bernoulli_kl(0.1, math.nan), "p must lie between 0 and 1; got nan"),
        (lambda: kl_inverse(0.1, -1.0), "bound must be at least 0; got -1.0"),
        (lambda: kl_inverse(0.1, math.nan), "bound must be at least 0; got nan"),
        (lambda: kl_inverse(1.1, 0.5), "q must lie between 0 and 1; got 1.1"),
        (lambda: kl_bound(1.1, 1.0, 10, 0.1), "risk must lie between 0 and 1; got 1.1"),
        (lambda: kl_bound(0.1, -1.0, 10, 0.1), "kl must be at least 0; got -1.0"),
        (lambda: kl_bound(0.1, 1.0, 0, 0.1), "n must be a whole number, at least 1; got 0"),
        (lambda: kl_bound(0.1, 1.0, 10.5, 0.1), "n must be a whole number, at least 1; got 10.5"),  # type: ignore[arg-type]
        (lambda: mcallester_bound(0.1, 1.0, 10, 0.0), "delta must lie between 0 and 1, both excluded; got 0.0"),
        (lambda: quadratic_bound(0.1, 1.0, 10, 1.0), "delta must lie between 0 and 1, both excluded; got 1.0"),
        (lambda: lambda_bound(0.1, 1.0, 10, 0.1, 2.0), "strength must lie between 0 and 2, both excluded; got 2.0"),
        (lambda: lambda_bound(0.1, 1.0, 10, 0.1, 0.0), "strength must lie between 0 and 2, both excluded; got 0.0"),
        (lambda: catoni_bound(0.1, 1.0, 10, 0.1, 0.0), "strength must be positive and finite; got 0.0"),
        (lambda: catoni_bound(0.1, 1.0, 10, 0.1, math.inf), "strength must be positive and finite; got inf"),
        (lambda: catoni_bound(-0.1, 1.0, 10, 0.1, 1.0), "risk must lie between 0 and 1; got -0.1"),
        (lambda: monte_carlo_bound(0.1, 0, 0.1), "draws must be a whole number, at least 1; got 0"),
        (lambda: monte_carlo_bound(0.1, 10, 2.0), "delta must lie between 0 and 1, both excluded; got 2.0"),
        (lambda: gaussian_kl(*[torch.zeros(2)] * 4), "std must be positive; its smallest entry is 0"),
    ],
)
def test_refuses_what_is_no_probability_or_size(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["std", "prior_std"])
@pytest.mark.parametrize("entry", [0.0, -1.0])
def test_no_standard_deviation_may_fail_to_be_positive(name: str, entry: float) -> None:
    given = {key: torch.ones(2) for key in ("mean", "std", "prior_mean", "prior_std")}
    with pytest.raises(ValueError, match=f"^{name} must be positive; its smallest entry is {entry:g}"):
        gaussian_kl(**{**given, name: torch.tensor([1.0, entry])})
