"""Networks with an equation in the middle."""

import pytest
import torch
from torch import nn

from dlparadox.models import count_parameters, initialize
from dlparadox.ode.continuous import MIDDLES, Continuous, DenseField, ImageField, Residual, between_ends, middle, solver
from dlparadox.seeding import generator


def network(name: str, **options: float) -> nn.Sequential:
    inner = middle(name, lambda: DenseField(5, 7), **options)  # type: ignore[arg-type]
    return initialize(between_ends((1, 4, 4), 3, 5, inner), generator(0, "weights")).double()


def test_a_field_is_the_formula() -> None:
    field, y = DenseField(5, 7).double(), torch.randn(2, 5, generator=generator(0, "y"), dtype=torch.float64)
    (U, b), (V, c) = field.inner.parameters(), field.outer.parameters()
    torch.testing.assert_close(field(torch.zeros(()), y), torch.tanh(y @ U.T + b) @ V.T + c)
    torch.testing.assert_close(Residual(field)(y), y + field(torch.zeros(()), y))


@pytest.mark.parametrize("name", MIDDLES)
@pytest.mark.parametrize("images", [False, True])
def test_every_network_has_scores_of_the_right_shape(name: str, images: bool) -> None:
    inner = middle(name, (lambda: ImageField(4)) if images else (lambda: DenseField(4, 6)))
    model = between_ends((1, 8, 8), 3, 4, inner, images=images)
    assert model(torch.zeros(2, 64)).shape == (2, 3)


def test_the_equation_has_the_parameters_of_one_block() -> None:
    ends, one, many = (count_parameters(network(name)) for name in ("no block", "one block", "ResNet"))
    assert ends == 16 * 5 + 5 + 5 * 3 + 3
    assert one - ends == 2 * 5 * 7 + 5 + 7 and many - ends == 6 * (one - ends)
    for name in MIDDLES[3:]:
        assert count_parameters(network(name)) == one


def test_three_ways_to_solve_it_agree_and_one_euler_step_is_one_block() -> None:
    x = torch.rand(6, 16, generator=generator(1, "x"), dtype=torch.float64)
    fine = [network(name, tolerance=1e-9, steps=64)(x) for name in MIDDLES[3:]]
    torch.testing.assert_close(fine[0], fine[1], rtol=0, atol=1e-7)
    torch.testing.assert_close(fine[1], fine[2], rtol=0, atol=0)
    euler = network("ODE-Net")
    part = solver(euler)
    assert part is not None
    part.options = {"method": "euler", "steps": 1}
    torch.testing.assert_close(euler(x), network("one block")(x))
    assert (fine[0] - euler(x)).abs().max() > 1e-3


def test_evaluations_are_counted_and_gradients_agree() -> None:
    x = torch.rand(6, 16, generator=generator(1, "x"), dtype=torch.float64)
    found = []
    for name in MIDDLES[3:]:
        model = network(name, tolerance=1e-9, steps=32)
        model(x).square().sum().backward()
        part = solver(model)
        assert isinstance(part, Continuous) and part.solution is not None
        assert (part.solution.backward_evaluations > 0) == (name != "RK-Net")
        found.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=1e-6, atol=1e-6)
    assert solver(network("ResNet")) is None


def test_an_unknown_middle_is_named() -> None:
    with pytest.raises(ValueError, match=r"ODE-Net.*got 'ODE'"):
        middle("ODE", lambda: DenseField(2, 2))
