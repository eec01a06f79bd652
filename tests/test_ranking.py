"""Rank correlations against hand-counted pairs, another implementation, and planted faults."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlparadox.ranking import Ranking, changed_alone, kendall, rank_correlation
from dlparadox.seeding import generator

VALUES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12)


def tau_b(x: list[int], y: list[int]) -> float:
    """By counting pairs (Kendall 1945): (C - D) / sqrt((C + D + ties in x only) (C + D + ties in y only))."""
    signs = [(np.sign(a - c), np.sign(b - d)) for (a, b), (c, d) in itertools.combinations(zip(x, y, strict=True), 2)]
    difference = sum(p * q for p, q in signs)
    in_x, in_y = sum(p != 0 for p, _ in signs), sum(q != 0 for _, q in signs)
    return float(difference / np.sqrt(in_x * in_y)) if in_x and in_y else 0.0


@given(VALUES)
def test_tau_is_that_of_counted_pairs(values: list[tuple[int, int]]) -> None:
    x, y = (list(column) for column in zip(*values, strict=True))
    table = pd.DataFrame({"x": x, "y": y, "c": range(len(x))})
    found = rank_correlation(table, "x", "y", ["c"], generator=generator(0, "bootstrap"), resamples=5)
    assert found.tau == pytest.approx(tau_b(x, y))
    assert kendall(x, y) == found.tau


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Normal pairs with correlation r have τ = (2/π) asin r."""
    truth, inside = 2 / np.pi * np.arcsin(0.6), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=40)
        table = pd.DataFrame({"x": x, "y": 0.6 * x + 0.8 * rng.normal(size=40), "c": range(40)})
        found = rank_correlation(table, "x", "y", ["c"], generator=generator(seed, "bootstrap"), resamples=200)
        inside += found.low <= truth <= found.high
    assert 0.86 <= inside / 200 <= 0.99


def test_rows_of_a_configuration_stay_together() -> None:
    """Copies of the rows of a configuration add no information, so the interval does not shrink."""
    rng = np.random.default_rng(0)
    once = pd.DataFrame({"x": rng.normal(size=12), "y": rng.normal(size=12), "c": range(12)})
    many = pd.concat([once] * 8)
    one, other = (
        rank_correlation(table, "x", "y", ["c"], generator=generator(0, "bootstrap"), resamples=400)
        for table in (once, many)
    )
    assert other.high - other.low > 0.8 * (one.high - one.low)


def interval(table: pd.DataFrame, configuration: list[str], seed: int = 0, resamples: int = 2000) -> Ranking:
    return rank_correlation(table, "x", "y", configuration, generator=generator(seed, "bootstrap"), resamples=resamples)


def test_the_interval_of_two_configurations() -> None:
    """Half of the bootstrap samples hold one of them only, where nothing is ordered: τ = 0, and else 1."""
    assert interval(pd.DataFrame({"x": [0, 1], "y": [0, 1], "c": [0, 1]}), ["c"], resamples=200) == (1.0, 0.0, 1.0)


def test_the_interval_holds_what_happens_in_more_than_a_fortieth_of_the_samples() -> None:
    """One sample in 27 has the first configuration only, where τ = -1, and one the second only, where τ = 1."""
    table = pd.DataFrame({"x": [0, 1, 2, 3, 2.5], "y": [1, 0, 2, 3, 10], "c": ["a", "a", "b", "b", "c"]})
    found = interval(table, ["c"])
    assert (found.low, found.high) == (-1.0, 1.0)


def test_the_interval_depends_on_rows_configurations_and_stream_alone() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": rng.normal(size=12), "y": rng.normal(size=12), "c": np.arange(12) // 2})
    found = interval(table, ["c"], resamples=50)
    assert found == interval(table, ["c"], resamples=50) != interval(table, ["c"], seed=1, resamples=50)
    assert found == interval(table.set_axis(range(11, -1, -1)), ["c"], resamples=50)
    named = table.assign(a=table["c"] // 3, b=table["c"] % 3)
    assert found == interval(named, ["a", "b"], resamples=50)


def test_changed_alone_by_hand() -> None:
    table = pd.DataFrame(
        [
            # a, b, measure, target
            (0, 0, 1.0, 1.0),
            (1, 0, 2.0, 2.0),  # a up: together
            (0, 1, 5.0, 3.0),
            (1, 1, 4.0, 4.0),  # a up: apart
            (2, 1, 6.0, 4.0),  # against (0, 1): together; against (1, 1): a tie in the target
        ],
        columns=["a", "b", "measure", "target"],
    )
    assert changed_alone(table, "measure", "target", "a", ["b"]) == pytest.approx((1 - 1 + 1 + 0) / 4)
    assert changed_alone(table, "target", "target", "b", ["a"]) == 1.0


def test_changed_alone_leaves_out_pairs_that_agree_in_the_factor_or_differ_in_another() -> None:
    table = pd.DataFrame(
        [
            # a, b, c, measure, target
            (0, 0, 0, 1.0, 1.0),
            (0, 0, 0, 2.0, 0.0),  # another seed: apart, and not counted
            (1, 0, 0, 3.0, 3.0),  # a up: together, twice
            (1, 0, 1, 9.0, -9.0),  # c up as well: not counted
        ],
        columns=["a", "b", "c", "measure", "target"],
    )
    assert changed_alone(table, "measure", "target", "a", ["b", "c"]) == 1.0


def test_bad_tables() -> None:
    table = pd.DataFrame({"a": [0, 1], "b": [0, 1], "m": [1.0, 2.0], "t": [1.0, 2.0]})
    with pytest.raises(ValueError, match="no two rows differ in 'a' alone"):
        changed_alone(table, "m", "t", "a", ["b"])
    with pytest.raises(ValueError, match="at least two configurations; got 1"):
        rank_correlation(table.assign(c=0), "m", "t", ["c"], generator=generator(0, "b"))
