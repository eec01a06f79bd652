"""Vapnik-Chervonenkis bounds for networks with ReLU: in how many ways they divide n points, and what follows.

A bound of this kind knows the shape of the network and the number of samples. It knows neither the labels nor how the
network was trained.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence

from dlparadox.bounds.checks import require_confidence, require_probability, require_size

__all__ = ["growth_bound", "relu_growth", "relu_vc_dimension", "vc_bound"]


def relu_growth(widths: Sequence[int], n: int) -> float:
    """Upper bound on log2 of the number of ways in which fully connected ReLU networks divide n points in two.

    ``widths`` are those of the input, the hidden layers and the output, which is one number; all layers have biases.
    Given the signs in the layers before, the inputs of the k_i units of layer i are, at each point, polynomials of
    degree i in the W_i parameters up to there. N polynomials of degree i in W_i <= N variables have at most
    2 (2e N i / W_i)^W_i sign patterns, and never more than 2^N; with N = n k_i, multiply over the layers. Source:
    Bartlett, Harvey, Liaw & Mehrabian 2019 (JMLR 20:63), the proof of the upper bound for piecewise linear units.

    Raises:
        ValueError: unless there are at least two widths, all positive, the last of them 1, and at least one point.
    """
    if len(widths) < 2 or min(widths) < 1 or widths[-1] != 1:
        raise ValueError(f"widths must be positive, at least two, and the last one 1; got {list(widths)}")
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}")
    total, parameters = 0.0, 0
    for i in range(1, len(widths)):
        parameters += (widths[i - 1] + 1) * widths[i]
        polynomials = n * widths[i]
        patterns = float(polynomials)
        if polynomials >= parameters:
            patterns = min(patterns, 1 + parameters * math.log2(2 * math.e * polynomials * i / parameters))
        total += patterns
    return min(total, float(n))


def relu_vc_dimension(widths: Sequence[int]) -> int:
    """Upper bound on the VC dimension of fully connected ReLU networks: of their signs at the output.

    It is the largest n for which :func:`relu_growth` allows all 2^n ways; for W parameters and L layers O(W L log W).
    """

    def too_many(n: int) -> bool:
        return relu_growth(widths, n) < n

    high = 2
    while not too_many(high):
        high *= 2
    return bisect_left(range(high), True, lo=1, key=too_many) - 1


def growth_bound(error: float, growth: float, n: int, delta: float) -> float:
    """R <= r + sqrt(8 (ln G + ln(4/delta)) / n), where a class divides 2n points in at most G = 2^growth ways.

    With probability at least 1 - delta over n samples, for every classifier of the class, with r its training error and
    R its error on new samples. Source: Vapnik & Chervonenkis 1971, P(sup |R - r| > ε) <= 4 G exp(-n ε²/8).
    """
    require_probability("error", error)
    require_size("growth", growth)
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}")
    require_confidence(delta)
    return error + math.sqrt(8 * (growth * math.log(2) + math.log(4 / delta)) / n)


def vc_bound(error: float, dimension: int, n: int, delta: float) -> float:
    """:func:`growth_bound` with G <= (2en/d)^d ways for a class of VC dimension d <= 2n, and 2^(2n) beyond.

    Source: Sauer 1972, Shelah 1972, for the number of ways.
    """
    if dimension < 1:
        raise ValueError(f"dimension must be at least 1; got {dimension}")
    growth = 2.0 * n
    if dimension <= 2 * n:
        growth = min(growth, dimension * math.log2(2 * math.e * n / dimension))
    return growth_bound(error, growth, n, delta)
