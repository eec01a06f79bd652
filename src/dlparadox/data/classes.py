"""Two classes out of a data set, for theory that is stated with labels of ±1."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dlparadox.data.sets import Dataset
from dlparadox.seeding import generator

__all__ = ["two_classes"]


def two_classes(
    sample: Dataset, minus: int, plus: int, *, seed: int, n_train: int | None = None, n_test: int | None = None
) -> Dataset:
    """Random samples of two classes, with the labels 0 for ``minus`` and 1 for ``plus``.

    Args:
        sample: the data set to choose from.
        minus: the class that gets the label 0.
        plus: the class that gets the label 1.
        seed: base seed of the choice.
        n_train: how many samples to train on; None for all.
        n_test: how many samples to test on; None for all.

    Raises:
        ValueError: if the classes are not two of the data set's, or hold fewer samples than asked for.
    """
    if minus == plus or not {minus, plus} <= set(range(sample.classes)):
        raise ValueError(f"two different classes from 0 to {sample.classes - 1} are needed; got {minus} and {plus}")
    chosen: dict[str, tuple[Float[Tensor, "n d"], Int64[Tensor, " n"]]] = {}
    for name, x, y, n in [
        ("train", sample.x_train, sample.y_train, n_train),
        ("test", sample.x_test, sample.y_test, n_test),
    ]:
        kept = ((y == minus) | (y == plus)).nonzero()[:, 0]
        if n is not None and not 1 <= n <= len(kept):
            raise ValueError(f"n_{name} must lie between 1 and {len(kept)}, the samples of both classes; got {n}")
        kept = kept[torch.randperm(len(kept), generator=generator(seed, "pair", name))][:n]
        chosen[name] = x[kept], (y[kept] == plus).long()
    (x_train, y_train), (x_test, y_test) = chosen["train"], chosen["test"]
    subset = f"classes {minus} and {plus}, train {len(y_train)}, test {len(y_test)}, seed {seed}; of {sample.subset}"
    return replace(sample, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, classes=2, subset=subset)
