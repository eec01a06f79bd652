"""Networks whose weights are Gaussian: a posterior N(mean, diag(std²)) over all of them, trained on a PAC-Bayes bound.

ReLU networks with one output for two classes; the sign of the output is the answer. All weights form one vector, layer
by layer, each layer a matrix [inputs + 1, outputs] whose last row are the biases.

The prior is N(centre, λ I), its centre chosen without the samples that the bound counts. Its variance may be chosen
after seeing them, from a grid that is paid for: see :func:`prior_variance` and :func:`prior_confidence`.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

from dlparadox.bounds.checks import require_confidence
from dlparadox.bounds.pac_bayes import gaussian_kl, kl_bound, monte_carlo_bound

__all__ = [
    "Certificate",
    "Gaussian",
    "Training",
    "bounded_loss",
    "certify",
    "count_weights",
    "initial_weights",
    "layers",
    "minibatches",
    "network",
    "objective",
    "prior_confidence",
    "prior_index",
    "prior_variance",
    "stochastic_error",
    "stochastic_network",
    "train_network",
    "train_posterior",
]

Number = TypeVar("Number", float, Tensor)

GRID_TOP = 0.1  # c in λ_j = c exp(-j/b)
GRID_STEPS = 100  # b
SMALLEST = 1e-4  # probability below which the loss does not grow


class Gaussian(NamedTuple):
    """Independent normal weights."""

    mean: Float[Tensor, " p"]
    std: Float[Tensor, " p"]


class Training(NamedTuple):
    """How weights are trained: by Adam, on minibatches drawn without replacement, with a step size that falls to 0."""

    steps: int
    lr: float
    batch_size: int


class Certificate(NamedTuple):
    """A bound on the error of the stochastic network, and what it is made of."""

    bound: float  # holds with probability 1 - delta - delta_draws
    error: float  # average training error over the draws
    risk: float  # upper bound on the training error of the stochastic network, from the draws
    kl: float  # of posterior from prior, in nats
    place: int  # of the prior's variance in its grid
    share: float  # of delta, for this prior; the others of the grid have theirs


def count_weights(widths: Sequence[int]) -> int:
    """Number of weights and biases of a network with these widths, input first and output last."""
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths must be at least two numbers, each at least 1; got {list(widths)}")
    return sum((a + 1) * b for a, b in itertools.pairwise(widths))


def layers(weights: Float[Tensor, " p"], widths: Sequence[int]) -> list[Tensor]:
    """The vector of all weights as one matrix [inputs + 1, outputs] for each layer: views, not copies."""
    if len(weights) != count_weights(widths):
        raise ValueError(f"widths {list(widths)} have {count_weights(widths)} weights; got {len(weights)}")
    shapes = [(a + 1, b) for a, b in itertools.pairwise(widths)]
    parts = weights.split([rows * columns for rows, columns in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def initial_weights(widths: Sequence[int], stream: torch.Generator) -> Float[Tensor, " p"]:
    """Random weights of variance 2/inputs in hidden layers and 1/inputs in the last; biases zero."""
    weights = torch.zeros(count_weights(widths))
    matrices = layers(weights, widths)
    for matrix in matrices:
        gain = 1.0 if matrix is matrices[-1] else 2.0
        shape = (len(matrix) - 1, matrix.shape[1])
        matrix[:-1] = math.sqrt(gain / shape[0]) * torch.randn(shape, generator=stream)
    return weights


def network(weights: Float[Tensor, " p"], widths: Sequence[int], x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Output of the network with these weights."""
    hidden = x
    for index, matrix in enumerate(layers(weights, widths)):
        hidden = torch.addmm(matrix[-1], torch.relu(hidden) if index else hidden, matrix[:-1])
    return hidden[:, 0]


