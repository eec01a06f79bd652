"""The Jacobian of a network, taken apart by layers, and the blocks of the tangent kernel that the parts add up to."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn.functional import batch_norm, group_norm, layer_norm, unfold

from dlparadox.models import ScaledLinear

__all__ = ["Buffers", "Features", "Part", "gram_block", "turned", "uninitialized"]


def uninitialized(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Memory for the result; NumPy asks Linux for huge pages, whose first touch costs a tenth."""
    if like.device.type == "cpu":
        return torch.from_numpy(np.empty(shape, dtype=str(like.dtype).removeprefix("torch.")))
    return torch.empty(shape, dtype=like.dtype, device=like.device)


class Buffers:
    """Memory for intermediate results, taken once: fresh memory would cost as much as the matrix product into it."""

    def __init__(self, like: Tensor) -> None:
        self.like, self.held = like, dict[str, Tensor]()

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        size = math.prod(shape)
        if name not in self.held or self.held[name].numel() < size:
            self.held[name] = uninitialized((size,), self.like)
        return self.held[name][:size].view(shape)


@dataclass
class _Outer:
    """A linear layer: signals [k n, m] (for the trace [n, k m]), inputs [n, d], squared factors of weight and bias."""

    signals: Tensor
    inputs: Tensor
    weight: float
    bias: float

    def add_to(self, block: Tensor, other: "_Outer", buffers: Buffers) -> None:
        gram = torch.mm(self.inputs, other.inputs.T).mul_(self.weight).add_(self.bias)
        signals = buffers.take("signals", (len(self.signals), len(other.signals)))
        torch.mm(self.signals, other.signals.T, out=signals)
        if block.ndim == 2:
            block.addcmul_(signals, gram)
        else:
            block.addcmul_(signals.view(block.shape), gram[None, :, None])


@dataclass
class _Last:
    """The linear layer that ends in the outputs: its signals are the unit vectors of k dimensions."""

    inputs: Tensor
    weight: float
    bias: float
    k: int

    def add_to(self, block: Tensor, other: "_Last", buffers: Buffers) -> None:
        gram = torch.mm(self.inputs, other.inputs.T).mul_(self.weight).add_(self.bias)
        if block.ndim == 2:
            block.add_(gram, alpha=self.k)
        else:
            block.diagonal(dim1=0, dim2=2).add_(gram[:, :, None])


@dataclass
class _Flat:
    """Parameters whose Jacobian is at hand: [k n, p] (for the trace [n, k p])."""

    jacobian: Tensor

    def add_to(self, block: Tensor, other: "_Flat", buffers: Buffers) -> None:
        block.view(len(self.jacobian), len(other.jacobian)).addmm_(self.jacobian, other.jacobian.T)


Part = _Outer | _Last | _Flat


@torch.no_grad()
def gram_block(parts: list[Part], others: list[Part], features: "Features", n: int, m: int, buffers: Buffers) -> Tensor:
    """A block of the kernel; it stays valid until the next one is asked for."""
    block = buffers.take("block", (n, m) if features.trace else (features.k, n, features.k, m)).zero_()
    for part, other in zip(parts, others, strict=True):
        part.add_to(block, cast(Any, other), buffers)  # the same kinds in the same order
    return block.div_(features.k) if features.trace else block


