"""The two published formats: idx (MNIST, Fashion-MNIST) and the CIFAR-10 binary version."""

import math
import struct

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_cifar", "read_idx"]

_UNSIGNED_BYTE = 0x08


def read_idx(content: bytes) -> NDArray[np.uint8]:
    """Array in an idx file of unsigned bytes, in the shape that its header states; read-only.

    Header, big-endian: two zero bytes, the type code (0x08, unsigned byte), the number of dimensions, then
    one 32-bit size per dimension. Format: http://yann.lecun.com/exdb/mnist.

    Raises:
        ValueError: if the header is not that of an idx file of bytes, or the length does not match it.
    """
    if len(content) < 4 or content[0] or content[1] or content[2] != _UNSIGNED_BYTE:
        raise ValueError(f"not an idx file of unsigned bytes: it starts with {content[:4].hex(' ') or 'nothing'}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"the idx header needs {start} bytes; got {len(content)}")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if len(content) != start + math.prod(shape):
        raise ValueError(f"an idx file of shape {shape} has {start + math.prod(shape)} bytes; got {len(content)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_cifar(content: bytes, pixels: int = 3 * 32 * 32) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images [n, pixels] and labels [n] of a CIFAR-10 binary file; read-only.

    A record is one label byte and then the image: the red, the green and the blue plane, each row by row.

    Raises:
        ValueError: if the length is not a positive multiple of a record's.
    """
    if not content or len(content) % (1 + pixels):
        raise ValueError(f"a CIFAR-10 file is a sequence of records of {1 + pixels} bytes; got {len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + pixels)
    return records[:, 1:], records[:, 0]
