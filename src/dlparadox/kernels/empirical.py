"""The neural tangent kernel of a network at hand, block by block."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from dlparadox.kernels.layers import Features
from dlparadox.kernels.parts import Buffers, Part, gram_block, keep_freed_memory, turned, uninitialized

__all__ = ["empirical_ntk"]


def empirical_ntk(
    model: nn.Module,
    x1: Float[Tensor, "n1 ..."],
    x2: Float[Tensor, "n2 ..."] | None = None,
    *,
    outputs: Literal["all", "trace"] = "all",
    memory: int = 2**28,
) -> Tensor:
    """Θ(x, z) = J(x) J(z)ᵀ, with J the Jacobian of the outputs [k] in all trainable parameters (Jacot et al. 2018).

    The Jacobian is formed only where nothing better is known. A linear layer z = s W h + c b has as its part of J the
    outer product of the signal δ_i = ∂f_i/∂z and the input h; its part of the kernel is therefore a product of Gram
    matrices, (δ_i(x)·δ_j(x')) (s² h(x)·h(x') + c²). A convolution, or a linear layer on a sequence, has a sum of such
    outer products over positions, gathered by one matrix product; a normalization, products of signal and normalized
    input. Parameters of all other layers, and of layers that are used more than once, enter by ``torch.func``. One
    gradient is compared with autograd; where it differs, because parameters act outside their layer, all of them do.

    Args:
        model: maps inputs [n, ...] to outputs [n, k], each sample by itself.
        x1: inputs.
        x2: other inputs; None for ``x1`` once more: then only half of the symmetric kernel is computed.
        outputs: ``"all"`` pairs of outputs, or the ``"trace"`` divided by k.
        memory: bytes to use besides the result, about; less makes smaller blocks and recomputes more.

    Returns:
        [n1, n2, k, k], whose entry (a, b, i, j) belongs to output i of sample a and output j of sample b; in memory the
        order is i, a, j, b. For the trace [n1, n2]. Relative error about 1e-6 in float32, 1e-15 in float64.

    Raises:
        ValueError: if samples influence each other or dropout is on, or if the inputs do not fit together.
    """
    if outputs not in ("all", "trace"):
        raise ValueError(f"outputs must be 'all' or 'trace'; got {outputs!r}")
    _check(model, x1, x2)
    keep_freed_memory()
    pair = torch.cat([x1[:1], x1[-1:] if x2 is None else x2[-1:]])
    found = Features.of(model, pair, trace=outputs == "trace")
    k = found.k
    for features in (found, found.without_formulas()):
        rows = _rows(features, x1.element_size(), memory)
        keep = features.bytes * (len(x1) + (0 if x2 is None else len(x2))) <= memory // 2
        first = _Blocks(features, x1, rows, keep)
        if features.agree(x1[:1], first[0]):
            break
    second = first if x2 is None else _Blocks(features, x2, rows, keep)
    m = len(second.x)
    shape = (k, len(x1), k, m) if outputs == "all" else (len(x1), m)
    kernel, buffers = uninitialized(shape, x1), Buffers(x1)
    for i, a in enumerate(first.slices):
        parts = first[i]
        for j, b in enumerate(second.slices[: i + 1] if x2 is None else second.slices):
            others = parts if x2 is None and j == i else second[j]
            block = gram_block(parts, others, features.shape(a.stop - a.start, b.stop - b.start), buffers)
            if x2 is None:
                other_side = turned(block, buffers)
                if j == i:  # a product with its own transpose is symmetric up to rounding; the kernel is exactly so
                    block.add_(other_side).mul_(0.5)
                elif outputs == "all":
                    kernel[:, b, :, a] = other_side
                else:
                    kernel[b, a] = other_side
            if outputs == "all":
                kernel[:, a, :, b] = block
            else:
                kernel[a, b] = block
    return kernel.permute(1, 3, 0, 2) if outputs == "all" else kernel.div_(k)


def _check(model: nn.Module, x1: Tensor, x2: Tensor | None) -> None:
    """Complains of inputs that do not fit together, and of layers that are in training mode."""
    for x in (x1, x1 if x2 is None else x2):
        if len(x) == 0 or x.shape[1:] != x1.shape[1:] or x.dtype != x1.dtype:
            raise ValueError(
                "x1 and x2 must hold samples of one shape and dtype, at least one each; got "
                f"{tuple(x1.shape)} {x1.dtype} and {tuple(x.shape)} {x.dtype}"
            )
    for name, layer in model.named_modules():
        mixes = isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)
        if mixes or (isinstance(layer, _DropoutNd) and layer.training and layer.p > 0):
            raise ValueError(f"layer {name!r} ({type(layer).__name__}) is in training mode; call model.eval() first")


def _rows(features: Features, itemsize: int, memory: int) -> int:
    """Samples in a block: few enough for the memory and the cache, many enough for fast matrix products."""
    k = 1 if features.trace else features.k
    wanted = max(1, (512 if features.trace else 640) // k)
    # Two blocks, and the graph that one of them comes from; in the memory, and each by itself in the cache.
    held = min(memory // 8, 2**25) // max(features.bytes, 1)
    squared = math.isqrt(memory // (16 * itemsize)) // k  # a block of the kernel, and what it is made of
    return max(1, min(wanted, held, squared))


class _Blocks:
    """The inputs in blocks, with the parts of their Jacobians: kept, or made anew each time."""

    def __init__(self, features: Features, x: Tensor, rows: int, keep: bool) -> None:
        self.features, self.x, self.keep = features, x, keep
        rows = math.ceil(len(x) / math.ceil(len(x) / rows))  # blocks of about one size
        self.slices = [slice(start, min(start + rows, len(x))) for start in range(0, len(x), rows)]
        self.kept: dict[int, list[Part]] = {}

    def __getitem__(self, index: int) -> list[Part]:
        parts = self.kept.get(index) or self.features.parts(self.x[self.slices[index]])
        if self.keep:
            self.kept[index] = parts
        return parts
