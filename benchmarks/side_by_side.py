"""Two ways to do the same thing, timed in turns, on one thread. Import it before torch and NumPy."""

import os

os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")})

import statistics
import time
from collections.abc import Callable

__all__ = ["REPETITIONS", "compare", "heading"]

REPETITIONS = 9


def heading(title: str) -> None:
    """Print a title above the lines of ``compare``."""
    print(f"\n{title}\n  {'':<58}{'ours':>10}{'theirs':>10}  theirs / ours: median (lowest, highest)")


def compare(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    repetitions: int = REPETITIONS,
    per: int = 1,
) -> float:
    """Time both in turns, print one line, and return the median of the ratio theirs / ours.

    CPU time of this process, not wall time: on a machine that does other work too, waiting is not slowness.
    Each repetition runs both, and who goes first alternates; the ratio is taken within a repetition.

    Args:
        name: what is timed, against whom.
        ours: the book's code.
        theirs: what a user would pick instead.
        repetitions: how often both are timed, after one run of each that is not.
        per: how many units (epochs) one call does; seconds are printed for one of them.
    """
    contestants = [ours, theirs]
    for run in contestants:
        run()
    times: list[tuple[float, float]] = []
    for repetition in range(repetitions):
        taken = [0.0, 0.0]
        for which in (0, 1) if repetition % 2 == 0 else (1, 0):
            start = time.process_time()
            contestants[which]()
            taken[which] = (time.process_time() - start) / per
        times.append((taken[0], taken[1]))
    ratios = [b / a for a, b in times]
    median = statistics.median(ratios)
    a, b = (1000 * statistics.median(column) for column in zip(*times, strict=True))
    spread = f"{median:5.2f} ({min(ratios):.2f}, {max(ratios):.2f})"
    print(f"  {name:<58}{a:>7.1f} ms{b:>7.1f} ms  {spread}", flush=True)
    return median
