"""Vapnik-Chervonenkis bounds: never below what small networks can do, and values by hand."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlparadox.bounds.rademacher import cover_count
from dlparadox.bounds.vc import growth_bound, relu_growth, relu_vc_dimension, vc_bound
from dlparadox.seeding import generator

WIDTHS = st.lists(st.integers(1, 30), min_size=1, max_size=4).map(lambda widths: [*widths, 1])


@given(st.integers(1, 60), st.integers(1, 12))
def test_half_spaces_divide_in_no_more_ways(n: int, d: int) -> None:
    assert relu_growth([d, 1], n) >= math.log2(cover_count(n, d + 1)) - 1e-9


@pytest.mark.parametrize("widths", [[1, 2, 1], [2, 2, 1], [2, 2, 2, 1]])
def test_small_networks_divide_in_no_more_ways(widths: list[int]) -> None:
    stream, n, count = generator(0, "networks"), 24, 20_000
    h = torch.randn(1, n, widths[0], generator=stream).expand(count, -1, -1)
    for i, (a, b) in enumerate(pairwise(widths)):
        weights, biases = (torch.randn(count, rows, b, generator=stream) for rows in (a, 1))
        h = h @ weights + biases
        h = h if i == len(widths) - 2 else h.relu()
    ways = len(torch.unique(h[..., 0] > 0, dim=0))
    assert 5 < math.log2(ways) <= relu_growth(widths, n)


@given(WIDTHS, st.integers(1, 5000))
def test_growth_rises_with_the_points_and_never_above_all_ways(widths: list[int], n: int) -> None:
    growth = relu_growth(widths, n)
    assert 0 < growth <= n
    assert growth <= relu_growth(widths, n + 1)


@given(WIDTHS)
def test_dimension_is_where_growth_falls_short(widths: list[int]) -> None:
    dimension = relu_vc_dimension(widths)
    assert relu_growth(widths, dimension) == dimension
    assert relu_growth(widths, dimension + 1) < dimension + 1
    assert relu_growth(widths, 3 * dimension) < 3 * dimension


@given(st.integers(1, 40), st.integers(1, 40))
def test_dimension_is_at_least_what_is_known_to_be_shattered(d: int, n: int) -> None:
    assert relu_vc_dimension([d, 1]) >= d + 1  # half-spaces
    assert relu_vc_dimension([d, n, 1]) >= n  # Zhang et al. 2017, Theorem 1: n units interpolate n samples


def test_growth_by_hand() -> None:
    # 3 units of 3 weights each, then 4 weights more: 9 parameters at degree 1 and 13 at degree 2.
    first = 1 + 9 * math.log2(2 * math.e * 300 * 1 / 9)
    second = 1 + 13 * math.log2(2 * math.e * 100 * 2 / 13)
    assert first + second > 100  # so the number of points is the better bound
    assert relu_growth([2, 3, 1], 100) == 100
    first, second = first + 9 * math.log2(10), second + 13 * math.log2(10)
    assert relu_growth([2, 3, 1], 1000) == pytest.approx(first + second, rel=1e-12)


def test_dimension_by_hand() -> None:
    # [1, 1]: n points need n <= 1 + 2 log2(e n), which 10 fulfil (1 + 9.53) and 11 do not (1 + 9.80).
    assert relu_vc_dimension([1, 1]) == 10


@pytest.mark.parametrize(("width", "depth"), [(100, 2), (512, 3), (2000, 5)])
def test_dimension_is_of_the_order_of_weights_times_layers_times_a_logarithm(width: int, depth: int) -> None:
    widths = [width] * depth + [1]
    weights = sum((a + 1) * b for a, b in pairwise(widths))
    assert 0.1 < relu_vc_dimension(widths) / (weights * depth * math.log2(weights)) < 3


def test_bounds_by_hand() -> None:
    expected = 0.1 + math.sqrt(8 * (3 * math.log(2 * math.e * 1000 / 3) + math.log(4 / 0.05)) / 1000)
    assert vc_bound(0.1, 3, 1000, 0.05) == pytest.approx(expected, rel=1e-12)
    assert growth_bound(0.0, 10.0, 1000, 0.05) == pytest.approx(
        math.sqrt(8 * (10 * math.log(2) + math.log(80)) / 1000), rel=1e-12
    )


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_more_than_all_ways_count_as_all(dimension: int, n: int) -> None:
    everything = growth_bound(0.0, 2.0 * n, n, 0.1)
    assert vc_bound(0.0, dimension, n, 0.1) <= everything * (1 + 1e-12)
    if dimension >= 2 * n:
        assert vc_bound(0.0, dimension, n, 0.1) == pytest.approx(everything)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: relu_growth([3], 5), r"widths must be positive, at least two, and the last one 1; got \[3\]"),
        (lambda: relu_growth([1], 5), r"at least two, and the last one 1; got \[1\]"),
        (lambda: relu_growth([3, 0, 1], 5), r"widths must be positive"),
        (lambda: relu_growth([3, 2], 5), r"the last one 1; got \[3, 2\]"),
        (lambda: relu_growth([3, 1], 0), "n must be at least 1; got 0"),
        (lambda: growth_bound(1.5, 1.0, 5, 0.1), "error must lie between 0 and 1; got 1.5"),
        (lambda: growth_bound(0.5, math.nan, 5, 0.1), "growth must be at least 0; got nan"),
        (lambda: growth_bound(0.5, 1.0, 0, 0.1), "n must be at least 1; got 0"),
        (lambda: growth_bound(0.5, 1.0, 5, 0.0), "delta must lie between 0 and 1, both excluded; got 0.0"),
        (lambda: vc_bound(0.5, 0, 5, 0.1), "dimension must be at least 1; got 0"),
    ],
)
def test_refuses_what_is_no_network_or_probability(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
