"""Whitening against numpy, image by image; the crop against slices."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlparadox.data import center_crop, standardized


@given(st.integers(1, 6), st.integers(1, 50), st.floats(1e-6, 1e3))
def test_whitening_against_numpy(n: int, d: int, scale: float) -> None:
    images = np.random.default_rng(n * 100 + d).normal(3.0, scale, (n, d))
    expected = [(image - image.mean()) / max(image.std(), 1 / np.sqrt(d)) for image in images]
    actual = standardized(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(actual, np.stack(expected), rtol=1e-9, atol=1e-12)


def test_whitened_images_have_mean_zero_and_unit_deviation() -> None:
    x = torch.rand(5, 3072, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = x.clone()
    white = standardized(x)
    torch.testing.assert_close(white.mean(dim=1), torch.zeros(5, dtype=torch.float64), atol=1e-14, rtol=0)
    torch.testing.assert_close(white.std(dim=1, correction=0), torch.ones(5, dtype=torch.float64))
    assert torch.equal(x, kept)


def test_a_uniform_image_becomes_zero() -> None:
    assert torch.equal(standardized(torch.full((2, 64), 0.25)), torch.zeros(2, 64))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3), r"\[n, d\]; got torch.float32 of shape \[3\]"),
        (torch.zeros(2, 1, 8, 8), r"shape \[2, 1, 8, 8\]"),
        (torch.zeros(2, 3, dtype=torch.uint8), "got torch.uint8"),
        (torch.zeros(2, 0), r"at least one pixel per image; got shape \[2, 0\]"),
    ],
)
def test_whitening_refuses(x: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        standardized(x)


def test_crop_of_cifar_size() -> None:
    x = torch.arange(2 * 3 * 32 * 32, dtype=torch.float32).reshape(2, -1)
    cropped, shape = center_crop(x, (3, 32, 32), 28)
    assert shape == (3, 28, 28)
    expected = x.numpy().reshape(2, 3, 32, 32)[:, :, 2:30, 2:30]
    np.testing.assert_array_equal(cropped.numpy().reshape(2, *shape), expected)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_crop_margins_differ_by_at_most_one(height: int, width: int, size: int) -> None:
    x = torch.arange(height * width, dtype=torch.float64).reshape(1, -1)
    if size > min(height, width):
        with pytest.raises(ValueError, match=f"size must lie between 1 and {min(height, width)}; got {size}"):
            center_crop(x, (1, height, width), size)
        return
    cropped, _ = center_crop(x, (1, height, width), size)
    top, left = divmod(int(cropped[0, 0]), width)
    assert 0 <= (height - size - top) - top <= 1
    assert 0 <= (width - size - left) - left <= 1


def test_crop_refuses_another_shape_and_no_pixels() -> None:
    with pytest.raises(ValueError, match="have 3072 values; got 784"):
        center_crop(torch.zeros(2, 784), (3, 32, 32), 28)
    with pytest.raises(ValueError, match="between 1 and 28; got 0"):
        center_crop(torch.zeros(2, 784), (1, 28, 28), 0)
