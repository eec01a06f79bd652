"""Two classes out of a data set."""

import pytest
import torch

from dlparadox.data import load, two_classes

SAMPLE = load("digits", seed=0)


def test_holds_exactly_the_samples_of_both_classes() -> None:
    pair = two_classes(SAMPLE, 3, 8, seed=0)
    for x, y, x_all, y_all in [
        (pair.x_train, pair.y_train, SAMPLE.x_train, SAMPLE.y_train),
        (pair.x_test, pair.y_test, SAMPLE.x_test, SAMPLE.y_test),
    ]:
        for label, of in [(0, 3), (1, 8)]:
            ours, theirs = sorted(x[y == label].tolist()), sorted(x_all[y_all == of].tolist())
            assert ours == theirs
        assert len(y) == int(((y_all == 3) | (y_all == 8)).sum())
    assert pair.classes == 2
    assert pair.sha256 == SAMPLE.sha256


def test_fewer_are_the_first_of_all_in_random_order() -> None:
    everything = two_classes(SAMPLE, 3, 8, seed=0)
    pair = two_classes(SAMPLE, 3, 8, seed=0, n_train=50, n_test=20)
    assert torch.equal(pair.x_train, everything.x_train[:50])
    assert torch.equal(pair.y_test, everything.y_test[:20])
    assert 10 < int(pair.y_train.sum()) < 40
    assert pair.subset.startswith("classes 3 and 8, train 50, test 20, seed 0; of ")


def test_the_seed_and_the_order_of_the_classes_count() -> None:
    pair = two_classes(SAMPLE, 3, 8, seed=0, n_train=50)
    assert torch.equal(pair.y_train, 1 - two_classes(SAMPLE, 8, 3, seed=0, n_train=50).y_train)
    assert not torch.equal(pair.x_train, two_classes(SAMPLE, 3, 8, seed=1, n_train=50).x_train)


@pytest.mark.parametrize(("minus", "plus"), [(3, 3), (-1, 3), (3, 10)])
def test_refuses_what_are_not_two_classes(minus: int, plus: int) -> None:
    with pytest.raises(ValueError, match=f"two different classes from 0 to 9 are needed; got {minus} and {plus}"):
        two_classes(SAMPLE, minus, plus, seed=0)


@pytest.mark.parametrize("n", [0, -1, 10_000])
def test_refuses_more_samples_than_there_are(n: int) -> None:
    with pytest.raises(ValueError, match=rf"n_train must lie between 1 and \d+, the samples of both classes; got {n}"):
        two_classes(SAMPLE, 3, 8, seed=0, n_train=n)
    with pytest.raises(ValueError, match=rf"n_test must lie between 1 and \d+, .* got {n}"):
        two_classes(SAMPLE, 3, 8, seed=0, n_test=n)
