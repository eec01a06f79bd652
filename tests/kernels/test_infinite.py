"""Kernels of infinite width against integrals, closed forms, wide finite networks, and the laws that they obey."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf, ndtr
from torch import Tensor

from dlparadox.kernels.infinite import Kernels, infinite_width, shallow_ntk
from dlparadox.seeding import generator

sizes = st.integers(1, 8)
depths = st.integers(0, 5)
activations = st.sampled_from(["relu", "erf"])
variances = st.tuples(st.floats(0.1, 4), st.sampled_from([0.0, 0.05, 1.0]))
seeds = st.integers(0, 999)
exact = {"rtol": 1e-12, "atol": 1e-12}


def points(n: int, d: int, seed: int, name: str = "x") -> Tensor:
    return torch.randn(n, d, generator=generator(seed, name), dtype=torch.float64)


def normal(t: np.ndarray) -> np.ndarray:
    return np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)


def relu_moments(q1: float, q2: float, s: float) -> tuple[float, float]:
    """E[φ(u) φ(v)] and E[φ'(u) φ'(v)], integrals over u > 0 of E[max(v, 0) | u] and P(v > 0 | u)."""
    if q1 == 0 or q2 == 0:
        return 0.0, 0.0  # the second multiplies a covariance of zero
    nodes, weights = np.polynomial.legendre.leggauss(20)
    t = (np.arange(0, 12, 0.1)[:, None] + 0.05 * (nodes + 1)).ravel()
    weights = np.tile(0.05 * weights, 120) * normal(t)
    u, mean, variance = math.sqrt(q1) * t, s / math.sqrt(q1) * t, q2 - s * s / q1
    if variance < 1e-13 * q2:
        value, active = np.maximum(mean, 0), mean > 0
    else:
        ratio = mean / math.sqrt(variance)
        active = ndtr(ratio)
        value = mean * active + math.sqrt(variance) * normal(ratio)
    return float(weights @ (u * value)), float(weights @ active)


def erf_moments(q1: float, q2: float, s: float) -> tuple[float, float]:
    """The same for erf, by the trapezoidal rule in the plane, which converges exponentially."""
    t = np.arange(-9, 9, 0.1)
    weights = 0.01 * np.outer(normal(t), normal(t))
    u, v = math.sqrt(q1) * t[:, None], (s / math.sqrt(q1) if q1 else 0.0) * t[:, None]
    v = v + math.sqrt(max(q2 - (s * s / q1 if q1 else 0.0), 0.0)) * t
    slopes = 4 / math.pi * np.exp(-(u**2) - v**2)
    return float((weights * erf(u) * erf(v)).sum()), float((weights * slopes).sum())


def by_integrals(x: Tensor, z: Tensor, depth: int, activation: str, sw2: float, sb2: float) -> Kernels:
    """The recursion one pair at a time, in plain loops."""
    moments = {"relu": relu_moments, "erf": erf_moments}[activation]
    result = Kernels(torch.zeros(len(x), len(z)).double(), torch.zeros(len(x), len(z)).double())
    for i, a in enumerate(x):
        for j, b in enumerate(z):
            q1, q2, s = (sw2 * float(p @ q) / len(p) + sb2 for p, q in [(a, a), (b, b), (a, b)])
            theta = s
            for _ in range(depth):
                product, slope = moments(q1, q2, s)
                q1, q2 = (sw2 * moments(q, q, q)[0] + sb2 for q in (q1, q2))
                s = sw2 * product + sb2
                theta = s + sw2 * slope * theta
            result.nngp[i, j], result.ntk[i, j] = s, theta
    return result


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("depth, sw2, sb2", [(1, 2.0, 0.0), (2, 1.3, 0.2), (3, 0.7, 1.0)])
def test_the_recursion_against_integrals(activation: str, depth: int, sw2: float, sb2: float) -> None:
    x, z = points(3, 4, depth), points(2, 4, depth, "z")
    x[2] = 0
    z = torch.cat([z, -0.5 * x[:1], x[:1]])  # opposite and equal directions too
    expected = by_integrals(x, z, depth, activation, sw2, sb2)
    kernels = infinite_width(x, z, depth=depth, activation=activation, weight_variance=sw2, bias_variance=sb2)
    torch.testing.assert_close(kernels, expected, **exact)
    alone = infinite_width(x, depth=depth, activation=activation, weight_variance=sw2, bias_variance=sb2)
    torch.testing.assert_close(alone, by_integrals(x, x, depth, activation, sw2, sb2), **exact)


@pytest.mark.parametrize("theta", [0.0, 0.1, math.pi / 6, math.pi / 3, math.pi / 2, 2.0, 3.0, math.pi])
def test_one_hidden_relu_layer_on_unit_vectors(theta: float) -> None:
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    z = torch.tensor([[math.cos(theta), math.sin(theta)]], dtype=torch.float64)
    nngp, ntk = (float(kernel) for kernel in infinite_width(x, z, depth=1))
    start, rest = math.cos(theta), math.pi - theta  # Σ_1 = 2 x·z / d, with d = 2
    assert nngp == pytest.approx((math.sin(theta) + rest * start) / math.pi, abs=1e-14)
    assert ntk == pytest.approx(nngp + rest / math.pi * start, abs=1e-14)
    assert float(shallow_ntk(x, z)) == pytest.approx(start * rest / (2 * math.pi), abs=1e-14)


@given(sizes, depths, variances, seeds)
def test_the_diagonal_of_relu_is_known(n: int, depth: int, variance: tuple[float, float], seed: int) -> None:
    x, (sw2, _) = points(n, 6, seed), variance
    nngp, ntk = infinite_width(x, depth=depth, weight_variance=sw2)
    expected = sw2 ** (depth + 1) / 2**depth * (x * x).mean(1)
    torch.testing.assert_close(nngp.diagonal(), expected, **exact)
    torch.testing.assert_close(ntk.diagonal(), (depth + 1) * expected, **exact)


@given(sizes, st.floats(0.1, 1e4), seeds)
def test_the_diagonal_of_erf_is_known(n: int, size: float, seed: int) -> None:
    x = size * points(n, 6, seed)
    nngp, ntk = infinite_width(x, depth=1, activation="erf")
    q = 2 * (x * x).mean(1)
    torch.testing.assert_close(nngp.diagonal(), 4 / math.pi * torch.atan(2 * q / (1 + 4 * q).sqrt()), **exact)
    torch.testing.assert_close((ntk - nngp).diagonal(), 8 / math.pi * q / (1 + 4 * q).sqrt(), **exact)


@given(sizes, sizes, activations, variances, seeds)
def test_depth_zero_is_linear(n: int, m: int, activation: str, variance: tuple[float, float], seed: int) -> None:
    x, z, (sw2, sb2) = points(n, 5, seed), points(m, 5, seed, "z"), variance
    settings = {"activation": activation, "weight_variance": sw2, "bias_variance": sb2}
    nngp, ntk = infinite_width(x, z, depth=0, **settings)
    torch.testing.assert_close(nngp, sw2 * x @ z.T / 5 + sb2, **exact)
    assert torch.equal(nngp, ntk)


def gradient_products(
    x: Tensor, widths: list[int], phi: Callable[[Tensor], Tensor], sw2: float, sb2: float, stream: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Of one finite network, drawn at random: covariance of the output given the features below, and tangent kernel."""
    parameters, h = [], x
    for m in [*widths, 1]:
        weight = torch.randn(m, h.shape[1], generator=stream, dtype=x.dtype, requires_grad=True)
        bias = torch.randn(m, generator=stream, dtype=x.dtype, requires_grad=True)
        parameters += [weight, bias]
        below, z = h, math.sqrt(sw2 / h.shape[1]) * h @ weight.T + math.sqrt(sb2) * bias
        h = phi(z)
    gradients = [torch.autograd.grad(output, parameters, retain_graph=True) for output in z[:, 0]]
    ntk = sum(torch.stack(part).flatten(1) @ torch.stack(part).flatten(1).T for part in zip(*gradients, strict=True))
    return (sw2 * below @ below.T / below.shape[1] + sb2).detach(), ntk  # type: ignore[return-value]


