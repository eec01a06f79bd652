"""Networks with an equation in the middle: a first layer, residual blocks or the solution of y' = f(y), a readout."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dlparadox.ode.solve import Solution, odeint

__all__ = ["MIDDLES", "Continuous", "DenseField", "ImageField", "Residual", "between_ends", "middle", "solver"]

#: What can stand between the first layer and the readout, see :func:`middle`.
MIDDLES = ("no block", "one block", "ResNet", "RK-Net", "ODE-Net", "ODE-Net, exact gradient")


class DenseField(nn.Module):
    """f(t, y) = V tanh(U y + b) + c for states y [n, d], with m units; it does not use t."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, t: Tensor, y: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The slope at y."""
        slope: Tensor = self.outer(torch.tanh(self.inner(y)))
        return slope


class ImageField(nn.Module):
    """The same with convolutions of side 3 for images y [n, channels, height, width]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner, self.outer = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, t: Tensor, y: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """The slope at y."""
        slope: Tensor = self.outer(torch.tanh(self.inner(y)))
        return slope


class Residual(nn.Module):
    """The block y + f(y)."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """One Euler step of size 1."""
        end: Tensor = y + self.field(y.new_zeros(()), y)
        return end


class Continuous(nn.Module):
    """The solution of y' = f(t, y) at t = 1, from y at t = 0.

    Attributes:
        options: of ``odeint``; may be changed at any time, such as the tolerance after training.
        solution: what the last call found, with its numbers of evaluations; None before the first.
    """

    def __init__(self, field: nn.Module, **options: Any) -> None:
        super().__init__()
        self.field, self.options = field, options
        self.solution: Solution | None = None

    def forward(self, y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The state at t = 1."""
        self.solution = odeint(self.field, y, (0.0, 1.0), **self.options)
        return self.solution.y[-1]


def middle(
    name: str, field: Callable[[], nn.Module], *, blocks: int = 6, steps: int = 4, tolerance: float = 1e-5
) -> list[nn.Module]:
    """What stands between the ends of a network, as in Table 1 of Chen et al. 2018 (arXiv:1806.07366).

    Args:
        name: one of ``MIDDLES``. ``"ResNet"`` has ``blocks`` residual blocks with weights of their own, ``"one block"``
            one, ``"no block"`` none. The others solve an equation with the weights of one block: ``"RK-Net"`` by
            ``steps`` steps of the classical Runge-Kutta method, with the gradient through its operations; ``"ODE-Net"``
            by ``dopri5``, with the gradient by the continuous adjoint, or by the exact one.
        field: makes one right-hand side, such as ``DenseField(8, 64)``.
        blocks: number of blocks.
        steps: number of steps.
        tolerance: of ``dopri5``, relative and absolute.

    Raises:
        ValueError: for an unknown name.
    """
    adaptive = {"method": "dopri5", "rtol": tolerance, "atol": tolerance}
    match name:
        case "no block":
            return []
        case "one block":
            return [Residual(field())]
        case "ResNet":
            return [Residual(field()) for _ in range(blocks)]
        case "RK-Net":
            return [Continuous(field(), method="rk4", steps=steps)]
        case "ODE-Net":
            return [Continuous(field(), gradient="backsolve", **adaptive)]
        case "ODE-Net, exact gradient":
            return [Continuous(field(), gradient="discrete", **adaptive)]
    raise ValueError(f"the middle must be one of {', '.join(MIDDLES)}; got {name!r}")


def between_ends(
    image_shape: tuple[int, int, int], classes: int, width: int, inner: Sequence[nn.Module], *, images: bool = False
) -> nn.Sequential:
    """A network from flattened images [n, pixels] to scores [n, classes], with ``inner`` in the middle.

    Args:
        image_shape: channels, height and width of the images.
        classes: number of classes k.
        width: dimensions d of the states in the middle, or their channels.
        inner: maps states to states of the same shape.
        images: states are images, a quarter as high and wide (rounded down), made by two convolutions of side 4 and
            stride 2 with tanh between them; else they are vectors, made by a linear layer. The readout is linear.
    """
    pixels = image_shape[0] * image_shape[1] * image_shape[2]
    if not images:
        return nn.Sequential(nn.Linear(pixels, width), *inner, nn.Linear(width, classes))
    first = [nn.Conv2d(image_shape[0], width, 4, 2, 1), nn.Tanh(), nn.Conv2d(width, width, 4, 2, 1)]
    last = [nn.Flatten(), nn.Linear(width * (image_shape[1] // 4) * (image_shape[2] // 4), classes)]
    return nn.Sequential(nn.Unflatten(1, image_shape), *first, *inner, *last)


def solver(network: nn.Module) -> Continuous | None:
    """The part of a network that solves an equation; None if there is none."""
    return next((part for part in network.modules() if isinstance(part, Continuous)), None)