def turned(block: Tensor, buffers: Buffers) -> Tensor:
    """The block on the other side of the diagonal."""
    half = block.ndim // 2
    rows = math.prod(block.shape[:half])
    other_side = buffers.take("turned", (*block.shape[half:], *block.shape[:half]))
    other_side.view(-1, rows).copy_(block.view(rows, -1).T)
    return other_side


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
    bytes: int = field(default=0)

    @classmethod
    def of(cls, model: nn.Module, sample: Tensor, k: int, *, trace: bool) -> "Features":
        """The best way for this model; ``bytes`` is what one sample takes."""
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not trainable:
            raise ValueError("the model has no trainable parameter, so no tangent kernel")
        owners = Counter(id(p) for layer in model.modules() for p in layer._parameters.values())
        layers = [layer for layer in model.modules() if _has_formula(layer, owners)]
        record = _Record(layers)
        with record, torch.no_grad():
            model(sample)
        layers = [layer for layer in layers if len(record.calls[layer]) == 1 and _flat_inputs(layer, record)]
        for formulas in (layers, []):
            known = {id(p) for layer in formulas for p in layer.parameters(recurse=False)}
            rest = [name for name, p in trainable.items() if id(p) not in known]
            features = cls(model, formulas, rest, k, trace, sample.dtype, sample.device)
            parts = features.parts(sample)
            if features._agrees(sample, parts, list(trainable.values())):
                break
        tensors = [value for part in parts for value in vars(part).values() if isinstance(value, Tensor)]
        features.bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return features

    def _agrees(self, sample: Tensor, parts: list[Part], trainable: list[nn.Parameter]) -> bool:
        """Whether the squared length of one gradient is what autograd says."""
        if not self.layers:
            return True
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
        block = gram_block(parts, parts, self, 1, 1, Buffers(sample))
        ours = block.sum() * self.k if self.trace else weights @ block[:, 0, :, 0] @ weights
        return bool(torch.isclose(ours, torch.as_tensor(sum(lengths), dtype=self.dtype), rtol=1e-3, atol=0.0))

    def parts(self, x: Tensor) -> list[Part]:
        """The parts of the Jacobian for these inputs."""
        found: list[Part] = []
        if self.layers:
            record = _Record(self.layers)
            with record, torch.enable_grad():
                output = self.model(x)
            # One backward pass per output, all at once; samples do not mix, so the sum over them keeps each apart.
            eye = torch.eye(self.k, dtype=output.dtype, device=output.device)
            found_at = [record.calls[layer][0][1] for layer in self.layers]
            signals = torch.autograd.grad(
                output,
                found_at,
                eye[:, None, :].expand(self.k, len(x), self.k),
                is_grads_batched=True,
                allow_unused=True,
            )
            for layer, signal in zip(self.layers, signals, strict=True):
                if signal is not None:
                    found.append(self._part(layer, record.calls[layer][0][0], signal))
        if self.rest:
            found.append(_Flat(self._rows(_jacobian(self.model, self.rest, x))))
        return found

    def _part(self, layer: nn.Module, inputs: Tensor, signals: Tensor) -> Part:
        if isinstance(layer, _NORMALIZATIONS):
            return _Flat(self._rows(_normalization(layer, inputs, signals)))
        weight, bias = _factors(layer)
        if isinstance(layer, nn.Conv2d):
            inputs = unfold(inputs, layer.kernel_size, layer.dilation, cast(Any, layer.padding), layer.stride)
            if inputs.shape[2] > 1:
                return _Flat(self._rows(_convolution(inputs, signals.flatten(3), weight > 0, bias > 0)))
            inputs, signals = inputs[:, :, 0], signals.flatten(2)
        if signals.shape[2] == self.k and self._unit(signals):
            return _Last(inputs, weight, bias, self.k)
        return _Outer(self._rows(signals), inputs, weight, bias)

    def _unit(self, signals: Tensor) -> bool:
        eye = torch.eye(self.k, dtype=signals.dtype, device=signals.device)
        return torch.equal(signals, eye[:, None, :].expand_as(signals))

    def _rows(self, values: Float[Tensor, "k n p"]) -> Tensor:
        return values.transpose(0, 1).flatten(1) if self.trace else values.flatten(0, 1)


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
        self.calls[layer].append((inputs[0].detach(), output))
        return output.clone()  # an activation that works in place leaves the layer's own output alone


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


def _convolution(
    patches: Float[Tensor, "n q positions"], signals: Float[Tensor, "k n c positions"], weight: bool, bias: bool
) -> Float[Tensor, "k n p"]:
    """Jacobian in the weights and biases of a convolution; each sample's outputs share one matrix product."""
    k, n, c, _ = signals.shape
    pieces = []
    if weight:
        stacked = signals.transpose(0, 1).reshape(n, k * c, -1)
        pieces.append(torch.bmm(stacked, patches.transpose(1, 2)).view(n, k, -1).transpose(0, 1))
    if bias:
        pieces.append(signals.sum(3))
    return torch.cat(pieces, dim=2)


def _has_formula(layer: nn.Module, owners: Counter[int]) -> bool:
    """A plain linear, convolutional or normalizing layer that trains, and whose parameters belong to nobody else."""
    if not any(p.requires_grad for p in layer.parameters(recurse=False)):
        return False
    if type(layer) in _NORMALIZATIONS:
        return all(owners[id(p)] == 1 for p in layer.parameters(recurse=False))
    if type(layer) is nn.Conv2d:
        plain = layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    else:
        plain = type(layer) in (nn.Linear, ScaledLinear)
    alone = all(owners[id(p)] == 1 for p in layer.parameters(recurse=False))
    return plain and alone and isinstance(layer._parameters.get("weight"), nn.Parameter)


def _flat_inputs(layer: nn.Module, record: _Record) -> bool:
    """Whether the inputs are what the formula is for: vectors for a linear layer, images for a convolution."""
    if isinstance(layer, _NORMALIZATIONS):
        return True
    return record.calls[layer][0][0].ndim == (4 if isinstance(layer, nn.Conv2d) else 2)


def _factors(layer: nn.Module) -> tuple[float, float]:
    """Squared factors in front of weights and bias; 0 for what is not trained."""
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
