"""Corrupted labels and inputs: what changes, how often, and what stays."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlparadox.labels import (
    INPUTS,
    centered_targets,
    corrupt_inputs,
    corrupt_labels,
    gaussian_inputs,
    pixel_permutation,
    random_pixels,
)
from dlparadox.seeding import generator

levels = st.floats(0.0, 1.0)
seeds = st.integers(0, 10_000)


def some_labels(n: int, classes: int) -> Tensor:
    return torch.arange(n) * 7 % classes


def within(count: int, n: int, chance: float) -> bool:
    """Whether a binomial count lies within five standard deviations of its mean (1 in 2 million does not)."""
    return abs(count - n * chance) <= 5 * math.sqrt(n * chance * (1 - chance)) + 1e-9


@given(levels, st.integers(2, 20), seeds)
def test_the_share_that_changes(corruption: float, classes: int, seed: int) -> None:
    n = 4000
    labels = some_labels(n, classes)
    kept = labels.clone()
    new, redrawn, changed = corrupt_labels(labels, corruption, classes, generator(seed, "labels"))
    assert within(int(redrawn.sum()), n, corruption)
    assert within(int(changed.sum()), n, corruption * (1 - 1 / classes))
    assert torch.equal(changed, new != labels)
    assert not bool((changed & ~redrawn).any())
    assert new.dtype == labels.dtype and 0 <= int(new.min()) <= int(new.max()) < classes
    assert torch.equal(labels, kept)


@given(st.integers(2, 12), seeds)
def test_redrawn_labels_are_uniform(classes: int, seed: int) -> None:
    n = 6000
    new = corrupt_labels(torch.zeros(n, dtype=torch.long), 1.0, classes, generator(seed, "labels")).labels
    assert all(within(int(count), n, 1 / classes) for count in new.bincount(minlength=classes))


@given(levels, levels, seeds)
def test_levels_are_nested(one: float, other: float, seed: int) -> None:
    labels = some_labels(500, 10)
    low, high = (corrupt_labels(labels, level, 10, generator(seed, "labels")) for level in sorted([one, other]))
    assert not bool((low.redrawn & ~high.redrawn).any())
    assert torch.equal(low.labels[low.redrawn], high.labels[low.redrawn])


def test_no_corruption_changes_nothing_and_full_corruption_redraws_all() -> None:
    labels = some_labels(300, 10)
    none = corrupt_labels(labels, 0.0, 10, generator(0, "labels"))
    assert torch.equal(none.labels, labels) and not none.redrawn.any() and not none.changed.any()
    assert corrupt_labels(labels, 1.0, 10, generator(0, "labels")).redrawn.all()


def test_fully_random_labels_say_nothing_about_the_old_ones() -> None:
    old = some_labels(3000, 3)
    shift = old.roll(1)
    one, other = (corrupt_labels(labels, 1.0, 3, generator(5, "labels")).labels for labels in (old, shift))
    assert torch.equal(one, other)


def test_no_samples_are_no_error() -> None:
    assert corrupt_labels(torch.zeros(0, dtype=torch.long), 0.5, 3, generator(0, "labels")).labels.shape == (0,)


@pytest.mark.parametrize("corruption", [-0.01, 1.01, math.nan, math.inf])
def test_corruption_is_a_probability(corruption: float) -> None:
    with pytest.raises(ValueError, match=r"corruption must lie in \[0, 1\]; got"):
        corrupt_labels(some_labels(4, 2), corruption, 2, generator(0, "labels"))


def test_labels_lie_in_their_classes() -> None:
    stream = generator(0, "labels")
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\.\. 2; got 0 \.\.\. 3"):
        corrupt_labels(torch.tensor([0, 3]), 0.5, 3, stream)
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\.\. 2; got -1 \.\.\. 1"):
        corrupt_labels(torch.tensor([-1, 1]), 0.5, 3, stream)
    with pytest.raises(ValueError, match="classes must be at least 2; got 1"):
        corrupt_labels(torch.tensor([0, 0]), 0.5, 1, stream)


@given(st.integers(1, 40), st.integers(1, 30), seeds)
def test_random_pixels_keep_the_pixels_of_each_image(n: int, d: int, seed: int) -> None:
    x = torch.rand(n, d, generator=generator(seed, "x"))
    mixed = random_pixels(x, generator(seed, "pixels"))
    assert torch.equal(mixed.sort(dim=1).values, x.sort(dim=1).values)


def test_random_pixels_have_an_order_of_their_own_in_each_image() -> None:
    mixed = random_pixels(torch.arange(50.0).repeat(40, 1), generator(0, "pixels"))
    assert len({tuple(row.tolist()) for row in mixed}) == 40


def test_each_pixel_goes_everywhere_equally_often() -> None:
    n, d = 6000, 6
    mixed = random_pixels(torch.arange(float(d)).repeat(n, 1), generator(1, "pixels"))
    assert all(within(int((mixed[:, i] == j).sum()), n, 1 / d) for i in range(d) for j in range(d))


@given(st.integers(1, 200), seeds)
def test_a_pixel_permutation_is_one(pixels: int, seed: int) -> None:
    order = pixel_permutation(pixels, generator(seed, "order"))
    assert torch.equal(order.sort().values, torch.arange(pixels))


def test_gaussian_inputs_have_the_moments_of_the_data() -> None:
    n, d = 400, 50
    x = torch.rand(n, d, dtype=torch.float64, generator=generator(0, "x")) * torch.arange(d) / 10 + 2
    noise = gaussian_inputs(x, generator(0, "noise"))
    error = 5 * x.std() / math.sqrt(n * d)
    assert abs(noise.mean() - x.mean()) < error
    assert abs(noise.std() - x.std()) < error
    by_pixel = noise.mean(dim=0) - x.mean()  # one pair of moments for all pixels, not one each
    assert by_pixel.abs().max() < 5 * x.std() / math.sqrt(n)
    standard = (noise - x.mean()) / x.std()
    assert abs((standard**4).mean() - 3) < 5 * math.sqrt(96 / (n * d))
    assert noise.dtype == x.dtype


def test_gaussian_inputs_of_constant_images_are_constant() -> None:
    assert torch.equal(gaussian_inputs(torch.full((3, 4), 0.5), generator(0, "noise")), torch.full((3, 4), 0.5))


def test_errors_for_too_few_pixels() -> None:
    with pytest.raises(ValueError, match="pixels must be at least 1; got 0"):
        pixel_permutation(0, generator(0, "order"))
    with pytest.raises(ValueError, match=r"at least two pixels .* got shape \(1, 1\)"):
        gaussian_inputs(torch.zeros(1, 1), generator(0, "noise"))


@given(st.integers(1, 20), st.integers(1, 20), st.integers(2, 30), seeds)
def test_shuffled_pixels_share_one_permutation(n: int, n_test: int, d: int, seed: int) -> None:
    image = torch.arange(float(d))
    train, test = corrupt_inputs("shuffled pixels", image.repeat(n, 1), image.repeat(n_test, 1), seed)
    assert torch.equal(train, train[:1].expand(n, d))
    assert torch.equal(test, train[:1].expand(n_test, d))
    assert torch.equal(train[0].sort().values, image)


@pytest.mark.parametrize("kind", INPUTS)
def test_inputs_are_reproducible_and_differ_between_seeds(kind: str) -> None:
    x, x_test = (
        torch.rand(6, 20, generator=generator(0, "x")),
        torch.rand(6, 20, generator=generator(0, "x'")),
    )
    kept = x.clone()
    first, again, other = (corrupt_inputs(kind, x, x_test, seed) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert torch.equal(first[0], other[0]) == (kind == "true")
    assert first[0].shape == x.shape and first[1].shape == x_test.shape
    assert torch.equal(x, kept)


def test_true_inputs_are_untouched() -> None:
    x, x_test = torch.rand(3, 4), torch.rand(2, 4)
    assert corrupt_inputs("true", x, x_test, 0) == (x, x_test)


@pytest.mark.parametrize("kind", ["random pixels", "gaussian"])
def test_noise_is_drawn_apart_for_training_and_test(kind: str) -> None:
    x = torch.arange(40.0).repeat(3, 1)
    train, test = corrupt_inputs(kind, x, x, 0)
    assert not torch.equal(train, test)


@pytest.mark.parametrize("kind", ["", "True", "gaussian ", "shuffled"])
def test_an_unknown_kind_of_inputs_is_an_error(kind: str) -> None:
    with pytest.raises(ValueError, match="inputs must be one of true, shuffled pixels, random pixels, gaussian; got"):
        corrupt_inputs(kind, torch.zeros(2, 2), torch.zeros(2, 2), 0)


def test_centered_targets_by_hand() -> None:
    found = centered_targets(torch.tensor([1, 0]), 4)
    assert found.dtype == torch.float64
    assert found.tolist() == [[-0.25, 0.75, -0.25, -0.25], [0.75, -0.25, -0.25, -0.25]]


@given(st.integers(1, 12), st.integers(1, 30), seeds)
def test_centered_targets_sum_to_zero_and_keep_the_label(classes: int, n: int, seed: int) -> None:
    labels = torch.randint(classes, (n,), generator=generator(seed, "labels"))
    found = centered_targets(labels, classes)
    assert found.sum(1).abs().max() < 1e-14
    assert torch.equal(found.argmax(1), labels)
