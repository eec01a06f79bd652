"""Is a network with residual steps a differential equation? Take finer steps, and see whether it gives the same."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dlparadox.ode.solve import odeint
from dlparadox.ode.steps import rms
from dlparadox.ode.tableaus import METHODS
from dlparadox.ode.times import whole

__all__ = ["Convergence", "convergence"]


@dataclass(frozen=True)
class Convergence:
    """Final states with ever more steps, and what follows from them; as text, a table with its verdict.

    Attributes:
        steps: numbers of steps.
        states: final state with each of them; to be read out and scored by the caller.
        reference: final state by adaptive steps at a tight tolerance.
        errors: distance from the reference, relative to it, as root mean square.
        orders: between neighbours, the exponent p of an error ~ steps^-p. A method on an equation shows its own order
            once the steps are small; errors that stay put, or are large at the steps of training, say that the network
            is its steps and no equation.
        method: the method whose steps were taken.
        tolerance: of the reference; errors near it mean nothing.
        changed: share of samples that are classified differently than by the reference; None without a readout.
        accuracies: share of samples classified correctly; None without labels.
        reference_accuracy: the same for the reference.
    """

    steps: tuple[int, ...]
    states: Float[Tensor, "m ..."]
    reference: Float[Tensor, "..."]
    errors: tuple[float, ...]
    orders: tuple[float, ...]
    method: str = "euler"
    tolerance: float = 0.0
    changed: tuple[float, ...] | None = None
    accuracies: tuple[float, ...] | None = None
    reference_accuracy: float | None = None

    def enough(self, *, most: float = 0.01, slack: float = 0.5) -> int | None:
        """Fewest steps from which on the model behaves like its equation; None if there are no such steps.

        From there on, at every number of steps, (1) at most the share ``most`` of the samples is classified differently
        than by the equation (without a readout: the error is at most ``most``), and (2) the error falls with an
        exponent of at least the order of the method less ``slack``, until it is within ten times the tolerance. The
        last number of steps has no finer one to show an order, so it cannot be the answer.
        """
        found = None
        close = self.errors if self.changed is None else self.changed
        fine = close[-1] <= most
        for index in range(len(self.orders) - 1, -1, -1):
            fine = fine and close[index] <= most and self._in_order(index, slack)
            if not fine:
                break
            found = self.steps[index]
        return found

    def behaves_like_equation(self, steps: int, *, most: float = 0.01, slack: float = 0.5) -> bool:
        """Whether the model behaves like its equation with so many steps and with more; see :meth:`enough`.

        Raises:
            ValueError: if they are not among the numbers of steps that were taken, the last one aside.
        """
        if steps not in self.steps[:-1]:
            raise ValueError(f"steps must be one of {self.steps[:-1]}, of which finer ones were taken; got {steps}")
        found = self.enough(most=most, slack=slack)
        return found is not None and found <= steps

    def _in_order(self, index: int, slack: float) -> bool:
        if self.errors[index + 1] <= 10 * self.tolerance:
            return True
        order = self.orders[index]
        return not math.isnan(order) and order >= METHODS[self.method].order - slack

    def __str__(self) -> str:
        columns = {"steps": [*map(str, self.steps), "equation"], "error": [f"{e:.1e}" for e in self.errors]}
        columns["order"] = [f"{order:.2f}" for order in self.orders]
        if self.changed is not None:
            columns["changed"] = [f"{share:.1%}" for share in self.changed]
        if self.accuracies is not None and self.reference_accuracy is not None:
            columns["accuracy"] = [f"{share:.1%}" for share in (*self.accuracies, self.reference_accuracy)]
        lines = [" ".join(f"{name:>9}" for name in columns)]
        for row in range(len(self.steps) + 1):
            lines.append(
                " ".join(f"{cells[row] if row < len(cells) else '':>9}" for cells in columns.values()).rstrip()
            )
        found = self.enough()
        verdict = f"like its equation from {found} steps on" if found else "not like its equation at any of these steps"
        return "\n".join([*lines, f"With {self.method} the model behaves {verdict}."])


@torch.no_grad()
def convergence(
    f: Callable[[Tensor, Tensor], Tensor],
    y0: Float[Tensor, "..."],
    t: Float[Tensor, " k"] | Sequence[float] = (0.0, 1.0),
    *,
    method: str = "euler",
    steps: Sequence[int] = (4, 8, 16, 32, 64),
    tolerance: float | None = None,
    max_steps: int = 10_000,
    readout: Callable[[Tensor], Tensor] | None = None,
    labels: Int[Tensor, " n"] | None = None,
) -> Convergence:
    """Solve y' = f(t, y) with more and more equal steps, and compare with the solution of the equation.

    In the spirit of Ott et al. 2021 (arXiv:2007.15386) and Queiruga et al. 2020 (arXiv:2008.02389): what a model does
    must not depend on the steps, if it is meant to be an equation. With a readout the answer is
    ``convergence(...).enough()``, and ``print`` shows the table that it follows from.

    Args:
        f: right-hand side, as for ``odeint``; a residual block h + g(h), repeated L times, has L g on t from 0 to 1.
        y0: state at t[0].
        t: from t[0] to t[-1].
        method: a name in ``METHODS``.
        steps: increasing numbers of steps, such as that of training and its multiples.
        tolerance: of the reference, relative to the size of the state; None for ten times the precision of the dtype,
            at least 1e-12. Errors near it mean nothing.
        max_steps: for the reference.
        readout: maps final states to scores, [n, k] (the largest is the class) or [n] and [n, 1] (positive is class 1).
        labels: true classes.

    Raises:
        ValueError: if the numbers of steps do not increase, or labels do not fit or come without a readout.
        SolverError: if a solution is not finite, or the reference needs too many steps.
    """
    if not steps or not all(map(whole, steps)) or any(b <= a for a, b in pairwise((0, *steps))):
        raise ValueError(f"steps must be whole numbers that increase, such as (4, 8, 16); got {steps!r}")
    if labels is not None and readout is None:
        raise ValueError("labels need a readout, which turns final states into scores; give readout=...")
    if tolerance is None:
        tolerance = max(10 * torch.finfo(y0.dtype).eps, 1e-12)
    span, size = (t[0], t[-1]), rms(y0)
    ends = torch.stack([odeint(f, y0, list(map(float, span)), method=method, steps=count).y[-1] for count in steps])
    atol = tolerance * (size or 1.0)
    reference = odeint(f, y0, list(map(float, span)), rtol=tolerance, atol=atol, max_steps=max_steps).y[-1]
    errors = tuple(rms(end - reference) / (rms(reference) or 1.0) for end in ends)
    pairs = zip(pairwise(errors), pairwise(steps), strict=True)
    orders = tuple(math.log(a / b) / math.log(n / m) if a > 0 and b > 0 else math.nan for (a, b), (m, n) in pairs)
    found = Convergence(tuple(steps), ends, reference, errors, orders, method, tolerance)
    return found if readout is None else _classified(found, readout, labels)


def _classified(found: Convergence, readout: Callable[[Tensor], Tensor], labels: Tensor | None) -> Convergence:
    """The same with predictions compared."""
    told = _classes(readout(found.reference))
    each = [_classes(readout(state)) for state in found.states]
    changed = tuple(float((classes != told).double().mean()) for classes in each)
    if labels is None:
        return Convergence(**{**vars(found), "changed": changed})
    if labels.shape != told.shape:
        raise ValueError(f"labels must have a class for each sample, {tuple(told.shape)}; got {tuple(labels.shape)}")
    accuracies = tuple(float((classes == labels).double().mean()) for classes in each)
    own = float((told == labels).double().mean())
    return Convergence(**{**vars(found), "changed": changed, "accuracies": accuracies, "reference_accuracy": own})


def _classes(scores: Tensor) -> Tensor:
    """Classes of scores [n, k], or of one score for each sample by its sign."""
    if scores.ndim == 2 and scores.shape[1] > 1:
        return scores.argmax(1)
    return (scores.flatten() > 0).long()
