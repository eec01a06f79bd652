"""How measurements read: numbers, intervals and verdicts in words, alike on cards and in the ledger."""

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["MARKS", "css_class", "mark", "measured_text", "number"]

#: Verdict -> sign. Its shape tells the verdict without its colour.
MARKS = {"reproduced": "✔", "not reproduced": "✘", "inconclusive": "?", "void": "∅"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def css_class(verdict: str) -> str:
    """CSS class of a verdict, for example ``dlp-not-reproduced``."""
    return "dlp-" + verdict.replace(" ", "-")


def mark(verdict: str) -> str:
    """The sign of a verdict, hidden from screen readers because the verdict's name stands beside it."""
    return f'<span class="dlp-mark" aria-hidden="true">{MARKS[verdict]}</span>'


def number(value: float | None, decimals: int | None = None) -> str:
    """A number as a reader writes it; ``None``, an infinite end, is ∞; tiny ones have a power of ten."""
    if value is None:
        return "∞"
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, exponent = f"{value:.1e}".split("e")
        return f"{digits} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    text = f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"
    return text.replace("-", "−")


def measured_text(measurement: Mapping[str, Any], *, exact: bool = False) -> str:
    """Mean, interval and number of seeds of a claim or a control, to two digits of the interval's half width.

    Args:
        measurement: with keys ``measured``, ``mean``, ``interval`` (an end that is infinite or None: no interval).
        exact: a deterministic identity, which has no seeds.
    """
    low, high = measurement["interval"]
    unit = f" {measurement['unit']}" if measurement.get("unit") else ""
    if exact:
        return f"{number(measurement['mean'])}{unit} (no randomness)"
    n = len(measurement["measured"])
    seeds = f"{n} seed{'s' if n != 1 else ''}"
    if low is None or high is None or math.isinf(low) or math.isinf(high):
        return f"{number(measurement['mean'])}{unit}, {seeds}, no interval"
    half = (high - low) / 2
    decimals = min(6, max(0, 1 - math.floor(math.log10(half)))) if half > 0 else None
    numbers = (number(value, decimals) for value in (measurement["mean"], low, high))
    return "{}{unit} [{}, {}], {seeds}".format(*numbers, unit=unit, seeds=seeds)
