"""How measurements read: numbers and intervals in words."""

import math

import pytest

from dlparadox.wording import measured_text, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.10234, "0.1023"),
        (-0.5, "−0.5"),
        (3.1e-14, "3.1 × 10⁻¹⁴"),
        (2.5e7, "2.5 × 10⁷"),
        (None, "∞"),
        (0.0, "0"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_measured_text_without_an_interval() -> None:
    assert measured_text({"measured": [0.5], "mean": 0.5, "interval": [None, None]}) == "0.5, 1 seed, no interval"


@pytest.mark.parametrize("interval", [(-math.inf, math.inf), [None, None]])
def test_an_infinite_interval_is_no_interval(interval: object) -> None:
    assert measured_text({"measured": [1.0], "mean": 1.0, "interval": interval}) == "1, 1 seed, no interval"


def test_mean_interval_and_seeds_with_the_digits_that_mean_something() -> None:
    measurement = {"measured": [0.1, 0.2, 0.31], "mean": 0.20333, "interval": (-0.05812, 0.46478)}
    assert measured_text(measurement) == "0.20 [−0.06, 0.46], 3 seeds"


def test_an_identity_has_no_seeds() -> None:
    assert measured_text({"measured": [1.0], "mean": 1.0, "interval": (1.0, 1.0)}, exact=True) == "1 (no randomness)"
