"""Two ways to do the same thing, timed in turns, on one thread; what was measured is kept for the book's page.

Import it before torch and NumPy: it sets the number of threads.
"""

import os

os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")})

import json
import multiprocessing
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dlparadox.files import write_text
from dlparadox.press.benchmarks import result_path, timed_code
from dlparadox.provenance import git

__all__ = ["REPETITIONS", "Benchmark"]

REPETITIONS = 9
PACKAGES = ("torch", "numpy", "scikit-learn")


class Benchmark:
    """What one script measures. It prints line by line; :meth:`save` keeps all of it in ``results/<script>.json``."""

    def __init__(self, script: str | Path) -> None:
        self.script = Path(script).resolve()
        self.code = timed_code(self.script)  # now: a file may change while this runs
        self.title = ""
        self.pairs: list[dict[str, Any]] = []
        self.measures: list[dict[str, Any]] = []

    def group(self, title: str) -> None:
        """Start the lines that ``title`` (sizes, kind of number) holds for."""
        self.title = title
        print(f"\n{title}")

    def compare(
        self,
        name: str,
        ours: Callable[[], object],
        theirs: Callable[[], object],
        *,
        against: str,
        repetitions: int = REPETITIONS,
        per: int = 1,
        at_least: float | None = None,
        apart: bool = False,
    ) -> None:
        """Time both in turns.

        CPU time of this process, not wall time: on a machine that does other work too, waiting is not slowness.
        Each repetition runs both, and who goes first alternates; the ratio is taken within a repetition.

        Args:
            name: what is timed.
            ours: the book's code.
            theirs: what a user would pick instead.
            against: its name, code in backticks.
            repetitions: how often both are timed, after one run of each that is not.
            per: how many units (epochs) one call does; milliseconds are for one of them.
            at_least: the ratio theirs / ours that we set out to reach, where there is one.
            apart: run theirs in a process of its own, which ours cannot change; it has to be picklable then.
        """
        with _separate(theirs) if apart else nullcontext(lambda: _seconds(theirs)) as of_theirs:
            contestants = [lambda: _seconds(ours), of_theirs]
            for run in contestants:
                run()
            times: list[tuple[float, float]] = []
            for repetition in range(repetitions):
                taken = [0.0, 0.0]
                for which in (0, 1) if repetition % 2 == 0 else (1, 0):
                    taken[which] = contestants[which]() / per
                times.append((taken[0], taken[1]))
        ratio = _spread([b / a for a, b in times])
        a, b = (_rounded(1000 * statistics.median(column)) for column in zip(*times, strict=True))
        line = {"group": self.title, "name": name, "against": against, "ours_ms": a, "theirs_ms": b, "ratio": ratio}
        self.pairs.append({**line, "repetitions": repetitions, "at_least": at_least})
        told = f"{ratio['median']:.3g} (lowest {ratio['lowest']:.3g}, highest {ratio['highest']:.3g})"
        print(f"  {name}: {against}\n    ours {a:,.1f} ms, theirs {b:,.1f} ms; theirs / ours {told}", flush=True)

    def measure(self, name: str, values: Sequence[float], *, unit: str, at_least: float | None = None) -> None:
        """Keep a figure that has no rival, for example a share of what the machine can do.

        Args:
            name: what was measured.
            values: one for each repetition.
            unit: of the values, for example ``"%"``.
            at_least: the value that we set out to reach, where there is one.
        """
        spread = _spread(values)
        about = {"group": self.title, "name": name, "unit": unit, "value": spread}
        self.measures.append({**about, "repetitions": len(values), "at_least": at_least})
        told = f"{spread['median']:.3g} {unit} (lowest {spread['lowest']:.3g}, highest {spread['highest']:.3g})"
        print(f"  {name}: {told}", flush=True)

    def save(self) -> Path:
        """Write what was measured, at once and as a whole, and return the path."""
        content = {
            "script": self.script.stem,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": _machine(),
            "versions": {name: metadata.version(name) for name in PACKAGES},
            "project": _project(self.script.parent),
            "code": self.code,
            "pairs": self.pairs,
            "measures": self.measures,
        }
        path = result_path(self.script)
        write_text(path, json.dumps(content, indent=1) + "\n")
        print(f"kept: {path}")
        return path


def _seconds(run: Callable[[], object]) -> float:
    """CPU seconds of this process for one run."""
    start = time.process_time()
    run()
    return time.process_time() - start


@contextmanager
def _separate(run: Callable[[], object]) -> Iterator[Callable[[], float]]:
    """A function that has another process do one run, and returns that process's seconds."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, run), daemon=True)
    process.start()

    def seconds() -> float:
        here.send(True)
        return float(here.recv())

    try:
        yield seconds
    finally:
        here.send(False)
        process.join()


def _serve(connection: Connection, run: Callable[[], object]) -> None:
    while connection.recv():
        connection.send(_seconds(run))


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
    return {name: _rounded(value) for name, value in found.items()}


def _rounded(value: float) -> float:
    """Four digits: more are noise."""
    return float(f"{value:.4g}")


def _machine() -> dict[str, Any]:
    """The processor in words, the widest instructions that torch uses on it, and its number of threads."""
    import torch

    return {
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """Model of the processor; where the system does not tell it, its kind."""
    about = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", about.read_text(), re.MULTILINE) if about.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _project(folder: Path) -> dict[str, Any]:
    """Version of the project, commit, and whether there were changes; None for what git cannot tell here."""
    commit = git(folder, "rev-parse", "HEAD")
    changed = git(folder, "status", "--porcelain", "--", "../src", "*.py")
    return {
        "version": metadata.version("dlparadox"),
        "commit": commit,
        "changed": None if changed is None else bool(changed),
    }
