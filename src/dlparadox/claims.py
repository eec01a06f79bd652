"""Expectations written before a run, and the verdict on what was measured.

A verdict compares the two-sided 95 % Student interval over seeds with a region fixed beforehand: inside it is
*reproduced*, outside it *not reproduced*, across its edge *inconclusive*. A claim whose negative control does not
fail the same check is *void*: then the check says nothing. A single seed has no interval, so it settles nothing,
neither for the claim nor for its control: *inconclusive*.
"""

import contextlib
import math
import numbers
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scipy import stats

__all__ = [
    "Claim",
    "Control",
    "NotRun",
    "Region",
    "Verdict",
    "at_least",
    "at_most",
    "between",
    "check",
    "equals",
    "less_than",
    "more_than",
    "student_interval",
]

#: Measured values: one per seed, a bare number for an identity, or a function that returns either when it is needed.
Measured = float | Sequence[float] | Callable[[], float | Sequence[float]]
Verdict = Literal["reproduced", "not reproduced", "inconclusive", "void"]
CONFIDENCE = 0.95


class NotRun(LookupError):
    """What a claim needs was not run under this profile; the claim is then left out, and shown as not run."""


@dataclass(frozen=True)
class Region:
    """An interval of accepted values, with the reason for it.

    ``low`` and ``high`` belong to the region unless ``low_open`` or ``high_open`` says otherwise.
    """

    text: str
    because: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __post_init__(self) -> None:
        if not self.because.strip():
            raise ValueError(f"the region {self.text!r} needs its reason: because='...', from theory or from the paper")
        if math.isnan(self.low) or math.isnan(self.high) or self.low > self.high:
            raise ValueError(f"a region needs low <= high; got low={self.low}, high={self.high}")

    def verdict(self, interval: tuple[float, float]) -> Verdict:
        """Verdict on an interval of measured values ``(low, high)``."""
        low, high = interval
        above = low > self.low or (low == self.low and not self.low_open)
        below = high < self.high or (high == self.high and not self.high_open)
        if above and below:
            return "reproduced"
        beneath = high < self.low or (high == self.low and self.low_open)
        beyond = low > self.high or (low == self.high and self.high_open)
        return "not reproduced" if beneath or beyond else "inconclusive"


def equals(value: float, tolerance: float = 0.0, *, because: str) -> Region:
    """Exactly ``value``, or within ``tolerance`` of it where rounding is unavoidable."""
    if tolerance < 0:
        raise ValueError(f"tolerance must be at least 0; got {tolerance}")
    text = f"= {value:g}" + (f" ± {tolerance:g}" if tolerance else "")
    return Region(text, because, value - tolerance, value + tolerance)


def at_least(value: float, *, because: str) -> Region:
    """``value`` or more."""
    return Region(f"≥ {value:g}", because, low=value)


def at_most(value: float, *, because: str) -> Region:
    """``value`` or less."""
    return Region(f"≤ {value:g}", because, high=value)


def more_than(value: float, *, because: str) -> Region:
    """Strictly more than ``value``."""
    return Region(f"> {value:g}", because, low=value, low_open=True)


def less_than(value: float, *, because: str) -> Region:
    """Strictly less than ``value``."""
    return Region(f"< {value:g}", because, high=value, high_open=True)


def between(low: float, high: float, *, because: str) -> Region:
    """From ``low`` to ``high``, both included."""
    return Region(f"in [{low:g}, {high:g}]", because, low, high)