@pytest.mark.parametrize("activation, phi", [("relu", torch.relu), ("erf", torch.erf)])
@pytest.mark.parametrize("widths, networks", [([5000], 40), ([500, 500], 16)])
def test_wide_networks_at_random(
    activation: str, phi: Callable[[Tensor], Tensor], widths: list[int], networks: int
) -> None:
    x, stream, sw2, sb2 = points(4, 3, 1), generator(1, "networks", activation), 1.5, 0.3
    x[3] = -x[0]
    draws = [gradient_products(x, widths, phi, sw2, sb2, stream) for _ in range(networks)]
    expected = infinite_width(x, depth=len(widths), activation=activation, weight_variance=sw2, bias_variance=sb2)
    for samples, limit in zip((torch.stack(part) for part in zip(*draws, strict=True)), expected, strict=True):
        error = samples.std(0) / math.sqrt(networks)
        assert bool(((samples.mean(0) - limit).abs() < 5 * error).all())
        assert float((error / limit.diagonal().max()).max()) < 0.04  # and the test is sharp


@given(st.integers(1, 30), depths, activations, variances, seeds)
def test_symmetric_and_positive(n: int, depth: int, activation: str, variance: tuple[float, float], seed: int) -> None:
    x, (sw2, sb2) = points(n, 4, seed), variance
    x[n // 2] = x[0]  # a repeated sample
    settings = {"depth": depth, "activation": activation, "weight_variance": sw2, "bias_variance": sb2}
    for kernel, across in zip(infinite_width(x, **settings), infinite_width(x, x.clone(), **settings), strict=True):
        assert torch.equal(kernel, kernel.T)
        assert float(torch.linalg.eigvalsh(kernel).min()) > -1e-12 * n * float(kernel.max())
        torch.testing.assert_close(kernel, across, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(kernel[n // 2], kernel[0], rtol=1e-11, atol=1e-11)


@given(sizes, depths, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), seeds)
def test_relu_without_bias_is_homogeneous(n: int, depth: int, a: float, b: float, seed: int) -> None:
    x, z = points(n, 4, seed), points(3, 4, seed, "z")
    for kernel, scaled in zip(
        infinite_width(x, z, depth=depth), infinite_width(a * x, b * z, depth=depth), strict=True
    ):
        torch.testing.assert_close(scaled / (a * b), kernel, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(shallow_ntk(a * x, b * z) / (a * b), shallow_ntk(x, z), rtol=1e-9, atol=1e-9)


@given(sizes, depths, activations, variances, seeds)
def test_rotations_change_nothing(
    n: int, depth: int, activation: str, variance: tuple[float, float], seed: int
) -> None:
    x, z, (sw2, sb2) = points(n, 5, seed), points(3, 5, seed, "z"), variance
    rotation = torch.linalg.qr(points(5, 5, seed, "rotation")).Q
    settings = {"depth": depth, "activation": activation, "weight_variance": sw2, "bias_variance": sb2}
    turned = infinite_width(x @ rotation, z @ rotation, **settings)
    torch.testing.assert_close(turned, infinite_width(x, z, **settings), rtol=1e-9, atol=1e-9)


@given(sizes, sizes, seeds)
def test_reflections(n: int, m: int, seed: int) -> None:
    x, z = points(n, 4, seed), points(m, 4, seed, "z")
    # max(v, 0) - max(-v, 0) = v, and E[max(u, 0) v] = E[u v] / 2; the slopes at v and -v add up to 1.
    one, other, linear = (infinite_width(x, b, depth=depth) for b, depth in [(z, 1), (-z, 1), (z, 0)])
    torch.testing.assert_close(one.nngp - other.nngp, linear.nngp, **exact)
    torch.testing.assert_close(one.ntk - other.ntk, 2 * linear.nngp, **exact)
    # erf is odd.
    one, other = (infinite_width(x, b, depth=3, activation="erf") for b in (z, -z))
    torch.testing.assert_close(one, Kernels(-other.nngp, -other.ntk), **exact)


@given(sizes, sizes, depths, activations, variances, seeds)
def test_single_precision(
    n: int, m: int, depth: int, activation: str, variance: tuple[float, float], seed: int
) -> None:
    x, z, (sw2, sb2) = points(n, 6, seed), points(m, 6, seed, "z"), variance
    settings = {"depth": depth, "activation": activation, "weight_variance": sw2, "bias_variance": sb2}
    for single, double in zip(
        infinite_width(x.float(), z.float(), **settings), infinite_width(x, z, **settings), strict=True
    ):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-5 * float(double.abs().max()))


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("n, m", [(300, None), (300, 257), (1, 600), (0, 3)])
def test_tiles_fit_together(activation: str, n: int, m: int | None) -> None:
    x, z = points(n, 5, 0), None if m is None else points(m, 5, 0, "z")
    whole = infinite_width(x, z, depth=2, activation=activation, bias_variance=0.1)
    assert whole.nngp.shape == whole.ntk.shape == (n, n if m is None else m)
    pieces = [
        infinite_width(a, x if z is None else z, depth=2, activation=activation, bias_variance=0.1)
        for a in x.split(100)
    ]
    for kernel, parts in zip(whole, zip(*pieces, strict=True), strict=True):
        torch.testing.assert_close(kernel, torch.cat(parts), **exact)
        assert m is not None or torch.equal(kernel, kernel.T)
    shallow = torch.cat([shallow_ntk(a, x if z is None else z) for a in x.split(100)])
    torch.testing.assert_close(shallow_ntk(x, z), shallow, **exact)


@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("d", [2, 784, 3072])
@pytest.mark.parametrize("depth", [1, 60])
def test_equal_and_opposite_inputs_across(dtype: torch.dtype, error: float, d: int, depth: int) -> None:
    """The correlation is 1 or -1 there whatever rounding says; else its angle would be wrong by a root of it."""
    x = points(40, d, d).to(dtype)
    kernels = infinite_width(x, x * 1.0, depth=depth)
    expected = 2 * (x * x).mean(1)
    torch.testing.assert_close(kernels.nngp.diagonal(), expected, rtol=error, atol=0.0)
    torch.testing.assert_close(kernels.ntk.diagonal(), (depth + 1) * expected, rtol=error, atol=0.0)
    opposite = infinite_width(x, -x, depth=1)
    assert float(opposite.nngp.diagonal().abs().max()) < error
    assert float(opposite.ntk.diagonal().abs().max()) < error


def test_zero_inputs_have_zero_kernels_without_bias() -> None:
    x = points(4, 3, 0)
    x[1] = 0
    for activation in ("relu", "erf"):
        for kernel in infinite_width(x, depth=3, activation=activation):
            assert bool(kernel.isfinite().all())
            assert not kernel[1].any() and not kernel[:, 1].any()
            assert bool((kernel.diagonal()[[0, 2, 3]] > 0).all())
    assert not shallow_ntk(x)[1].any()


def test_large_inputs_make_erf_a_sign() -> None:
    x = points(5, 4, 0)
    unit = x / x.norm(dim=1, keepdim=True)
    cosine = (unit @ unit.T).fill_diagonal_(1.0)
    kernel = infinite_width(1e9 * unit, depth=1, activation="erf", weight_variance=1.0).nngp
    torch.testing.assert_close(kernel, 2 / math.pi * torch.asin(cosine), rtol=1e-8, atol=1e-8)


@given(sizes, sizes, seeds)
def test_the_shallow_kernel(n: int, m: int, seed: int) -> None:
    x, z = points(n, 4, seed), points(m, 4, seed, "z")
    cosine = (x / x.norm(dim=1, keepdim=True)) @ (z / z.norm(dim=1, keepdim=True)).T
    both = 0.25 + torch.asin(cosine.clamp(-1, 1)) / (2 * math.pi)  # P(w·x > 0, w·z > 0), by Sheppard
    torch.testing.assert_close(shallow_ntk(x, z), (x @ z.T) * both, rtol=1e-7, atol=1e-7)
    nngp, ntk = infinite_width(x, z, depth=1, weight_variance=1.0)
    torch.testing.assert_close(shallow_ntk(x, z), 4 * (ntk - nngp), **exact)  # the first layer's share, times d
    assert torch.equal(shallow_ntk(x), shallow_ntk(x).T)


def test_the_shallow_kernel_does_not_see_odd_frequencies() -> None:
    """Basri et al. 2019 (arXiv:1906.00425): on the circle, without bias, they vanish from 3 on."""
    angle = 2 * math.pi / 512 * torch.arange(512, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    eigenvalues = torch.fft.rfft(shallow_ntk(circle)[0]).real / 512
    assert float(eigenvalues[3:256:2].abs().max()) < 1e-15
    even = eigenvalues[2:40:2]
    assert bool((even > 1e-5).all()) and bool((even.diff() < 0).all())


def test_arguments_stay_as_they_are() -> None:
    x, z = points(5, 3, 0).requires_grad_(), points(4, 3, 0, "z")
    kept = x.detach().clone(), z.clone()
    kernels = infinite_width(x, z, depth=2, bias_variance=0.1)
    assert torch.equal(x, kept[0]) and torch.equal(z, kept[1])
    assert not kernels.ntk.requires_grad and kernels.nngp.data_ptr() != kernels.ntk.data_ptr()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"depth": -1}, "depth must be an integer, at least 0; got -1"),
        ({"depth": 1.5}, r"depth must be an integer, at least 0; got 1\.5"),
        ({"depth": True}, "depth must be an integer, at least 0; got True"),
        ({"depth": 1, "activation": "tanh"}, "activation must be 'relu' or 'erf', .* got 'tanh'"),
        ({"depth": 1, "weight_variance": 0.0}, r"weight_variance must be positive and finite; got 0\.0"),
        ({"depth": 1, "weight_variance": math.nan}, "weight_variance must be positive and finite; got nan"),
        ({"depth": 1, "bias_variance": -0.1}, r"bias_variance must be at least 0 and finite; got -0\.1"),
        ({"depth": 1, "bias_variance": math.inf}, "bias_variance must be at least 0 and finite; got inf"),
    ],
)
def test_settings_out_of_range(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        infinite_width(points(2, 3, 0), **settings)


def test_inputs_that_do_not_fit() -> None:
    x = points(2, 3, 0)
    for function in (lambda a, b: infinite_width(a, b, depth=1), shallow_ntk):
        for other in (points(2, 4, 0), x[0]):
            with pytest.raises(ValueError, match=r"x1 and x2 must be \[n1, d\] and \[n2, d\], d > 0; got \(2, 3\), "):
                function(x, other)
        with pytest.raises(ValueError, match="d > 0"):
            function(x[:, :0], None)
        with pytest.raises(ValueError, match=r"of one kind; got torch\.float64 and torch\.float32"):
            function(x, x.float())
        with pytest.raises(ValueError, match=r"floating point, of one kind; got torch\.int64"):
            function(x.long(), None)
