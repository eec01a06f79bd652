"""Kernels of infinitely wide networks in closed form: the Gaussian process at the start, and the tangent kernel."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Kernels", "infinite_width", "shallow_ntk"]


class Kernels(NamedTuple):
    """Kernels of one output. Different outputs are independent, and their tangent kernel with each other is zero.

    Attributes:
        nngp: covariance of the outputs at the start, E[f(x) f(z)].
        ntk: neural tangent kernel, the sum over all parameters p of ∂f(x)/∂p ∂f(z)/∂p.
    """

    nngp: Float[Tensor, "n1 n2"]
    ntk: Float[Tensor, "n1 n2"]


@torch.no_grad()
def infinite_width(
    x1: Float[Tensor, "n1 d"],
    x2: Float[Tensor, "n2 d"] | None = None,
    *,
    depth: int,
    activation: Literal["relu", "erf"] = "relu",
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
) -> Kernels:
    """Kernels of a fully connected network with ``depth`` hidden layers in the limit of infinite width m.

    In the NTK parameterization z_1 = √(σw²/d) W x + √σb² b, z_{l+1} = √(σw²/m) W φ(z_l) + √σb² b, where each layer has
    its own W and b with entries from N(0, 1), and the output is z_{depth+1}. With u = z_l(x) and v = z_l(z), which are
    jointly Gaussian with the covariance Σ_l,

        Σ_1 = Θ_1 = σw² x·z / d + σb²
        Σ_{l+1} = σw² E[φ(u) φ(v)] + σb²
        Θ_{l+1} = Σ_{l+1} + σw² E[φ'(u) φ'(v)] Θ_l

    (Jacot et al. 2018, arXiv:1806.07572, Proposition 1 and Theorem 1; Lee et al. 2018, arXiv:1711.00165). Errors are of
    the size of rounding, but for ReLU an angle below 1e-7 between x and ±z (float32: 3e-3) is not told from none.

    Args:
        x1: inputs.
        x2: other inputs; None for ``x1`` again: exactly symmetric, and only one half is computed.
        depth: number of hidden layers; 0 is a linear model, whose two kernels are equal.
        activation: φ.
        weight_variance: σw²; for ReLU 2 keeps E|z|² the same from layer to layer.
        bias_variance: σb².

    Raises:
        ValueError: if shapes do not fit, a value is out of range, or φ has no closed form.
    """
    other = _checked(x1, x2)
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
        raise ValueError(f"depth must be an integer, at least 0; got {depth!r}")
    if activation not in _MOMENTS:
        raise ValueError(f"activation must be 'relu' or 'erf', which have closed forms; got {activation!r}")
    if not 0 < weight_variance < math.inf:
        raise ValueError(f"weight_variance must be positive and finite; got {weight_variance}")
    if not 0 <= bias_variance < math.inf:
        raise ValueError(f"bias_variance must be at least 0 and finite; got {bias_variance}")
    moments, scale = _MOMENTS[activation], weight_variance / x1.shape[1]

    def variances(x: Tensor) -> list[Tensor]:
        """Σ_l(x, x) in every layer: the recursion on the diagonal alone."""
        chain = [_squares(x).mul_(scale).add_(bias_variance)]
        for _ in range(depth):
            product, _ = moments(chain[-1].clone(), chain[-1], chain[-1])
            chain.append(product.mul_(weight_variance).add_(bias_variance))
        return chain

    rows = variances(x1)
    columns = rows if x2 is None else variances(other)

    def tile(i: slice, j: slice) -> tuple[Tensor, ...]:
        nngp = (x1[i] @ other[j].T).mul_(scale).add_(bias_variance)
        if x2 is None and i == j:
            nngp.diagonal().copy_(rows[0][i])  # from here on both recursions round alike
        ntk = nngp.clone()
        for q1, q2 in zip(rows[:-1], columns[:-1], strict=True):
            product, slope = moments(nngp, q1[i, None], q2[j])
            nngp = product.mul_(weight_variance).add_(bias_variance)
            ntk = torch.addcmul(nngp, slope, ntk, value=weight_variance)
        return nngp, ntk

    return Kernels(*_assembled(tile, x1, x2, count=2))


@torch.no_grad()
def shallow_ntk(x1: Float[Tensor, "n1 d"], x2: Float[Tensor, "n2 d"] | None = None) -> Float[Tensor, "n1 n2"]:
    """H(x, z) = x·z (π - θ) / (2π), θ the angle of x and z: only the first of two layers is trained.

    Limit of the tangent kernel of f(x) = Σ_r a_r max(w_r·x, 0) / √m as m grows, in the parameters w_r ~ N(0, I) with
    a_r = ±1 fixed (Du et al. 2019, arXiv:1810.02054; Arora et al. 2019, arXiv:1901.08584: H^∞, for inputs of norm 1).

    Raises:
        ValueError: if shapes do not fit.
    """
    other = _checked(x1, x2)
    rows, columns = _squares(x1), _squares(other)

    def tile(i: slice, j: slice) -> tuple[Tensor, ...]:
        products = x1[i] @ other[j].T
        if x2 is None and i == j:
            products.diagonal().copy_(rows[i])
        return (_relu(products.clone(), rows[i, None], columns[j])[1].mul_(products),)

    return _assembled(tile, x1, x2, count=1)[0]


def _relu(covariance: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """E[φ(u) φ(v)] = √(q1 q2) (sin θ + (π - θ) cos θ) / (2π) and E[φ'(u) φ'(v)] = (π - θ) / (2π), in this memory.

    With cos θ the correlation of u and v: the arc-cosine kernels of orders 1 and 0 (Cho & Saul 2009), halved.
    """
    r1, r2, tiny = q1.sqrt(), q2.sqrt(), torch.finfo(q1.dtype).tiny  # a zero input has cos θ = 0, and moment 0
    noise = 32 * torch.finfo(q1.dtype).eps  # what a product of thousands of terms leaves in cos θ of equal inputs
    minus_cosine = covariance.div_(-r1.clamp_min(tiny)).div_(r2.clamp_min(tiny))
    torch.threshold_(minus_cosine.add_(1), noise, 0.0).sub_(1)
    sine = torch.addcmul(minus_cosine.new_ones(()), minus_cosine, minus_cosine, value=-1)
    torch.threshold_(sine, noise, 0.0).sqrt_()
    slope = torch.atan2(sine, minus_cosine)  # π - θ
    product = sine.addcmul_(slope, minus_cosine, value=-1).mul_(r1 / (2 * math.pi)).mul_(r2)
    return product, slope.div_(2 * math.pi)


def _erf(covariance: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """E[φ(u) φ(v)] = (2/π) arctan(2 s / √D) and E[φ'(u) φ'(v)] = (4/π) / √D, D = (1 + 2 q1)(1 + 2 q2) - 4 s².

    Here s is the covariance of u and v (Williams 1997, Computing with infinite networks, has arcsin(2 s / √(D + 4 s²)),
    which is the same angle, but loses digits for large variances).
    """
    determinant = (q1 * q2).sub_(covariance.square()).clamp_min_(0)  # not fused: zero exactly on the diagonal
    root = determinant.add_(q1 / 2 + 0.25).add_(q2 / 2).sqrt_()  # √D / 2
    product = torch.atan2(covariance, root).mul_(2 / math.pi)
    return product, root.reciprocal_().mul_(2 / math.pi)


_MOMENTS = {"relu": _relu, "erf": _erf}


def _assembled(
    tile: Callable[[slice, slice], tuple[Tensor, ...]], x1: Tensor, x2: Tensor | None, count: int
) -> list[Tensor]:
    """Matrices [n1, n2] from square tiles that stay in the cache; without ``x2`` the lower half mirrors the upper."""
    columns = len(x1 if x2 is None else x2)
    results = [x1.new_empty(len(x1), columns) for _ in range(count)]
    # Several threads, and GPUs, want more work at a time than a cache holds.
    edge = 256 if x1.device.type == "cpu" and torch.get_num_threads() == 1 else 2048
    for top in range(0, len(x1), edge):
        i = slice(top, top + edge)
        for left in range(top if x2 is None else 0, columns, edge):
            j = slice(left, left + edge)
            for result, part in zip(results, tile(i, j), strict=True):
                half = part.tril().add_(part.tril(-1).T) if x2 is None and i == j else part
                result[i, j] = half
                if x2 is None:
                    result[j, i] = half.T
    return results


def _squares(x: Tensor) -> Tensor:
    return (x * x).sum(1)


def _checked(x1: Tensor, x2: Tensor | None) -> Tensor:
    """The second inputs, when the first and they are matrices that can be multiplied."""
    other = x1 if x2 is None else x2
    if x1.ndim != 2 or other.ndim != 2 or x1.shape[1] != other.shape[1] or x1.shape[1] == 0:
        raise ValueError(f"x1 and x2 must be [n1, d] and [n2, d], d > 0; got {tuple(x1.shape)}, {tuple(other.shape)}")
    if not x1.dtype == other.dtype or not x1.is_floating_point():
        raise ValueError(f"x1 and x2 must be floating point, of one kind; got {x1.dtype} and {other.dtype}")
    return other
