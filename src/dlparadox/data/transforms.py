"""What papers do to images before training: per-image whitening and the centre crop."""

import math

from jaxtyping import Float
from torch import Tensor

__all__ = ["center_crop", "standardized"]


def _require_images(x: Tensor) -> None:
    if x.ndim != 2 or not x.is_floating_point():
        raise ValueError(f"x must be a floating-point tensor of shape [n, d]; got {x.dtype} of shape {list(x.shape)}")


def standardized(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Each image less its mean, divided by max(its standard deviation, 1/sqrt(d)): per-image whitening.

    Mean and (population) standard deviation are over all ``d`` pixels and channels of one image. The lower
    limit keeps a uniform image finite (it becomes zero). Same as ``tf.image.per_image_standardization``,
    which Zhang et al. 2017 use; like there, crop first.

    Raises:
        ValueError: if ``x`` is not a floating-point tensor of shape [n, d] with d >= 1.
    """
    _require_images(x)
    if x.shape[1] == 0:
        raise ValueError(f"x must have at least one pixel per image; got shape {list(x.shape)}")
    deviation = x.std(dim=1, correction=0, keepdim=True)
    return (x - x.mean(dim=1, keepdim=True)).div_(deviation.clamp(min=1 / math.sqrt(x.shape[1])))


def center_crop(
    x: Float[Tensor, "n d"], image_shape: tuple[int, int, int], size: int
) -> tuple[Float[Tensor, "n d_cropped"], tuple[int, int, int]]:
    """Central ``size`` x ``size`` pixels of each image, and the shape (channels, size, size) of the new ones.

    Where the margin is odd, the smaller half is cut at the top and at the left.

    Raises:
        ValueError: if ``x`` does not hold flattened images of ``image_shape``, or ``size`` is not between 1
            and their side.
    """
    _require_images(x)
    channels, height, width = image_shape
    if x.shape[1] != channels * height * width:
        raise ValueError(f"images of shape {image_shape} have {channels * height * width} values; got {x.shape[1]}")
    if not 1 <= size <= min(height, width):
        raise ValueError(f"size must lie between 1 and {min(height, width)}; got {size}")
    top, left = (height - size) // 2, (width - size) // 2
    images = x.reshape(-1, channels, height, width)[:, :, top : top + size, left : left + size]
    return images.reshape(x.shape[0], -1).contiguous(), (channels, size, size)
