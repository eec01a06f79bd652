"""Tangent kernels of finite networks: `dlparadox.kernels.empirical_ntk` against the recipe of PyTorch's tutorial on
neural tangent kernels, and against the machine's own matrix multiplication.

The recipe builds the Jacobian of every output with respect to every parameter, and multiplies it with itself. Ours goes
layer by layer. The kernel of a linear layer is the product of two small Gram matrices, that of its inputs and that of
the signals that come back to it, so its Jacobian is never built. A convolution uses each weight at many positions and
has no such product; its gain is smaller. The recipe runs in a process of its own: ours has freed memory kept for the
next call, and in the same process that would help the recipe as well, by about an eighth.

With many samples, most of the time goes into one matrix product for each layer. So the share compares with the rate at
which the machine multiplies matrices of that size. PyTorch has two libraries for that, and on some processors the one
behind `a @ b` is far from the faster, so there are two shares. Only operations that the kernel needs are counted, each
pair of outputs once.
"""

from side_by_side import Benchmark  # isort: skip  (sets the number of threads first)

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.functional import linear

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


def checked(model: nn.Module, x: Tensor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Ours and the recipe, after a check that both give one kernel."""
    kernel, expected = empirical_ntk(model, x), recipe(model, x, x)
    error = float((kernel - expected).norm() / expected.norm())
    assert error < 1e-5, error
    return partial(empirical_ntk, model, x), partial(recipe, model, x, x)


def multiplication_rates(size: int = 1280, inner: int = 512) -> tuple[float, float]:
    """Operations a second of matrix products of the size of our blocks: PyTorch's plain one, and the fastest.

    PyTorch multiplies float32 matrices by MKL, which is slow on some processors; oneDNN is its other library. Times are
    those of the products alone: oneDNN is handed its own format.
    """
    a, b = torch.randn(size, inner), torch.randn(size, inner)
    products = [lambda: a @ b.T]
    if torch.backends.mkldnn.is_available():
        packed = a.to_mkldnn(), b.to_mkldnn()
        products.append(lambda: linear(*packed))
    rates = []
    for product in products:
        seconds = []
        for _ in range(15):
            start = time.process_time()
            product()
            seconds.append(time.process_time() - start)
        rates.append(2 * size * size * inner / statistics.median(seconds))
    return rates[0], max(rates)


def useful_operations(n: int, k: int, inputs: int) -> float:
    """Multiplications and additions that the kernel of an MLP needs: each of the n k (n k + 1) / 2 pairs once."""
    pairs = n * k * (n * k + 1) / 2
    return pairs * 2 * sum(WIDTHS) + n * (n + 1) / 2 * 2 * (inputs + sum(WIDTHS))


def main() -> None:
    """Ratios against the recipe, then the share of the machine's rate."""
    benchmark = Benchmark(__file__)
    network = initialize(mlp(784, WIDTHS, 10), generator(0, "weights"))
    convolutional = initialize(small_cnn(), generator(0, "weights"))
    benchmark.group("all 10 x 10 pairs of outputs, float32")
    recipe_name = "`jacrev` and `einsum`"
    ours, theirs = checked(network, pixels(64, 784))
    benchmark.compare(
        "MLP 784-512-512-512-10, 64 samples", ours, theirs, against=recipe_name, repetitions=3, at_least=300, apart=True
    )
    ours, theirs = checked(convolutional, pixels(20, 3, 32, 32))
    benchmark.compare(
        "small CNN of the tutorial, 20 samples", ours, theirs, against=recipe_name, repetitions=5, at_least=8,
        apart=True,
    )  # fmt: skip
    x = pixels(1024, 784)
    shares: list[tuple[float, ...]] = []
    for _ in range(3):
        rates, start = multiplication_rates(), time.process_time()
        empirical_ntk(network, x)
        rate = useful_operations(1024, 10, 784) / (time.process_time() - start)
        shares.append(tuple(100 * rate / reference for reference in rates))
    plain, fastest = zip(*shares, strict=True)
    name = "MLP 784-512-512-512-10, 1,024 samples: share of the rate of the machine's"
    benchmark.measure(f"{name} fastest matrix product", fastest, unit="%", at_least=65)
    benchmark.measure(f"{name} product `a @ b`", plain, unit="%")
    benchmark.save()


if __name__ == "__main__":
    main()
