"""Parameters of a chapter: each has a kind that says which values it takes, and a wrong one is a clear error."""

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["Kind", "choice", "flag", "integer", "list_of", "real", "text", "validated"]

#: Checks one value (given the parameter's name) and returns it; raises ValueError or TypeError with the remedy.
Kind = Callable[[str, Any], Any]

_INTERACTIVE = {"In", "Out"}


def integer(low: int, high: float = math.inf) -> Kind:
    """A whole number from ``low`` to ``high``."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} must be a whole number; got {value!r} ({type(value).__name__})")
        return _in_range(name, value, low, high)

    return check


def real(low: float = -math.inf, high: float = math.inf) -> Kind:
    """A finite number from ``low`` to ``high``."""

    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number; got {value!r} ({type(value).__name__})")
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite; got {value}")
        return _in_range(name, value, low, high)

    return check


def _in_range(name: str, value: Any, low: float, high: float) -> Any:
    if low <= value <= high:
        return value
    if math.isinf(high):
        raise ValueError(f"{name} must be at least {low}; got {value}")
    if math.isinf(low):
        raise ValueError(f"{name} must be at most {high}; got {value}")
    raise ValueError(f"{name} must lie in [{low}, {high}]; got {value}")


def choice(*values: str) -> Kind:
    """One of some names."""

    def check(name: str, value: Any) -> str:
        if value not in values:
            raise ValueError(f"{name} must be one of {', '.join(values)}; got {value!r}{_meant(value, values)}")
        return value

    return check


def text() -> Kind:
    """A text that is not empty."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise TypeError(f"{name} must be a text; got {value!r} ({type(value).__name__})")
        return value

    return check


def flag() -> Kind:
    """True or False, nothing that merely looks like it."""

    def check(name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False; got {value!r} ({type(value).__name__})")
        return value

    return check


def list_of(kind: Kind) -> Kind:
    """A list, not empty, of values of one kind."""

    def check(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or not value:
            raise TypeError(f"{name} must be a list with at least one entry; got {value!r}")
        return [kind(f"{name}[{index}]", item) for index, item in enumerate(value)]

    return check


def device_kind(name: str, value: Any) -> str:
    """A device of this machine: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    try:
        if not isinstance(value, str):
            raise TypeError
        device = torch.device(value)
    except (RuntimeError, TypeError):
        raise ValueError(f"{name} must be cpu, cuda, cuda:<number> or mps; got {value!r}") from None
    if device.type == "cuda" and not (device.index or 0) < torch.cuda.device_count():
        raise ValueError(
            f"{name}={value!r}: this machine shows {torch.cuda.device_count()} CUDA devices; use device='cpu'"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"{name}={value!r}: this machine has no Metal device; use device='cpu'")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise ValueError(f"{name} must be cpu, cuda, cuda:<number> or mps; got {value!r}")
    return value


#: What every chapter has.
COMMON: Mapping[str, Kind] = {
    "profile": choice("quick", "paper"),
    "seed": integer(0),
    "n_seeds": integer(1),
    "device": device_kind,
}


def validated(scope: Mapping[str, Any], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The parameters among the names of a notebook, checked.

    Args:
        scope: the notebook's ``globals()`` just after its parameters: every public literal is a parameter, but for
            constants in capitals.
        kinds: the kind of each parameter that the chapter has.

    Raises:
        ValueError, TypeError: naming an unknown, missing or ill-typed parameter, its value, and the remedy.
    """
    given = {
        name: value
        for name, value in scope.items()
        if not name.startswith("_")
        and not name.isupper()
        and name not in _INTERACTIVE
        and (value is None or isinstance(value, str | int | float | list | dict | tuple))
    }
    for name in sorted(given.keys() - kinds.keys()):
        known = sorted(kinds)
        raise ValueError(f"unknown parameter {name!r}{_meant(name, known)}; this chapter has {', '.join(known)}")
    for name in sorted(kinds.keys() - given.keys()):
        raise ValueError(f"parameter {name!r} is missing; give it a value in the cell tagged `parameters`")
    return {name: kinds[name](name, value) for name, value in given.items()}


def _meant(value: Any, known: Any) -> str:
    close = difflib.get_close_matches(str(value), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
