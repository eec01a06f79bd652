"""The networks: published parameter counts, shapes, layers, an initialization that can be redone by hand."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import unfold

from dlparadox.models import (
    ACTIVATIONS,
    NETWORKS,
    PARAMETERIZATIONS,
    ScaledConv2d,
    ScaledLinear,
    build_network,
    count_parameters,
    initialize,
    linear,
    mlp,
    small_alexnet,
    small_inception,
    wide_cnn,
    wide_mlp,
)
from dlparadox.seeding import generator

CIFAR = (3, 28, 28)
#: Zhang et al. 2017, Table 1.
PUBLISHED = {"inception": 1_649_402, "alexnet": 1_387_786, "mlp-3": 1_735_178, "mlp-1": 1_209_866}


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_published_parameter_counts(name: str, count: int) -> None:
    assert count_parameters(build_network(name, CIFAR, 10)) == count


def test_inception_counts_the_same_without_normalization() -> None:
    network = build_network("inception-without-bn", CIFAR, 10)
    assert count_parameters(network) == PUBLISHED["inception"] == sum(p.numel() for p in network.parameters())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@given(st.integers(1, 30), st.lists(st.integers(1, 20), max_size=3), st.integers(1, 12))
def test_parameters_of_a_multilayer_perceptron(d: int, widths: list[int], k: int) -> None:
    network = mlp(d, tuple(widths), k)
    sizes = [d, *widths, k]
    assert count_parameters(network) == sum((a + 1) * b for a, b in pairwise(sizes))
    assert network(torch.zeros(2, d)).shape == (2, k)
    assert sum(isinstance(layer, nn.ReLU) for layer in network) == len(widths)


def test_a_multilayer_perceptron_is_its_formula() -> None:
    network = initialize(mlp(5, (4, 3), 2), generator(0, "init"))
    x = torch.randn(7, 5, generator=generator(0, "x"))
    (w1, b1), (w2, b2), (w3, b3) = ((layer.weight, layer.bias) for layer in network if isinstance(layer, nn.Linear))
    hidden = (((x @ w1.T + b1).clamp_min(0)) @ w2.T + b2).clamp_min(0)
    torch.testing.assert_close(network(x), hidden @ w3.T + b3)


def test_a_linear_network_is_affine() -> None:
    network = initialize(linear(4, 3), generator(0, "init"))
    x, z = torch.randn(2, 5, 4, generator=generator(0, "x"))
    torch.testing.assert_close(network(0.3 * x + 0.7 * z), 0.3 * network(x) + 0.7 * network(z))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [CIFAR, (1, 8, 8), (2, 7, 9)], ids=str)
def test_scores_for_any_image_size(name: str, shape: tuple[int, int, int]) -> None:
    network = build_network(name, shape, 4, width=6)
    scores = network(torch.zeros(2, math.prod(shape)))
    assert scores.shape == (2, 4)
    assert bool(scores.isfinite().all())


@hypothesis_settings(max_examples=8)
@given(st.integers(1, 3), st.integers(5, 12), st.integers(5, 12))
def test_convolutional_networks_on_odd_sizes(c: int, h: int, w: int) -> None:
    x = torch.zeros(1, c * h * w)
    assert small_alexnet((c, h, w), 3)(x).shape == (1, 3)
    assert small_inception((c, h, w), 3, normalized=False)(x).shape == (1, 3)


@pytest.mark.parametrize("name", ["alexnet", "inception-without-bn", "mlp-1"])
def test_each_sample_is_scored_by_itself(name: str) -> None:
    network = initialize(build_network(name, (3, 9, 9), 5, width=8), generator(0, "init")).eval()
    x = torch.randn(3, 243, generator=generator(0, "x"))
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


def test_convolutional_networks_see_images_in_the_order_of_the_data() -> None:
    network = initialize(small_inception((2, 5, 7), 3, normalized=False), generator(0, "init"))
    x = torch.randn(2, 2, 5, 7, generator=generator(0, "x"))
    by_hand = x
    for layer in list(network)[1:]:
        by_hand = layer(by_hand)
    torch.testing.assert_close(network(x.flatten(1)), by_hand)


def layer_sizes(network: nn.Module, shape: tuple[int, int, int], kind: type[nn.Module]) -> list[tuple[int, ...]]:
    """Shapes [c, h, w] that leave the layers of one kind, in the order in which they run."""
    found: list[tuple[int, ...]] = []

    def keep(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(tuple(output.shape[1:]))

    for layer in network.modules():
        if isinstance(layer, kind):
            layer.register_forward_hook(keep)
    network(torch.zeros(1, math.prod(shape)))
    return found


def test_layers_of_the_small_alexnet() -> None:
    network = small_alexnet(CIFAR, 10)
    assert layer_sizes(network, CIFAR, nn.MaxPool2d) == [(64, 14, 14), (64, 7, 7)]
    assert layer_sizes(network, CIFAR, nn.Linear) == [(384,), (192,), (10,)]
    kinds = [type(layer).__name__ for layer in network]
    block = ["Conv2d", "ReLU", "MaxPool2d", "LocalResponseNorm"]
    assert kinds == ["_Images", *block, *block, "Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_layers_of_the_small_inception() -> None:
    network = small_inception(CIFAR, 10)
    leaving = [layer(torch.zeros(1, *shape)).shape[1:] for layer, shape in _stages(network)]
    channels = [96, 64, 80, 160, 160, 160, 160, 144, 240, 336, 336]
    sides = [28] * 3 + [14] * 5 + [7] * 3
    assert [tuple(shape) for shape in leaving] == [(c, s, s) for c, s in zip(channels, sides, strict=True)]
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == 19


def _stages(network: nn.Sequential) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Each convolutional stage with the shape that it receives."""
    stages, x = [], torch.zeros(1, *CIFAR)
    for layer in list(network)[1:-3]:
        stages.append((layer, tuple(x.shape[1:])))
        x = layer(x)
    return stages


