"""Tangent kernels of convolutional networks and of layers on sequences: exact identities, and their limits."""

import math
import statistics
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jacobians import by_torch_func, one_gradient_at_a_time, relative
from torch import Tensor, nn

from dlparadox.kernels import empirical_ntk, parts
from dlparadox.kernels.layers import Features, _own
from dlparadox.models import PARAMETERIZATIONS, initialize, wide_cnn
from dlparadox.seeding import generator

SHAPE, PIXELS = (2, 6, 5), 60


def inputs(n: int, *shape: int, name: str = "x", seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, *shape or (PIXELS,), generator=generator(seed, name), dtype=dtype)


class Sequence(nn.Module):
    """Linear layers on every token, one of them on a single token, and one that is the output."""

    def __init__(self, tokens: int = 5) -> None:
        super().__init__()
        self.tokens, self.one, self.two = tokens, nn.Linear(PIXELS // tokens, 7), nn.Linear(7, 7)
        self.first, self.last = nn.Linear(7, 4), nn.Linear(7 + 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.two(torch.tanh(self.one(x.unflatten(1, (self.tokens, -1)))))
        out: Tensor = self.last(torch.cat([torch.relu(h).mean(1), self.first(h[:, :1])[:, 0]], dim=1))
        return out


class Turned(Sequence):
    """The tokens come before the samples, which no formula is for."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.two(torch.tanh(self.one(x.unflatten(1, (self.tokens, -1)).transpose(0, 1))))
        out: Tensor = self.last(torch.cat([h.mean(0), self.first(h[0])], dim=1))
        return out


class Folded(Sequence):
    """The tokens of all samples in one batch, which no formula is for."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.two(torch.tanh(self.one(x.view(len(x) * self.tokens, -1)))).view(len(x), self.tokens, -1)
        out: Tensor = self.last(torch.cat([h.mean(1), self.first(h[:, 0])], dim=1))
        return out


def linear_at_the_end(stride: int = 1) -> nn.Sequential:
    """Nothing but linear layers after the first activation, as in the tutorial of ``torch.func``."""
    return nn.Sequential(
        nn.Unflatten(1, SHAPE), nn.Conv2d(2, 4, 3, padding=(1, 3)), nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, (3, 2), stride=(1, stride), dilation=(2, 1)), nn.Conv2d(5, 3, 2, stride=stride, bias=False),
        nn.AvgPool2d((1, 2)), nn.Flatten(), nn.LazyLinear(6), nn.Linear(6, 3),
    )  # fmt: skip


def cnn(**options: object) -> Callable[[], nn.Module]:
    return lambda: wide_cnn(SHAPE, (4, 5), 3, **{"bias_variance": 0.3, **options})  # type: ignore[arg-type]


MODELS: dict[str, Callable[[], nn.Module]] = {
    **{name: cnn(parameterization=name) for name in PARAMETERIZATIONS},
    "without bias": cnn(bias_variance=0.0),
    "flatten": cnn(pooling="flatten", stride=2, activation="tanh"),
    "pixels": cnn(kernel_size=1, activation="erf"),
    "one position": cnn(kernel_size=5, stride=3),
    "one output": lambda: wide_cnn(SHAPE, (4,), 1),
    "linear at the end": linear_at_the_end,
    "linear at the end, strided": lambda: linear_at_the_end(2),
    "sequence": Sequence,
    "one token": lambda: Sequence(1),
    "turned": Turned,
    "folded": Folded,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    made = MODELS[request.param]()
    made(torch.zeros(1, PIXELS))
    return initialize(made.double(), generator(1, "weights"))


@pytest.mark.parametrize("memory", [2**28, 2**13])
def test_against_one_gradient_at_a_time(model: nn.Module, memory: int) -> None:
    x1, x2 = inputs(4), inputs(3, name="z")
    for other in (x2, None):
        expected = one_gradient_at_a_time(model, x1, x1 if other is None else x2)
        assert relative(empirical_ntk(model, x1, other, memory=memory), expected) < 1e-12
        traced = expected.diagonal(dim1=2, dim2=3).mean(-1)
        assert relative(empirical_ntk(model, x1, other, outputs="trace", memory=memory), traced) < 1e-12


@pytest.mark.parametrize("trace", [False, True])
def test_formulas_are_used_where_they_hold(model: nn.Module, trace: bool) -> None:
    """A wrong formula would be noticed and replaced by automatic differentiation, which is right, but slow."""
    features = Features.of(model, inputs(2), trace=trace)
    assert features.agree(inputs(2)[:1], features.parts(inputs(2)))
    left = 4 if isinstance(model, Turned | Folded) else 0  # weights and biases of two layers, for all tokens
    assert len(features.rest) == left
    used = sum(len(_own(layer)._parameters) for layer in features.layers)
    assert used == sum(len(layer._parameters) for layer in model.modules()) - left


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("bias_variance", [0.0, 0.4])
def test_against_torch_func(parameterization: str, bias_variance: float) -> None:
    options = {"parameterization": parameterization, "bias_variance": bias_variance}
    model = initialize(cnn(**options)().double(), generator(2, "weights"))
    model = nn.Sequential(nn.Unflatten(1, SHAPE), *list(model.children())[1:])  # torch.func cannot batch its layout
    x1, x2 = inputs(3), inputs(2, name="z")
    for other in (x2, None):
        expected = by_torch_func(model, x1, x1 if other is None else x2)
        assert relative(empirical_ntk(model, x1, other), expected) < 1e-10
        model, ours = model.float(), (x1.float(), None if other is None else x2.float())
        assert relative(empirical_ntk(model, *ours).double(), expected) < 1e-5
        model = model.double()


def test_large_layers_against_torch_func() -> None:
    """Sizes from which on samples are gone through one by one, by the faster matrix product."""
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16 * 24 * 24, 8)
    )  # fmt: skip
    initialize(model, generator(0, "weights"))
    x = inputs(5, 3, 28, 28, dtype=torch.float32)
    assert parts.LARGE < 8 * 16 * 16 * 9 * 24 * 24
    expected = by_torch_func(model, x, x)
    kernel = empirical_ntk(model, x)
    assert relative(kernel, expected) < 1e-5
    traced = empirical_ntk(model, x, outputs="trace")
    assert relative(traced, kernel.diagonal(dim1=2, dim2=3).mean(-1)) < 1e-5
    assert relative(empirical_ntk(model, x[:2], x[3:]), expected[:2, 3:]) < 1e-5


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 400), st.integers(0, 99))
def test_both_matrix_products_agree(rows: int, columns: int, inner: int, seed: int) -> None:
    a, b = inputs(rows, inner, seed=seed), inputs(inner, columns, name="z", seed=seed).T
    expected = a @ b.T
    torch.testing.assert_close(parts.product(a, b), expected)
    error = (parts.product(a.float(), b.float()).double() - expected).abs().max()
    assert error <= 1e-6 * inner * a.abs().max() * b.abs().max()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "LARGE", 0)
        error = (parts.product(a.float(), b.float()).double() - expected).abs().max()
    assert error <= 1e-6 * inner * a.abs().max() * b.abs().max()


