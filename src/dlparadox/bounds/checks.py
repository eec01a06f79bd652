"""Checks of what the bounds are given: one clear error that names the value."""

__all__ = ["require_confidence", "require_probability", "require_size"]


def require_probability(name: str, value: float) -> None:
    """Raise a ValueError unless ``value`` lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie between 0 and 1; got {value}")


def require_size(name: str, value: float) -> None:
    """Raise a ValueError unless ``value`` is at least 0; infinity will do."""
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0; got {value}")


def require_confidence(delta: float) -> None:
    """Raise a ValueError unless ``delta``, the probability that a bound fails, lies in (0, 1)."""
    if not 0 < delta < 1:
        raise ValueError(f"delta must lie between 0 and 1, both excluded; got {delta}")
