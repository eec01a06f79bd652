"""Files of the data sets on disk: finding, checking, and downloading them when they are missing."""

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dlparadox.data.published import Source

__all__ = ["Content", "DataError", "data_folder", "decompressed", "described_remedy", "find", "read"]

_GZIP_MAGIC = b"\x1f\x8b"


class DataError(RuntimeError):
    """A data set cannot be had as its publisher published it; the message says what to do."""


@dataclass(frozen=True)
class Content:
    """Decompressed content of one file, and whether it is the published one."""

    file: str
    data: bytes
    sha256: str
    published: bool


def data_folder() -> Path:
    """Folder that holds the data sets: what DLPARADOX_DATA names, or else the user's cache folder."""
    chosen = os.environ.get("DLPARADOX_DATA")
    return Path(chosen or platformdirs.user_cache_dir("dlparadox", appauthor=False)).expanduser().absolute()


def find(folder: Path, file: str) -> Path | None:
    """Where ``file`` lies in ``folder``, compressed (as published) or not; None where it is missing."""
    return next((path for path in (folder / f"{file}.gz", folder / file) if path.is_file()), None)


def decompressed(data: bytes) -> bytes:
    """``data`` without its gzip compression, if it has any.

    The bytes decide, not the file's name: some servers and browsers decompress a .gz on the way.

    Raises:
        ValueError: if the gzip stream is truncated or damaged.
    """
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"a truncated or damaged gzip stream: {error}") from error


def read(name: str, path: Path, expected: str, allow_unpublished: bool) -> Content:
    """Content of one file of the data set ``name``, checked against the SHA-256 that is published for it.

    Raises:
        DataError: if it cannot be decompressed, or is not the published content and that is not allowed.
    """
    try:
        data = decompressed(path.read_bytes())
    except ValueError as error:
        raise DataError(
            f"{name}: {path} is {error}; expected content with SHA-256 {expected}, found none. "
            "Delete the file: it is then downloaded again."
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected and not allow_unpublished:
        raise DataError(
            f"{name}: the content of {path} is not the published one: expected SHA-256 {expected}, "
            f"found {found}. Delete the file: it is then downloaded again. To use it as it is, pass "
            "allow_unpublished=True or set DLPARADOX_ALLOW_UNPUBLISHED=1; the record then names it."
        )
    return Content(path.name, data, found, published=found == expected)


def described_remedy(source: Source, root: Path) -> str:
    """What to do when the files of ``source`` cannot be downloaded into the data folder ``root``."""
    folder = root / source.folder
    files = ", ".join(source.files)
    if source.archive:
        by_hand = f"put {source.archive.name} into {folder.parent}, or its files {files} into {folder}"
    else:
        by_hand = f"put {files} into {folder}, with .gz as published or decompressed"
    return (
        f"Check the network and try again, or {by_hand}. DLPARADOX_DATA names another data folder. "
        "The quick profile needs no download: its data set, digits, is embedded."
    )
