"""Parameters: right ones pass unchanged, wrong ones are errors that say what to do."""

import math
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlparadox.parameters import COMMON, Kind, choice, flag, integer, list_of, real, text, validated

GOOD = {"profile": "quick", "seed": 0, "n_seeds": 5, "device": "cpu", "width": 512, "lr": 0.1}
KINDS = {**COMMON, "width": integer(1, 1024), "lr": real(0.0)}


def test_good_parameters_pass_unchanged() -> None:
    assert validated(GOOD, KINDS) == GOOD
    assert {name: type(value) for name, value in validated(GOOD, KINDS).items()} == {
        name: type(value) for name, value in GOOD.items()
    }


def test_a_notebook_has_other_names_too() -> None:
    interactive = {"__name__": "__main__", "In": [""], "Out": {}, "get_ipython": lambda: None}
    scope = {**GOOD, **interactive, "_private": 3, "LEVELS": [1], "torch": torch, "open_chapter": print}
    assert validated(scope, KINDS) == GOOD


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"widht": 3},
        ValueError,
        "unknown parameter 'widht' (did you mean 'width'?); this chapter has device, lr, n_seeds",
    ),
    ({"zzz": 3}, ValueError, "unknown parameter 'zzz'; this chapter has device"),
    ({"width": True}, TypeError, "width must be a whole number; got True (bool)"),
    ({"width": "512"}, TypeError, "width must be a whole number; got '512' (str)"),
    ({"width": 512.0}, TypeError, "width must be a whole number; got 512.0 (float)"),
    ({"width": None}, TypeError, "width must be a whole number; got None (NoneType)"),
    ({"width": [512]}, TypeError, "width must be a whole number; got [512] (list)"),
    ({"width": 0}, ValueError, "width must lie in [1, 1024]; got 0"),
    ({"width": 1025}, ValueError, "width must lie in [1, 1024]; got 1025"),
    ({"lr": "0.1"}, TypeError, "lr must be a number; got '0.1' (str)"),
    ({"lr": False}, TypeError, "lr must be a number; got False (bool)"),
    ({"lr": math.nan}, ValueError, "lr must be finite; got nan"),
    ({"lr": math.inf}, ValueError, "lr must be finite; got inf"),
    ({"lr": -0.1}, ValueError, "lr must be at least 0.0; got -0.1"),
    ({"n_seeds": 0}, ValueError, "n_seeds must be at least 1; got 0"),
    ({"seed": -1}, ValueError, "seed must be at least 0; got -1"),
    ({"seed": 1.5}, TypeError, "seed must be a whole number; got 1.5 (float)"),
    ({"profile": "fast"}, ValueError, "profile must be one of quick, paper; got 'fast'"),
    (
        {"profile": "papre"},
        ValueError,
        "profile must be one of quick, paper; got 'papre' (did you mean 'paper'?)",
    ),
    ({"profile": 1}, ValueError, "profile must be one of quick, paper; got 1"),
    ({"device": "gpu"}, ValueError, "device must be cpu, cuda, cuda:<number> or mps; got 'gpu'"),
    ({"device": ""}, ValueError, "device must be cpu, cuda, cuda:<number> or mps; got ''"),
    ({"device": 0}, ValueError, "device must be cpu, cuda, cuda:<number> or mps; got 0"),
    ({"device": "meta"}, ValueError, "device must be cpu, cuda, cuda:<number> or mps; got 'meta'"),
]


@pytest.mark.parametrize(("change", "kind", "message"), WRONG, ids=[str(case[0]) for case in WRONG])
def test_a_wrong_parameter_is_a_clear_error(change: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        validated({**GOOD, **change}, KINDS)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_parameter_is_named(name: str) -> None:
    scope = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(ValueError, match=f"parameter '{name}' is missing; give it a value in the cell tagged"):
        validated(scope, KINDS)


def test_the_first_of_several_unknown_names_is_reported() -> None:
    with pytest.raises(ValueError, match="unknown parameter 'aaa'"):
        validated({**GOOD, "zzz": 1, "aaa": 2, "mmm": 3}, KINDS)


def test_devices_that_this_machine_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for device in ("cuda", "cuda:0", "cuda:3"):
        with pytest.raises(ValueError, match=f"device='{device}': this machine shows 0 CUDA devices; use device='cpu'"):
            validated({**GOOD, "device": device}, KINDS)
    with pytest.raises(ValueError, match="device='mps': this machine has no Metal device; use device='cpu'"):
        validated({**GOOD, "device": "mps"}, KINDS)


def test_devices_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in ("cuda", "cuda:0", "cuda:1"):
        assert validated({**GOOD, "device": device}, KINDS)["device"] == device
    with pytest.raises(ValueError, match="device='cuda:2': this machine shows 2 CUDA devices"):
        validated({**GOOD, "device": "cuda:2"}, KINDS)


@given(st.integers(), st.integers(-100, 100), st.integers(0, 100))
def test_whole_numbers_in_a_range(value: int, low: int, span: int) -> None:
    kind = integer(low, low + span)
    if low <= value <= low + span:
        assert kind("m", value) == value
    else:
        with pytest.raises(ValueError, match=r"m must lie in \["):
            kind("m", value)


@given(st.one_of(st.floats(-5, 5), st.integers(-5, 5)))
def test_numbers_below_a_bound(value: float) -> None:
    kind = real(high=1.0)
    if value <= 1.0:
        assert kind("x", value) == value
    else:
        with pytest.raises(ValueError, match=r"x must be at most 1\.0; got"):
            kind("x", value)


@pytest.mark.parametrize(
    ("kind", "good", "bad", "message"),
    [
        (flag(), [True, False], [1, 0, "true", None], "b must be True or False; got"),
        (text(), ["a", "ä b"], ["", "  ", 1, None, ["a"]], "b must be a text; got"),
        (choice("x", "y"), ["x", "y"], ["z", "", None, 1], "b must be one of x, y; got"),
        (
            list_of(integer(1)),
            [[1], [1, 2]],
            [[], 1, (1,), None, "1"],
            "b must be a list with at least one entry; got",
        ),
        (list_of(integer(1)), [[3]], [[1, True], [1, 2.5]], r"b\[1\] must be a whole number; got"),
        (list_of(choice("x")), [["x"]], [["x", "q"]], r"b\[1\] must be one of x; got 'q'"),
    ],
)
def test_kinds(kind: Kind, good: list[Any], bad: list[Any], message: str) -> None:
    for value in good:
        assert kind("b", value) == value
    for value in bad:
        with pytest.raises((TypeError, ValueError), match=message):
            kind("b", value)
