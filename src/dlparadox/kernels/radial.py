"""Kernels of the inner product and of the distance between inputs."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["gaussian_kernel", "laplace_kernel", "linear_kernel", "median_distance"]


def linear_kernel(x: Float[Tensor, "n d"], z: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """K(x, z) = <x, z> / d + 1: linear functions with a bias, rank at most d + 1."""
    return x @ z.T / x.shape[1] + 1


def gaussian_kernel(x: Float[Tensor, "n d"], z: Float[Tensor, "m d"], bandwidth: float) -> Float[Tensor, "n m"]:
    """K(x, z) = exp(-|x - z|² / (2 bandwidth²)); positive definite on distinct points."""
    return _squared_distances(x, z, bandwidth).mul_(-1 / (2 * bandwidth**2)).exp_()


def laplace_kernel(x: Float[Tensor, "n d"], z: Float[Tensor, "m d"], bandwidth: float) -> Float[Tensor, "n m"]:
    """K(x, z) = exp(-|x - z| / bandwidth); positive definite on distinct points, and better conditioned."""
    return _squared_distances(x, z, bandwidth).sqrt_().mul_(-1 / bandwidth).exp_()


def _squared_distances(x: Tensor, z: Tensor, bandwidth: float) -> Tensor:
    """|x_i - z_j|² from one matrix product, in one matrix."""
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be positive; got {bandwidth}")
    norms, others = (x * x).sum(1, keepdim=True), (z * z).sum(1)
    squares = torch.addmm(others, x, z.T, alpha=-2).add_(norms)
    # Products are fast but leave rounding where a point meets itself or its copy: there the distance is zero exactly.
    noise = 8 * torch.finfo(x.dtype).eps
    for rows, norm in zip(squares.split(64), norms.split(64), strict=True):  # each pair by its own size, in cache
        rows.masked_fill_(rows <= noise * (norm + others), 0.0)
    return squares


def median_distance(x: Float[Tensor, "n d"]) -> float:
    """Median Euclidean distance between distinct samples, a usual scale for a bandwidth."""
    if len(x) < 2:
        raise ValueError(f"a distance needs two samples; got {len(x)}")
    return float(torch.pdist(x).median())
