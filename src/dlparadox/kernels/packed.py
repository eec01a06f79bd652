"""Interpolation with kernel matrices too large to keep whole: only the lower triangle is there, in panels of rows."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import cholesky_ex, solve_triangular

__all__ = ["expansion", "packed_interpolant"]

Kernel = Callable[[Tensor, Tensor], Tensor]


def packed_interpolant(
    kernel: Kernel, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], ridge: float = 0.0, *, panel: int = 1024
) -> Float[Tensor, "n k"]:
    """Coefficients c of f(x) = sum_i c_i K(x, x_i), from (K + ridge n I) c = y, in half of the memory.

    The same function as :func:`dlparadox.kernels.interpolant` finds; there the matrix is given, and three of its size
    are in memory at once. Here K is computed panel by panel and overwritten by its Cholesky factor (the blocked
    left-looking algorithm; Golub & Van Loan 2013, Section 4.2.9), which takes n² / 2 numbers: 14.4 GB for 60,000
    samples in float64. The time is that of n³ / 3 multiplications and additions.

    Args:
        kernel: maps x [n, d] and z [m, d] to K(x, z) [n, m], for example a :func:`dlparadox.kernels.gaussian_kernel`
            of fixed bandwidth.
        x: distinct samples; their dtype and device are those of the computation.
        y: targets; many columns cost little more than one.
        ridge: as in :func:`dlparadox.kernels.interpolant`.
        panel: rows that are computed at once.

    Raises:
        ValueError: if the matrix is not numerically positive definite: repeated samples, too wide a bandwidth, float32;
            if samples and targets differ in number; for a negative ridge or an empty panel.
    """
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x and y must have the same number of samples, at least one; got {len(x)} and {len(y)}")
    if not ridge >= 0 or panel < 1:
        raise ValueError(f"ridge must be at least 0 and panel at least 1; got {ridge} and {panel}")
    starts = range(0, len(x), panel)
    panels: list[Tensor] = []
    for start in starts:
        rows = kernel(x[start : start + panel], x[: start + panel])
        rows[:, start:].diagonal().add_(ridge * len(x))
        _eliminate(rows, panels, start, len(x))
        panels.append(rows)
    c = y.clone()
    for start, rows in zip(starts, panels, strict=True):  # L z = y, from the top
        own = c[start : start + panel]
        own -= rows[:, :start] @ c[:start]
        own[:] = solve_triangular(rows[:, start:], own, upper=False)
    for start, rows in reversed(list(zip(starts, panels, strict=True))):  # Lᵀ c = z, from the bottom
        own = c[start : start + panel]
        own[:] = solve_triangular(rows[:, start:].T, own, upper=True)
        c[:start] -= rows[:, :start].T @ own
    return c


def _eliminate(rows: Float[Tensor, "b m"], above: list[Tensor], start: int, n: int) -> None:
    """Overwrite a panel of the matrix by that of its factor, from the panels of the factor above it."""
    done = 0
    for other in above:
        own = slice(done, done + len(other))
        rows[:, own] -= rows[:, :done] @ other[:, :done].T
        rows[:, own] = solve_triangular(other[:, own].T, rows[:, own], upper=True, left=False)
        done += len(other)
    square = rows[:, start:]
    size = square.diagonal().clone()
    square -= rows[:, :start] @ rows[:, :start].T
    factor, failed = cholesky_ex(square)
    # A pivot of the size of rounding is a zero that rounding hides.
    if int(failed) or bool((factor.diagonal() ** 2 <= 4 * torch.finfo(rows.dtype).eps * size).any()):
        raise ValueError(
            f"the kernel matrix of {n} samples is not positive definite in {rows.dtype}, seen at samples "
            f"{start} to {start + len(rows) - 1}; use float64, a smaller bandwidth, a ridge, or remove repeated samples"
        )
    square[:] = factor


def expansion(
    kernel: Kernel,
    z: Float[Tensor, "m d"],
    x: Float[Tensor, "n d"],
    coefficients: Float[Tensor, "n k"],
    *,
    panel: int = 1024,
) -> Float[Tensor, "m k"]:
    """Values f(z_i) = sum_j c_j K(z_i, x_j), for ``panel`` points z at a time; arguments as above."""
    return torch.cat([kernel(rows, x) @ coefficients for rows in z.split(panel)])
