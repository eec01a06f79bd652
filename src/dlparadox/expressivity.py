"""The explicit network that fits any labels: Theorem 1 of Zhang et al. 2017 (arXiv:1611.03530).

With one direction a, thresholds b that interleave the sorted projections, and output weights w, the network
c(x) = sum_j w_j max(<a, x> - b_j, 0) has 2n + d weights. On the n samples it is A w with A lower triangular and
a positive diagonal, so one triangular system gives the weights for any labels.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["InterpolatingNetwork", "backward_error", "interpolating_network"]


@dataclass(frozen=True)
class InterpolatingNetwork:
    """ReLU network with one hidden layer, one direction and n units.

    Attributes:
        direction: a, shape [d].
        thresholds: b, ascending, shape [n].
        weights: w, shape [n].
    """

    direction: Float[Tensor, " d"]
    thresholds: Float[Tensor, " n"]
    weights: Float[Tensor, " n"]

    @property
    def parameters(self) -> int:
        """Number of weights: 2n + d."""
        return self.direction.numel() + self.thresholds.numel() + self.weights.numel()

    def hidden(self, x: Float[Tensor, "m d"]) -> Float[Tensor, "m n"]:
        """Activations of the units: max(<a, x_i> - b_j, 0)."""
        return (x @ self.direction)[:, None].sub(self.thresholds).clamp_min(0)

    def __call__(self, x: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
        """The network's output c(x)."""
        return self.hidden(x) @ self.weights


def interpolating_network(
    x: Float[Tensor, "n d"], y: Float[Tensor, " n"], stream: torch.Generator
) -> InterpolatingNetwork:
    """The network of Theorem 1 through the n points (x_i, y_i), in the dtype of ``x`` (use float64).

    The direction is a random one: it separates all projections with probability one if the samples differ.

    Raises:
        ValueError: if two samples have the same projection, as equal samples do, or no number lies between the two.
    """
    n, d = x.shape
    if y.shape != (n,):
        raise ValueError(f"y must have shape ({n},), one label a sample; got {tuple(y.shape)}")
    direction = torch.randn(d, generator=stream, dtype=x.dtype)
    projections, order = (x @ direction).sort()
    gaps = projections.diff()
    # Interleaved: b_1 < z_1 < b_2 < z_2 < ... < b_n < z_n.
    first = projections[:1] - (gaps.mean() if n > 1 else 1.0)
    thresholds = torch.cat([first, projections[:-1] + gaps / 2])
    if not bool((thresholds < projections).all()):
        i = int((projections - thresholds)[1:].argmin())
        pair = f"samples {int(order[i])} and {int(order[i + 1])}"
        raise ValueError(f"{pair} have equal projections, up to rounding; remove repeated samples")
    triangle = projections[:, None].sub(thresholds).clamp_min(0)
    weights = torch.linalg.solve_triangular(triangle, y[order, None], upper=False)[:, 0]
    return InterpolatingNetwork(direction, thresholds, weights)


def backward_error(network: InterpolatingNetwork, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> float:
    """Largest residual of a fit in units of what rounding allows: at most 1 for a correct triangular solve.

    Substitution leaves |A w - y| <= g |A| |w| in each component, with g = n u / (1 - n u) and u the unit roundoff
    (Higham, Accuracy and Stability of Numerical Algorithms, Theorem 8.5); evaluating the network adds as much again.
    The conditioning of A enters only through the size of w.
    """
    n = len(x)
    roundoff = torch.finfo(x.dtype).eps / 2
    growth = n * roundoff / (1 - n * roundoff)
    allowed = 2 * growth * (network.hidden(x).abs() @ network.weights.abs())
    residual = (network(x) - y).abs()
    # No residual is no error, where nothing is allowed either: a label of zero that is fitted by silent units.
    return float(torch.where(residual == 0, 0.0, residual / allowed).max())
