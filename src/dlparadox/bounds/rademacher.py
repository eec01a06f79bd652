"""Empirical Rademacher complexity of classes of +-1 classifiers, computed or bounded from above.

For signs s drawn uniformly from {-1, +1}^n, it is R = E_s sup_h (1/n) sum_i s_i h(x_i): how well the class can follow
coin flips. For such a class and the 0-1 loss, with probability 1 - delta the test error is at most the training error
plus R plus 3 sqrt(log(2/delta) / (2n)) (Bartlett & Mendelson 2002, Theorems 5 and 11; in this form Mohri,
Rostamizadeh & Talwalkar 2018, Theorem 3.5). So R = 1 makes the bound say nothing.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["correlation", "cover_count", "massart_bound", "random_signs", "threshold_supremum"]


def random_signs(n: int, stream: torch.Generator, dtype: torch.dtype = torch.float64) -> Float[Tensor, " n"]:
    """Rademacher variables: n independent fair coin flips, -1 or +1."""
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}")
    return 2 * torch.randint(2, (n,), generator=stream).to(dtype) - 1


def correlation(scores: Float[Tensor, " n"], signs: Float[Tensor, " n"]) -> float:
    """(1/n) sum_i s_i h(x_i) of the classifier h = sign of the scores; a score of zero counts as wrong.

    Of any member of a class this is a lower bound on the supremum; if it is 1, it is the supremum.
    """
    if scores.shape != signs.shape:
        raise ValueError(f"scores and signs must have equal shapes; got {tuple(scores.shape)}, {tuple(signs.shape)}")
    hits = int((scores * signs > 0).sum())
    return (2 * hits - len(signs)) / len(signs)


def cover_count(n: int, d: int) -> int:
    """Number of ways in which hyperplanes through the origin divide n points in general position in d dimensions.

    Cover 1965 (doi:10.1109/PGEC.1965.264137), Theorem 1: 2 sum_{i < d} binomial(n - 1, i); at most that in any.
    """
    if n < 1 or d < 1:
        raise ValueError(f"n and d must be at least 1; got n={n}, d={d}")
    return 2 * sum(math.comb(n - 1, i) for i in range(d))


def massart_bound(count: int, n: int) -> float:
    """Upper bound sqrt(2 log(count) / n) on R of a class that divides the n points in at most ``count`` ways.

    Massart's finite class lemma (Massart 2000, Lemma 5.2; Shalev-Shwartz & Ben-David 2014, Lemma 26.8): vectors of +-1
    have the norm sqrt(n).
    """
    if count < 1 or n < 1:
        raise ValueError(f"count and n must be at least 1; got count={count}, n={n}")
    return math.sqrt(2 * math.log(count) / n)


def threshold_supremum(x: Float[Tensor, " n"], signs: Float[Tensor, " n"]) -> float:
    """sup_h (1/n) sum_i s_i h(x_i) over thresholds on a line, h(x) = +-sign(x - t): exact, by trying all of them.

    Points at the same place always fall on the same side.
    """
    if x.shape != signs.shape or x.ndim != 1:
        raise ValueError(f"x and signs must be vectors of equal length; got {tuple(x.shape)}, {tuple(signs.shape)}")
    values, order = x.sort()
    total = signs.sum()
    left = torch.cat([signs.new_zeros(1), signs[order].cumsum(0)])
    possible = torch.ones(len(x) + 1, dtype=torch.bool)
    possible[1:-1] = values[1:] > values[:-1]
    return float((total - 2 * left[possible]).abs().max()) / len(x)
