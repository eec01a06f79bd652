"""Nearest neighbours: the simplest classifier that interpolates its training labels."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["interpolating_accuracy", "majority", "nearest"]


def nearest(
    x: Float[Tensor, "n d"], queries: Float[Tensor, "m d"], count: int = 1, *, block: int = 1024
) -> Int[Tensor, "m count"]:
    """Indices of the ``count`` samples nearest to each query in Euclidean distance, nearest first.

    Args:
        x: samples.
        queries: points to classify.
        count: number of neighbours.
        block: queries handled at once; memory is block * n numbers.

    Raises:
        ValueError: for a count outside 1 ... n.
    """
    if not 1 <= count <= len(x):
        raise ValueError(f"count must lie in 1 ... {len(x)}, the number of samples; got {count}")
    squares = (x * x).sum(1)
    found = [(squares - 2 * part @ x.T).topk(count, largest=False).indices for part in queries.split(block)]
    return torch.cat(found)


def majority(votes: Int[Tensor, "m count"], classes: int) -> Int[Tensor, " m"]:
    """The class with most votes in each row; the smallest one where several tie."""
    counts = torch.zeros(len(votes), classes, dtype=torch.long, device=votes.device)
    return counts.scatter_add_(1, votes, torch.ones_like(votes)).argmax(1)


def interpolating_accuracy(clean: float, corruption: float, classes: int) -> float:
    """Expected test accuracy of a nearest-neighbour classifier under label corruption: (1 - p) a0 + p / k.

    The neighbour keeps its label with probability 1 - p, and then the answer is right as often as without corruption;
    otherwise its label is uniform over the classes, and right once in k times.

    Args:
        clean: accuracy a0 without corruption.
        corruption: chance p that a label is drawn again.
        classes: number of classes k.
    """
    if not 0 <= corruption <= 1:
        raise ValueError(f"corruption must lie in [0, 1]; got {corruption}")
    return (1 - corruption) * clean + corruption / classes
