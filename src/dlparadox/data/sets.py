"""Loading a data set, or a fixed part of it, as tensors with its provenance."""

import operator
import os
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dlparadox.data.raw import NAMES, Part, Raw, raw_samples
from dlparadox.seeding import generator

__all__ = ["NAMES", "Dataset", "load"]

_DIGITS_TRAIN = 1300  # of 1,797 samples; the other 497 are the test set


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels to train on and to test on.

    Attributes:
        name: "digits", "mnist", "fashion-mnist" or "cifar10".
        x_train: training images, flattened (for CIFAR-10 channels first), pixels in [0, 1].
        y_train: their labels, 0 to k-1.
        x_test: test images.
        y_test: their labels.
        classes: number of classes, k.
        image_shape: (channels, height, width); ``x.reshape(-1, *image_shape)`` gives images.
        sha256: checksum over the content of all files of the data set, used in full or in part.
        published: whether that content is the published one.
        note: "" if it is; else the files that differ, with their checksums and number of samples.
        subset: which samples these are, for example "train 2000 of 60000, test 10000 of 10000, seed 0".
    """

    name: str
    x_train: Float[Tensor, "n_train d"]
    y_train: Int64[Tensor, " n_train"]
    x_test: Float[Tensor, "n_test d"]
    y_test: Int64[Tensor, " n_test"]
    classes: int
    image_shape: tuple[int, int, int]
    sha256: str
    published: bool
    note: str
    subset: str

    def provenance(self) -> dict[str, Any]:
        """What a record says about the data: ``sha256``, ``published``, ``note`` and ``subset``."""
        return {"sha256": self.sha256, "published": self.published, "note": self.note, "subset": self.subset}

    def __repr__(self) -> str:
        return f"Dataset({self.name}: {self.subset}; images {self.image_shape}, {self.classes} classes)"


def load(
    name: str,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    allow_unpublished: bool | None = None,
    dtype: torch.dtype = torch.float32,
) -> Dataset:
    """Data set ``name``, or a fixed part of it.

    Without ``n_train`` all training samples come in the published order. With it, that many are drawn without
    replacement (and without regard to class) from the stream (seed, name, "train"); the same seed gives the
    same samples, and a smaller number the first of them. Likewise ``n_test``, from the stream (seed, name,
    "test"). The digits have no published split: the stream (seed, "digits", "split") deals 1,300 of them to
    training and 497 to testing, so their split depends on ``seed``.

    Args:
        name: one of ``NAMES``. All but "digits" are downloaded at first use.
        n_train: number of training samples; None for all.
        n_test: number of test samples; None for all.
        seed: base seed of the part (and of the split of the digits).
        allow_unpublished: whether content that differs from the published one is accepted, and named in
            ``note``; None leaves it to the environment variable DLPARADOX_ALLOW_UNPUBLISHED (1 or 0; not set:
            refused).
        dtype: floating-point type of the images.

    Raises:
        ValueError: for an unknown name, a number of samples below 1 or above what there is, or a dtype that
            is not real.
        DataError: if the data cannot be downloaded, or is not as published.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type; got {dtype}")
    raw = raw_samples(name, _allowed(allow_unpublished))
    train, test = _split(raw, seed) if name == "digits" else (raw.train, raw.test)
    x_train, y_train = _drawn(train, n_train, seed, name, "train", raw.brightest, dtype)
    x_test, y_test = _drawn(test, n_test, seed, name, "test", raw.brightest, dtype)
    subset = f"train {len(y_train)} of {len(train.y)}, test {len(y_test)} of {len(test.y)}"
    if name == "digits" or n_train is not None or n_test is not None:
        subset += f", seed {seed}"
    return Dataset(
        name=name,
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        classes=raw.classes,
        image_shape=raw.image_shape,
        sha256=raw.sha256,
        published=not raw.note,
        note=raw.note,
        subset=subset,
    )


def _allowed(allow_unpublished: bool | None) -> bool:
    if allow_unpublished is not None:
        return allow_unpublished
    value = os.environ.get("DLPARADOX_ALLOW_UNPUBLISHED", "0")
    if value not in ("", "0", "1"):
        raise ValueError(f"DLPARADOX_ALLOW_UNPUBLISHED must be 0 or 1; got {value!r}")
    return value == "1"


def _drawn(
    part: Part, n: int | None, seed: int, name: str, which: str, brightest: int, dtype: torch.dtype
) -> tuple[Float[Tensor, "n d"], Int64[Tensor, " n"]]:
    """Images in [0, 1] and labels of ``n`` samples drawn from ``part``, or of all in order."""
    x, y = part.x, part.y
    if n is None:
        return x.to(dtype).div_(brightest), y.clone()
    try:
        n = operator.index(n)
    except TypeError:
        raise ValueError(f"n_{which} must be an integer or None; got {n!r}") from None
    if not 1 <= n <= len(y):
        raise ValueError(f"n_{which} must lie between 1 and {len(y)}, what {name} has for {which}; got {n}")
    chosen = torch.randperm(len(y), generator=generator(seed, name, which))[:n]
    return x[chosen].to(dtype).div_(brightest), y[chosen]


def _split(raw: Raw, seed: int) -> tuple[Part, Part]:
    """Training pool and test set of the digits, dealt by ``seed``."""
    order = torch.randperm(len(raw.train.y), generator=generator(seed, "digits", "split"))
    first, rest = order[:_DIGITS_TRAIN], order[_DIGITS_TRAIN:]
    return Part(raw.train.x[first], raw.train.y[first]), Part(raw.train.x[rest], raw.train.y[rest])
