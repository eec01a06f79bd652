"""The convergence test tells an equation from a network that is its steps."""

import math

import pytest
import torch
from problems import FLOAT64, Network, start
from torch import Tensor

from dlparadox.ode import convergence
from dlparadox.seeding import generator


@pytest.mark.parametrize("method, order", [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_an_equation_shows_the_order_of_the_method(method: str, order: int) -> None:
    found = convergence(Network(), start(6, 3), (0.0, 1.0), method=method, steps=(16, 32, 64))
    assert found.states.shape == (3, 6, 3) and found.reference.shape == (6, 3)
    assert not found.states.requires_grad
    assert found.orders[-1] == pytest.approx(order, abs=0.15)
    assert found.errors[0] > found.errors[1] > found.errors[2] > 0


def test_closed_form() -> None:
    y0 = torch.ones(5, **FLOAT64)
    found = convergence(lambda t, y: -y, y0, steps=(10, 20))
    exact = math.exp(-1)
    assert found.errors == pytest.approx([1 - 0.9**10 / exact, 1 - 0.95**20 / exact], rel=1e-9)
    assert float(found.reference[0]) == pytest.approx(exact, rel=1e-10)


def test_a_network_that_is_its_steps_does_not_converge_where_it_was_used() -> None:
    """With two steps of Euler, f = -4 y takes y to itself; the equation takes it to almost nothing."""

    def f(t: Tensor, y: Tensor) -> Tensor:
        return -4 * y

    found = convergence(f, torch.ones(3, **FLOAT64), steps=(2, 4, 8, 16))
    assert float(found.states[0, 0]) == 1.0
    assert found.errors[0] > 50
    assert abs(found.orders[-1] - 1) > 0.15  # not yet where the order shows


def test_float32_has_a_reference_too() -> None:
    found = convergence(Network(dtype=torch.float32), start(6, 3, dtype=torch.float32), steps=(64, 128))
    assert found.orders[0] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("steps", [(), (4, 4), (8, 4), (0, 2), (1.5, 3)])
def test_steps_must_increase(steps: tuple) -> None:
    with pytest.raises(ValueError, match="steps must be whole numbers that increase"):
        convergence(lambda t, y: -y, torch.ones(2), steps=steps)


def turn(t: Tensor, y: Tensor) -> Tensor:
    """A rotation by one radian per unit of time."""
    return torch.stack([-y[:, 1], y[:, 0]], 1)


def readout(y: Tensor) -> Tensor:
    return torch.stack([y[:, 0], torch.zeros_like(y[:, 0])], 1)


def test_predictions_and_the_verdict() -> None:
    """After a quarter turn the first coordinate is minus the second one of the start, if the steps are fine."""
    y0 = torch.randn(400, 2, generator=generator(0, "plane"), **FLOAT64)
    labels = (y0[:, 1] > 0).long()
    span = (0.0, math.pi / 2)
    found = convergence(turn, y0, span, steps=(1, 2, 4, 64, 128), readout=readout, labels=labels)
    assert found.reference_accuracy == 1.0 and found.accuracies[-1] > 0.98
    # One Euler step is y + π/2 turn(y): its first coordinate has the sign of y_1 - π/2 y_2.
    wrong = ((y0[:, 0] - math.pi / 2 * y0[:, 1] > 0) != (-y0[:, 1] > 0)).double().mean()
    assert found.changed[0] == pytest.approx(float(wrong)) and found.accuracies[0] == pytest.approx(1 - float(wrong))
    assert found.changed[0] > 0.15 and found.changed[-1] < 0.01
    assert 0.01 < found.changed[2] < 0.02 and found.enough(most=0.02) == 4 and found.enough() == 64
    assert found.behaves_like_equation(64) and not found.behaves_like_equation(4)
    assert "with euler the model behaves" in str(found).lower() and "accuracy" in str(found)


def test_without_a_readout_the_error_decides() -> None:
    found = convergence(lambda t, y: -y, torch.ones(5, **FLOAT64), steps=(4, 16, 64, 256))
    assert found.changed is None and found.accuracies is None
    assert found.enough(most=0.01) == 64 and found.enough(most=0.04) == 16
    assert found.enough(most=1e-9) is None
    assert "changed" not in str(found)


def test_agreement_without_order_is_not_enough() -> None:
    """One Euler step of y' = -8 y gives -7, two give 9: a readout that says the same of both does not help."""
    found = convergence(lambda t, y: -8 * y, torch.ones(9, 1, **FLOAT64), steps=(1, 2), readout=lambda y: 0 * y + 1)
    assert found.changed == (0.0, 0.0)
    assert found.orders[0] == pytest.approx(math.log((7 + math.exp(-8)) / (9 - math.exp(-8))) / math.log(2), abs=1e-6)
    assert found.enough() is None and found.enough(slack=2) == 1


def test_errors_at_the_tolerance_need_no_order() -> None:
    found = convergence(lambda t, y: 0 * y + 1, torch.zeros(3, **FLOAT64), steps=(1, 2, 4))
    assert max(found.errors) < 1e-11 and found.enough() == 1


def test_verdict_needs_a_finer_number_of_steps() -> None:
    found = convergence(lambda t, y: -y, torch.ones(5, **FLOAT64), steps=(64, 128))
    with pytest.raises(ValueError, match="of which finer ones were taken; got 128"):
        found.behaves_like_equation(128)


def test_labels_must_fit() -> None:
    y0 = torch.ones(3, 2, **FLOAT64)
    with pytest.raises(ValueError, match="labels need a readout"):
        convergence(turn, y0, labels=torch.zeros(3).long())
    with pytest.raises(ValueError, match=r"a class for each sample, \(3,\); got \(2,\)"):
        convergence(turn, y0, readout=readout, labels=torch.zeros(2).long())
