"""The Jacobian of a network, taken apart by layers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.functional import batch_norm, conv_transpose2d, group_norm, layer_norm, pad

from dlparadox.kernels.parts import LARGE, Buffers, Flat, Last, Outer, Part, gram_block, product, uninitialized
from dlparadox.models import ScaledConv2d, ScaledLinear

__all__ = ["Features"]


@dataclass
class Features:
    """How the Jacobian of a model is taken apart: layers that have a formula, and names of all other parameters."""

    model: nn.Module
    layers: list[nn.Module]
    rest: list[str]
    k: int
    trace: bool
    dtype: torch.dtype
    device: torch.device
    bytes: int  # of one sample's parts, about

    @classmethod
    def of(cls, model: nn.Module, pair: Float[Tensor, "2 ..."], *, trace: bool) -> "Features":
        """Formulas wherever they seem to hold; :meth:`agree` tells whether they do."""
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not trainable:
            raise ValueError("the model has no trainable parameter, so no tangent kernel")
        owners = Counter(id(p) for layer in model.modules() for p in layer._parameters.values())
        layers, outputs = [layer for layer in model.modules() if _has_formula(layer, owners)], []
        for n in (1, 2):  # two sizes, lest a number of positions be taken for that of samples
            record = _Record(layers)
            with record, torch.no_grad():
                outputs.append(model(pair[:n]))
            layers = [layer for layer in layers if len(record.calls[layer]) == 1 and _fits(layer, record, n)]
        k = _checked(*outputs)
        known = {id(p) for layer in layers for p in _own(layer).parameters(recurse=False)}
        rest = [name for name, p in trainable.items() if id(p) not in known]
        numbers = sum(_numbers(layer, record.calls[layer][0], k) for layer in layers)
        numbers += k * sum(trainable[name].numel() for name in rest)
        return cls(model, layers, rest, k, trace, pair.dtype, pair.device, numbers * pair.element_size())

    def without_formulas(self) -> "Features":
        """All parameters by ``torch.func``."""
        trainable = {name: p.numel() for name, p in self.model.named_parameters() if p.requires_grad}
        size = self.k * sum(trainable.values()) * self.dtype.itemsize
        return Features(self.model, [], list(trainable), self.k, self.trace, self.dtype, self.device, size)

    def agree(self, sample: Tensor, parts: list[Part]) -> bool:
        """Whether the squared length of one gradient of the first sample in these parts is what autograd says."""
        if not self.layers:
            return True
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        with torch.enable_grad():
            weights = torch.ones(self.k, dtype=self.dtype, device=self.device)
            if not self.trace:
                weights = torch.linspace(0.5, 1.5, self.k, dtype=self.dtype, device=self.device)
            output = self.model(sample)[0]
            rows = [weights * output] if not self.trace else list(output)
            lengths = [
                sum(
                    g.square().sum()
                    for g in torch.autograd.grad(row.sum(), trainable, retain_graph=True, allow_unused=True)
                    if g is not None
                )
                for row in rows
            ]
        alone = [part.of_first(1 if self.trace else self.k) for part in parts]
        block = gram_block(alone, alone, self.shape(1, 1), Buffers(sample))
        ours = block.sum() if self.trace else weights @ block[:, 0, :, 0] @ weights
        return bool(torch.isclose(ours, torch.as_tensor(sum(lengths), dtype=self.dtype), rtol=1e-3, atol=0.0))

    def shape(self, n: int, m: int) -> tuple[int, ...]:
        """Of a block of the kernel."""
        return (n, m) if self.trace else (self.k, n, self.k, m)

    def parts(self, x: Tensor) -> list[Part]:
        """The parts of the Jacobian for these inputs."""
        found: list[Part] = []
        if self.layers:
            record = _Record(self.layers)
            with record, torch.enable_grad():
                output = self.model(x)
            found_at = [record.calls[layer][0][1] for layer in self.layers]

            def back(seed: Float[Tensor, "n k"]) -> list[Tensor]:
                found = torch.autograd.grad(output, found_at, seed, allow_unused=True)
                return [torch.empty(0) if signal is None else signal for signal in found]

            # One backward pass per output, all at once; samples do not mix, so the sum over them keeps each apart.
            eye = torch.eye(self.k, dtype=output.dtype, device=output.device)
            signals = vmap(back)(eye[:, None, :].expand(self.k, len(x), self.k))
            for layer, signal in zip(self.layers, signals, strict=True):
                if signal.numel() > 0:
                    found += self._of_layer(layer, record.calls[layer][0][0], signal)
        if self.rest:
            found.append(Flat(self._rows(_jacobian(self.model, self.rest, x))))
        return found

    def _of_layer(self, layer: nn.Module, inputs: Tensor, signals: Tensor) -> list[Part]:
        if isinstance(layer, _NORMALIZATIONS):
            return [Flat(self._rows(_normalization(layer, inputs, signals)))]
        weight, bias = _factors(layer)
        patches, signals = _positions(layer, inputs, signals)
        if signals.shape[3] == 1:
            inputs, signals = patches.flatten(1), signals[:, :, :, 0]
            if signals.shape[2] == self.k and self._unit(signals):
                return [Last(inputs, weight, bias, self.k)]
            return [Outer(self._rows(signals), inputs, weight, bias)]
        parts: list[Part] = [Flat(self._sums(patches, signals), weight)] if weight > 0 else []
        return [*parts, Flat(self._rows(signals.sum(3)), bias)] if bias > 0 else parts

    def _sums(self, patches: Float[Tensor, "n *d q"], signals: Float[Tensor, "k n m q"]) -> Tensor:
        """Jacobian in weights that act at q positions: for each sample and output the sum of q outer products."""
        k, n, m, q = signals.shape
        d = patches[0].numel() // q
        if patches.device.type != "cpu" or k * m * q * d < LARGE:
            stacked = signals.transpose(0, 1).reshape(n, k * m, q)
            return self._rows(torch.bmm(stacked, patches.reshape(n, d, q).mT).view(n, k, -1).transpose(0, 1))
        rows = uninitialized((n, k, m * d) if self.trace else (k, n, m * d), signals)
        copied = torch.empty_like(
            patches[0], memory_format=torch.contiguous_format
        )  # one for all: it stays in the cache
        shared = signals[:, 0].flatten(0, 1) if signals.stride(1) == 0 else None
        for index, sample in enumerate(patches):
            left = signals[:, index].flatten(0, 1) if shared is None else shared
            where = rows[index] if self.trace else rows[:, index]
            where.copy_(product(left, copied.copy_(sample).view(d, q)).view(k, -1))
        return rows.flatten(1) if self.trace else rows.flatten(0, 1)

    def _unit(self, signals: Tensor) -> bool:
        eye = torch.eye(self.k, dtype=signals.dtype, device=signals.device)
        return torch.equal(signals, eye[:, None, :].expand_as(signals))

    def _rows(self, values: Float[Tensor, "k n p"]) -> Tensor:
        return values.transpose(0, 1).flatten(1) if self.trace else values.flatten(0, 1)


def _checked(alone: Tensor, together: Tensor) -> int:
    """The number of outputs, if the first of two samples has the same ones alone and beside the other."""
    if alone.ndim != 2 or len(alone) != 1:
        raise ValueError(f"the model must map n samples to outputs [n, k]; one sample gave {tuple(alone.shape)}")
    if not torch.allclose(alone, together[:1], rtol=1e-2, atol=1e-3 * float(together.abs().max())):
        raise ValueError("the outputs for a sample depend on the samples beside it; a kernel of two needs them not to")
    return alone.shape[1]


class _Record:
    """While it lasts, keeps what the layers take in and give out."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.calls: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}

    def __enter__(self) -> None:
        self.handles = [layer.register_forward_hook(self._keep) for layer in self.calls]

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not isinstance(layer, _NORMALIZATIONS):  # cut the graph here, and mend it by the formula
            given, output = inputs[0], output.detach()
            output = _Through.apply(given, output, layer) if given.requires_grad else output.requires_grad_()
        self.calls[layer].append((inputs[0].detach(), output))
        return output.clone()  # an activation that works in place leaves the layer's own output alone


