"""The book's data sets: digits (embedded in scikit-learn), MNIST, Fashion-MNIST and CIFAR-10.

``load("digits")`` needs no download. The others are downloaded from their publishers at first use, checked by
the SHA-256 of their content, and kept in the folder that the environment variable ``DLPARADOX_DATA`` names
(by default the user's cache folder). A folder filled by hand works too; it has the layout of the published
archives::

    mnist/train-images-idx3-ubyte.gz  …                      (decompressed files without .gz are read as well)
    fashion-mnist/train-images-idx3-ubyte.gz  …
    cifar10/cifar-10-batches-bin/data_batch_1.bin  …         (or the archive, cifar10/cifar-10-binary.tar.gz)

Content that is not the published one is refused unless it is allowed explicitly, and is then named in
``Dataset.note``.
"""

from dlparadox.data.classes import two_classes
from dlparadox.data.pooled import pooled
from dlparadox.data.sets import NAMES, Dataset, load
from dlparadox.data.store import DataError, data_folder
from dlparadox.data.transforms import center_crop, standardized

__all__ = [
    "NAMES",
    "DataError",
    "Dataset",
    "center_crop",
    "data_folder",
    "load",
    "pooled",
    "standardized",
    "two_classes",
]
