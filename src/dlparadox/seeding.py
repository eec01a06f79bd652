"""Named random streams: every source of randomness has a name and its own generator; nothing seeds globally."""

import hashlib

import torch

__all__ = ["generator", "stream_seed"]


def stream_seed(seed: int, *names: str) -> int:
    """Seed of the stream called ``names`` under the base seed ``seed``: 63 bits of a SHA-256 digest.

    Streams with different names or seeds are independent for every practical purpose, so adding a new source of
    randomness to an experiment never changes the numbers that the old ones draw.

    Raises:
        TypeError: if ``seed`` is not an integer.
        ValueError: if ``seed`` is negative or no name is given.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be an integer; got {seed!r}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0; got {seed}")
    if not names:
        raise ValueError("name the stream, for example generator(seed, 'labels')")
    text = "\x1f".join([str(seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str) -> torch.Generator:
    """Random generator of one named stream, for example ``generator(seed, "labels")``.

    It lives on the CPU whatever the device of the experiment, so that a run draws the same numbers everywhere.
    """
    return torch.Generator().manual_seed(stream_seed(seed, *names))
