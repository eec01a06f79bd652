"""Freed memory is kept for the next call, where malloc can be told so."""

import ctypes
import platform
import subprocess
import sys

import pytest

from dlparadox.kernels import parts

PROGRAM = """
import ctypes, resource, sys
from dlparadox.kernels.parts import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
libc, size = ctypes.CDLL(None), 28_000_000
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
for repetition in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size)
    libc.memset(block, 1, size)
    libc.free(block)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(way: str) -> int:
    """Pages that the system hands out, and clears, for the second of two equal blocks, the first of which was freed."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_freed_block_is_used_again() -> None:
    assert faults("keep") < 10 < faults("by itself")


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_does_without_where_malloc_cannot_be_told(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def refuse(name: str | None) -> None:
        raise error(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    parts.keep_freed_memory.__wrapped__()
