"""The empirical tangent kernel against two independent routes: torch.func's Jacobians, and one gradient at a time."""

import resource
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jacobians import by_torch_func, one_gradient_at_a_time, relative
from torch import Tensor, nn

from dlparadox.kernels import empirical_ntk
from dlparadox.models import NETWORKS, PARAMETERIZATIONS, build_network, initialize, wide_mlp
from dlparadox.seeding import generator

SHAPE, PIXELS = (2, 6, 6), 72


def inputs(n: int, d: int = PIXELS, *, name: str = "x", seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, d, generator=generator(seed, name), dtype=dtype)


class Residual(nn.Module):
    """Skip connections, normalizations, a layer without formula, fixed parameters, and activations in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.first.bias.requires_grad_(False)  # type: ignore[union-attr]
        self.normal, self.batch = nn.GroupNorm(2, 4), nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.rows = nn.Linear(6, 6)  # acts on the last axis of images, so on several vectors a sample
        self.layer, self.last = nn.LayerNorm(4), nn.Linear(4, 3)
        self.unused = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x.unflatten(1, SHAPE))
        h = h + self.second(self.normal(h).relu_())
        h = self.rows(self.depthwise(self.batch(h))).relu_().mean((2, 3))
        out: Tensor = self.last(self.layer(h))
        return out


class Shared(nn.Module):
    """One layer used twice, a weight used outside its layer, and a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(PIXELS, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.three.weight = self.two.weight

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.two(torch.tanh(self.two(torch.tanh(self.one(x))))))
        return torch.tanh(self.three(h)) @ self.one.weight[:, :3]


