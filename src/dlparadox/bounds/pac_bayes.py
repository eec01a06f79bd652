"""PAC-Bayes bounds on the risk of a randomized classifier, and what they are made of.

A posterior Q over classifiers may depend on the n training samples, a prior P must not. The loss lies in [0, 1]; the
empirical risk r of Q is its mean training loss over draws from Q, and its risk R the same on new samples. Each bound
holds with probability at least 1 - delta over the training set, for all posteriors at once. It speaks of the average
classifier of Q, drawn anew for each sample, not of its mean.

Every function returns a number that is not below the exact value of its formula: inversions return their upper end.
"""

import math

from jaxtyping import Float
from torch import Tensor

from dlparadox.bounds.checks import require_confidence, require_probability, require_size

__all__ = [
    "bernoulli_kl",
    "catoni_bound",
    "gaussian_kl",
    "kl_bound",
    "kl_inverse",
    "lambda_bound",
    "mcallester_bound",
    "monte_carlo_bound",
    "quadratic_bound",
]


def bernoulli_kl(q: float, p: float) -> float:
    """kl(q||p) = q ln(q/p) + (1-q) ln((1-q)/(1-p)), between coins that show heads with probability q and p.

    0 ln 0 counts as 0; the value is infinite where p is 0 or 1 and q is not.
    """
    require_probability("q", q)
    require_probability("p", p)
    value = 0.0
    for a, b in ((q, p), (1 - q, 1 - p)):
        if a > 0:
            if b == 0:
                return math.inf
            # With b close to a, ln(a/b) by itself would lose all digits.
            value -= a * (math.log1p((b - a) / a) if a < 2 * b < 4 * a else math.log(b) - math.log(a))
    return max(value, 0.0)


def kl_inverse(q: float, bound: float) -> float:
    """The largest p with kl(q||p) <= bound, rounded upwards: never below the exact one.

    Found by halving an interval that holds it, down to neighbouring floating-point numbers.
    """
    require_probability("q", q)
    require_size("bound", bound)
    slack = bound * (1 + 1e-12) + 1e-15  # more than kl can be wrong by in float64
    low, high = q, 1.0
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return high
        if bernoulli_kl(q, middle) <= slack:
            low = middle
        else:
            high = middle


def gaussian_kl(
    mean: Float[Tensor, " p"], std: Float[Tensor, " p"], prior_mean: Float[Tensor, " p"], prior_std: Float[Tensor, " p"]
) -> Tensor:
    """KL divergence of N(mean, diag(std²)) from N(prior_mean, diag(prior_std²)), in nats; differentiable.

    Sum over coordinates of ln(s_P/s_Q) + (s_Q² + (m_Q - m_P)²) / (2 s_P²) - 1/2. All broadcast against ``mean``.

    Raises:
        ValueError: if a standard deviation is not positive.
    """
    for name, value in (("std", std), ("prior_std", prior_std)):
        if not bool((value > 0).all()):
            raise ValueError(f"{name} must be positive; its smallest entry is {float(value.min()):g}")
    ratio, shift = std / prior_std, (mean - prior_mean) / prior_std
    return 0.5 * ((ratio.square() - 1 - 2 * ratio.log()) + shift.square()).sum()


def mcallester_bound(risk: float, kl: float, n: int, delta: float) -> float:
    """R <= r + sqrt((KL + ln(2 sqrt(n)/delta)) / (2n)).

    McAllester 1999 (doi:10.1145/307400.307435), with the constant of Maurer 2004 (arXiv:cs/0411099): it is
    :func:`kl_bound` loosened by Pinsker's inequality.
    """
    return _capped(risk + math.sqrt(_complexity(risk, kl, n, delta) / 2))


def kl_bound(risk: float, kl: float, n: int, delta: float) -> float:
    """kl(r||R) <= (KL + ln(2 sqrt(n)/delta)) / n, solved for R: never looser than McAllester's bound.

    Langford & Seeger 2001; in this form Maurer 2004 (arXiv:cs/0411099) for n >= 8, and for all n Germain et al. 2015
    (JMLR 16:787).
    """
    return kl_inverse(risk, _complexity(risk, kl, n, delta))


def quadratic_bound(risk: float, kl: float, n: int, delta: float) -> float:
    """R <= (sqrt(r + B) + sqrt(B))² with B = (KL + ln(2 sqrt(n)/delta)) / (2n).

    Pérez-Ortiz et al. 2021 (JMLR 22:227), from :func:`kl_bound` by the lower bound (R - r)²/(2R) on kl(r||R).
    """
    half = _complexity(risk, kl, n, delta) / 2
    return _capped((math.sqrt(risk + half) + math.sqrt(half)) ** 2)


def lambda_bound(risk: float, kl: float, n: int, delta: float, strength: float) -> float:
    """R <= r/(1 - λ/2) + (KL + ln(2 sqrt(n)/delta)) / (n λ (1 - λ/2)), for all λ in (0, 2) at once.

    Thiemann, Igel, Wintenberger & Seldin 2017 (arXiv:1608.05610), Theorem 3. With the best λ it is
    :func:`quadratic_bound`.
    """
    if not 0 < strength < 2:
        raise ValueError(f"strength must lie between 0 and 2, both excluded; got {strength}")
    left = 1 - strength / 2
    return _capped(risk / left + _complexity(risk, kl, n, delta) / (strength * left))


def catoni_bound(risk: float, kl: float, n: int, delta: float, strength: float) -> float:
    """R <= (1 - exp(-C r - (KL + ln(1/delta))/n)) / (1 - exp(-C)), for one C > 0 chosen before the samples are seen.

    Catoni 2007 (doi:10.1214/074921707000000391).
    """
    if not 0 < strength < math.inf:
        raise ValueError(f"strength must be positive and finite; got {strength}")
    _check(risk, kl, n, delta)
    exponent = strength * risk + (kl - math.log(delta)) / n
    return _capped(math.expm1(-exponent) / math.expm1(-strength))


def monte_carlo_bound(errors: float, draws: int, delta: float) -> float:
    """Upper bound on a mean in [0, 1], with probability 1 - delta, from the average ``errors`` of independent draws.

    kl(average||mean) <= ln(2/delta) / draws: Chernoff's bound, as Langford & Caruana 2002 use it for the empirical
    risk of Q, which no one can compute. Put the result in the place of ``risk``, and add up both deltas.
    """
    _check_count("draws", draws)
    require_confidence(delta)
    return kl_inverse(errors, math.log(2 / delta) / draws)


def _complexity(risk: float, kl: float, n: int, delta: float) -> float:
    """(KL + ln(2 sqrt(n)/delta)) / n."""
    _check(risk, kl, n, delta)
    return (kl + math.log(2 * math.sqrt(n) / delta)) / n


def _capped(bound: float) -> float:
    """At most 1, which every risk is, and rounded upwards."""
    return min(1.0, bound * (1 + 1e-12))


def _check(risk: float, kl: float, n: int, delta: float) -> None:
    require_probability("risk", risk)
    require_size("kl", kl)
    _check_count("n", n)
    require_confidence(delta)


def _check_count(name: str, value: int) -> None:
    if value != int(value) or value < 1:
        raise ValueError(f"{name} must be a whole number, at least 1; got {value}")
