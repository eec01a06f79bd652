"""Bytes that a gradient costs: those kept from the forward pass, and the most that are alive at any time."""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["peak_bytes", "saved_bytes"]


def saved_bytes(compute: Callable[[], object], but: Iterable[Tensor] = ()) -> int:
    """Bytes of all tensors that autograd keeps for the backward pass of what ``compute`` computes, each storage once.

    Args:
        compute: builds a graph, and keeps it in what it returns.
        but: tensors that are there anyway and do not count, such as the parameters.
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()  # kept, so that no other gets its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = compute()
    known = {tensor.untyped_storage().data_ptr() for tensor in but}
    total = sum(storage.nbytes() for place, storage in kept.items() if place not in known)
    del result
    return total


def peak_bytes(compute: Callable[[], object]) -> int:
    """The most bytes, at one time while ``compute`` runs, of the tensors that it makes, gradients included."""
    with _Alive() as alive:
        compute()
    return alive.peak


class _Alive(TorchDispatchMode):
    """Counts the bytes of every new storage until it is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {
            leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)
        }
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in given:
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place = storage._cdata
        if place not in self.sizes:
            self.sizes[place] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, place)

    def _gone(self, place: int) -> None:
        self.now -= self.sizes.pop(place)