class Pixelwise(nn.Module):
    """A final layer of as many units as outputs that is not the output itself."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(PIXELS, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.two(torch.relu(self.one(x)))).flip(1)


def randomized(model: nn.Module) -> nn.Module:
    """Every parameter and average away from its special starting value."""
    stream = generator(3, "randomized")
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=stream) - 0.3 if value.ndim > 1 else 0.5)
                value.add_(0.2 * torch.rand(value.shape, generator=stream))
    return model.double().eval()


MODELS: dict[str, Callable[[], nn.Module]] = {
    **{name: (lambda name=name: build_network(name, SHAPE, 3, width=7)) for name in NETWORKS},
    **{
        f"{name} {activation}": (
            lambda name=name, activation=activation: wide_mlp(
                PIXELS, (7, 5), 3, parameterization=name, activation=activation, bias_variance=0.3
            )
        )
        for name, activation in zip(PARAMETERIZATIONS, ("relu", "erf", "tanh"), strict=True)
    },
    "one output": lambda: wide_mlp(PIXELS, (7,), 1),
    "no hidden layer": lambda: wide_mlp(PIXELS, (), 2, bias_variance=1.0),
    "residual": Residual,
    "shared": Shared,
    "pixelwise": Pixelwise,
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    made = MODELS[request.param]().double().eval()
    return randomized(made) if request.param == "residual" else initialize(made, generator(1, "weights"))


def test_against_one_gradient_at_a_time(model: nn.Module) -> None:
    x1, x2 = inputs(4), inputs(3, name="z")
    expected = one_gradient_at_a_time(model, x1, x2)
    kernel = empirical_ntk(model, x1, x2)
    assert kernel.shape == expected.shape
    assert relative(kernel, expected) < 1e-12
    traced = expected.diagonal(dim1=2, dim2=3).mean(-1)
    assert relative(empirical_ntk(model, x1, x2, outputs="trace"), traced) < 1e-12


def test_the_kernel_of_one_set_is_symmetric_whatever_the_blocks(model: nn.Module) -> None:
    x = inputs(5)
    whole = empirical_ntk(model, x)
    assert relative(whole, empirical_ntk(model, x, x.clone())) < 1e-13
    traced = empirical_ntk(model, x, outputs="trace")
    large = sum(p.numel() for p in model.parameters()) > 10**6
    for memory in (2**14,) if large else (1, 2**14, 2**17):
        blocks = empirical_ntk(model, x, memory=memory)
        assert relative(blocks, whole) < 1e-12
        assert relative(empirical_ntk(model, x[:2], x[3:], memory=memory), whole[:2, 3:]) < 1e-12
        assert relative(empirical_ntk(model, x, outputs="trace", memory=memory), traced) < 1e-12
    n, k = len(x), whole.shape[-1]
    matrix = whole.transpose(1, 2).reshape(n * k, n * k)
    assert torch.equal(matrix, matrix.T) and torch.equal(traced, traced.T)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-12 * matrix.trace()


@pytest.mark.parametrize("name", ["mlp-3", "inception-without-bn", "one output", "ntk erf", "pixelwise"])
def test_against_torch_func(name: str) -> None:
    model = initialize(MODELS[name]().double(), generator(2, "weights"))
    if name.startswith("inception"):  # torch.func cannot batch its memory layout
        model[0] = nn.Unflatten(1, SHAPE)  # type: ignore[index]
    x1, x2 = inputs(3), inputs(2, name="z")
    expected = by_torch_func(model, x1, x2)
    assert relative(empirical_ntk(model, x1, x2), expected) < 1e-10
    model, x1, x2 = model.float(), x1.float(), x2.float()
    assert relative(empirical_ntk(model, x1, x2).double(), expected) < 1e-5


def test_the_matrix_of_all_pairs_shares_its_memory() -> None:
    model = initialize(wide_mlp(5, (6,), 3), generator(0, "w"))
    kernel = empirical_ntk(model, inputs(4, 5, dtype=torch.float32))
    matrix = kernel.permute(2, 0, 3, 1).reshape(12, 12)
    assert matrix.data_ptr() == kernel.data_ptr()
    assert float(matrix[1 * 4 + 2, 2 * 4 + 3]) == float(kernel[2, 3, 1, 2])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 2**16), st.integers(0, 99))
def test_any_sizes_and_blocks(n: int, m: int, k: int, memory: int, seed: int) -> None:
    model = initialize(wide_mlp(3, (4, 5), k, bias_variance=0.1).double(), generator(seed, "w"))
    x1, x2 = inputs(n, 3, seed=seed), inputs(m, 3, name="z", seed=seed)
    kernel = empirical_ntk(model, x1, x2, memory=memory)
    expected = one_gradient_at_a_time(model, x1, x2)
    torch.testing.assert_close(kernel, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(
        empirical_ntk(model, x2, x1, memory=memory), kernel.permute(1, 0, 3, 2), rtol=1e-11, atol=1e-11
    )


@given(st.floats(0.1, 10.0), st.integers(0, 99))
def test_scaling_laws_of_a_homogeneous_network(factor: float, seed: int) -> None:
    model = initialize(wide_mlp(4, (6, 6), 2).double(), generator(seed, "w"))
    x = inputs(3, 4, seed=seed)
    kernel = empirical_ntk(model, x)
    torch.testing.assert_close(empirical_ntk(model, factor * x), factor**2 * kernel, rtol=1e-9, atol=1e-12)
    with torch.no_grad():
        for layer in model[::2]:  # type: ignore[index]
            layer.scale *= factor
    torch.testing.assert_close(empirical_ntk(model, x), factor**6 * kernel, rtol=1e-9, atol=1e-12)


def test_parameters_that_are_not_trained_do_not_count() -> None:
    model = initialize(wide_mlp(4, (6,), 2, bias_variance=0.5).double(), generator(0, "w"))
    x = inputs(3, 4)
    for parameter in (model[0].weight, model[2].bias):  # type: ignore[index]
        parameter.requires_grad_(False)
    assert relative(empirical_ntk(model, x), one_gradient_at_a_time(model, x, x)) < 1e-12
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        empirical_ntk(model, x)


def test_the_model_is_left_as_it_was() -> None:
    model = initialize(MODELS["inception"](), generator(0, "w")).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():  # works inside, too
        empirical_ntk(model, inputs(3, dtype=torch.float32))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not any(layer._forward_hooks for layer in model.modules())


def test_samples_that_influence_each_other_are_refused() -> None:
    x = inputs(4, dtype=torch.float32)
    model = initialize(MODELS["inception"](), generator(0, "w")).train()
    with pytest.raises(ValueError, match=r"layer '.*' \(BatchNorm2d\) is in training mode; call model\.eval\(\)"):
        empirical_ntk(model, x)
    with pytest.raises(ValueError, match=r"\(Dropout\) is in training mode"):
        empirical_ntk(nn.Sequential(nn.Linear(PIXELS, 2), nn.Dropout(0.5)), x)

    class Mixing(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input - input.mean(0))

    with pytest.raises(ValueError, match="depend on the samples beside it"):
        empirical_ntk(Mixing(PIXELS, 2), x)


def test_errors_name_the_value() -> None:
    model, x = wide_mlp(4, (5,), 2), inputs(3, 4, dtype=torch.float32)
    with pytest.raises(ValueError, match="outputs must be 'all' or 'trace'; got 'sum'"):
        empirical_ntk(model, x, outputs="sum")  # type: ignore[arg-type]
    for other in (x.double(), x[:, :3], x[:0]):
        with pytest.raises(ValueError, match=r"of one shape and dtype, at least one each; got \(3, 4\) torch\.float32"):
            empirical_ntk(model, x, other)
    with pytest.raises(ValueError, match=r"one sample gave \(2,\)"):
        empirical_ntk(nn.Sequential(model, nn.Flatten(0)), x[:, :4])


MEMORY = """
import resource, sys, torch
from dlparadox.kernels import empirical_ntk
from dlparadox.models import initialize, mlp
from dlparadox.seeding import generator
torch.set_num_threads(1)
model = initialize(mlp(784, (512, 512, 512), 10), generator(0, "w"))
x = torch.randn(int(sys.argv[1]), 784)
empirical_ntk(model, x[:2], outputs="trace")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
empirical_ntk(model, x, outputs=sys.argv[2], memory=int(sys.argv[3]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is counted differently")
@pytest.mark.parametrize(("n", "outputs", "memory", "limit"), [
    (256, "trace", 2**28, 100), (256, "all", 2**28, 100), (1024, "trace", 2**24, 40),
])  # fmt: skip
def test_memory_in_mib(n: int, outputs: str, memory: int, limit: float) -> None:
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    command = [sys.executable, "-c", MEMORY, str(n), outputs, str(memory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < limit
