"""Linear least squares with more, as many, or fewer weights than samples, and its exact risk.

Samples x with y = x·β + ε; a fit w is judged by its risk E (x·w - x·β)², the error in excess of the noise.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "Equivalent",
    "LeastSquares",
    "effective_ranks",
    "isotropic_risk",
    "minimum_norm",
    "ridge",
    "ridgeless_equivalent",
    "split_index",
]


class LeastSquares:
    """Solutions of min |X w - y|², from one singular value decomposition X = U diag(s) Vᵀ.

    Each regularization is a filter on the singular values: w = V diag(filter(s)) Uᵀ y. Singular values below
    max(n, p) times the precision of the largest count as zero, as in ``torch.linalg.pinv``.
    """

    def __init__(self, x: Float[Tensor, "*batch n p"], y: Float[Tensor, "*batch n k"]) -> None:
        """Decompose ``x``; leading dimensions are separate problems.

        Raises:
            ValueError: if ``x`` and ``y`` do not have the same samples, or there is none.
        """
        _check(x, y)
        self.n = x.shape[-2]
        left, values, self._right = torch.linalg.svd(x, full_matrices=False)
        smallest = max(x.shape[-2:]) * torch.finfo(x.dtype).eps * values[..., :1]
        self.values = values.masked_fill(values <= smallest, 0.0)
        self._targets = left.mT @ y

    def minimum_norm(self) -> Float[Tensor, "*batch p k"]:
        """The solution of least norm, X⁺ y: with p >= n it fits every sample, if X has rank n."""
        return self._filtered(torch.where(self.values > 0, 1 / self.values, 0.0))

    def ridge(self, strength: float) -> Float[Tensor, "*batch p k"]:
        """The minimizer of |X w - y|² / n + strength |w|², for a positive strength."""
        _check_strength(strength)
        return self._filtered(self.values / (self.values.square() + self.n * strength))

    def gradient_flow(self, time: float) -> Float[Tensor, "*batch p k"]:
        """w(time) of w' = -∇ |X w - y|² / 2n from w = 0: gradient descent with small steps, stopped early."""
        if not time >= 0:
            raise ValueError(f"time must be at least 0; got {time}")
        decay = -torch.expm1(-self.values.square() * (time / self.n))
        return self._filtered(torch.where(self.values > 0, decay / self.values, 0.0))

    def _filtered(self, inverse: Tensor) -> Tensor:
        return self._right.mT @ (inverse[..., None] * self._targets)


def minimum_norm(x: Float[Tensor, "n p"], y: Float[Tensor, "n k"]) -> Float[Tensor, "p k"]:
    """X⁺ y for a matrix of full rank, by one orthogonal factorization: much faster than ``LeastSquares``.

    Raises:
        ValueError: as ``LeastSquares``.
    """
    _check(x, y)
    solution: Tensor = torch.linalg.lstsq(x, y, driver="gels").solution
    return solution


def ridge(x: Float[Tensor, "n p"], y: Float[Tensor, "n k"], strength: float) -> Float[Tensor, "p k"]:
    """The minimizer of |X w - y|² / n + strength |w|², from the smaller of X Xᵀ and Xᵀ X: fast when large.

    Its relative error is of the order of the precision times |X|² / (n strength).

    Raises:
        ValueError: as ``LeastSquares`` and its ``ridge``.
    """
    _check(x, y)
    _check_strength(strength)
    n, p = x.shape
    gram = x @ x.T if n < p else x.T @ x
    gram.diagonal().add_(n * strength)
    factor = torch.linalg.cholesky(gram)
    return x.T @ torch.cholesky_solve(y, factor) if n < p else torch.cholesky_solve(x.T @ y, factor)


def _check(x: Tensor, y: Tensor) -> None:
    if x.ndim < 2 or x.shape[:-1] != y.shape[:-1] or 0 in x.shape:
        raise ValueError(f"x must be [..., n, p] and y [..., n, k]; got {tuple(x.shape)} and {tuple(y.shape)}")


def _check_strength(strength: float) -> None:
    if not strength > 0:
        raise ValueError(f"strength must be positive (minimum_norm() is its limit at zero); got {strength}")


