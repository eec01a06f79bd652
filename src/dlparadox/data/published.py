"""What the publishers of the data sets publish: files, addresses, and the SHA-256 of every file's content."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["DIGITS_SHA256", "SOURCES", "Archive", "Source"]


@dataclass(frozen=True)
class Archive:
    """One compressed tar file that holds all files of a data set, with the SHA-256 of the archive itself."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Source:
    """One data set as its publisher lays it out.

    Attributes:
        folder: where its files lie, below the data folder.
        layout: the files' format: "idx" (images and labels apart) or "cifar" (records of one label and one
            image).
        image_shape: channels, height, width.
        classes: number of classes.
        train: training files in reading order, and the SHA-256 of the (decompressed) content of each; for
            "idx" the images come before their labels.
        test: the same for the test files.
        mirrors: addresses to try in this order; a file's name is appended.
        archive: the archive that holds the files, or None where each is published on its own, compressed with
            gzip.
    """

    folder: str
    layout: Literal["idx", "cifar"]
    image_shape: tuple[int, int, int]
    classes: int
    train: Mapping[str, str]
    test: Mapping[str, str]
    mirrors: tuple[str, ...]
    archive: Archive | None = None

    @property
    def files(self) -> dict[str, str]:
        """All files of the data set, and the SHA-256 of the content of each."""
        return {**self.train, **self.test}


# LeCun & Cortes, http://yann.lecun.com/exdb/mnist (CC BY-SA 3.0). The first two are mirrors of the same
# files.
MNIST = Source(
    folder="mnist",
    layout="idx",
    image_shape=(1, 28, 28),
    classes=10,
    train={
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    test={
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
)

# Xiao, Rasul & Vollgraf 2017, https://arxiv.org/abs/1708.07747 (MIT licence).
FASHION_MNIST = Source(
    folder="fashion-mnist",
    layout="idx",
    image_shape=(1, 28, 28),
    classes=10,
    train={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    test={
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
)

# Krizhevsky 2009, "Learning multiple layers of features from tiny images";
# https://www.cs.toronto.edu/~kriz/cifar.html publishes the MD5 of the archive,
# c32a1d4ab5d03f1284b67883e8d87530; the SHA-256 below is of that same archive.
CIFAR10 = Source(
    folder="cifar10/cifar-10-batches-bin",
    layout="cifar",
    image_shape=(3, 32, 32),
    classes=10,
    train={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    },
    test={"test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
    mirrors=("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
    archive=Archive("cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
)

SOURCES: dict[str, Source] = {"mnist": MNIST, "fashion-mnist": FASHION_MNIST, "cifar10": CIFAR10}

# Alpaydin & Kaynak 1998, the 1,797 digits inside scikit-learn: pixels (0 to 16, one byte each), then labels.
DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
