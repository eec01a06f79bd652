"""``dlparadox.kernels`` against scikit-learn: kernel matrices and interpolation with them, in float64."""

from side_by_side import compare, heading  # isort: skip  (sets the number of threads first)

import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

from dlparadox.kernels import gaussian_kernel, interpolant, median_distance
from dlparadox.seeding import generator

SAMPLES, DIMENSIONS, CLASSES, RIDGE = 2_000, 784, 10, 1e-6


def main() -> None:
    """Check that both give the same numbers, then time them."""
    stream = generator(0, "benchmark")
    x = torch.rand(SAMPLES, DIMENSIONS, generator=stream, dtype=torch.float64)
    z = torch.rand(SAMPLES, DIMENSIONS, generator=stream, dtype=torch.float64)
    y = torch.nn.functional.one_hot(torch.randint(CLASSES, (SAMPLES,), generator=stream), CLASSES).double()
    bandwidth = median_distance(x[:500])
    gamma = 1 / (2 * bandwidth**2)

    def matrix() -> torch.Tensor:
        return gaussian_kernel(x, z, bandwidth)

    def their_matrix() -> torch.Tensor:
        return torch.from_numpy(rbf_kernel(x.numpy(), z.numpy(), gamma=gamma))

    def fitted() -> torch.Tensor:
        return interpolant(gaussian_kernel(x, x, bandwidth), y, RIDGE)

    def their_fit() -> torch.Tensor:  # its alpha is our ridge times n
        model = KernelRidge(alpha=RIDGE * SAMPLES, kernel="rbf", gamma=gamma).fit(x.numpy(), y.numpy())
        return torch.from_numpy(model.dual_coef_)

    torch.testing.assert_close(matrix(), their_matrix(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(fitted(), their_fit(), rtol=1e-6, atol=1e-8)
    heading(f"{SAMPLES:,} samples of {DIMENSIONS} pixels, float64")
    compare("Gaussian kernel matrix: rbf_kernel", matrix, their_matrix)
    compare("matrix and coefficients: KernelRidge.fit", fitted, their_fit)


if __name__ == "__main__":
    main()