def student_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided Student interval of the mean of independent values, one per seed.

    It has zero width when all values are equal, and is the whole line for a single value, which says nothing about
    its own spread.

    Raises:
        ValueError: for no values or one that is not finite.
    """
    finite = _finite(values)
    if len(finite) == 1:
        return -math.inf, math.inf
    if min(finite) == max(finite):
        return finite[0], finite[0]
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(finite) - 1))
    mean, half = statistics.fmean(finite), quantile * statistics.stdev(finite) / math.sqrt(len(finite))
    return mean - half, mean + half


def _finite(values: Sequence[float]) -> list[float]:
    finite = [float(value) for value in values]
    if not finite:
        raise ValueError("no measured value; give one per seed")
    if bad := [value for value in finite if not math.isfinite(value)]:
        raise ValueError(f"measured values must be finite; got {bad[0]} among {len(finite)}")
    return finite


@dataclass(frozen=True)
class Control:
    """The same check where the effect is known to be absent: its verdict must be *not reproduced*."""

    name: str
    measured: tuple[float, ...]
    mean: float
    interval: tuple[float, float]
    verdict: Verdict


@dataclass(frozen=True)
class Claim:
    """A checked claim: what was said, what was accepted beforehand, what was measured, and the verdict."""

    name: str
    statement: str
    source: str
    published: str | None
    region: Region
    measured: tuple[float, ...]
    mean: float
    interval: tuple[float, float]
    controls: tuple[Control, ...]
    deterministic: bool
    verdict: Verdict
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The claim as JSON values; infinite ends of intervals and regions become None."""
        return _without_infinities(asdict(self))


def _without_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def check(
    name: str,
    *,
    statement: str,
    source: str,
    measured: Measured,
    expect: Region,
    control: Mapping[str, Measured],
    published: str | None = None,
    note: str | None = None,
) -> Claim:
    """Compare what was measured with the region accepted beforehand, and the negative controls with the same region.

    Args:
        name: short name of the claim, unique in its chapter.
        statement: the claim in one sentence.
        source: where it comes from, for example ``"zhang2017, Table 1"``.
        measured: one scalar per seed; a bare number is a deterministic identity, which needs no seeds. A function of
            no arguments is called for its value.
        expect: the accepted region, with its reason.
        control: name and values of each negative control; every one has to be *not reproduced*.
        published: what the source reports, if it gives a number.
        note: why it came out as it did.

    Raises:
        ValueError: for no control, no values, or values that are not finite.
        NotRun: if what the claim measures, or every one of its controls, was not run under this profile.
    """
    if not control:
        raise ValueError(f"claim {name!r} has no control; a check that cannot fail says nothing")
    values, mean, interval, exact = _summary(name, measured)
    controls = _controls(name, control, expect)
    return Claim(
        name=name,
        statement=statement,
        source=source,
        published=published,
        region=expect,
        measured=values,
        mean=mean,
        interval=interval,
        controls=controls,
        deterministic=exact,
        verdict=_judged(expect.verdict(interval), controls),
        note=note,
    )


def _judged(verdict: Verdict, controls: Sequence[Control]) -> Verdict:
    """The verdict of a claim in the light of its controls."""
    settled = [control for control in controls if not math.isinf(control.interval[0])]
    if any(control.verdict != "not reproduced" for control in settled):
        return "void"
    return verdict if len(settled) == len(controls) else "inconclusive"


def _controls(claim: str, control: Mapping[str, Measured], expect: Region) -> tuple[Control, ...]:
    """The controls that this profile runs: at least one."""
    found = []
    for label, measured in control.items():
        with contextlib.suppress(NotRun):
            found.append(_control(claim, label, measured, expect))
    if not found:
        raise NotRun(f"no control of claim {claim!r} was run: {sorted(control)}")
    return tuple(found)


def _control(claim: str, label: str, measured: Measured, expect: Region) -> Control:
    values, mean, interval, _ = _summary(f"{claim}, control {label}", measured)
    return Control(label, values, mean, interval, expect.verdict(interval))


def _summary(name: str, measured: Measured) -> tuple[tuple[float, ...], float, tuple[float, float], bool]:
    """Values, mean and interval of a measurement, and whether it is an identity: a bare number, exact."""
    found = measured() if callable(measured) else measured
    exact = isinstance(found, numbers.Real)
    try:
        values = _finite([found] if exact else list(found))  # type: ignore[list-item, arg-type]
    except ValueError as error:
        raise ValueError(f"claim {name!r}: {error}") from error
    interval = (values[0], values[0]) if exact else student_interval(values)
    return tuple(values), statistics.fmean(values), interval, exact