def isotropic_risk(n: int, p: int, *, signal: float, noise: float, unseen: float = 0.0) -> float:
    """Expected risk of the least-squares fit of least norm, exact at every n and p.

    For x ~ N(0, I), of which the fit sees p coordinates; the others act as additional noise. The average is over
    samples and noise (Belkin, Hsu & Xu 2020; for ``unseen`` = 0 the finite form of Hastie et al. 2022).

    Args:
        n: samples.
        p: weights of the fit.
        signal: |β|² over the p coordinates.
        noise: variance of ε.
        unseen: |β|² over the coordinates that the fit does not see.

    Returns:
        Expected risk, the noise itself not included; infinite for n - 1 <= p <= n + 1 (where nothing is noise, neither
        ``noise`` nor ``unseen``, the risk is finite there too, and this is only an upper bound).

    Raises:
        ValueError: for a negative variance, or no sample or weight.
    """
    if n < 1 or p < 1 or min(signal, noise, unseen) < 0:
        raise ValueError(f"need n, p >= 1 and no negative variance; got {n=}, {p=}, {signal=}, {noise=}, {unseen=}")
    if p <= n - 2:
        return unseen + (noise + unseen) * p / (n - p - 1)
    if p >= n + 2:
        return unseen + signal * (1 - n / p) + (noise + unseen) * n / (p - n - 1)
    return float("inf")


class Equivalent(NamedTuple):
    """What the least-norm interpolant's risk tends to, for given eigenvalues of the covariance."""

    bias: float  # what is missed of the signal
    variance: float  # what is caught of the noise
    kappa: float  # eigenvalues below it are not learned

    @property
    def risk(self) -> float:
        """Bias plus variance."""
        return self.bias + self.variance


def ridgeless_equivalent(
    spectrum: Float[Tensor, " p"], n: int, *, signal: Float[Tensor, " p"], noise: float
) -> Equivalent:
    """Risk of the interpolant of least norm for x with any covariance, in the limit of many dimensions.

    κ solves n = Σ λ/(λ + κ): the interpolant acts as a ridge of that strength would on the population. With
    γ = Σ λ²/(λ + κ)² / n, the bias is κ² Σ λ β² / (λ + κ)² / (1 - γ), and the variance is noise γ / (1 - γ) (Hastie,
    Montanari, Rosset & Tibshirani 2022, written with κ). At finite sizes the error is a few percent.

    Args:
        spectrum: eigenvalues λ of the covariance of x, all positive, p > n.
        n: samples.
        signal: β² along each eigenvector.
        noise: variance of ε.

    Raises:
        ValueError: if an eigenvalue is not positive, or there are not more of them than samples.
    """
    if len(spectrum) <= n or not bool((spectrum > 0).all()) or signal.shape != spectrum.shape:
        raise ValueError(
            f"need more positive eigenvalues than n = {n}, and as many signals; got {len(spectrum)} eigenvalues, the "
            f"smallest {float(spectrum.min()):g}, and {len(signal)} signals"
        )
    spectrum, signal = spectrum.double(), signal.double()
    low, high = 0.0, float(spectrum.sum()) / n  # Σ λ/(λ + κ) falls from p to below n
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if float((spectrum / (spectrum + middle)).sum()) > n else (low, middle)
    kappa = (low + high) / 2
    shrunk = spectrum / (spectrum + kappa)
    gamma = float(shrunk.square().sum()) / n
    bias = float((signal * spectrum * (1 - shrunk).square()).sum()) / (1 - gamma)
    return Equivalent(bias, noise * gamma / (1 - gamma), kappa)


def effective_ranks(spectrum: Float[Tensor, " p"], k: int) -> tuple[float, float]:
    """r_k = Σ λ_i / λ_{k+1} and R_k = (Σ λ_i)² / Σ λ_i², sums over i > k of the falling eigenvalues.

    How many directions the tail has, all of equal size (Bartlett, Long, Lugosi & Tsigler 2020).
    """
    tail = spectrum.sort(descending=True).values[k:].double()
    if k < 0 or len(tail) == 0 or not float(tail[0]) > 0:
        raise ValueError(f"k must leave a positive eigenvalue of {len(spectrum)}; got {k}")
    return float(tail.sum() / tail[0]), float(tail.sum() ** 2 / tail.square().sum())


def split_index(spectrum: Float[Tensor, " p"], n: int) -> int | None:
    """k* = the least k with r_k >= n: what is learned, before a tail so flat that it only absorbs noise; None if none.

    The eigenvalues must be positive; behind one that is zero there is no tail.
    Then the noise costs of the order of noise (k*/n + n/R_k*) (Bartlett et al. 2020, with b = 1).
    """
    ordered = spectrum.sort(descending=True).values.double()
    tails = ordered.flip(0).cumsum(0).flip(0)
    found = (tails >= n * ordered).nonzero()
    return int(found[0]) if len(found) else None
