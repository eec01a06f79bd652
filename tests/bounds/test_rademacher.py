"""Rademacher complexities against enumeration: all thresholds, all ways in which lines divide points."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from dlparadox.bounds.rademacher import (
    correlation,
    cover_count,
    massart_bound,
    random_signs,
    threshold_supremum,
)
from dlparadox.expressivity import interpolating_network
from dlparadox.seeding import generator

places = st.lists(st.integers(-3, 3), min_size=1, max_size=9)


def brute_supremum(x: list[float], signs: list[float]) -> float:
    """All thresholds between, below and above the points, in both orientations, one by one."""
    cuts = [min(x) - 1, *((a + b) / 2 for a, b in itertools.pairwise(sorted(set(x)))), max(x) + 1]
    rules = [[side if value > cut else -side for value in x] for cut in cuts for side in (-1, 1)]
    return max(sum(s * h for s, h in zip(signs, rule, strict=True)) for rule in rules) / len(x)


@given(places, st.integers(0, 2**9 - 1))
def test_the_supremum_over_thresholds_against_enumeration(values: list[int], bits: int) -> None:
    signs = [float(1 - 2 * (bits >> i & 1)) for i in range(len(values))]
    found = threshold_supremum(torch.tensor(values).double(), torch.tensor(signs).double())
    assert found == pytest.approx(brute_supremum([float(value) for value in values], signs), abs=1e-15)


def exact_threshold_complexity(n: int) -> float:
    x = torch.arange(n).double()
    signs = itertools.product([-1.0, 1.0], repeat=n)
    return math.fsum(threshold_supremum(x, torch.tensor(s).double()) for s in signs) / 2**n


@pytest.mark.parametrize("n", range(1, 11))
def test_massart_bounds_the_exact_complexity_of_thresholds(n: int) -> None:
    exact = exact_threshold_complexity(n)
    assert 0 < exact <= massart_bound(2 * n, n)
    assert exact == 1.0 or n > 2  # two points are divided in all four ways


def divisions(points: list[list[float]]) -> set[tuple[int, ...]]:
    """All sign vectors (s_i) for which some w has s_i <w, x_i> >= 1: decided by linear programs."""
    d = len(points[0])
    possible = set()
    for signs in itertools.product([-1, 1], repeat=len(points)):
        rows = [[-s * value for value in point] for s, point in zip(signs, points, strict=True)]
        if linprog([0.0] * d, A_ub=rows, b_ub=[-1.0] * len(points), bounds=[(None, None)] * d).status == 0:
            possible.add(signs)
    return possible


@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 1), (3, 1), (2, 2), (4, 2), (5, 2), (3, 3), (5, 3), (4, 4)])
def test_covers_count_against_linear_programs(n: int, d: int) -> None:
    points = torch.randn(n, d, generator=generator(n, "x"), dtype=torch.float64).tolist()
    assert len(divisions(points)) == cover_count(n, d)


@pytest.mark.parametrize("n", [3, 6, 12])
def test_covers_count_against_random_lines(n: int) -> None:
    stream = generator(n, "lines")
    points = torch.randn(n, 2, generator=stream, dtype=torch.float64)
    normals = torch.randn(20_000, 2, generator=stream, dtype=torch.float64)
    assert len({tuple(row) for row in (normals @ points.T > 0).tolist()}) <= cover_count(n, 2) == 2 * n


def test_points_in_special_position_are_divided_in_fewer_ways() -> None:
    assert len(divisions([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])) == 4 < cover_count(3, 2)


@given(st.integers(1, 40), st.integers(1, 40))
def test_identities_of_covers_count(n: int, d: int) -> None:
    assert cover_count(n, 1) == 2
    assert (cover_count(n, d) == 2**n) == (d >= n)
    assert cover_count(n + 1, d + 1) == cover_count(n, d + 1) + cover_count(n, d)  # Cover's recursion
    assert cover_count(2 * d, d) == 2 ** (2 * d - 1)  # half of all at the capacity of two points a dimension


@hypothesis_settings(max_examples=12)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
def test_massart_bounds_the_exact_complexity_of_linear_classifiers(n: int, d: int, seed: int) -> None:
    points = torch.randn(n, d, generator=generator(seed, "x"), dtype=torch.float64).tolist()
    rules = torch.tensor(sorted(divisions(points))).double()
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=n))).double()
    exact = float((signs @ rules.T).max(dim=1).values.mean()) / n
    assert exact <= massart_bound(cover_count(n, d), n) + 1e-12


def test_ten_linear_features_on_a_hundred_points_are_bounded_below_one() -> None:
    assert massart_bound(cover_count(100, 10), 100) == pytest.approx(0.761, abs=5e-4)


def test_known_values_of_massarts_bound() -> None:
    assert massart_bound(1, 10) == 0.0
    assert massart_bound(2**20, 20) == pytest.approx(math.sqrt(2 * math.log(2)))


@given(st.integers(1, 300), st.integers(0, 999))
def test_random_signs(n: int, seed: int) -> None:
    signs = random_signs(n, generator(seed, "signs"))
    assert signs.shape == (n,) and signs.dtype == torch.float64
    assert set(signs.tolist()) <= {-1.0, 1.0}


def test_random_signs_are_those_of_their_stream() -> None:
    first, again, other = (random_signs(100, generator(seed, "signs")) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_random_signs_are_fair() -> None:
    assert abs(float(random_signs(40_000, generator(0, "signs")).mean())) < 5 / 200
    assert random_signs(3, generator(0, "signs"), torch.float32).dtype == torch.float32


@given(st.lists(st.sampled_from([-2.0, 0.0, 0.5]), min_size=1, max_size=30), st.integers(0, 99))
def test_correlation_by_hand(scores: list[float], seed: int) -> None:
    signs = random_signs(len(scores), generator(seed, "signs"))
    wrong = sum(1 for score, sign in zip(scores, signs.tolist(), strict=True) if score * sign <= 0)
    assert correlation(torch.tensor(scores).double(), signs) == pytest.approx(1 - 2 * wrong / len(scores))


@given(st.integers(1, 40), st.integers(0, 99))
def test_the_network_of_theorem_1_follows_every_coin(n: int, seed: int) -> None:
    x = torch.randn(n, 3, generator=generator(seed, "x"), dtype=torch.float64)
    signs = random_signs(n, generator(seed, "signs"))
    assert correlation(interpolating_network(x, signs, generator(seed, "direction"))(x), signs) == 1.0


def test_errors_name_the_value() -> None:
    one, two = torch.ones(1).double(), torch.ones(2).double()
    with pytest.raises(ValueError, match="n must be at least 1; got 0"):
        random_signs(0, generator(0, "signs"))
    with pytest.raises(ValueError, match=r"equal shapes; got \(1,\), \(2,\)"):
        correlation(one, two)
    with pytest.raises(ValueError, match=r"equal length; got \(1,\), \(2,\)"):
        threshold_supremum(one, two)
    with pytest.raises(ValueError, match="n and d must be at least 1; got n=0, d=1"):
        cover_count(0, 1)
    with pytest.raises(ValueError, match="n and d must be at least 1; got n=1, d=0"):
        cover_count(1, 0)
    with pytest.raises(ValueError, match="count and n must be at least 1; got count=0, n=1"):
        massart_bound(0, 1)
    with pytest.raises(ValueError, match="count and n must be at least 1; got count=1, n=-1"):
        massart_bound(1, -1)
    with pytest.raises(ValueError, match=r"must be vectors of equal length; got \(2, 1\), \(2, 1\)"):
        threshold_supremum(two[:, None], two[:, None])
