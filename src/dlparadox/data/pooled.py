"""All samples of a data set in one random order, for chapters that draw their own training and test sets."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dlparadox.data.sets import Dataset
from dlparadox.seeding import generator

__all__ = ["pooled"]


def pooled(sample: Dataset, seed: int) -> tuple[Float[Tensor, "n d"], Int64[Tensor, " n"]]:
    """Training and test samples together, in the order that the stream (seed, "subset") draws: images and labels.

    Args:
        sample: the data set, in full or in part.
        seed: base seed of the order.
    """
    order = torch.randperm(len(sample.y_train) + len(sample.y_test), generator=generator(seed, "subset"))
    return torch.cat([sample.x_train, sample.x_test])[order], torch.cat([sample.y_train, sample.y_test])[order]
