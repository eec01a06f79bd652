"""The shapes and types that signatures promise are those that arguments and results have."""

import subprocess
import sys
from pathlib import Path


def test_signatures_tell_the_truth() -> None:
    run = subprocess.run([sys.executable, "shapes.py"], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
