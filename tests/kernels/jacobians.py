"""Tangent kernels by two slow and independent routes, which the fast one is compared with."""

from itertools import product

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap


def one_gradient_at_a_time(model: nn.Module, x1: Tensor, x2: Tensor) -> Tensor:
    """The definition, as a double loop."""
    parameters = [p for p in model.parameters() if p.requires_grad]

    def gradient(x: Tensor, output: int) -> Tensor:
        found = torch.autograd.grad(model(x[None])[0, output], parameters, allow_unused=True)
        flat = [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
        return torch.cat([g.flatten() for g in flat])

    k = model(x1[:1]).shape[1]
    left = [[gradient(x, i) for i in range(k)] for x in x1]
    right = [[gradient(x, i) for i in range(k)] for x in x2]
    kernel = torch.zeros(len(x1), len(x2), k, k, dtype=x1.dtype)
    for (a, one), (b, other) in product(enumerate(left), enumerate(right)):
        for i, j in product(range(k), range(k)):
            kernel[a, b, i, j] = one[i] @ other[j]
    return kernel


def by_torch_func(model: nn.Module, x1: Tensor, x2: Tensor) -> Tensor:
    """PyTorch's own recipe: Jacobians by vmap of jacrev, then one contraction for each parameter."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def output(parameters: dict[str, Tensor], sample: Tensor) -> Tensor:
        result: Tensor = functional_call(model, parameters, (sample[None],))
        return result[0]

    left, right = (vmap(jacrev(output), (None, 0))(parameters, x) for x in (x1, x2))
    products = [torch.einsum("aif,bjf->abij", left[n].flatten(2), right[n].flatten(2)) for n in parameters]
    return torch.stack(products).sum(0)


def relative(kernel: Tensor, expected: Tensor) -> float:
    return float((kernel - expected).norm() / expected.norm())