def stochastic_network(
    posterior: Gaussian, widths: Sequence[int], x: Float[Tensor, "n d"], stream: torch.Generator
) -> Float[Tensor, " n"]:
    """Outputs with weights drawn anew for each row of ``x``.

    Local reparameterization (Kingma, Salimans & Welling 2015, arXiv:1506.02557): given the input h of a layer, its
    outputs are independent normal variables with means h·mean and variances h²·std², so these are drawn, not weights.
    For each row by itself the law is that of drawn weights, exactly; and the rows are independent. Differentiable in
    mean and std.
    """
    hidden = x
    pairs = zip(layers(posterior.mean, widths), layers(posterior.std.square(), widths), strict=True)
    for index, (mean, variance) in enumerate(pairs):
        hidden = torch.relu(hidden) if index else hidden
        center = torch.addmm(mean[-1], hidden, mean[:-1])
        spread = torch.addmm(variance[-1], hidden.square(), variance[:-1]).sqrt()
        noise = torch.randn(center.shape, generator=stream, dtype=center.dtype)
        hidden = center + spread * noise.to(center.device)
    return hidden[:, 0]


def bounded_loss(outputs: Float[Tensor, " n"], labels: Int[Tensor, " n"]) -> Tensor:
    """Mean cross-entropy in bits, for each sample at most log2(1/SMALLEST): never below the share of wrong answers."""
    signs = 2.0 * labels - 1.0
    return softplus(-signs * outputs).div(math.log(2)).clamp(max=-math.log2(SMALLEST)).mean()


def stochastic_error(
    posterior: Gaussian,
    widths: Sequence[int],
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    passes: int,
    stream: torch.Generator,
) -> float:
    """Share of wrong answers of the stochastic network: ``passes`` times over all samples, each time new weights."""
    if passes < 1:
        raise ValueError(f"passes must be at least 1; got {passes}")
    with torch.no_grad():
        wrong = sum(
            int(((stochastic_network(posterior, widths, x, stream) > 0) != (labels > 0)).sum()) for _ in range(passes)
        )
    return wrong / (passes * len(x))


def prior_variance(index: int) -> float:
    """Entry ``index`` = 1, 2, ... of the grid c exp(-j/b) of prior variances, c = 0.1 and b = 100.

    Dziugaite & Roy 2017 (arXiv:1703.11008), Section 3.2.
    """
    if index < 1:
        raise ValueError(f"index must be at least 1; got {index}")
    return GRID_TOP * math.exp(-index / GRID_STEPS)


def prior_index(variance: float) -> int:
    """Index of the entry of the grid of prior variances nearest to ``variance`` on a logarithmic scale."""
    if not variance > 0:
        raise ValueError(f"variance must be positive; got {variance}")
    return max(1, round(GRID_STEPS * math.log(GRID_TOP / variance)))


def prior_confidence(index: Number, delta: float) -> Number:
    """What prior ``index`` = 1, 2, ... gets of ``delta``: 6 delta / (π index)². All shares add up to ``delta``.

    So each bound of the grid fails with its own share, and none of them with probability 1 - delta: a union bound. It
    adds 2 ln j + ln(π²/6) to the KL divergence. For training the index may lie between whole numbers, as a tensor.
    """
    require_confidence(delta)
    if not index >= 1:
        raise ValueError(f"index must be at least 1; got {index}")
    return delta * 6 / (math.pi * index) ** 2


def objective(risk: Tensor, kl: Tensor, n: int, confidence: Tensor | float) -> Tensor:
    """The bound that training minimizes: (sqrt(r + B) + sqrt(B))², B = (KL + ln(2 sqrt(n)/confidence)) / (2n).

    As :func:`~dlparadox.bounds.pac_bayes.quadratic_bound`, but differentiable and not cut at 1.
    """
    half = (kl + math.log(2 * math.sqrt(n)) - torch.as_tensor(confidence, dtype=risk.dtype).log()) / (2 * n)
    return ((risk + half).sqrt() + half.sqrt()).square()


