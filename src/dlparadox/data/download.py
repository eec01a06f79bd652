"""Downloading missing files: several mirrors, checked before they get their name, one process at a time."""

import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pooch
from requests.exceptions import ConnectionError, HTTPError, RequestException, Timeout
from tqdm import tqdm

from dlparadox.data.published import Archive, Source
from dlparadox.data.store import DataError, decompressed, described_remedy, find

try:
    import fcntl
except ImportError:  # Windows: two processes may both download, which costs time but no correctness
    fcntl = None  # type: ignore[assignment]

__all__ = ["locate"]

_TIMEOUT = (10.0, 60.0)  # seconds until a connection, and between two packets
_SCRATCH = ".download-"


class _Bar(tqdm):
    """A progress bar that is there before its length is known: pooch asks whether it is, then sets it."""

    def __bool__(self) -> bool:
        return True


def locate(name: str, source: Source, root: Path) -> dict[str, Path]:
    """Path of every file of ``source`` under the data folder ``root``; missing ones are downloaded first.

    A file gets its name only after its checksum was found right, by an atomic move: whatever is killed when,
    no part of a download passes for a file. Files that are there are neither checked here nor replaced.

    Raises:
        DataError: if a file cannot be downloaded from any mirror, arrives altered, or cannot be written.
    """
    folder = root / source.folder
    if _missing(source, folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _exclusive(folder), tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
                _fetch(name, source, root, Path(scratch))
        except OSError as error:
            raise DataError(
                f"{name}: cannot write to {folder}: {error.strerror or error}. "
                "Make room or choose another data folder with DLPARADOX_DATA."
            ) from error
    return {file: path for file in source.files if (path := find(folder, file))}


def _missing(source: Source, folder: Path) -> list[str]:
    return [file for file in source.files if find(folder, file) is None]


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that a second process waits instead of downloading the same files."""
    with open(folder / ".lock", "w") as handle:
        try:
            if fcntl:
                fcntl.flock(handle, fcntl.LOCK_EX)
                # Whoever left these was killed: nobody else holds the lock.
                for leftover in folder.glob(f"{_SCRATCH}*"):
                    shutil.rmtree(leftover, ignore_errors=True)
        except OSError:
            pass  # a file system without locks: as on Windows
        yield


def _fetch(name: str, source: Source, root: Path, scratch: Path) -> None:
    """Download what is missing under ``root`` into the folder ``scratch``, check it, move it into place."""
    folder = root / source.folder
    missing = _missing(source, folder)  # asked again: another process may have finished while we waited
    if missing and source.archive:
        archive = folder.parent / source.archive.name
        if archive.is_file():
            _check_archive(name, archive, source.archive)
        else:
            archive = scratch / source.archive.name
            _download(name, source, root, archive, source.archive.sha256, pooch.file_hash)
        _extract(name, archive, missing, folder, scratch)
        return
    for file in missing:
        target = scratch / f"{file}.gz"
        _download(name, source, root, target, source.files[file], _content_sha256)
        os.replace(target, folder / target.name)


def _download(
    name: str, source: Source, root: Path, target: Path, expected: str, sha256: Callable[[Path], str]
) -> None:
    """Download the file of ``target``'s name from the first mirror that answers with the right checksum."""
    failures = []
    for mirror in source.mirrors:
        url = mirror + target.name
        try:
            with _Bar(desc=f"{name}: {target.name}", unit="B", unit_scale=True, file=sys.stderr) as bar:
                pooch.HTTPDownloader(progressbar=bar, timeout=_TIMEOUT)(url, str(target), None)
        except RequestException as error:
            failures.append(f"{url}: {_described(error)}")
            continue
        found = sha256(target)
        if found == expected:
            return
        failures.append(f"{url}: altered or truncated: expected SHA-256 {expected}, found {found}")
    reasons = "\n".join(f"  {failure}" for failure in failures)
    raise DataError(f"{name}: could not download {target.name}:\n{reasons}\n{described_remedy(source, root)}")


def _described(error: RequestException) -> str:
    if isinstance(error, HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, Timeout):
        return "no answer in time"
    if type(error) is ConnectionError:
        return "no connection"
    return f"{type(error).__name__}: {error}"


def _content_sha256(path: Path) -> str:
    try:
        return hashlib.sha256(decompressed(path.read_bytes())).hexdigest()
    except ValueError as error:
        return str(error)


def _check_archive(name: str, path: Path, archive: Archive) -> None:
    found = pooch.file_hash(path)
    if found != archive.sha256:
        raise DataError(
            f"{name}: {path} is not the published archive: expected SHA-256 {archive.sha256}, found {found}. "
            "Delete it: it is then downloaded again."
        )


def _extract(name: str, archive: Path, files: list[str], folder: Path, scratch: Path) -> None:
    """Take ``files`` out of a checked archive: each is complete before it gets its name in ``folder``."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            file = PurePosixPath(member.name).name
            content = tar.extractfile(member) if file in files else None
            if content:
                with content, open(scratch / file, "wb") as target:
                    shutil.copyfileobj(content, target)
                os.replace(scratch / file, folder / file)
    absent = [file for file in files if find(folder, file) is None]
    if absent:
        raise DataError(f"{name}: {archive.name} does not hold {', '.join(absent)}")
