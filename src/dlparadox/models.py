"""The networks of the book. Each takes a batch of flattened inputs [n, d] and returns scores [n, k].

The two small convolutional networks and the two multilayer perceptrons are those of Zhang et al. 2017
(arXiv:1611.03530, appendix A); their parameter counts come out exactly as published.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = [
    "NETWORKS",
    "build_network",
    "count_parameters",
    "initialize",
    "linear",
    "mlp",
    "small_alexnet",
    "small_inception",
]


def mlp(inputs: int, widths: tuple[int, ...], classes: int) -> nn.Sequential:
    """Fully connected ReLU network: d -> widths -> k, biases everywhere.

    Args:
        inputs: dimension d of an input.
        widths: width m of each hidden layer; none makes a linear classifier.
        classes: number of scores k.
    """
    for name, value in [("inputs", inputs), ("classes", classes), *(("width", width) for width in widths)]:
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear((inputs, *widths)[-1], classes))


def linear(inputs: int, classes: int) -> nn.Sequential:
    """Linear softmax classifier: the network without a hidden layer."""
    return mlp(inputs, (), classes)


class _Images(nn.Unflatten):
    """Flattened inputs as images, laid out channels last, which convolutions prefer on every device."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__(1, image_shape)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        return super().forward(x).contiguous(memory_format=torch.channels_last)


class _Unit(nn.Sequential):
    """Convolution, batch normalization (optional), ReLU; padded so that only the stride changes the size."""

    def __init__(self, before: int, after: int, size: int, stride: int = 1, *, normalized: bool) -> None:
        layers: list[nn.Module] = [nn.Conv2d(before, after, size, stride, padding=size // 2)]
        if normalized:
            layers.append(nn.BatchNorm2d(after))
        super().__init__(*layers, nn.ReLU())


class _Inception(nn.Module):
    """1x1 and 3x3 convolutions side by side, concatenated."""

    def __init__(self, before: int, ones: int, threes: int, *, normalized: bool) -> None:
        super().__init__()
        self.ones = _Unit(before, ones, 1, normalized=normalized)
        self.threes = _Unit(before, threes, 3, normalized=normalized)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n after h w"]:
        return torch.cat([self.ones(x), self.threes(x)], dim=1)


class _Down(nn.Module):
    """A strided 3x3 convolution beside a max-pool, concatenated: half the size."""

    def __init__(self, before: int, channels: int, *, normalized: bool) -> None:
        super().__init__()
        self.convolution = _Unit(before, channels, 3, 2, normalized=normalized)
        self.pool = nn.MaxPool2d(3, 2, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n after h2 w2"]:
        return torch.cat([self.convolution(x), self.pool(x)], dim=1)


def small_inception(image_shape: tuple[int, int, int], classes: int, *, normalized: bool = True) -> nn.Sequential:
    """The small Inception of Zhang et al. 2017: 1,649,402 parameters for 3x28x28 inputs and ten classes.

    Args:
        image_shape: channels, height and width of the images that the flattened inputs are.
        classes: number of scores k.
        normalized: with batch normalization, whose scale and shift the published count leaves out.
    """
    channels = 96
    layers: list[nn.Module] = [
        _Images(image_shape),
        _Unit(image_shape[0], channels, 3, normalized=normalized),
    ]
    plan: list[tuple[int, int] | int] = [
        (32, 32),
        (32, 48),
        80,
        (112, 48),
        (96, 64),
        (80, 80),
        (48, 96),
        96,
        (176, 160),
        (176, 160),
    ]
    for step in plan:
        if isinstance(step, int):
            layers.append(_Down(channels, step, normalized=normalized))
            channels += step
        else:
            layers.append(_Inception(channels, step[0], step[1], normalized=normalized))
            channels = step[0] + step[1]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def small_alexnet(image_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The small AlexNet of Zhang et al. 2017: 1,387,786 parameters for 3x28x28 inputs and ten classes.

    Two blocks of 5x5 convolution, 3x3 max-pool of stride 2 (padded: 28 -> 14 -> 7) and local response normalization,
    then 384 and 192 hidden units.
    """
    layers: list[nn.Module] = [_Images(image_shape)]
    channels, height, width = image_shape
    for before in (channels, 64):
        layers += [
            nn.Conv2d(before, 64, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
            nn.LocalResponseNorm(5),
        ]
        height, width = (height + 1) // 2, (width + 1) // 2
    return nn.Sequential(*layers, nn.Flatten(), *mlp(64 * height * width, (384, 192), classes))


#: Names of the networks that a chapter can ask for.
NETWORKS = ("linear", "mlp-1", "mlp-3", "alexnet", "inception", "inception-without-bn")


def build_network(name: str, image_shape: tuple[int, int, int], classes: int, *, width: int = 512) -> nn.Sequential:
    """One of the book's networks by name; ``width`` is that of the hidden layers of ``mlp-1`` and ``mlp-3``.

    Raises:
        ValueError: for an unknown name or a width below 1.
    """
    inputs = image_shape[0] * image_shape[1] * image_shape[2]
    match name:
        case "linear":
            return linear(inputs, classes)
        case "mlp-1":
            return mlp(inputs, (width,), classes)
        case "mlp-3":
            return mlp(inputs, (width,) * 3, classes)
        case "alexnet":
            return small_alexnet(image_shape, classes)
        case "inception":
            return small_inception(image_shape, classes)
        case "inception-without-bn":
            return small_inception(image_shape, classes, normalized=False)
    raise ValueError(f"network must be one of {', '.join(NETWORKS)}; got {name!r}")


@torch.no_grad()
def initialize(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw weights and biases of linear and convolutional layers from U(-1/sqrt(fan in), 1/sqrt(fan in)), in place.

    The same distribution as PyTorch's own default, but from a named stream; the values are drawn on the CPU, so that
    a network starts alike on every device.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            for parameter in layer.parameters(recurse=False):
                draw = torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
                parameter.copy_((2 * draw - 1) * bound)
    return model


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters p, without the scale and shift of batch normalization (the paper's convention)."""
    normalization = sum(
        parameter.numel()
        for layer in model.modules()
        if isinstance(layer, nn.BatchNorm2d)
        for parameter in layer.parameters(recurse=False)
    )
    return sum(parameter.numel() for parameter in model.parameters()) - normalization
