"""Nearest neighbours against scikit-learn, the law of an interpolating classifier against a simulation."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from dlparadox.labels import corrupt_labels
from dlparadox.neighbours import interpolating_accuracy, majority, nearest
from dlparadox.seeding import generator


def digits() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.from_numpy(x), torch.from_numpy(y).long()


@given(st.integers(1, 30), st.integers(1, 20), st.integers(1, 8), st.integers(0, 999), st.data())
def test_against_all_distances(n: int, m: int, d: int, seed: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, n))
    stream = generator(seed, "x")
    x, queries = (torch.randn(rows, d, dtype=torch.float64, generator=stream) for rows in (n, m))
    distances = torch.stack([((x - query) ** 2).sum(dim=1) for query in queries])
    assert torch.equal(nearest(x, queries, count, block=7), distances.argsort(dim=1)[:, :count])


@pytest.mark.parametrize("count", [1, 3, 5])
def test_classes_against_scikit_learn(count: int) -> None:
    x, y = digits()
    x = x + torch.rand(x.shape, generator=generator(0, "break ties"), dtype=x.dtype)
    train, test = slice(0, 1000), slice(1000, None)
    ours = majority(y[train][nearest(x[train], x[test], count)], 10)
    theirs = KNeighborsClassifier(count).fit(x[train].numpy(), y[train].numpy()).predict(x[test].numpy())
    assert (ours.numpy() == theirs).all()


def test_every_sample_is_its_own_nearest_neighbour() -> None:
    x = digits()[0]
    assert torch.equal(nearest(x, x)[:, 0], torch.arange(len(x)))
    assert torch.equal(nearest(x, x[:5000:3], block=10), nearest(x, x[:5000:3], block=4096))


def test_majority_by_hand() -> None:
    votes = torch.tensor([[2, 1, 2], [0, 1, 2], [1, 1, 0], [2, 1, 3]])
    assert majority(votes, 4).tolist() == [2, 0, 1, 1]  # the smallest class where several tie


@pytest.mark.parametrize("count", [0, 4, -1])
def test_the_number_of_neighbours_is_checked(count: int) -> None:
    with pytest.raises(ValueError, match=rf"count must lie in 1 \.\.\. 3, the number of samples; got {count}"):
        nearest(torch.zeros(3, 2), torch.zeros(1, 2), count)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(2, 100))
def test_the_law_runs_from_the_clean_accuracy_to_chance(clean: float, corruption: float, classes: int) -> None:
    assert interpolating_accuracy(clean, 0.0, classes) == clean
    assert interpolating_accuracy(clean, 1.0, classes) == 1 / classes
    low, high = sorted([clean, 1 / classes])
    assert low - 1e-12 <= interpolating_accuracy(clean, corruption, classes) <= high + 1e-12
    assert interpolating_accuracy(1 / classes, corruption, classes) == pytest.approx(1 / classes)


@pytest.mark.parametrize("corruption", [-0.1, 1.1, math.nan])
def test_the_law_refuses_what_is_no_probability(corruption: float) -> None:
    with pytest.raises(ValueError, match=r"corruption must lie in \[0, 1\]; got"):
        interpolating_accuracy(0.9, corruption, 10)


@pytest.mark.parametrize("corruption", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_the_law_against_simulation(corruption: float) -> None:
    x, y = digits()
    train, test = slice(0, 900), slice(900, None)
    copied = nearest(x[train], x[test])[:, 0]
    clean = float((y[train][copied] == y[test]).double().mean())
    measured = []
    for seed in range(200):
        labels = corrupt_labels(y[train], corruption, 10, generator(seed, "labels")).labels
        measured.append(float((labels[copied] == y[test]).double().mean()))
    mean, error = torch.tensor(measured).mean(), torch.tensor(measured).std() / math.sqrt(len(measured))
    assert abs(float(mean) - interpolating_accuracy(clean, corruption, 10)) <= 4 * float(error) + 1e-6
