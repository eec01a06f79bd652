"""Kernels and the functions of least norm that they interpolate with."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "gaussian_kernel",
    "interpolant",
    "laplace_kernel",
    "linear_kernel",
    "median_distance",
    "rkhs_norm",
]


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
    noise = 8 * torch.finfo(x.dtype).eps * float(norms.max() + others.max())
    return torch.threshold_(squares, noise, 0.0)


def median_distance(x: Float[Tensor, "n d"]) -> float:
    """Median Euclidean distance between distinct samples, a usual scale for a bandwidth."""
    if len(x) < 2:
        raise ValueError(f"a distance needs two samples; got {len(x)}")
    return float(torch.pdist(x).median())


def interpolant(kernel: Float[Tensor, "n n"], y: Float[Tensor, "n k"], ridge: float = 0.0) -> Float[Tensor, "n k"]:
    """Coefficients c of f(x) = sum_i c_i K(x, x_i), from (K + ridge n I) c = y.

    Without a ridge, f is the function of least norm in the kernel's Hilbert space with f(x_i) = y_i. With it, f
    minimizes the mean squared error plus ridge times the squared norm.

    Raises:
        ValueError: if the matrix is not numerically positive definite: repeated samples, too wide a bandwidth, float32.
    """
    n = len(kernel)
    if kernel.shape != (n, n) or len(y) != n:
        raise ValueError(f"kernel must be [n, n] and y [n, k]; got {tuple(kernel.shape)} and {tuple(y.shape)}")
    if ridge < 0:
        raise ValueError(f"ridge must be at least 0; got {ridge}")
    matrix = kernel.clone()
    matrix.diagonal().add_(ridge * n)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    # A pivot of the size of rounding is a zero that rounding hides.
    pivots = factor.diagonal() ** 2
    if int(failed) or bool((pivots <= 4 * torch.finfo(kernel.dtype).eps * matrix.diagonal()).any()):
        raise ValueError(
            f"the kernel matrix of {n} samples is not positive definite in {kernel.dtype}; "
            f"use float64, a smaller bandwidth, a ridge, or remove repeated samples"
        )
    return torch.cholesky_solve(y, factor)


def rkhs_norm(kernel: Float[Tensor, "n n"], coefficients: Float[Tensor, "n k"]) -> float:
    """Norm of f = sum_i c_i K(., x_i) in the kernel's Hilbert space: sqrt(tr cᵀ K c), over all k outputs."""
    return float((coefficients * (kernel @ coefficients)).sum().clamp_min(0).sqrt())
