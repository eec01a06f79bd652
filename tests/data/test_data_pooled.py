"""All samples in one order: none is lost or repeated, labels stay with their images, and the seed decides."""

import torch

from dlparadox.data import load, pooled
from dlparadox.seeding import generator


def test_every_sample_is_there_once_with_its_label() -> None:
    sample = load("digits")
    x, y = pooled(sample, 3)
    whole = torch.cat([sample.x_train, sample.x_test]), torch.cat([sample.y_train, sample.y_test])

    def rows(images: torch.Tensor, labels: torch.Tensor) -> list[tuple[float, ...]]:
        return sorted(tuple(row) for row in torch.cat([images, labels[:, None].float()], 1).tolist())

    assert x.shape == (1797, 64) and y.shape == (1797,)
    assert rows(x, y) == rows(*whole)
    order = torch.randperm(1797, generator=generator(3, "subset"))
    assert torch.equal(x, whole[0][order]) and torch.equal(y, whole[1][order])


def test_the_order_depends_on_the_seed_alone() -> None:
    sample = load("digits")
    (x, y), (again, labels), (other, _) = (pooled(sample, seed) for seed in (0, 0, 1))
    assert torch.equal(x, again) and torch.equal(y, labels)
    assert not torch.equal(x, other)
    part, _ = pooled(load("digits", n_train=10, n_test=5), 0)
    assert part.shape == (15, 64)
