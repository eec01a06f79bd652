"""Corrupted data: labels and pixels made random in known ways. Every such function returns what it changed.

The five conditions are those of Zhang, Bengio, Hardt, Recht & Vinyals, "Understanding deep learning requires
rethinking generalization", arXiv:1611.03530, Section 2.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from dlparadox.seeding import generator

__all__ = [
    "INPUTS",
    "CorruptLabels",
    "centered_targets",
    "corrupt_inputs",
    "corrupt_labels",
    "gaussian_inputs",
    "pixel_permutation",
    "random_pixels",
]


#: What can be done to the inputs.
INPUTS = ("true", "shuffled pixels", "random pixels", "gaussian")


class CorruptLabels(NamedTuple):
    """Labels after corruption."""

    labels: Int[Tensor, " n"]
    redrawn: Bool[Tensor, " n"]  # chosen to be drawn again
    changed: Bool[Tensor, " n"]  # and different from before: a new draw can hit the old class


def corrupt_labels(
    labels: Int[Tensor, " n"], corruption: float, classes: int, stream: torch.Generator
) -> CorruptLabels:
    """Draw each label again, uniformly over all classes, with probability ``corruption``.

    The new draw may hit the old class, so that a share ``corruption * (1 - 1/classes)`` changes in expectation: the
    convention of the paper. Two levels drawn from equal streams are nested: what the lower one redraws, the higher
    one redraws to the same class.

    Args:
        labels: classes 0 ... classes - 1, shape [n].
        corruption: probability in [0, 1].
        classes: their number k.
        stream: the generator to draw from.

    Raises:
        ValueError: for a corruption outside [0, 1] or labels outside the classes.
    """
    if not 0.0 <= corruption <= 1.0:
        raise ValueError(f"corruption must lie in [0, 1]; got {corruption}")
    if classes < 2:
        raise ValueError(f"classes must be at least 2; got {classes}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        found = f"{int(labels.min())} ... {int(labels.max())}"
        raise ValueError(f"labels must lie in 0 ... {classes - 1}; got {found}")
    # Both draws always happen, in this order, whatever the level: that is what makes levels nested.
    chance = torch.rand(labels.shape, generator=stream)
    fresh = torch.randint(classes, labels.shape, generator=stream)
    redrawn = (chance < corruption).to(labels.device)
    new = torch.where(redrawn, fresh.to(labels.device), labels)
    return CorruptLabels(new, redrawn, new != labels)


def pixel_permutation(pixels: int, stream: torch.Generator) -> Int[Tensor, " d"]:
    """One permutation for all images: ``x[:, permutation]`` shuffles the pixels of each in the same way."""
    if pixels < 1:
        raise ValueError(f"pixels must be at least 1; got {pixels}")
    return torch.randperm(pixels, generator=stream)


def random_pixels(x: Float[Tensor, "n d"], stream: torch.Generator) -> Float[Tensor, "n d"]:
    """Each image with its own pixels in an order of its own: the histogram stays, all structure goes."""
    order = torch.rand(x.shape, generator=stream).argsort(dim=1).to(x.device)
    return x.gather(1, order)


def gaussian_inputs(x: Float[Tensor, "n d"], stream: torch.Generator) -> Float[Tensor, "n d"]:
    """Gaussian noise with the mean and the variance of the whole data set, one pair for all pixels."""
    if x.numel() < 2:
        raise ValueError(f"at least two pixels are needed for a variance; got shape {tuple(x.shape)}")
    noise = torch.randn(x.shape, generator=stream, dtype=x.dtype).to(x.device)
    return x.mean() + x.std() * noise


def corrupt_inputs(
    kind: str, x: Float[Tensor, "n d"], x_test: Float[Tensor, "n_test d"], seed: int
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n_test d"]]:
    """Training and test inputs in one of the conditions ``INPUTS``; the labels stay what they were.

    Shuffled pixels get one permutation for both sets; the two noises are drawn apart for each.

    Args:
        kind: one of ``INPUTS``; "true" changes nothing.
        x: training inputs.
        x_test: test inputs.
        seed: base seed of the streams.

    Raises:
        ValueError: for an unknown kind.
    """
    match kind:
        case "true":
            return x, x_test
        case "shuffled pixels":
            order = pixel_permutation(x.shape[1], generator(seed, "pixel order"))
            return x[:, order], x_test[:, order]
        case "random pixels" | "gaussian":
            draw = random_pixels if kind == "random pixels" else gaussian_inputs
            return draw(x, generator(seed, kind, "train")), draw(x_test, generator(seed, kind, "test"))
    raise ValueError(f"inputs must be one of {', '.join(INPUTS)}; got {kind!r}")


def centered_targets(labels: Int[Tensor, " n"], classes: int) -> Float[Tensor, "n classes"]:
    """Targets for the squared loss: one-hot labels less 1/classes, in float64; each row sums to 0."""
    return one_hot(labels, classes).double() - 1 / classes
