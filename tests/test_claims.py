"""Verdicts at every edge, intervals against SciPy, and the checks that keep a check able to fail."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from dlparadox.claims import (
    Claim,
    NotRun,
    Region,
    at_least,
    at_most,
    between,
    check,
    equals,
    less_than,
    more_than,
    student_interval,
)

WHY = "because the test says so"
numbers = st.floats(-1e6, 1e6)


def checked(measured: Any, expect: Region, control: Any = None, **given: Any) -> Claim:
    """A claim whose control fails unless another one is given."""
    failing = {"fails": expect.low - 1 if math.isfinite(expect.low) else expect.high + 1}
    return check("it", statement="It is so.", source="someone2017", measured=measured, expect=expect,
                 control=failing if control is None else control, **given)  # fmt: skip


INSIDE, OUTSIDE, ACROSS = "reproduced", "not reproduced", "inconclusive"


@pytest.mark.parametrize(
    ("region", "interval", "verdict"),
    [
        (at_least(1.0, because=WHY), (1.0, 2.0), INSIDE),
        (at_least(1.0, because=WHY), (1.0, 1.0), INSIDE),
        (at_least(1.0, because=WHY), (0.9, 1.1), ACROSS),
        (at_least(1.0, because=WHY), (0.9, 1.0), ACROSS),
        (at_least(1.0, because=WHY), (0.8, 0.9), OUTSIDE),
        (more_than(1.0, because=WHY), (1.1, 2.0), INSIDE),
        (more_than(1.0, because=WHY), (1.0, 2.0), ACROSS),
        (more_than(1.0, because=WHY), (1.0, 1.0), OUTSIDE),
        (more_than(1.0, because=WHY), (0.9, 1.0), OUTSIDE),
        (more_than(1.0, because=WHY), (0.9, 1.1), ACROSS),
        (at_most(1.0, because=WHY), (0.0, 1.0), INSIDE),
        (at_most(1.0, because=WHY), (1.0, 1.1), ACROSS),
        (at_most(1.0, because=WHY), (1.1, 1.2), OUTSIDE),
        (less_than(1.0, because=WHY), (0.0, 0.9), INSIDE),
        (less_than(1.0, because=WHY), (0.0, 1.0), ACROSS),
        (less_than(1.0, because=WHY), (1.0, 1.0), OUTSIDE),
        (less_than(1.0, because=WHY), (1.0, 1.1), OUTSIDE),
        (between(1.0, 2.0, because=WHY), (1.0, 2.0), INSIDE),
        (between(1.0, 2.0, because=WHY), (0.5, 2.5), ACROSS),
        (between(1.0, 2.0, because=WHY), (0.5, 0.9), OUTSIDE),
        (between(1.0, 2.0, because=WHY), (2.1, 2.5), OUTSIDE),
        (between(1.0, 2.0, because=WHY), (1.5, 2.5), ACROSS),
        (equals(1.0, because=WHY), (1.0, 1.0), INSIDE),
        (equals(1.0, because=WHY), (1.0 - 1e-15, 1.0), ACROSS),
        (equals(1.0, because=WHY), (0.9, 0.9), OUTSIDE),
        (equals(1.0, 0.25, because=WHY), (0.75, 1.25), INSIDE),
        (equals(1.0, 0.25, because=WHY), (1.25, 1.26), ACROSS),
        (at_least(0.0, because=WHY), (-math.inf, math.inf), ACROSS),
    ],
)
def test_verdicts_at_the_edges(region: Region, interval: tuple[float, float], verdict: str) -> None:
    assert region.verdict(interval) == verdict


@given(
    st.tuples(numbers, numbers).map(sorted),
    st.tuples(numbers, numbers).map(sorted),
    st.booleans(),
    st.booleans(),
)
def test_verdicts_against_membership(ends: list[float], interval: list[float], low_open: bool, high_open: bool) -> None:
    assume(ends[0] < ends[1] or not (low_open or high_open))  # else it is empty
    region = Region("a region", WHY, ends[0], ends[1], low_open, high_open)

    def inside(value: float) -> bool:
        above = value > ends[0] if low_open else value >= ends[0]
        return above and (value < ends[1] if high_open else value <= ends[1])

    low, high = interval
    # A region is an interval: it holds all of [low, high] when it holds both ends.
    overlap = max(low, ends[0]), min(high, ends[1])
    meets = overlap[0] <= overlap[1] and (inside(overlap[0]) or inside(overlap[1]) or inside(sum(overlap) / 2))
    expected = INSIDE if inside(low) and inside(high) else ACROSS if meets else OUTSIDE
    assert region.verdict((low, high)) == expected


@pytest.mark.parametrize(
    ("region", "text", "ends"),
    [
        (equals(1.0, because=WHY), "= 1", (1.0, 1.0)),
        (equals(0.5, 0.1, because=WHY), "= 0.5 ± 0.1", (0.4, 0.6)),
        (at_least(0.993, because=WHY), "≥ 0.993", (0.993, math.inf)),
        (at_most(3.5, because=WHY), "≤ 3.5", (-math.inf, 3.5)),
        (more_than(1.0, because=WHY), "> 1", (1.0, math.inf)),
        (less_than(1.0, because=WHY), "< 1", (-math.inf, 1.0)),
        (between(0.08, 0.12, because=WHY), "in [0.08, 0.12]", (0.08, 0.12)),
    ],
)
def test_regions_say_what_they_accept(region: Region, text: str, ends: tuple[float, float]) -> None:
    assert (region.text, region.low, region.high, region.because) == (text, *ends, WHY)
    assert region.low_open == text.startswith(">") and region.high_open == text.startswith("<")


CONSTRUCTORS: list[Callable[..., Region]] = [
    lambda **why: equals(1.0, **why),
    lambda **why: at_least(1.0, **why),
    lambda **why: at_most(1.0, **why),
    lambda **why: more_than(1.0, **why),
    lambda **why: less_than(1.0, **why),
    lambda **why: between(0.0, 1.0, **why),
]


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
def test_every_region_needs_its_reason(constructor: Callable[..., Region]) -> None:
    with pytest.raises(TypeError, match="because"):
        constructor()
    for nothing in ("", "  "):
        with pytest.raises(ValueError, match="needs its reason: because="):
            constructor(because=nothing)


@pytest.mark.parametrize("ends", [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_a_region_needs_ordered_ends(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a region needs low <= high; got low="):
        between(*ends, because=WHY)


def test_a_negative_tolerance_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"tolerance must be at least 0; got -0\.1"):
        equals(1.0, -0.1, because=WHY)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.floats(0.5, 0.999))
def test_intervals_against_scipy(values: list[float], confidence: float) -> None:
    low, high = student_interval(values, confidence)
    if min(values) == max(values):
        assert low == high == values[0]
        return
    expected = stats.t.interval(confidence, len(values) - 1, np.mean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_usual_interval_is_the_two_sided_95_percent_one() -> None:
    values = [0.1, 0.4, 0.35, 0.2, 0.3]
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert student_interval(values) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_cover_the_mean_in_95_percent_of_all_cases(n: int) -> None:
    draws = np.random.default_rng(n).normal(2.0, 3.0, (4000, n))
    covered = np.mean([low <= 2.0 <= high for low, high in map(student_interval, draws)])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


def test_equal_values_have_an_interval_without_width_and_one_value_none() -> None:
    assert student_interval([0.1] * 7) == (0.1, 0.1)
    assert student_interval([0.1]) == (-math.inf, math.inf)


def test_the_four_verdicts() -> None:
    one = equals(1.0, because=WHY)
    assert checked([1.0, 1.0, 1.0], one).verdict == "reproduced"
    assert checked([0.5, 0.5, 0.5], one).verdict == "not reproduced"
    assert checked([0.9, 1.0, 1.1], one).verdict == "inconclusive"
    assert checked([1.0, 1.0, 1.0], one, control={"passes": [1.0, 1.0, 1.0]}).verdict == "void"


@pytest.mark.parametrize("measured", [[1.0] * 3, [0.0] * 3, [0.9, 1.1]])
@pytest.mark.parametrize("control", [[1.0] * 3, [0.9, 1.1], 1.0])
def test_a_control_that_does_not_fail_makes_any_claim_void(measured: list[float], control: list[float]) -> None:
    claim = checked(measured, equals(1.0, because=WHY), control={"fails": 0.0, "passes": control})
    assert claim.verdict == "void"
    assert claim.controls[0].verdict == "not reproduced"
    assert claim.controls[1].verdict != "not reproduced"


def test_one_seed_proves_nothing_but_an_identity_needs_none() -> None:
    claim = checked([1.0], equals(1.0, because=WHY))
    assert claim.verdict == "inconclusive" and not claim.deterministic
    blind = checked([1.0] * 3, equals(1.0, because=WHY), control={"one seed": [0.5]})
    assert blind.verdict == "inconclusive"
    both = checked([1.0] * 3, equals(1.0, because=WHY), control={"one seed": [0.5], "passes": [1.0] * 3})
    assert both.verdict == "void"
    identity = checked(1.0, equals(1.0, because=WHY))
    assert identity.verdict == "reproduced" and identity.deterministic
    assert identity.interval == (1.0, 1.0)


def test_a_claim_keeps_what_was_measured() -> None:
    claim = checked(
        [1.0, 2.0, 3.0],
        at_most(9.0, because=WHY),
        control={"fails": [10.0, 11.0]},
        published="2.5",
        note="so",
    )
    assert (claim.measured, claim.mean, claim.interval) == ((1.0, 2.0, 3.0), 2.0, student_interval([1, 2, 3]))
    assert (claim.name, claim.statement, claim.source) == ("it", "It is so.", "someone2017")
    assert (claim.published, claim.note) == ("2.5", "so")
    assert [(c.name, c.mean) for c in claim.controls] == [("fails", 10.5)]
    assert claim.controls[0].interval == student_interval([10.0, 11.0])


@pytest.mark.parametrize("given", [lambda: [1.0, 1.0], lambda: 1.0], ids=["list", "number"])
def test_a_function_is_called_for_its_value(given: Callable[[], Any]) -> None:
    claim = checked(given, equals(1.0, because=WHY), control={"fails": lambda: 0.0})
    assert claim.verdict == "reproduced"
    assert claim.deterministic == isinstance(given(), float)


def test_a_function_may_say_that_it_was_not_run() -> None:
    def absent() -> float:
        raise NotRun("mlp-3")

    for arguments in ({"measured": absent}, {"measured": 1.0, "control": {"c": absent}}):
        with pytest.raises(NotRun, match=r"mlp-3|no control"):
            checked(**{"expect": equals(1.0, because=WHY), **arguments})


@pytest.mark.parametrize("values", [np.array([1.0, 1.0]), torch.ones(2), (1, 1), [np.float32(1.0)] * 2])
def test_values_of_any_sequence(values: Any) -> None:
    claim = checked(values, equals(1.0, because=WHY))
    assert claim.measured == (1.0, 1.0) and claim.verdict == "reproduced"
    assert all(type(value) is float for value in claim.measured)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_must_be_finite(bad: float) -> None:
    region = at_least(0.0, because=WHY)
    for measured in ([1.0, bad], bad, lambda: [bad, 1.0]):
        with pytest.raises(ValueError, match=f"claim 'it': measured values must be finite; got {bad}"):
            checked(measured, region)
    with pytest.raises(ValueError, match="claim 'it, control noise': measured values must be finite"):
        checked(1.0, region, control={"noise": [bad]})


def test_values_must_be_there() -> None:
    with pytest.raises(ValueError, match="claim 'it': no measured value; give one per seed"):
        checked([], at_least(0.0, because=WHY))


def test_a_claim_without_control_is_an_error() -> None:
    with pytest.raises(ValueError, match="claim 'it' has no control; a check that cannot fail says nothing"):
        checked(1.0, at_least(0.0, because=WHY), control={})


def test_claims_as_json() -> None:
    claim = checked([0.5], at_least(0.0, because=WHY), control={"fails": -1.0})
    text = json.dumps(claim.as_json(), allow_nan=False)
    content = json.loads(text)
    assert content["interval"] == [None, None]
    assert content["region"] == {
        "text": "≥ 0", "because": WHY, "low": 0.0, "high": None, "low_open": False, "high_open": False
    }  # fmt: skip
    assert content["controls"][0] == {
        "name": "fails",
        "measured": [-1.0],
        "mean": -1.0,
        "interval": [-1.0, -1.0],
        "verdict": "not reproduced",
    }
    assert content["verdict"] == "inconclusive" and content["deterministic"] is False


def test_a_control_that_was_not_run_is_left_out_unless_it_is_the_only_one() -> None:
    def unrun() -> float:
        raise NotRun("slow")

    claim = checked([1.0] * 3, equals(1.0, because=WHY), control={"slow": unrun, "fails": 0.0})
    assert [control.name for control in claim.controls] == ["fails"] and claim.verdict == "reproduced"
    with pytest.raises(NotRun, match="no control"):
        checked([1.0] * 3, equals(1.0, because=WHY), control={"slow": unrun})
