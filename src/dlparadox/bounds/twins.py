"""Twin runs: stochastic gradient descent on training sets that differ in few samples, side by side in one program.

Stability bounds are about two runs with the same start and the same order of samples, whose training sets differ in
one sample. Here the original run and all its twins are the rows of one tensor, and each step moves all of them.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Gradient", "distances", "expansion", "leave_one_out", "twin_runs"]

T = TypeVar("T")

#: Gradients of the losses of one sample for each run: weights [b, runs, *shape], x [b, runs, d], y [b, runs].
Gradient = Callable[[Tensor, Tensor, Tensor], Tensor]


def twin_runs(
    gradient: Gradient,
    start: Float[Tensor, " b *shape"],
    samples: tuple[Float[Tensor, "b n d"], Float[Tensor, "b n"]],
    fresh: tuple[Float[Tensor, "b n d"], Float[Tensor, "b n"]],
    order: Int[Tensor, "b t"],
    steps: Sequence[float],
    *,
    at: Sequence[int],
    observe: Callable[[Float[Tensor, "b runs *shape"], int], T],
    exchanged: Bool[Tensor, "twins n"] | None = None,
) -> list[T]:
    """Run SGD, one sample for each step, on b data sets and on their twins; return what ``observe`` saw.

    Row 0 of the weights is the original run. Row i + 1 is twin i: it has the same start, step sizes and order, and
    meets fresh sample j in the place of sample j wherever ``exchanged[i, j]``.

    Args:
        gradient: see :data:`Gradient`; regularizers included.
        start: weights of all runs at step 0.
        samples: inputs and labels that the original runs train on.
        fresh: those that take their places.
        order: the sample that each step uses, at least as many as ``steps``.
        steps: step size of each step.
        at: steps after which to look, in rising order; 0 is before the first.
        observe: called with the weights and the step.
        exchanged: by default n twins, and twin i exchanges sample i alone.

    Raises:
        ValueError: if shapes, orders or moments do not fit together.
    """
    (x, y), (fresh_x, fresh_y) = samples, fresh
    sets, n, _ = x.shape
    which = torch.eye(n, dtype=torch.bool, device=x.device) if exchanged is None else exchanged
    if fresh_x.shape != x.shape or which.ndim != 2 or which.shape[1] != n:
        raise ValueError(
            f"fresh samples must be as many as samples, and exchanged [twins, {n}]; got {tuple(fresh_x.shape)} for "
            f"{tuple(x.shape)}, and {tuple(which.shape)}"
        )
    if order.shape[0] != sets or order.shape[1] < len(steps):
        raise ValueError(f"order must be [{sets}, at least {len(steps)}]; got {tuple(order.shape)}")
    if not at or any(later <= step for step, later in pairwise(at)) or at[0] < 0 or at[-1] > len(steps):
        raise ValueError(f"the steps to look at must rise from 0 or more to at most {len(steps)}; got {list(at)}")
    row, runs = torch.arange(sets, device=x.device), 1 + len(which)
    weights = start[:, None].expand(-1, runs, *start.shape[1:]).clone()
    seen: list[T] = []
    for step in range(at[-1] + 1):
        if step == at[len(seen)]:
            seen.append(observe(weights, step))
        if step == at[-1]:
            break
        j = order[:, step]
        inputs = x[row, j][:, None].expand(-1, runs, -1).clone()
        labels = y[row, j][:, None].expand(-1, runs).clone()
        place, twin = which[:, j].T.nonzero(as_tuple=True)  # data sets and twins for which sample j is another one
        inputs[place, 1 + twin] = fresh_x[place, j[place]]
        labels[place, 1 + twin] = fresh_y[place, j[place]]
        weights = weights.sub_(gradient(weights, inputs, labels), alpha=steps[step])
    return seen


def distances(weights: Float[Tensor, "b runs *shape"]) -> Float[Tensor, "b twins"]:
    """Euclidean distance of each twin's weights from the original run's."""
    flat = weights.flatten(2)
    return (flat[:, 1:] - flat[:, :1]).norm(dim=2)


def expansion(
    gradient: Gradient,
    weights: Float[Tensor, "b runs *shape"],
    x: Float[Tensor, "b d"],
    y: Float[Tensor, " b"],
    step: float,
    *,
    least: float = 1e-4,
) -> float:
    """Largest factor by which a step on one shared sample changes the distance of a twin from the original run.

    Twins closer than ``least`` are left out, since rounding would decide; 0 if that is all of them.
    """
    runs = weights.shape[1]
    before = distances(weights)
    inputs, labels = x[:, None].expand(-1, runs, -1), y[:, None].expand(-1, runs)
    after = distances(weights - step * gradient(weights, inputs, labels))
    far = before >= least
    return float((after[far] / before[far]).max()) if bool(far.any()) else 0.0


def leave_one_out(
    kernel: Float[Tensor, "n n"], y: Float[Tensor, " n"], ridge: float
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n n"]]:
    """Kernel ridge regression on n samples, and on each n - 1 of them, all from one inverse.

    The function f(x) = sum_j c_j K(x, x_j) minimizes (1/n) sum_j (f(x_j) - y_j)² + ridge |f|²; where sample i is left
    out, its term is, and the factor 1/n stays, as in Bousquet & Elisseeff 2002. With G = (K + ridge n I)⁻¹ and c = G y
    the coefficients without sample i are c - G e_i c_i / G_ii.

    Returns:
        c, shape [n], and the coefficients without sample i in row i, shape [n, n].
    """
    n = len(kernel)
    if kernel.shape != (n, n) or y.shape != (n,):
        raise ValueError(f"kernel must be [n, n] and y [n]; got {tuple(kernel.shape)} and {tuple(y.shape)}")
    if not ridge > 0:
        raise ValueError(f"ridge must be positive; got {ridge}")
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel + ridge * n * torch.eye(n).to(kernel)))
    c = inverse @ y
    return c, c - inverse * (c / inverse.diagonal())[:, None]
