"""Kernels: of distances, of infinitely wide networks, of the networks at hand; regression and training with them."""

from dlparadox.kernels.dynamics import LinearDynamics
from dlparadox.kernels.empirical import empirical_ntk
from dlparadox.kernels.infinite import Kernels, infinite_width, shallow_ntk
from dlparadox.kernels.packed import expansion, packed_interpolant
from dlparadox.kernels.radial import gaussian_kernel, laplace_kernel, linear_kernel, median_distance
from dlparadox.kernels.regression import interpolant, largest_eigenvalue, rkhs_norm

__all__ = [
    "Kernels",
    "LinearDynamics",
    "empirical_ntk",
    "expansion",
    "gaussian_kernel",
    "infinite_width",
    "interpolant",
    "laplace_kernel",
    "largest_eigenvalue",
    "linear_kernel",
    "median_distance",
    "packed_interpolant",
    "rkhs_norm",
    "shallow_ntk",
]
