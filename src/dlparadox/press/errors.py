"""Errors of the press: one line that names the value and the remedy."""

import difflib
from collections.abc import Iterable

__all__ = ["BuildError", "PageError", "PressError", "unknown"]


class PressError(ValueError):
    """Something that the person who runs a command can put right; the message says how."""


class PageError(PressError):
    """What a chapter holds cannot become a page as it is; the message says what to change in the chapter."""


class BuildError(PressError):
    """The HTML could not be built; the message lists the warnings and names the log."""


def unknown(kind: str, value: str, known: Iterable[str]) -> PressError:
    """The error for a name that is not there: a guess at what was meant, then all that is there.

    Args:
        kind: what is named, in the singular, for example ``"chapter"``.
        value: the name that was given.
        known: the names that exist.
    """
    names = sorted(known)
    near = difflib.get_close_matches(value, names, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ";"
    given = f"unknown {kind} {value!r}" if value else f"no {kind} given"
    return PressError(f"{given}{guess} {kind}s: {', '.join(names) or 'none yet'}")
