"""Parts of a network's Jacobian, and the blocks of the tangent kernel that they add up to."""

import ctypes
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "LARGE",
    "Buffers",
    "Flat",
    "Last",
    "Outer",
    "Part",
    "gram_block",
    "keep_freed_memory",
    "product",
    "turned",
    "uninitialized",
]


#: Multiplications in a matrix product, from which on its speed counts more than the calls around it.
LARGE = 2**22


def uninitialized(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Memory for the result; NumPy asks Linux for huge pages, whose first touch costs a tenth."""
    if like.device.type == "cpu":
        return torch.from_numpy(np.empty(shape, dtype=str(like.dtype).removeprefix("torch.")))
    return torch.empty(shape, dtype=like.dtype, device=like.device)


@cache
def keep_freed_memory() -> None:
    """Makes glibc's malloc keep blocks of up to 32 MB when they are freed, and up to 256 MB of them, for the next call.

    By itself it fetches large blocks from the system and gives them back at once; to fetch a page anew and clear it
    costs more than to write a result into it. Other systems' malloc is left as it is. Source: mallopt(3).
    """
    trim_threshold, mmap_threshold = -1, -3
    with suppress(AttributeError, OSError):
        malloc = ctypes.CDLL(None)
        malloc.mallopt(trim_threshold, 2**28)
        malloc.mallopt(mmap_threshold, 2**25)


class Buffers:
    """Memory for intermediate results, taken once: fresh memory would cost as much as the matrix product into it."""

    def __init__(self, like: Tensor) -> None:
        self.like, self.held = like, dict[str, Tensor]()

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        size = math.prod(shape)
        if name not in self.held or self.held[name].numel() < size:
            self.held[name] = uninitialized((size,), self.like)
        return self.held[name][:size].view(shape)


@cache
def _onednn() -> Callable[..., Tensor] | None:
    """oneDNN's a bᵀ, where it can be had and is right: PyTorch asks MKL, which leaves AVX-512 unused on AMD's chips."""
    try:
        multiply = cast(Callable[..., Tensor], torch.ops.mkldnn._linear_pointwise)
        a, b = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3)
        right = torch.equal(multiply(a, b, None, "none", [], ""), a @ b.T)
    except (AttributeError, RuntimeError):
        return None
    return multiply if right and torch.backends.cpu.get_cpu_capability() == "AVX512" else None


def product(a: Float[Tensor, "r d"], b: Float[Tensor, "c d"], out: Tensor | None = None) -> Float[Tensor, "r c"]:
    """a bᵀ, if large by the faster of two libraries; ``out`` is memory that it may use."""
    if a.device.type == "cpu" and a.dtype == torch.float32 and a.numel() * len(b) >= LARGE and (multiply := _onednn()):
        return multiply(a, b, None, "none", [], "")
    return torch.mm(a, b.T, out=out)


@dataclass
class Outer:
    """A linear layer: signals [k n, m] (for the trace [n, k m]), inputs [n, d], squared factors of weight and bias."""

    signals: Tensor
    inputs: Tensor
    weight: float
    bias: float

    def of_first(self, k: int) -> "Outer":
        """The first sample's, of ``k`` outputs (1 for the trace)."""
        return Outer(_first(self.signals, k), self.inputs[:1], self.weight, self.bias)

    def add_to(self, block: Tensor, other: "Outer", buffers: Buffers) -> None:
        gram = _inputs_gram(self, other)
        out = buffers.take("signals", (len(self.signals), len(other.signals)))
        signals = product(self.signals, other.signals, out)
        if block.ndim == 2:
            block.addcmul_(signals, gram)
        else:
            block.addcmul_(signals.view(block.shape), gram[None, :, None])


@dataclass
class Last:
    """The linear layer that ends in the outputs: its signals are the unit vectors of k dimensions."""

    inputs: Tensor
    weight: float
    bias: float
    k: int

    def of_first(self, k: int) -> "Last":
        """The first sample's."""
        return Last(self.inputs[:1], self.weight, self.bias, self.k)

    def add_to(self, block: Tensor, other: "Last", buffers: Buffers) -> None:
        gram = _inputs_gram(self, other)
        if block.ndim == 2:
            block.add_(gram, alpha=self.k)
        else:
            block.diagonal(dim1=0, dim2=2).add_(gram[:, :, None])


@dataclass
class Flat:
    """Parameters whose Jacobian is at hand, but for a factor: [k n, p] (for the trace [n, k p]), squared factor."""

    jacobian: Tensor
    factor: float = 1.0

    def of_first(self, k: int) -> "Flat":
        """The first sample's, of ``k`` outputs (1 for the trace)."""
        return Flat(_first(self.jacobian, k), self.factor)

    def add_to(self, block: Tensor, other: "Flat", buffers: Buffers) -> None:
        out = buffers.take("signals", (len(self.jacobian), len(other.jacobian)))
        block.view(out.shape).add_(product(self.jacobian, other.jacobian, out), alpha=self.factor)


def _inputs_gram(one: Outer | Last, other: Outer | Last) -> Float[Tensor, "n m"]:
    """s² h(x)·h(x') + c², the inputs' side of a linear layer's kernel."""
    return product(one.inputs, other.inputs).mul_(one.weight).add_(one.bias)


def _first(rows: Float[Tensor, "kn p"], k: int) -> Float[Tensor, "k p"]:
    return rows[:: len(rows) // k]


Part = Outer | Last | Flat


@torch.no_grad()
def gram_block(parts: list[Part], others: list[Part], shape: tuple[int, ...], buffers: Buffers) -> Tensor:
    """A block of the kernel, [k, n, k, m], or [n, m] for the sum over outputs; valid until the next is asked for."""
    block = buffers.take("block", shape).zero_()
    for part, other in zip(parts, others, strict=True):
        part.add_to(block, cast(Any, other), buffers)  # the same kinds in the same order
    return block


def turned(block: Tensor, buffers: Buffers) -> Tensor:
    """The block on the other side of the diagonal."""
    half = block.ndim // 2
    rows = math.prod(block.shape[:half])
    other_side = buffers.take("turned", (*block.shape[half:], *block.shape[:half]))
    other_side.view(-1, rows).copy_(block.view(rows, -1).T)
    return other_side
