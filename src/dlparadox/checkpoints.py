"""Where the experiment that is running may keep its state, so that a killed run goes on instead of starting again."""

import contextlib
import contextvars
from collections.abc import Iterator
from pathlib import Path

__all__ = ["checkpoint_path", "checkpointing"]

_path: contextvars.ContextVar[Path | None] = contextvars.ContextVar("checkpoint", default=None)


def checkpoint_path() -> Path | None:
    """File for the checkpoint of the running cell of a sweep; None outside a sweep or where nothing is kept."""
    return _path.get()


@contextlib.contextmanager
def checkpointing(path: Path | None) -> Iterator[None]:
    """Let the experiment inside the block keep its state in ``path``; the file goes when the block ends well."""
    token = _path.set(path)
    try:
        yield
    finally:
        _path.reset(token)
    if path:
        path.unlink(missing_ok=True)
