"""``dlparadox.kernels.empirical_ntk`` against the recipe of PyTorch's tutorial on neural tangent kernels, and the
machine's own matrix multiplication."""

from side_by_side import compare, heading  # isort: skip  (sets the number of threads first)

import math
import statistics
import time

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from dlparadox.kernels import empirical_ntk
from dlparadox.models import initialize, mlp
from dlparadox.seeding import generator

WIDTHS = (512, 512, 512)


def recipe(model: nn.Module, x1: Tensor, x2: Tensor) -> Tensor:
    """The tutorial's contraction: Jacobians of both sets of samples, then one einsum for each parameter."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def output(parameters: dict[str, Tensor], sample: Tensor) -> Tensor:
        return functional_call(model, parameters, (sample.unsqueeze(0),)).squeeze(0)

    jacobians = [vmap(jacrev(output), (None, 0))(parameters, x) for x in (x1, x2)]
    pieces = zip(*([piece.flatten(2) for piece in jacobian.values()] for jacobian in jacobians), strict=True)
    return sum(torch.einsum("Naf,Mbf->NMab", one, other) for one, other in pieces)


def small_cnn() -> nn.Sequential:
    """The convolutional network of the tutorial: three 3x3 convolutions of 32 channels, then a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.Flatten(),
        nn.Linear(32 * 26 * 26, 10),
    )  # fmt: skip


def pixels(n: int, *shape: int) -> Tensor:
    """Random inputs."""
    return torch.randn(n, *shape, generator=generator(0, "benchmark"))


def side_by_side(name: str, model: nn.Module, x: Tensor, repetitions: int) -> None:
    """Check that both give one kernel, then time them."""
    kernel, expected = empirical_ntk(model, x), recipe(model, x, x)
    error = float((kernel - expected).norm() / expected.norm())
    assert error < 1e-5, error
    compare(name, lambda: empirical_ntk(model, x), lambda: recipe(model, x, x), repetitions=repetitions)


def multiplication_rate(size: int = 1280, inner: int = 512) -> float:
    """Floating-point operations a second of the machine's matrix product, at the size of our blocks."""
    a, b = torch.randn(size, inner), torch.randn(inner, size)
    seconds = []
    for _ in range(15):
        start = time.process_time()
        a @ b
        seconds.append(time.process_time() - start)
    return 2 * size * size * inner / statistics.median(seconds)


def useful_operations(n: int, k: int, inputs: int) -> float:
    """Multiplications and additions that the kernel of an MLP needs: each of the n k (n k + 1) / 2 pairs once."""
    pairs = n * k * (n * k + 1) / 2
    return pairs * 2 * sum(WIDTHS) + n * (n + 1) / 2 * 2 * (inputs + sum(WIDTHS))


def main() -> None:
    """Ratios against the recipe, then the share of the machine's rate."""
    network = initialize(mlp(784, WIDTHS, 10), generator(0, "weights"))
    convolutional = initialize(small_cnn(), generator(0, "weights"))
    heading("empirical NTK, all 10 x 10 pairs of outputs, float32")
    side_by_side("784-512-512-512-10, N = 64: jacrev, einsum", network, pixels(64, 784), 3)
    side_by_side("small CNN of the tutorial, N = 20: jacrev, einsum", convolutional, pixels(20, 3, 32, 32), 5)
    x = pixels(1024, 784)
    shares = []
    for _ in range(3):
        rate, start = multiplication_rate(), time.process_time()
        empirical_ntk(network, x)
        shares.append(useful_operations(1024, 10, 784) / (time.process_time() - start) / rate)
    print(f"\nN = 1,024, all pairs: {statistics.median(shares):.0%} of the machine's rate of matrix multiplication")
    assert math.isfinite(sum(shares))


if __name__ == "__main__":
    main()
