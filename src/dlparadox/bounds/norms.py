"""Norms of the weights of fully connected networks, and the capacities that are made of them.

A network is the list of its weight matrices A_1, ..., A_L, each [outputs, inputs], with 1-Lipschitz activations that
map 0 to 0 in between, and no biases: a bias is a further input that is always 1. Unlike counts of weights, norms depend
on what training did, hence on the labels.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dlparadox.bounds.checks import require_confidence

__all__ = [
    "distance_from_initialization",
    "frobenius_margin_bound",
    "frobenius_product",
    "frobenius_rademacher",
    "margins",
    "one_output",
    "path_norm",
    "spectral_complexity",
    "spectral_product",
]

Matrices = Sequence[Float[Tensor, "out in"]]


def margins(scores: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> Float[Tensor, " n"]:
    """By how much the score of the label exceeds the largest of the others; negative where the sample is misclassified.

    Raises:
        ValueError: if there is only one score for each sample, or a label is none of them.
    """
    if scores.ndim != 2 or scores.shape[1] < 2 or labels.shape != scores.shape[:1]:
        raise ValueError(f"scores must be [n, k] with k >= 2, labels [n]; got {(*scores.shape,)}, {(*labels.shape,)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < scores.shape[1]:
        raise ValueError(f"labels must lie between 0 and {scores.shape[1] - 1}; got {labels.min()} to {labels.max()}")
    own = scores.gather(1, labels[:, None])
    return own[:, 0] - scores.scatter(1, labels[:, None], -math.inf).amax(1)


def one_output(weights: Matrices) -> list[Tensor]:
    """The matrices of a network with two scores, written with their difference, second less first, as its only output.

    Raises:
        ValueError: unless the last matrix has two rows.
    """
    *inner, last = _checked(weights)
    if len(last) != 2:
        raise ValueError(f"the last matrix must have two rows, one for each score; got {len(last)}")
    return [*inner, last[1:] - last[:1]]


def spectral_product(weights: Matrices) -> float:
    """Π |A_i| with largest singular values: an upper bound on the network's Lipschitz constant."""
    return math.prod(_spectral(a) for a in _checked(weights))


def frobenius_product(weights: Matrices) -> float:
    """Π |A_i|_F."""
    return math.prod(float(torch.linalg.matrix_norm(a.double())) for a in _checked(weights))


def path_norm(weights: Matrices) -> float:
    """Square root of the sum, over all paths from an input to an output, of the squared product of their weights.

    It does not change when a hidden unit's weights in are multiplied by c > 0 and those out divided by it. Source:
    Neyshabur, Tomioka & Srebro 2015 (arXiv:1503.00036).
    """
    total = torch.ones(_checked(weights)[0].shape[1], dtype=torch.float64)
    for a in weights:
        total = a.double().square() @ total
    return math.sqrt(float(total.sum()))


def distance_from_initialization(weights: Matrices, initial: Matrices) -> float:
    """sqrt(Σ |A_i - M_i|_F²): how far training has moved the weights from where they started."""
    _checked(weights, initial)
    return math.sqrt(
        sum(float((a.double() - m.double()).square().sum()) for a, m in zip(weights, initial, strict=True))
    )


def spectral_complexity(weights: Matrices, reference: Matrices | None = None) -> float:
    """R_A = Π |A_i| · (Σ (|(A_i - M_i)ᵀ|_{2,1} / |A_i|)^{2/3})^{3/2}.

    |A_i| is the largest singular value, |Bᵀ|_{2,1} the sum of the Euclidean norms of the rows of B, and the reference
    M_i is chosen before training: the initial weights, or zero. Divided by the margin, and multiplied by |X|_F / n, it
    is the margin bound up to constants and logarithms. Source: Bartlett, Foster & Telgarsky 2017 (arXiv:1706.08498),
    equation 1.2, where matrices are written as here.
    """
    _checked(weights, reference)
    norms = [_spectral(a) for a in weights]
    moved = weights if reference is None else [a - m for a, m in zip(weights, reference, strict=True)]
    rows = [float(b.double().norm(dim=1).sum()) for b in moved]
    return math.prod(norms) * sum((row / norm) ** (2 / 3) for row, norm in zip(rows, norms, strict=True)) ** 1.5


