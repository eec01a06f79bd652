"""What every test runs with: results in a folder that goes away, one thread for every library."""

import os
import shutil
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment once, before any worker or kernel starts; they inherit it."""
    from dlparadox.press.execute import THREADS

    os.environ.update(THREADS)
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="dlparadox-tests-")
        os.environ["DLPARADOX_RESULTS"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