@pytest.mark.parametrize("name", NETWORKS)
def test_initialization_is_reproducible_and_bounded_by_the_fan_in(name: str) -> None:
    network, again = (build_network(name, (3, 8, 8), 10, width=16) for _ in range(2))
    assert initialize(network, generator(3, "init")) is network
    initialize(again, generator(3, "init"))
    for layer, twin in zip(network.modules(), again.modules(), strict=True):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = 1 / math.sqrt(layer.weight.numel() / layer.weight.shape[0])
            for parameter, other in zip(layer.parameters(), twin.parameters(), strict=True):
                assert torch.equal(parameter, other)
                assert parameter.abs().max() <= bound
            assert float(layer.weight.detach().var()) == pytest.approx(bound**2 / 3, rel=0.5)


def test_initialization_by_hand() -> None:
    network = initialize(nn.Sequential(nn.Conv2d(2, 3, 5), nn.Flatten(), nn.Linear(12, 4)), generator(1, "init"))
    stream = generator(1, "init")
    for layer, fan_in in [(network[0], 2 * 5 * 5), (network[2], 12)]:
        for parameter in (layer.weight, layer.bias):
            uniform = torch.rand(parameter.shape, generator=stream)
            torch.testing.assert_close(parameter.detach(), (uniform - 0.5) * 2 / math.sqrt(fan_in))


def test_initialization_has_the_moments_of_the_uniform_law() -> None:
    weight = initialize(linear(100, 1000), generator(0, "init"))[0].weight.detach() * 10  # U(-1, 1)
    assert abs(float(weight.mean())) < 5 * math.sqrt(1 / 3 / weight.numel())
    assert float(weight.var()) == pytest.approx(1 / 3, abs=5 * math.sqrt(4 / 45 / weight.numel()))


def test_initialization_does_not_touch_the_global_generator() -> None:
    network = linear(3, 2)
    before = torch.get_rng_state()
    initialize(network, generator(0, "init"))
    assert torch.equal(before, torch.get_rng_state())


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="width must be at least 1; got 0"):
        build_network("mlp-1", CIFAR, 10, width=0)
    with pytest.raises(ValueError, match="inputs must be at least 1; got 0"):
        mlp(0, (), 2)
    with pytest.raises(ValueError, match="classes must be at least 1; got 0"):
        linear(3, 0)
    with pytest.raises(ValueError, match=r"network must be one of linear, mlp-1, .*; got 'resnet'"):
        build_network("resnet", CIFAR, 10)


WIDE = {
    "standard": [(1.0, (2 / 5) ** 0.5), (1.0, (2 / 7) ** 0.5), (1.0, (2 / 11) ** 0.5)],
    "ntk": [((2 / 5) ** 0.5, 1.0), ((2 / 7) ** 0.5, 1.0), ((2 / 11) ** 0.5, 1.0)],
    "mup": [((7 / 5) ** 0.5, (2 / 7) ** 0.5), (1.0, (2 / 7) ** 0.5), ((1 / 11) ** 0.5, (2 / 11) ** 0.5)],
}


