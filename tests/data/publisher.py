"""Helpers of a fabricated publisher: files in the published formats, and what its server knows."""

import gzip
import hashlib
import io
import struct
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


def idx(array: np.ndarray) -> bytes:
    """An idx file of unsigned bytes, written independently of the reader."""
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def cifar(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A CIFAR-10 binary file of images [n, 3, 32, 32]."""
    return b"".join(bytes([y]) + x.astype(np.uint8).tobytes() for x, y in zip(images, labels, strict=True))


def tar_gz(files: dict[str, bytes]) -> bytes:
    """The files in one compressed archive, inside the folder of the published one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in {"readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Server:
    """What the fabricated publisher serves, and what it was asked for.

    ``cut`` names paths of which only half is sent before the connection closes; ``hang`` paths that stop
    halfway until ``release`` is set, after setting ``halfway``.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    hang: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    halfway: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def fill(folder: Path, files: dict[str, bytes], compressed: bool = False) -> None:
    """Put ``files`` into ``folder`` by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (name + ".gz" * compressed)).write_bytes(gzip.compress(content) if compressed else content)
