"""Theorem 1 of Zhang et al. 2017: 2n + d weights fit any n labels, as exactly as rounding allows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlparadox.expressivity import InterpolatingNetwork, backward_error, interpolating_network
from dlparadox.seeding import generator


def problem(n: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    stream = generator(seed, "problem")
    return tuple(torch.randn(size, generator=stream, dtype=torch.float64) for size in [(n, d), (n,)])  # type: ignore


def fitted(n: int, d: int, seed: int) -> tuple[InterpolatingNetwork, Tensor, Tensor]:
    x, y = problem(n, d, seed)
    return interpolating_network(x, y, generator(seed, "direction")), x, y


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 10_000))
def test_any_labels_are_fitted(n: int, d: int, seed: int) -> None:
    network, x, y = fitted(n, d, seed)
    assert backward_error(network, x, y) <= 1.0
    assert network.parameters == 2 * n + d
    scale = float((network.hidden(x) @ network.weights.abs()).max())
    assert float((network(x) - y).abs().max()) <= 1e-12 * max(scale, 1.0)


@pytest.mark.parametrize("seed", range(100))
def test_rounding_is_all_that_is_left(seed: int) -> None:
    assert backward_error(*fitted(60 if seed < 95 else 500, 20, seed)) <= 1.0


@given(st.integers(2, 40), st.integers(1, 10), st.integers(0, 999))
def test_the_system_is_triangular_with_a_positive_diagonal(n: int, d: int, seed: int) -> None:
    network, x, _ = fitted(n, d, seed)
    projections = x @ network.direction
    order = projections.argsort()
    triangle = network.hidden(x)[order]
    assert torch.equal(triangle, triangle.tril())
    assert bool((triangle.diagonal() > 0).all())
    # Interleaved: b_1 < z_1 < b_2 < z_2 < ... < z_n.
    woven = torch.stack([network.thresholds, projections[order]], dim=1).flatten()
    assert bool((woven.diff() > 0).all())


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 99))
def test_the_network_is_its_formula(n: int, d: int, seed: int) -> None:
    network, x, _ = fitted(n, d, seed)
    points = torch.cat([x, 3 * x + 1])
    a, b, w = (part.tolist() for part in (network.direction, network.thresholds, network.weights))
    for point, value in zip(points.tolist(), network(points).tolist(), strict=True):
        z = sum(p * q for p, q in zip(a, point, strict=True))
        expected = sum(w_j * max(z - b_j, 0.0) for w_j, b_j in zip(w, b, strict=True))
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-9 * (1 + sum(abs(w_j) for w_j in w)))


@given(st.lists(st.sampled_from([0.0, 1.0, -1.0, 7.0]), min_size=1, max_size=20), st.integers(0, 99))
def test_labels_with_zeros(labels: list[float], seed: int) -> None:
    x, y = problem(len(labels), 4, seed)[0], torch.tensor(labels, dtype=torch.float64)
    network = interpolating_network(x, y, generator(seed, "direction"))
    assert 0.0 <= backward_error(network, x, y) <= 1.0


def test_one_sample() -> None:
    network, x, y = fitted(1, 3, 0)
    assert float(network(x) - y) == pytest.approx(0.0, abs=1e-15)
    assert network.parameters == 5


@pytest.mark.parametrize("n", [3, 10, 40])
def test_with_fixed_direction_and_thresholds_one_unit_fewer_is_not_enough(n: int) -> None:
    network, x, y = fitted(n, 5, 1)
    hidden = network.hidden(x)
    assert int(torch.linalg.matrix_rank(hidden)) == n
    for missing in (0, n // 2, n - 1):
        fewer = torch.cat([hidden[:, :missing], hidden[:, missing + 1 :]], dim=1)
        best = torch.linalg.lstsq(fewer, y[:, None]).solution
        assert float((fewer @ best - y[:, None]).norm()) > 1e-4


def test_a_wrong_fit_has_a_large_backward_error() -> None:
    network, x, y = fitted(20, 5, 0)
    off = InterpolatingNetwork(network.direction, network.thresholds, network.weights * (1 + 1e-9))
    assert backward_error(network, x, y) <= 1.0 < backward_error(off, x, y)
    assert backward_error(network, x, y + 1e-6) > 1.0


def test_the_backward_error_of_a_label_that_no_rounding_explains_is_infinite() -> None:
    silent = InterpolatingNetwork(torch.ones(1), torch.zeros(2), torch.zeros(2))
    x = torch.tensor([[1.0], [2.0]])
    assert backward_error(silent, x, torch.zeros(2)) == 0.0
    assert backward_error(silent, x, torch.tensor([0.0, 1.0])) == float("inf")


def test_single_precision_is_judged_by_its_own_roundoff() -> None:
    x, y = (part.float() for part in problem(30, 5, 0))
    network = interpolating_network(x, y, generator(0, "direction"))
    assert network.weights.dtype == torch.float32
    assert backward_error(network, x, y) <= 1.0


@pytest.mark.parametrize(("first", "second"), [(0, 1), (2, 5), (6, 3)])
def test_repeated_samples_are_named(first: int, second: int) -> None:
    x, y = problem(8, 3, 0)
    x[second] = x[first]
    pair = f"({first} and {second}|{second} and {first})"
    with pytest.raises(
        ValueError, match=f"samples {pair} have equal projections, up to rounding; remove repeated samples"
    ):
        interpolating_network(x, y, generator(0, "direction"))


def test_samples_between_which_no_threshold_fits_are_an_error() -> None:
    x = torch.tensor([[1.0], [1.0 + 2**-52], [1.0 + 2**-51], [2.0]], dtype=torch.float64)
    for seed in range(20):
        try:
            network = interpolating_network(x, torch.ones(4, dtype=torch.float64), generator(seed, "direction"))
        except ValueError as error:
            assert "remove repeated samples" in str(error)
        else:
            assert bool(network.weights.isfinite().all())


def test_one_label_for_each_sample() -> None:
    x, y = problem(4, 2, 0)
    with pytest.raises(ValueError, match=r"y must have shape \(4,\), one label a sample; got \(3,\)"):
        interpolating_network(x, y[:3], generator(0, "direction"))
