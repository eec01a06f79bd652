"""Uniform stability: how much a trained model can change when one of its n samples is exchanged, and what follows.

A method is ε-stable if, for all training sets that differ in one sample, its expected losses at any point differ by at
most ε. Then its expected test loss exceeds its expected training loss by at most ε (Hardt, Recht & Singer 2016,
arXiv:1509.01240, Theorem 2.2). The loss is L-Lipschitz and β-smooth in the weights; one sample is used in each step.
"""

import math
from collections.abc import Sequence

from dlparadox.bounds.checks import require_confidence, require_size

__all__ = [
    "bousquet_elisseeff_bound",
    "convex_sgd_stability",
    "nonconvex_sgd_stability",
    "ridge_stability",
    "strongly_convex_sgd_stability",
    "twin_distance",
]


def twin_distance(lipschitz: float, steps: Sequence[float], n: int) -> float:
    """Bound (2L/n) Σ α_t on the mean distance of the weights of two runs on training sets that differ in one sample.

    For a convex loss and step sizes α_t <= 2/β; the mean is over the order of the samples. Source: Hardt, Recht &
    Singer 2016, the proof for convex losses.
    """
    _check(n, lipschitz=lipschitz)
    if len(steps) == 0 or not all(0 <= step < math.inf for step in steps):
        raise ValueError(f"steps must be at least one size, none of them negative; got {list(steps)[:5]}")
    return 2 * lipschitz / n * math.fsum(steps)


def convex_sgd_stability(lipschitz: float, smoothness: float, steps: Sequence[float], n: int) -> float:
    """ε <= (2L²/n) Σ α_t for a convex loss and step sizes α_t <= 2/β.

    Source: Hardt, Recht & Singer 2016.

    Raises:
        ValueError: if a step is larger than 2/β, for which the theorem says nothing.
    """
    _check(n, smoothness=smoothness)
    distance = twin_distance(lipschitz, steps, n)
    if max(steps) > 2 / smoothness:
        raise ValueError(f"the theorem needs steps of at most 2/smoothness = {2 / smoothness:g}; got {max(steps):g}")
    return lipschitz * distance


def strongly_convex_sgd_stability(lipschitz: float, convexity: float, n: int) -> float:
    """ε <= 2L²/(γn) for a γ-strongly convex loss on a bounded set, projected steps of a constant size of at most 1/β.

    However many steps are taken. Source: Hardt, Recht & Singer 2016.
    """
    _check(n, lipschitz=lipschitz, convexity=convexity)
    return 2 * lipschitz**2 / (convexity * n)


def nonconvex_sgd_stability(lipschitz: float, smoothness: float, c: float, steps: int, n: int) -> float:
    """ε <= (1 + 1/(βc))/(n-1) · (2cL²)^(1/(βc+1)) · T^(βc/(βc+1)) for a loss in [0, 1] and step sizes α_t <= c/t.

    Source: Hardt, Recht & Singer 2016.
    """
    _check(n, lipschitz=lipschitz, smoothness=smoothness, c=c)
    if n < 2 or steps < 1:
        raise ValueError(f"n must be at least 2 and steps at least 1; got n={n}, steps={steps}")
    growth = smoothness * c
    power = 1 / (growth + 1)
    return (1 + 1 / growth) / (n - 1) * (2 * c * lipschitz**2) ** power * steps ** (growth * power)


def ridge_stability(lipschitz: float, kappa: float, strength: float, n: int) -> float:
    """ε <= σ²κ²/(2λn) for the minimizer of (1/n) Σ loss + λ |f|² over a Hilbert space with kernel k(x, x) <= κ².

    The loss is convex and σ-Lipschitz in the prediction; ε is for leaving a sample out, and 2ε for exchanging it.
    Source: Bousquet & Elisseeff 2002 (JMLR 2:499), Theorem 22.
    """
    _check(n, lipschitz=lipschitz, kappa=kappa, strength=strength)
    return (lipschitz * kappa) ** 2 / (2 * strength * n)


def bousquet_elisseeff_bound(risk: float, stability: float, largest: float, n: int, delta: float) -> float:
    """R <= r + 2ε + (4nε + M) sqrt(ln(1/delta) / (2n)), with probability 1 - delta, for an ε-stable method.

    It needs a method without randomness, and a loss between 0 and M; ``risk`` is the mean training loss r, and ε is for
    leaving a sample out. Source: Bousquet & Elisseeff 2002 (JMLR 2:499), Theorem 12.
    """
    _check(n, largest=largest)
    if not 0 <= risk <= largest:
        raise ValueError(f"risk must lie between 0 and the largest loss, {largest:g}; got {risk}")
    require_size("stability", stability)
    require_confidence(delta)
    return risk + 2 * stability + (4 * n * stability + largest) * math.sqrt(math.log(1 / delta) / (2 * n))


def _check(n: int, **positive: float) -> None:
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}")
    for name, value in positive.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite; got {value}")