class _Through(torch.autograd.Function):
    """The output of a layer, as it is; backward goes the layer's formula."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, output: Tensor, layer: nn.Module) -> Tensor:
        ctx.layer, ctx.shape = layer, inputs.shape
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> tuple[Tensor, None, None]:
        # Where all that follows is linear, samples share their signals: autograd has only expanded those of one.
        one = signals[0][:1] if signals[0].stride(0) == 0 else signals[0]
        return _transposed(ctx.layer, one, ctx.shape).expand(ctx.shape), None, None


def _transposed(layer: nn.Module, signals: Float[Tensor, "n ..."], shape: torch.Size) -> Float[Tensor, "n ..."]:
    """Signals at a layer's inputs, whose sizes after the first are those of ``shape``."""
    scale, weight = getattr(_own(layer), "scale", 1.0), cast(Tensor, _own(layer).weight).detach()
    if not isinstance(layer, nn.Conv2d | ScaledConv2d):
        return signals @ (scale * weight)
    kernel, stride, padding, dilation = _window(layer)
    pairs = zip(shape[2:], signals.shape[2:], kernel, stride, padding, dilation, strict=True)
    # Values at the end of the input, too few for another position.
    rest = [i - ((o - 1) * s - 2 * p + (k - 1) * d + 1) for i, o, k, s, p, d in pairs]
    weight = scale * weight.view(len(weight), -1, *kernel)
    return conv_transpose2d(signals, weight, None, stride, padding, rest, 1, dilation)


def _numbers(layer: nn.Module, call: tuple[Tensor, Tensor], k: int) -> int:
    """How many numbers one sample's part takes: its inputs and signals or, with several positions, their sum."""
    given, out = (values[0].numel() for values in call)
    if isinstance(layer, _NORMALIZATIONS) or out > len(cast(Tensor, _own(layer).weight)):
        return k * sum(p.numel() for p in _own(layer).parameters(recurse=False))
    return given + k * out


