"""Determinants of the maps of single steps against closed forms."""

import math

import pytest
import torch
from problems import FLOAT64, Network, start
from torch import Tensor

from dlparadox.ode import folds
from dlparadox.seeding import generator


def test_euler_on_a_linear_field() -> None:
    A = torch.randn(3, 3, generator=generator(0, "A"), **FLOAT64)
    found = folds(lambda t, y: y @ A.T, torch.randn(5, 3, generator=generator(0, "y"), **FLOAT64), (0.0, 2.0), steps=4)
    assert found.determinants.shape == found.stretches.shape == (4, 5)
    expected = torch.linalg.det(torch.eye(3, **FLOAT64) + A / 2)
    torch.testing.assert_close(found.determinants, expected.expand(4, 5))
    torch.testing.assert_close(found.stretches, (torch.linalg.matrix_norm(A, 2) / 2).expand(4, 5))


@pytest.mark.parametrize(
    "method, factor", [("euler", lambda z: 1 + z), ("rk4", lambda z: 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24)]
)
def test_decay_folds_from_the_step_on_that_flips_the_sign(method: str, factor) -> None:
    for rate in (0.5, 0.99, 1.01, 3.0):
        found = folds(lambda t, y, rate=rate: -2 * rate * y, torch.ones(4, 1, **FLOAT64), method=method, steps=2)
        torch.testing.assert_close(found.determinants, torch.full((2, 4), float(factor(-rate)), **FLOAT64))
        assert found.share == (1.0 if factor(-rate) <= 0 else 0.0)


def test_jacobian_of_a_network_against_autograd() -> None:
    f, y0 = Network(), start(6, 3).detach()
    found = folds(f, y0, (0.0, 1.0), method="midpoint", steps=1)

    def step(y: Tensor) -> Tensor:
        t = torch.tensor(0.0, **FLOAT64)
        return y + f(t + 0.5, y + f(t, y) / 2)

    for index in range(6):
        jacobian = torch.autograd.functional.jacobian(step, y0[index])
        assert float(found.determinants[0, index]) == pytest.approx(float(torch.linalg.det(jacobian)), rel=1e-12)


def test_short_steps_never_fold() -> None:
    """A stretch below 1 bounds the determinant away from zero; fine steps tend to the flow's exp of the divergence."""

    def f(t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(3 * y.flip(-1)) * 4

    y0 = torch.randn(50, 2, generator=generator(0, "y0"), **FLOAT64)
    coarse, fine = folds(f, y0, steps=1), folds(f, y0, steps=16)
    assert coarse.share > 0.3 and float(coarse.stretches.max()) > 1
    assert float(fine.stretches.max()) < 1 and fine.share == 0
    assert bool((fine.determinants > 0)[fine.stretches < 1].all())


def test_batches_of_networks_and_paths() -> None:
    """Leading dimensions are samples; the second step begins where the first has ended."""
    y0 = torch.randn(2, 5, 1, generator=generator(0, "y0"), **FLOAT64)
    found = folds(lambda t, y: y**2, y0, steps=2)
    end = y0 + y0**2 / 2
    torch.testing.assert_close(found.determinants, torch.stack([1 + y0, 1 + end])[..., 0])
    assert found.folded.shape == (2, 5) and math.isclose(found.share, float(found.folded.double().mean()))


@pytest.mark.parametrize("steps", [0, -1, 1.5])
def test_steps_must_be_a_number_of_steps(steps) -> None:
    with pytest.raises(ValueError, match="steps must be a whole number, at least 1"):
        folds(lambda t, y: y, torch.ones(2, 1), steps=steps)
