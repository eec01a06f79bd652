"""What a network has memorized: answers to wrong labels, loss sensitivity, critical samples, dropout.

The measures are those of Arpit et al., "A Closer Look at Memorization in Deep Networks", arXiv:1706.05394.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dlparadox.bounds.norms import margins

__all__ = [
    "Answers",
    "NamedDropout",
    "answers",
    "critical_samples",
    "gini",
    "loss_sensitivity",
    "predictions",
    "tipping_leverage",
]


@contextmanager
def _predicting(model: nn.Module) -> Iterator[None]:
    """The model as it predicts, without dropout or noise; afterwards as it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@torch.no_grad()
def predictions(model: nn.Module, x: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
    """The class with the largest score for each input, without dropout or noise."""
    with _predicting(model):
        return model(x).argmax(1)


class Answers(NamedTuple):
    """Shares of the mislabelled samples, in [0, 1]; what is left got some third class."""

    true: float  # answered with the true class, which the model was not told
    given: float  # answered with the wrong label that it was given


def answers(predicted: Int[Tensor, " n"], true: Int[Tensor, " n"], given: Int[Tensor, " n"]) -> Answers:
    """How a model answers the samples whose given label is wrong (Arpit et al. 2017).

    Args:
        predicted: classes that the model predicts.
        true: true classes.
        given: labels that it was trained on.

    Raises:
        ValueError: if the three differ in shape, or no label is wrong.
    """
    if not predicted.shape == true.shape == given.shape:
        shapes = f"{tuple(predicted.shape)}, {tuple(true.shape)} and {tuple(given.shape)}"
        raise ValueError(f"predicted, true and given must have one shape; got {shapes}")
    wrong = true != given
    if not bool(wrong.any()):
        raise ValueError(f"none of the {len(given)} given labels is wrong; corrupt some of them first")
    shares = [float((predicted == labels)[wrong].double().mean()) for labels in (true, given)]
    return Answers(*shares)


def tipping_leverage(corruption: float) -> float:
    """Leverage (1 - p)/(2 - p) at which a sample's own wrong label outvotes all others, in expectation.

    A linear smoother answers f = P y. If every label is drawn again, uniformly, with probability p, and P fits the true
    labels, then for a mislabelled sample i with leverage h = P_ii the expected lead of the true class over the given
    one is (1 - p)(1 - h) - h.

    Args:
        corruption: probability p in [0, 1] that a label is drawn again.

    Raises:
        ValueError: for a corruption outside [0, 1].
    """
    if not 0 <= corruption <= 1:
        raise ValueError(f"corruption must lie in [0, 1]; got {corruption}")
    return (1 - corruption) / (2 - corruption)


def gini(values: Float[Tensor, " n"]) -> float:
    """Gini coefficient: 0 if all values are equal, 1 - 1/n if a single one is not zero.

    Half the mean absolute difference of two values, drawn with replacement, over their mean.

    Raises:
        ValueError: for no value, a negative one, one that is not finite, or only zeros.
    """
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values must be a vector, not empty; got the shape {tuple(values.shape)}")
    if not bool(torch.isfinite(values).all()) or float(values.min()) < 0:
        bad = values[~(torch.isfinite(values) & (values >= 0))][0]
        raise ValueError(f"values must be finite and at least 0; got {float(bad)}")
    ordered, n = values.double().sort().values, len(values)
    if float(total := ordered.sum()) == 0:
        raise ValueError(f"all {n} values are 0; the coefficient of nothing is not defined")
    ranks = torch.arange(1, n + 1, dtype=torch.float64, device=values.device)
    return float(((2 * ranks - n - 1) * ordered).sum() / (n * total))


def loss_sensitivity(model: nn.Module, x: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """L1 norm of the gradient of each sample's cross-entropy in its input, |∂L/∂x|₁ (Arpit et al. 2017).

    Measured as the model predicts, without dropout or noise.

    Args:
        model: maps inputs [n, d] to scores [n, k], each sample by itself.
        x: inputs.
        y: labels.

    Raises:
        ValueError: if inputs and labels differ in number.
    """
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x and y must have the same number of samples, at least one; got {len(x)} and {len(y)}")
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad(), _predicting(model):
        loss = cross_entropy(model(inputs), y, reduction="sum")  # samples do not touch: one gradient is all of theirs
    (gradient,) = torch.autograd.grad(loss, inputs)
    return gradient.abs().sum(1)


def critical_samples(
    model: nn.Module,
    x: Float[Tensor, "n d"],
    radius: float,
    *,
    generator: torch.Generator,
    iterations: int = 20,
    step: float = 0.25,
    noise: float = 0.2,
) -> Bool[Tensor, " n"]:
    """Samples for which another prediction was found at most ``radius`` away in every coordinate.

    Their share is the critical sample ratio (Arpit et al. 2017). The search is the paper's, Langevin
    adversarial sample search: steps along the sign of a gradient with Gaussian noise, cut back into the cube around the
    sample, until the prediction changes. The gradient here is that of the best other score less the predicted one. What
    a search misses is not counted: the true share is at least the one found.

    Args:
        model: maps inputs [n, d] to scores [n, k], at least two.
        x: inputs.
        radius: half the side of the cube around each, in units of the inputs.
        generator: draws the noise; on the CPU.
        iterations: most steps.
        step: length of a step in each coordinate, over the radius.
        noise: standard deviation of the noise in each coordinate, over the radius.

    Raises:
        ValueError: for a radius, a step or a number of iterations that is not positive, or negative noise.
    """
    if not 0 < radius < math.inf or not step > 0 or not noise >= 0 or iterations < 1:
        found = f"radius {radius}, step {step}, noise {noise}, iterations {iterations}"
        raise ValueError(f"radius, step and iterations must be positive and noise at least 0; got {found}")
    predicted = predictions(model, x)
    place, critical = x.detach().clone(), torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(iterations):
        slope = _slope(model, place, predicted)
        random = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
        moved = place + radius * (step * slope.sign() + noise * random)
        place = torch.maximum(torch.minimum(moved, x + radius), x - radius)
        critical |= predictions(model, place) != predicted
    return critical


def _slope(model: nn.Module, place: Float[Tensor, "n d"], predicted: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """Gradient of the best other score less that of the class predicted at the centre."""
    place = place.clone().requires_grad_()
    with torch.enable_grad(), _predicting(model):
        lead = -margins(model(place), predicted).sum()
    return torch.autograd.grad(lead, place)[0]


class NamedDropout(nn.Module):
    """Dropout from a generator of its own: each value is zero with probability ``rate``, else divided by 1 - rate.

    Nothing is dropped when the model predicts (Srivastava et al. 2014).

    Args:
        rate: probability in [0, 1).
        generator: draws the values that are dropped; on the CPU.

    Raises:
        ValueError: for a rate outside [0, 1).
    """

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the rate of dropout must lie in [0, 1); got {rate}")
        self.rate, self.generator = rate, generator

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape, generator=self.generator) >= self.rate
        return x * kept.to(x) / (1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"