def minibatches(n: int, schedule: Training, stream: torch.Generator) -> list[Int[Tensor, " b"]]:
    """Indices of the samples of each step: epochs in random order, the incomplete last batch of each left out."""
    size = min(schedule.batch_size, n)
    found: list[Int[Tensor, " b"]] = []
    while len(found) < schedule.steps:
        found += torch.randperm(n, generator=stream)[: n // size * size].view(-1, size)
    return found[: schedule.steps]


def train_network(
    weights: Float[Tensor, " p"],
    widths: Sequence[int],
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    schedule: Training,
    stream: torch.Generator,
) -> Float[Tensor, " p"]:
    """Weights after training an ordinary network on cross-entropy, from ``weights``, which stay as they are."""
    trained = weights.clone().requires_grad_()

    def loss(batch: Tensor) -> Tensor:
        signs = 2.0 * labels[batch] - 1.0
        return softplus(-signs * network(trained, widths, x[batch])).mean()

    _minimize(loss, [trained], len(x), schedule, stream)
    return trained.detach()


def train_posterior(
    centre: Float[Tensor, " p"],
    widths: Sequence[int],
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    schedule: Training,
    stream: torch.Generator,
    *,
    delta: float,
    start: Float[Tensor, " p"] | None = None,
    std: float = 0.05,
) -> tuple[Gaussian, int]:
    """A posterior that minimizes :func:`objective` with :func:`bounded_loss`, and the index of its prior's variance.

    Mean, standard deviations and the prior's variance are trained together; the variance is rounded to the grid.

    Args:
        centre: mean of the prior.
        widths: of the network, input first.
        x: the samples of the bound, [n, d].
        labels: their classes, 0 or 1.
        schedule: how long to train.
        stream: for the order of the samples and the draws.
        delta: confidence that all priors of the grid share.
        start: mean to start from; None for the prior's.
        std: standard deviations to start from, of prior and posterior.
    """
    mean = (centre if start is None else start).clone().requires_grad_()
    log_std = torch.full_like(centre, math.log(std)).requires_grad_()
    log_variance = torch.tensor(2 * math.log(std), device=centre.device, requires_grad=True)

    def bound(batch: Tensor) -> Tensor:
        posterior = Gaussian(mean, log_std.exp())
        risk = bounded_loss(stochastic_network(posterior, widths, x[batch], stream), labels[batch])
        kl = gaussian_kl(*posterior, centre, (log_variance / 2).exp().expand_as(centre))
        index = (GRID_STEPS * (math.log(GRID_TOP) - log_variance)).clamp(min=1.0)
        return objective(risk, kl, len(x), prior_confidence(index, delta))

    _minimize(bound, [mean, log_std, log_variance], len(x), schedule, stream)
    found = Gaussian(mean.detach(), log_std.detach().exp())
    return found, prior_index(float(log_variance.detach().exp()))


def certify(
    posterior: Gaussian,
    centre: Float[Tensor, " p"],
    index: int,
    widths: Sequence[int],
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    stream: torch.Generator,
    *,
    passes: int,
    delta: float,
    delta_draws: float,
) -> Certificate:
    """Bound on the error of the stochastic network on new samples, with probability 1 - delta - delta_draws.

    Two inversions of kl: the training error of the stochastic network from ``passes`` draws for each sample, with
    confidence ``delta_draws``; then the error on new samples from it, with the share of ``delta`` that belongs to the
    prior. The draws for one sample and another differ in their means; the bound for equal means covers this (Hoeffding
    1963, doi:10.1080/01621459.1963.10500830, Theorem 1).

    Args:
        posterior: may depend on ``x`` and ``labels``.
        centre: mean of the prior; must not depend on them.
        index: of the prior's variance in the grid; may depend on them.
        widths: of the network, input first.
        x: samples that are independent given ``centre``.
        labels: their classes, 0 or 1.
        stream: for the draws.
        passes: draws of the network for each sample.
        delta: for the samples, shared by the priors of the grid.
        delta_draws: for the draws.
    """
    error = stochastic_error(posterior, widths, x, labels, passes, stream)
    risk = monte_carlo_bound(error, passes * len(x), delta_draws)
    std = torch.tensor(prior_variance(index), dtype=torch.float64).sqrt().to(centre.device)
    mean, deviation, middle = (part.double() for part in (*posterior, centre))
    kl = max(float(gaussian_kl(mean, deviation, middle, std.expand(len(centre)))), 0.0)  # stays NaN, which is refused
    share = prior_confidence(index, delta)
    return Certificate(kl_bound(risk, kl, len(x), share), error, risk, kl, index, share)


def _minimize(
    loss: Callable[[Tensor], Tensor], parameters: list[Tensor], n: int, schedule: Training, stream: torch.Generator
) -> None:
    """Adam on the loss of a minibatch, given by its indices; the step size falls to nearly 0 along a straight line."""
    optimizer = torch.optim.Adam(parameters, lr=schedule.lr, fused=True)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(1 - step / schedule.steps, 1e-3))
    for batch in minibatches(n, schedule, stream):
        optimizer.zero_grad()
        loss(batch).backward()
        optimizer.step()
        decay.step()
