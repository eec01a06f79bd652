"""Does a step fold space? Solutions of an equation never meet; the map of a coarse step may take two states to one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from dlparadox.ode.solve import odeint
from dlparadox.ode.times import whole

__all__ = ["Folds", "folds"]


@dataclass(frozen=True)
class Folds:
    """The maps of single steps, linearized along the paths.

    Attributes:
        determinants: of the Jacobian DΦ of each step at the state where it begins. Along the flow of an equation they
            are positive; where one is zero or negative, the step has folded space over itself.
        stretches: spectral norm of DΦ - I; for Euler's method, the step size times that of the Jacobian of f. Below 1
            the determinant is positive.
    """

    determinants: Float[Tensor, "steps ..."]
    stretches: Float[Tensor, "steps ..."]

    @property
    def share(self) -> float:
        """Share of the samples whose path has met a determinant that is not positive."""
        return float(self.folded.double().mean())

    @property
    def folded(self) -> Tensor:
        """Whether the path of a sample has met a determinant that is not positive."""
        return (self.determinants <= 0).any(0)


def folds(
    f: Callable[[Tensor, Tensor], Tensor],
    y0: Float[Tensor, "... d"],
    t: Float[Tensor, " k"] | Sequence[float] = (0.0, 1.0),
    *,
    method: str = "euler",
    steps: int,
) -> Folds:
    """Jacobians of the steps of a solver along the paths of samples, for few dimensions d.

    For Euler's method DΦ = I + h ∂f/∂y. It takes d backward passes through each step.

    Args:
        f: right-hand side, as for ``odeint``; each sample's slope must depend on that sample only.
        y0: states at t[0], one for each sample.
        t: from t[0] to t[-1].
        method: a name in ``METHODS``.
        steps: number of equal steps.

    Raises:
        ValueError: if ``steps`` is no number of steps.
        SolverError: if a state is not finite.
    """
    if not whole(steps) or steps < 1:
        raise ValueError(f"steps must be a whole number, at least 1; got {steps!r}")
    times = torch.linspace(float(t[0]), float(t[-1]), steps + 1, dtype=torch.float64).tolist()
    unit = torch.eye(y0.shape[-1], dtype=y0.dtype, device=y0.device)
    determinants, stretches, y = [], [], y0.detach()
    for start, stop in pairwise(times):
        with torch.enable_grad():
            here = y.requires_grad_()
            end = odeint(f, here, (start, stop), method=method, steps=1).y[-1]
            rows = [torch.autograd.grad(end[..., i].sum(), here, retain_graph=True)[0] for i in range(y0.shape[-1])]
        jacobian = torch.stack(rows, -2)
        determinants.append(torch.linalg.det(jacobian))
        stretches.append(torch.linalg.matrix_norm(jacobian - unit, 2))
        y = end.detach()
    return Folds(torch.stack(determinants), torch.stack(stretches))
