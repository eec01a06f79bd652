"""All samples of a data set as bytes, checked, and kept in memory for as long as the process runs."""

import difflib
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor

from dlparadox.data.download import locate
from dlparadox.data.formats import read_cifar, read_idx
from dlparadox.data.published import DIGITS_SHA256, SOURCES, Source
from dlparadox.data.store import Content, DataError, data_folder, read

__all__ = ["NAMES", "Part", "Raw", "raw_samples"]

NAMES: tuple[str, ...] = ("digits", *SOURCES)

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Part:
    """Images as bytes, and their labels. Shared between all loads: nobody may write to them."""

    x: UInt8[Tensor, "n d"]
    y: Int64[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Raw:
    """All samples of one data set.

    Attributes:
        train: training samples; for the digits, which have no split, all samples.
        test: test samples; for the digits, all samples.
        image_shape: channels, height, width.
        classes: number of classes.
        brightest: the byte of a white pixel.
        sha256: checksum over the content of all files.
        note: "" if that content is the published one; else what differs.
    """

    train: Part
    test: Part
    image_shape: tuple[int, int, int]
    classes: int
    brightest: int
    sha256: str
    note: str


def raw_samples(name: str, allow_unpublished: bool) -> Raw:
    """All samples of the data set ``name``; missing files are downloaded.

    Raises:
        ValueError: for an unknown name.
        DataError: if the files cannot be downloaded, cannot be read, or are not as published and that is not
            allowed.
    """
    if name == "digits":
        return _digits(allow_unpublished)
    if name not in SOURCES:
        close = difflib.get_close_matches(str(name).lower(), NAMES, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown data set {name!r}; known are {', '.join(NAMES)}.{hint}")
    paths = locate(name, SOURCES[name], data_folder())
    # Size and time of change belong to the key, so that a file exchanged while the process runs is read and
    # checked again.
    state = tuple((file, path, path.stat().st_size, path.stat().st_mtime_ns) for file, path in paths.items())
    return _files(name, state, allow_unpublished)


@lru_cache(maxsize=2)
def _digits(allow_unpublished: bool) -> Raw:
    bunch = load_digits()
    images, labels = bunch.data.astype(np.uint8), bunch.target.astype(np.uint8)
    found = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    note = "" if found == DIGITS_SHA256 else f"digits: content is not the published one (sha256 {found})"
    if note and not allow_unpublished:
        raise DataError(
            f"digits: this scikit-learn holds other digits: expected SHA-256 {DIGITS_SHA256}, found {found}. "
            "Install the version that requirements.lock names. To use them as they are, pass "
            "allow_unpublished=True or set DLPARADOX_ALLOW_UNPUBLISHED=1; the record then names them."
        )
    everything = Part(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))
    return Raw(everything, everything, (1, 8, 8), classes=10, brightest=16, sha256=found, note=note)


@lru_cache(maxsize=4)
def _files(name: str, state: tuple[tuple[str, Path, int, int], ...], allow_unpublished: bool) -> Raw:
    source = SOURCES[name]
    contents = {file: read(name, path, source.files[file], allow_unpublished) for file, path, _, _ in state}
    train, train_notes = _part(name, source, [contents[file] for file in source.train])
    test, test_notes = _part(name, source, [contents[file] for file in source.test])
    listing = "".join(f"{contents[file].sha256}  {file}\n" for file in source.files)
    return Raw(
        train,
        test,
        source.image_shape,
        source.classes,
        brightest=255,
        sha256=hashlib.sha256(listing.encode()).hexdigest(),
        note="; ".join(train_notes + test_notes),
    )


def _part(name: str, source: Source, contents: list[Content]) -> tuple[Part, list[str]]:
    """Samples in the files of one part, and a note on each file whose content is not the published one."""
    images: list[Bytes] = []
    labels: list[Bytes] = []
    notes = []
    for content in contents:
        try:
            x, y = _arrays(source, content.data)
        except ValueError as error:
            raise DataError(f"{name}: {content.file} cannot be read: {error}") from error
        images.append(x)
        labels.append(y)
        if not content.published:
            count = f"{len(x):,} images" if len(x) else f"{len(y):,} labels"
            notes.append(f"{content.file}: content is not the published one (sha256 {content.sha256}, {count})")
    x_all, y_all = np.concatenate(images), np.concatenate(labels).astype(np.int64)
    if not 0 < len(y_all) == len(x_all):
        files = " and ".join(content.file for content in contents)
        raise DataError(f"{name}: {files} hold {len(x_all)} images and {len(y_all)} labels; they must be as many")
    if y_all.max() >= source.classes:
        raise DataError(f"{name}: labels must lie between 0 and {source.classes - 1}; got {y_all.max()}")
    return Part(torch.from_numpy(x_all), torch.from_numpy(y_all)), notes


def _arrays(source: Source, content: bytes) -> tuple[Bytes, Bytes]:
    """Flattened images and labels in one file; an idx file holds only one of them, so the other is empty."""
    pixels = int(np.prod(source.image_shape))
    if source.layout == "cifar":
        return read_cifar(content, pixels)
    array = read_idx(content)
    if array.ndim == 1:
        return np.empty((0, pixels), np.uint8), array
    if array.shape[1:] != source.image_shape[1:]:
        raise ValueError(f"images of {source.image_shape[1:]} pixels expected; got an array of shape {array.shape}")
    return array.reshape(-1, pixels), np.empty(0, np.uint8)