def layers_with_scales(
    network: torch.nn.Module, sizes: list[tuple[int, int]], expected: list[tuple[float, float]]
) -> list[tuple[ScaledLinear, tuple[float, float]]]:
    """The linear layers of a network without bias, checked against their sizes, factors and standard deviations."""
    layers = [layer for layer in network.modules() if isinstance(layer, ScaledLinear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == sizes
    for layer, (scale, std) in zip(layers, expected, strict=True):
        assert (layer.scale, layer.std) == (pytest.approx(scale), pytest.approx(std))
        assert layer.bias is None
    return list(zip(layers, expected, strict=True))


@pytest.mark.parametrize(("name", "expected"), WIDE.items(), ids=WIDE)
def test_the_scales_of_each_parameterization(name: str, expected: list[tuple[float, float]]) -> None:
    network = wide_mlp(5, (7, 11), 3, parameterization=name)
    layers_with_scales(network, [(5, 7), (7, 11), (11, 3)], expected)


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_wide_network_computes_what_its_table_says(name: str, activation: str) -> None:
    network = wide_mlp(5, (7, 11), 3, parameterization=name, activation=activation, bias_variance=0.25).double()
    initialize(network, generator(0, "w"))
    x = torch.randn(4, 5, generator=generator(0, "x"), dtype=torch.float64)
    phi = {"relu": torch.relu, "tanh": torch.tanh, "erf": torch.erf}[activation]
    h = x
    for index, (scale, _) in enumerate(WIDE[name]):
        layer = network[2 * index]
        z = scale * h @ layer.weight.T + 0.5 * layer.bias
        h = phi(z)
    torch.testing.assert_close(network(x), z)


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
def test_a_wide_network_starts_with_the_variances_it_names(name: str) -> None:
    n = 600
    network = wide_mlp(n, (n, n), n, parameterization=name, weight_variance=1.5, bias_variance=0.25)
    initialize(network, generator(0, "w"))
    h = torch.randn(1, n, generator=generator(0, "x"))
    for index in (0, 2, 4):
        layer = network[index]
        effective = layer.scale * layer.weight.detach()
        variance = 1.5 / n / (n if name == "mup" and index == 4 else 1)
        assert float(effective.var()) == pytest.approx(variance, rel=0.02)  # 360,000 draws: 0.24 %
        assert float((layer.bias_scale * layer.bias.detach()).var()) == pytest.approx(0.25, rel=0.3)
        h = network[index](h)
    assert initialize(network, generator(0, "w"))[0].weight.equal(network[0].weight)


def test_the_parameterizations_start_as_one_function_in_distribution() -> None:
    draws = {
        name: initialize(wide_mlp(5, (9,), 1, parameterization=name), generator(0, "w")) for name in ("standard", "ntk")
    }
    x = torch.randn(6, 5, generator=generator(0, "x"))
    torch.testing.assert_close(draws["standard"](x), draws["ntk"](x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameterization": "mean field"}, "parameterization must be one of standard, ntk, mup; got 'mean field'"),
        ({"activation": "gelu"}, "activation must be one of relu, erf, tanh; got 'gelu'"),
        ({"widths": (4, 0)}, "width must be at least 1; got 0"),
        ({"inputs": 0}, "inputs must be at least 1; got 0"),
        ({"outputs": -1}, "outputs must be at least 1; got -1"),
        ({"weight_variance": 0.0}, r"weight_variance must be positive and bias_variance at least 0; got 0\.0 and"),
        ({"bias_variance": -1.0}, r"at least 0; got 2\.0 and -1\.0"),
    ],
)
def test_a_wide_network_refuses_what_makes_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wide_mlp(**{"inputs": 3, "widths": (4,), "outputs": 2, **arguments})


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 8), st.integers(1, 8), st.sampled_from([1, 3, 5]))
def test_a_scaled_convolution_is_a_linear_layer_on_patches(c: int, m: int, h: int, w: int, size: int) -> None:
    for stride, bias_scale in [(1, 0.0), (2, 0.7)]:
        layer = ScaledConv2d(c, m, size, stride, scale=0.3, std=2.0, bias_scale=bias_scale).double()
        initialize(layer, generator(0, "w"))
        x = torch.randn(2, c, h, w, generator=generator(0, "x"), dtype=torch.float64)
        patches = unfold(x, size, padding=size // 2, stride=stride).transpose(1, 2)  # [n, positions, c size²]
        result = layer(x)
        assert result.shape == (2, m, -(-h // stride), -(-w // stride))
        torch.testing.assert_close(result.flatten(2).transpose(1, 2), layer.linear(patches))


#: Factor and standard deviation of each layer of ``wide_cnn((2, 5, 5), (7, 11), 3)``: fan-ins 2 * 9, 7 * 9 and 11.
CONVOLUTIONAL = {
    "standard": [(1.0, (2 / 18) ** 0.5), (1.0, (2 / 63) ** 0.5), (1.0, (2 / 11) ** 0.5)],
    "ntk": [((2 / 18) ** 0.5, 1.0), ((2 / 63) ** 0.5, 1.0), ((2 / 11) ** 0.5, 1.0)],
    "mup": [((7 / 18) ** 0.5, (2 / 7) ** 0.5), (1.0, (2 / 63) ** 0.5), ((1 / 11) ** 0.5, (2 / 11) ** 0.5)],
}


@pytest.mark.parametrize(("name", "expected"), CONVOLUTIONAL.items(), ids=CONVOLUTIONAL)
def test_the_scales_of_each_convolutional_parameterization(name: str, expected: list[tuple[float, float]]) -> None:
    network = initialize(wide_cnn((2, 5, 5), (7, 11), 3, parameterization=name), generator(0, "w"))
    for layer, (_, std) in layers_with_scales(network, [(18, 7), (63, 11), (11, 3)], expected):
        # A standard deviation of r draws is known to a part 1/sqrt(2 r): four of these.
        spread = 4 / math.sqrt(2 * layer.weight.numel())
        assert float(layer.weight.detach().std()) == pytest.approx(std, rel=spread)


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
@pytest.mark.parametrize("pooling", ["average", "flatten"])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_wide_convolutional_network_computes_what_its_table_says(name: str, pooling: str, stride: int) -> None:
    options: dict[str, Any] = {"pooling": pooling, "stride": stride, "activation": "tanh", "bias_variance": 0.25}
    network = wide_cnn((2, 5, 4), (7, 11), 3, parameterization=name, **options).double()
    initialize(network, generator(0, "w"))
    x = torch.randn(4, 40, generator=generator(0, "x"), dtype=torch.float64)
    first, second, last = (layer for layer in network.modules() if isinstance(layer, ScaledLinear))
    h = x.unflatten(1, (2, 5, 4))
    for layer in (first, second):
        z = layer(unfold(h, 3, padding=1, stride=stride).transpose(1, 2)).transpose(1, 2)
        h = torch.tanh(z.unflatten(2, (math.ceil(h.shape[2] / stride), math.ceil(h.shape[3] / stride))))
    positions = h.shape[2] * h.shape[3]
    assert positions == {1: 20, 2: 2}[stride]
    assert last.in_features == 11 * (positions if pooling == "flatten" else 1)
    torch.testing.assert_close(network(x), last(h.mean((2, 3)) if pooling == "average" else h.flatten(1)))


def test_one_pixel_makes_the_convolutional_network_the_multilayer_perceptron() -> None:
    """With patches of one pixel, both have the same layers and draw the same weights, in every parameterization."""
    x = torch.randn(6, 5, generator=generator(0, "x"))
    for name in PARAMETERIZATIONS:
        options: dict[str, Any] = {"parameterization": name, "activation": "erf", "bias_variance": 0.3}
        images = initialize(wide_cnn((5, 1, 1), (7, 11), 3, kernel_size=1, **options), generator(0, "w"))
        vectors = initialize(wide_mlp(5, (7, 11), 3, **options), generator(0, "w"))
        torch.testing.assert_close(images(x), vectors(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 2}, "kernel_size must be odd and stride at least 1; got 2 and 1"),
        ({"kernel_size": -1}, "kernel_size must be odd and stride at least 1; got -1 and 1"),
        ({"stride": 0}, "kernel_size must be odd and stride at least 1; got 3 and 0"),
        ({"pooling": "max"}, "pooling must be 'average' or 'flatten'; got 'max'"),
        ({"channels": ()}, r"image_shape and channels must be at least 1, one or more; got \(1, 4, 4\) and \(\)"),
        ({"channels": (4, 0)}, r"must be at least 1, one or more; got \(1, 4, 4\) and \(4, 0\)"),
        ({"image_shape": (1, 0, 4)}, r"must be at least 1, one or more; got \(1, 0, 4\) and \(4,\)"),
        ({"parameterization": "mean field"}, "parameterization must be one of standard, ntk, mup; got 'mean field'"),
        ({"activation": "gelu"}, "activation must be one of relu, erf, tanh; got 'gelu'"),
        ({"outputs": 0}, "outputs must be at least 1; got 0"),
        ({"weight_variance": 0.0}, r"weight_variance must be positive and bias_variance at least 0; got 0\.0 and"),
        ({"bias_variance": -1.0}, r"at least 0; got 2\.0 and -1\.0"),
    ],
)
def test_a_wide_convolutional_network_refuses_what_makes_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wide_cnn(**{"image_shape": (1, 4, 4), "channels": (4,), "outputs": 2, **arguments})