@hypothesis_settings(max_examples=25)
@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(2, 7), st.integers(2, 7), st.sampled_from([1, 3, 5]),
    st.integers(1, 3), st.sampled_from(["average", "flatten"]), st.integers(1, 2**15), st.integers(0, 99),
)  # fmt: skip
def test_the_kernel_is_symmetric_and_positive(
    n: int, k: int, height: int, width: int, size: int, stride: int, pooling: str, memory: int, seed: int
) -> None:
    options = {"kernel_size": size, "stride": stride, "pooling": pooling}
    model = wide_cnn((2, height, width), (3, 4), k, bias_variance=0.1, **options)  # type: ignore[arg-type]
    initialize(model.double(), generator(seed, "weights"))
    x = inputs(n, 2 * height * width, seed=seed)
    kernel = empirical_ntk(model, x, memory=memory)
    assert relative(kernel, one_gradient_at_a_time(model, x, x)) < 1e-11
    matrix = kernel.transpose(1, 2).reshape(n * k, n * k)
    assert torch.equal(matrix, matrix.T)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-12 * matrix.trace()


def draws(channels: int, parameterization: str, number: int) -> list[float]:
    """One entry of the kernel, for independent weights."""
    x, found = inputs(1, 3 * 36, dtype=torch.float32), []
    for seed in range(number):
        model = wide_cnn((3, 6, 6), (channels, channels), 1, parameterization=parameterization)
        initialize(model, generator(seed, "weights", str(channels)))
        found.append(float(empirical_ntk(model, x)))
    return found


def test_the_kernel_concentrates_as_the_channels_grow() -> None:
    """Its standard deviation falls as 1/sqrt(m): by 4 from 16 to 256 channels (Jacot et al. 2018, for convolutions)."""
    number = 150
    narrow, wide = (draws(channels, "ntk", number) for channels in (16, 256))
    scatter = [statistics.stdev(found) / statistics.mean(found) for found in (narrow, wide)]
    # A standard deviation of 150 draws is known to 6 % (8 % for heavier tails), their ratio to 11 %: three of these.
    assert scatter[0] / scatter[1] == pytest.approx(4.0, rel=0.34)


def test_the_kernel_stays_of_order_one_in_the_ntk_parameterization_only() -> None:
    mean = {
        (name, channels): statistics.mean(draws(channels, name, 40))
        for name, channels in product(("ntk", "standard"), (32, 256))
    }
    assert mean["ntk", 256] / mean["ntk", 32] == pytest.approx(1.0, abs=0.25)
    assert mean["standard", 256] / mean["standard", 32] == pytest.approx(8.0, rel=0.35)
    assert math.isfinite(mean["standard", 256])
