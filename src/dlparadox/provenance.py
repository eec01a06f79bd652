"""Where a result comes from: code, versions, machine, time and memory."""

import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from dlparadox.digests import chapter_digest

__all__ = ["code_state", "git", "peak_memory_mib", "project_home", "versions"]

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib")


def project_home() -> Path | None:
    """Folder of the project (the one with ``experiments/``), seen from here or from this package; None without one."""
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            if (folder / "experiments").is_dir() and (folder / "pyproject.toml").is_file():
                return folder
    return None


def versions() -> dict[str, str]:
    """Versions of the packages that a result can depend on."""
    return {name: metadata.version(name) for name in PACKAGES}


def peak_memory_mib(device: str = "cpu") -> float:
    """Largest resident memory of this process so far in MiB; on a CUDA device, its peak allocation as well."""
    try:
        import resource
    except ImportError:  # Windows has no such module
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resident = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    if device.startswith("cuda"):
        import torch

        resident += torch.cuda.max_memory_allocated(device) / 2**20
    return round(resident, 1)


def code_state(slug: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Commit, dirty flag and digest of the code behind a chapter; None for what cannot be known here."""
    home = project_home()
    source = home / "experiments" / f"{slug}.md" if home else None
    if home is None or source is None or not source.is_file():
        return {"commit": None, "dirty": None, "digest": None}
    paths = ["src", f"experiments/{slug}.md", f"experiments/paper/{slug}.yaml"]
    status = git(home, "status", "--porcelain", "--", *paths)
    try:
        digest = chapter_digest(source, parameters, for_record=True)
    except ImportError:  # jupytext is not part of the plain package
        digest = None
    return {
        "commit": git(home, "rev-parse", "HEAD") or None,
        "dirty": None if status is None else bool(status),
        "digest": digest,
    }


def git(home: Path, *arguments: str) -> str | None:
    """What git answers in a folder, without white space at its ends; None where it cannot."""
    try:
        done = subprocess.run(["git", "-C", str(home), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, str]:
    """Python and platform, without anything that names the machine itself."""
    return {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