def _positions(layer: nn.Module, inputs: Tensor, signals: Tensor) -> tuple[Tensor, Float[Tensor, "k n m q"]]:
    """What a layer's weights see at each of q positions, a view [n, ..., q or its axes], and the signals there."""
    if not isinstance(layer, nn.Conv2d | ScaledConv2d):
        inputs, signals = (t.unflatten(-1, (1, -1)).flatten(at, -2).mT for t, at in ((inputs, 1), (signals, 2)))
        return inputs, signals
    kernel, stride, padding, dilation = _window(layer)
    images = pad(inputs, (padding[1], padding[1], padding[0], padding[0]))
    shape = (*images.shape[:2], *kernel, *signals.shape[3:])
    n, c, row, column = images.stride()
    steps = (n, c, row * dilation[0], column * dilation[1], row * stride[0], column * stride[1])
    return images.as_strided(shape, steps, images.storage_offset()), signals.flatten(3)


def _window(layer: nn.Conv2d | ScaledConv2d) -> list[tuple[int, ...]]:
    """Kernel size, stride, padding and dilation of a convolution, each for both axes."""
    if isinstance(layer, ScaledConv2d):
        return [(value, value) for value in (layer.shape[2], layer.stride, layer.padding, 1)]
    return [layer.kernel_size, layer.stride, cast(tuple[int, ...], layer.padding), layer.dilation]


def _own(layer: nn.Module) -> nn.Module:
    """The module that holds a layer's parameters."""
    return layer.linear if isinstance(layer, ScaledConv2d) else layer


_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def _normalization(layer: nn.Module, inputs: Tensor, signals: Tensor) -> Float[Tensor, "k n p"]:
    """Jacobian in the scale and shift of a normalization, whose other inputs are the samples' own."""
    if isinstance(layer, nn.GroupNorm):
        plain = group_norm(inputs, layer.num_groups, eps=layer.eps)
    elif isinstance(layer, nn.LayerNorm):
        plain = layer_norm(inputs, layer.normalized_shape, eps=layer.eps)
    else:
        layer = cast(nn.BatchNorm2d, layer)
        plain = batch_norm(inputs, layer.running_mean, layer.running_var, eps=layer.eps)
    first = inputs.ndim - len(layer.normalized_shape) if isinstance(layer, nn.LayerNorm) else 1
    last = inputs.ndim if isinstance(layer, nn.LayerNorm) else 2
    summed = [axis + 1 for axis in range(1, inputs.ndim) if not first <= axis < last]  # axis 0 of signals is k
    pieces = []
    for parameter, values in [(layer.weight, signals * plain), (layer.bias, signals)]:
        if isinstance(parameter, nn.Parameter) and parameter.requires_grad:
            pieces.append((values.sum(summed) if summed else values).flatten(2))
    return torch.cat(pieces, dim=2)


def _has_formula(layer: nn.Module, owners: Counter[int]) -> bool:
    """A plain linear, convolutional or normalizing layer that trains, and whose parameters belong to nobody else."""
    parameters = list(_own(layer).parameters(recurse=False))
    if not any(p.requires_grad for p in parameters) or any(owners[id(p)] > 1 for p in parameters):
        return False
    if type(layer) in _NORMALIZATIONS:
        return True
    if type(layer) is nn.Conv2d:
        plain = layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    else:
        plain = type(layer) in (nn.Linear, ScaledLinear, ScaledConv2d)
    return plain and isinstance(_own(layer)._parameters.get("weight"), nn.Parameter)


def _fits(layer: nn.Module, record: _Record, n: int) -> bool:
    """Whether the inputs are what the formula is for: n vectors or sequences for a linear layer, images for others."""
    shape = record.calls[layer][0][0].shape
    images = isinstance(layer, nn.Conv2d | ScaledConv2d)
    return isinstance(layer, _NORMALIZATIONS) or (shape[0] == n and (len(shape) == 4 if images else len(shape) > 1))


def _factors(layer: nn.Module) -> tuple[float, float]:
    """Squared factors in front of weights and bias; 0 for what is not trained."""
    layer = _own(layer)
    scale, shift = (layer.scale, layer.bias_scale) if isinstance(layer, ScaledLinear) else (1.0, 1.0)
    weight, bias = layer._parameters["weight"], layer._parameters.get("bias")
    return (
        scale**2 if weight is not None and weight.requires_grad else 0.0,
        shift**2 if bias is not None and bias.requires_grad else 0.0,
    )


def _jacobian(model: nn.Module, names: list[str], x: Tensor) -> Float[Tensor, "k n p"]:
    """Jacobian of the outputs in the named parameters, one sample after the other: whatever autograd can do, works."""
    state = {name: value.detach() for name, value in (*model.named_parameters(), *model.named_buffers())}
    chosen = {name: state.pop(name) for name in names}

    def output(chosen: dict[str, Tensor], sample: Tensor) -> Tensor:
        return cast(Tensor, functional_call(model, {**state, **chosen}, (sample[None],)))[0]

    samples = [jacrev(output)(chosen, sample) for sample in x]
    return torch.stack([torch.cat([one[name].flatten(1) for name in names], dim=1) for one in samples], dim=1)
