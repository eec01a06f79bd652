"""How much noise the weights of a network bear: the flatness of the minimum, as PAC-Bayes measures it.

A network is the list of its weight matrices, as in ``dlparadox.bounds.norms``, with ReLU between them and at least two
outputs, of which the largest is the answer.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dlparadox.bounds.norms import Matrices

__all__ = ["Perturbation", "noise_tolerance"]


class Perturbation:
    """A trained network with Gaussian noise on every weight, the same draws at every level of noise."""

    def __init__(
        self,
        weights: Matrices,
        x: Float[Tensor, "n d"],
        y: Int64[Tensor, " n"],
        *,
        draws: int,
        generator: torch.Generator,
    ) -> None:
        """Draw the noise.

        Args:
            weights: matrices of the network, each [outputs, inputs].
            x: inputs to measure errors on.
            y: their labels.
            draws: networks drawn.
            generator: of the noise, on the CPU.

        Raises:
            ValueError: for no draw, one output, or inputs and labels that do not fit.
        """
        if draws < 1:
            raise ValueError(f"draws must be at least 1; got {draws}")
        if len(weights) == 0 or weights[-1].shape[0] < 2:
            raise ValueError("weights must be matrices, the last with at least two rows: the scores of the classes")
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"x and y must have the same number of samples, at least one; got {len(x)} and {len(y)}")
        self.weights, self.x, self.y = weights, x, y
        self.noise = [torch.randn(draws, *a.shape, generator=generator, dtype=a.dtype) for a in weights]

    @torch.no_grad()
    def errors(self, sigma: float) -> Float[Tensor, " draws"]:
        """Share of wrong answers of each draw, with noise of standard deviation ``sigma`` on every weight."""
        h = self.x.expand(len(self.noise[0]), *self.x.shape)
        for index, (a, noise) in enumerate(zip(self.weights, self.noise, strict=True)):
            h = torch.relu(h) if index else h
            h = torch.bmm(h, torch.add(a, noise, alpha=sigma).mT)
        return (h.argmax(2) != self.y).double().mean(1)


def noise_tolerance(perturbation: Perturbation, *, rise: float = 0.1, precision: float = 0.01) -> float:
    """The noise σ at which the mean error is higher by ``rise`` than without noise; 1/σ is the sharpness.

    Found by bisection on a logarithmic scale between 1e-6 and 1e3, to a relative ``precision``. The measure of Jiang et
    al. 2020 (arXiv:1912.02178, appendix C.3), who compare networks at equal rise.

    Raises:
        ValueError: if the rise is not positive, or not reached by noise as large as that.
    """
    if not rise > 0:
        raise ValueError(f"rise must be positive; got {rise}")
    low, high = 1e-6, 1e3
    allowed = float(perturbation.errors(0.0).mean()) + rise
    if float(perturbation.errors(high).mean()) <= allowed:
        raise ValueError(f"even noise of {high:g} does not raise the error by {rise}; ask for a smaller rise")
    while high / low > 1 + precision:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if float(perturbation.errors(middle).mean()) <= allowed else (low, middle)
    return math.sqrt(low * high)