def frobenius_rademacher(norms: Sequence[float], inputs: Float[Tensor, "n d"]) -> float:
    """Upper bound (sqrt(2 L ln 2) + 1) Π M_i · sqrt(Σ |x_j|²) / n on the empirical Rademacher complexity.

    Of networks with ReLU and one output whose matrices have Frobenius norms of at most ``norms``, M_1 to M_L. Source:
    Golowich, Rakhlin & Shamir 2018 (arXiv:1712.06541), Theorem 1.
    """
    if len(norms) == 0 or not all(0 < norm < math.inf for norm in norms):
        raise ValueError(f"norms must be at least one positive number; got {list(norms)}")
    if inputs.ndim != 2 or len(inputs) == 0:
        raise ValueError(f"inputs must be [n, d] with n >= 1; got {tuple(inputs.shape)}")
    size = float(torch.linalg.matrix_norm(inputs.double()))
    return (math.sqrt(2 * len(norms) * math.log(2)) + 1) * math.prod(norms) * size / len(inputs)


def frobenius_margin_bound(
    margins: Float[Tensor, " n"], weights: Matrices, inputs: Float[Tensor, "n d"], delta: float, margin: float
) -> float:
    """R <= share of samples with y f(x) <= γ + (2/γ) R_n + 3 sqrt(ln(2/δ_j) / 2n) for a margin γ.

    With probability at least 1 - delta over n samples, for all margins and all networks with ReLU and one output f at
    once, so γ may be chosen after training; R_n is :func:`frobenius_rademacher` at the product of the Frobenius norms.
    Only the ratio of that product to γ matters: it is rounded up to 2^(j/8), and the integer j has the share
    δ_j = δ / (3 (1 + |j|)²) of the confidence. Not capped: above 1 it says nothing. Source: Mohri, Rostamizadeh &
    Talwalkar 2018, Theorem 5.8, for one ratio.

    Args:
        margins: y f(x) for labels y = +-1.
        weights: matrices of the network, the last with one row.
        inputs: the samples.
        delta: probability that it fails.
        margin: γ.

    Raises:
        ValueError: if the network has several outputs, or the numbers of margins and samples differ.
    """
    product, n = frobenius_product(weights), len(inputs)
    if weights[-1].shape[0] != 1 or margins.shape != (n,):
        found = f"{weights[-1].shape[0]} outputs, margins of shape {tuple(margins.shape)}, {n} inputs"
        raise ValueError(f"need one output and a margin for each input; got {found}")
    if not (0 < margin < math.inf and 0 < product < math.inf):
        raise ValueError(f"margin and the norms of the weights must be positive and finite; got {margin} and {product}")
    require_confidence(delta)
    j = math.ceil(8 * math.log2(product / margin))
    share = float((~(margins.double() > margin)).double().mean())  # a margin that is no number counts as missed
    complexity = 2 * frobenius_rademacher([2.0 ** (j / 8 / len(weights))] * len(weights), inputs)
    return share + complexity + 3 * math.sqrt(math.log(6 * (1 + abs(j)) ** 2 / delta) / (2 * n))


def _spectral(a: Tensor) -> float:
    """Largest singular value."""
    return float(torch.linalg.matrix_norm(a.double(), 2))


def _checked(weights: Matrices, other: Matrices | None = None) -> Matrices:
    """The matrices, after a check that each fits on the one before, and that the others have the same shapes."""
    shapes = [tuple(a.shape) for a in weights]
    fit = all(len(shape) == 2 for shape in shapes)
    if not shapes or not fit or any(a[0] != b[1] for a, b in pairwise(shapes)):
        raise ValueError(f"weights must be matrices [outputs, inputs] that follow on one another; got {shapes}")
    if other is not None and (found := [tuple(a.shape) for a in other]) != shapes:
        raise ValueError(f"both lists must have matrices of the same shapes; got {shapes} and {found}")
    return weights
