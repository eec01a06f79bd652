"""The idx and CIFAR-10 formats, against files written byte by byte."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from dlparadox.data.formats import read_cifar, read_idx


def test_idx_of_known_bytes() -> None:
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255])
    np.testing.assert_array_equal(read_idx(content), [[1, 2, 3], [4, 5, 255]])


@given(npst.arrays(np.uint8, npst.array_shapes(max_dims=4, max_side=5)))
def test_idx_round_trip(array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    np.testing.assert_array_equal(read_idx(header + array.tobytes()), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x00\x00\x0d\x01" + bytes(4), "starts with 00 00 0d 01"),
        (b"<html>", "starts with 3c 68 74 6d"),
        (b"\x00\x00\x08\x02" + bytes(7), "needs 12 bytes; got 11"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05abcd", r"shape \(5,\) has 13 bytes; got 12"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05abcdef", r"shape \(5,\) has 13 bytes; got 14"),
    ],
    ids=["empty", "floats", "web page", "short header", "too short", "too long"],
)
def test_idx_refuses(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_idx(content)


@given(st.integers(1, 4))
def test_cifar_planes_are_red_green_blue_and_row_by_row(n: int) -> None:
    images = np.random.default_rng(n).integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)
    labels = np.arange(n) % 10
    records = [
        bytes([y]) + b"".join(x[c, row].tobytes() for c in range(3) for row in range(32))
        for x, y in zip(images, labels, strict=True)
    ]
    x, y = read_cifar(b"".join(records))
    np.testing.assert_array_equal(x.reshape(n, 3, 32, 32), images)
    np.testing.assert_array_equal(y, labels)


@pytest.mark.parametrize("length", [0, 3072, 3074])
def test_cifar_refuses_broken_records(length: int) -> None:
    with pytest.raises(ValueError, match=f"records of 3073 bytes; got {length} bytes"):
        read_cifar(bytes(length))
