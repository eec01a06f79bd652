"""Loading: parts of a data set, provenance, folders filled by hand, and what is refused."""

import hashlib
import os
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch
from publisher import cifar, fill, idx

from dlparadox.data import NAMES, DataError, Dataset, data_folder, load, raw


def rows(x: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    data = load("digits", seed=3)
    assert (data.x_train.shape, data.x_test.shape) == ((1300, 64), (497, 64))
    assert (data.classes, data.image_shape, data.published, data.note) == (10, (1, 8, 8), True, "")
    assert data.x_train.dtype == torch.float32 and data.y_train.dtype == torch.int64
    assert data.x_train.min() == 0 and data.x_train.max() == 1
    bunch = load_digits()
    published = sorted(zip(map(bytes, bunch.data.astype(np.uint8)), bunch.target.tolist(), strict=True))
    x = torch.cat([data.x_train, data.x_test]) * 16
    y = torch.cat([data.y_train, data.y_test])
    assert sorted(zip(map(bytes, x.to(torch.uint8).numpy()), y.tolist(), strict=True)) == published


def test_training_and_test_digits_are_disjoint_and_depend_on_the_seed() -> None:
    one, again, other = load("digits", seed=0), load("digits", seed=0), load("digits", seed=1)
    assert rows(one.x_train).isdisjoint(rows(one.x_test))
    assert torch.equal(one.x_train, again.x_train) and torch.equal(one.y_test, again.y_test)
    assert rows(one.x_train) != rows(other.x_train)


@pytest.mark.parametrize("seed", [0, 7])
def test_parts_are_reproducible_nested_and_drawn_without_replacement(seed: int) -> None:
    everything = load("digits", seed=seed)
    large, small = load("digits", n_train=200, n_test=20, seed=seed), load("digits", n_train=50, seed=seed)
    assert len(rows(large.x_train)) == 200 and rows(large.x_train) < rows(everything.x_train)
    assert len(rows(large.x_test)) == 20 and rows(large.x_test) < rows(everything.x_test)
    assert torch.equal(large.x_train[:50], small.x_train) and torch.equal(large.y_train[:50], small.y_train)
    assert large.subset == f"train 200 of 1300, test 20 of 497, seed {seed}"


def test_labels_stay_with_their_images(mnist: dict[str, bytes]) -> None:
    everything, part = load("mnist"), load("mnist", n_train=5, seed=2)
    label = dict(zip(map(bytes, everything.x_train.numpy()), everything.y_train.tolist(), strict=True))
    assert [label[bytes(x)] for x in part.x_train.numpy()] == part.y_train.tolist()
    assert rows(load("mnist", n_train=5, seed=3).x_train) != rows(part.x_train)


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_loaded_tensors_belong_to_the_caller(mnist: dict[str, bytes], name: str) -> None:
    data = load(name)
    tensors = (data.x_train, data.y_train, data.x_test, data.y_test)
    kept = [tensor.clone() for tensor in tensors]
    for tensor in tensors:
        tensor.zero_()
    again = load(name)
    for tensor, original in zip((again.x_train, again.y_train, again.x_test, again.y_test), kept, strict=True):
        assert torch.equal(tensor, original)


def test_values_of_another_type_are_as_exact_as_it_allows() -> None:
    x = load("digits", dtype=torch.float64).x_train
    assert x.dtype == torch.float64
    assert torch.equal(x * 16, (x * 16).round())


def test_all_samples_come_in_the_published_order(mnist: dict[str, bytes]) -> None:
    data = load("mnist", dtype=torch.float64)
    pixels = np.frombuffer(mnist["train-images-idx3-ubyte"][16:], np.uint8).reshape(7, 784)
    np.testing.assert_array_equal(data.x_train.numpy(), pixels / 255)
    assert data.y_train.tolist() == list(mnist["train-labels-idx1-ubyte"][8:])
    assert data.y_test.tolist() == list(mnist["t10k-labels-idx1-ubyte"][8:])
    assert data.subset == "train 7 of 7, test 4 of 4"


def test_cifar_batches_come_in_order_channels_first(cifar10: dict[str, bytes]) -> None:
    data = load("cifar10", dtype=torch.float64)
    records = np.frombuffer(b"".join(cifar10[f"data_batch_{i}.bin"] for i in range(1, 6)), np.uint8).reshape(-1, 3073)
    np.testing.assert_array_equal(data.x_train.numpy(), records[:, 1:] / 255)
    assert data.y_train.tolist() == records[:, 0].tolist()
    assert (data.image_shape, data.x_test.shape) == ((3, 32, 32), (2, 3072))


def test_provenance_names_content_and_part(mnist: dict[str, bytes]) -> None:
    data = load("mnist", n_train=3, seed=5)
    names = [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ]
    listing = "".join(f"{hashlib.sha256(mnist[name]).hexdigest()}  {name}\n" for name in names)
    assert data.provenance() == {
        "sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "published": True,
        "note": "",
        "subset": "train 3 of 7, test 4 of 4, seed 5",
    }
    assert repr(data) == "Dataset(mnist: train 3 of 7, test 4 of 4, seed 5; images (1, 28, 28), 10 classes)"


@pytest.mark.parametrize("compressed", [True, False], ids=["gz", "decompressed"])
def test_a_folder_filled_by_hand(mnist: dict[str, bytes], root: Path, server, compressed: bool) -> None:
    fill(root / "mnist", mnist, compressed)
    assert load("mnist").published
    assert server.asked == []


def test_a_file_decompressed_on_the_way_though_named_gz(mnist: dict[str, bytes], root: Path, server) -> None:
    fill(root / "mnist", {f"{name}.gz": content for name, content in mnist.items()})
    assert load("mnist").published
    assert server.asked == []


def test_a_read_only_folder_is_enough(mnist: dict[str, bytes], root: Path) -> None:
    fill(root / "mnist", mnist)
    before = sorted(root.rglob("*"))
    load("mnist")
    assert sorted(root.rglob("*")) == before


def altered(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def test_altered_content_is_refused_with_both_checksums_and_the_remedy(mnist: dict[str, bytes], root: Path) -> None:
    name = "train-images-idx3-ubyte"
    fill(root / "mnist", mnist | {name: altered(mnist[name])})
    with pytest.raises(DataError) as caught:
        load("mnist")
    expected, found = (hashlib.sha256(x).hexdigest() for x in (mnist[name], altered(mnist[name])))
    message = str(caught.value)
    assert str(root / "mnist" / name) in message and f"expected SHA-256 {expected}, found {found}" in message
    assert "Delete the file" in message and "allow_unpublished=True" in message and "\n" not in message


@pytest.mark.parametrize("allow", [True, False])
def test_a_truncated_gz_is_refused_even_if_unpublished_content_is_allowed(
    mnist: dict[str, bytes], root: Path, allow: bool
) -> None:
    fill(root / "mnist", mnist, compressed=True)
    path = root / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    expected = hashlib.sha256(mnist["t10k-images-idx3-ubyte"]).hexdigest()
    with pytest.raises(DataError, match=f"{path} is a truncated or damaged gzip stream.*{expected}.*Delete the file"):
        load("mnist", allow_unpublished=allow)


def test_a_file_exchanged_while_the_process_runs_is_noticed(mnist: dict[str, bytes], root: Path) -> None:
    fill(root / "mnist", mnist)
    load("mnist")
    name = "t10k-labels-idx1-ubyte"
    fill(root / "mnist", {name: altered(mnist[name])})
    os.utime(root / "mnist" / name, (1e9, 1e9))
    with pytest.raises(DataError, match=name):
        load("mnist")


def unpublished_test_batch(cifar10: dict[str, bytes], root: Path) -> str:
    """Put a test batch of one image instead of two; return its checksum."""
    content = cifar(np.zeros((1, 3, 32, 32)), np.array([4]))
    fill(root / "cifar10" / "cifar-10-batches-bin", cifar10 | {"test_batch.bin": content})
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_unpublished_content_is_named_when_allowed(
    cifar10: dict[str, bytes], root: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    digest = unpublished_test_batch(cifar10, root)
    monkeypatch.setenv("DLPARADOX_ALLOW_UNPUBLISHED", "1" if by == "environment" else "0")
    data = load("cifar10", allow_unpublished=True if by == "argument" else None)
    note = f"test_batch.bin: content is not the published one (sha256 {digest}, 1 images)"
    assert (data.published, data.note) == (False, note)
    assert data.provenance()["note"] == note and data.provenance()["published"] is False
    assert data.subset == "train 10 of 10, test 1 of 1"


def test_the_argument_prevails_over_the_environment(
    cifar10: dict[str, bytes], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpublished_test_batch(cifar10, root)
    monkeypatch.setenv("DLPARADOX_ALLOW_UNPUBLISHED", "1")
    assert not load("cifar10").published
    with pytest.raises(DataError, match=r"test_batch\.bin is not the published one"):
        load("cifar10", allow_unpublished=False)


def test_permission_must_be_0_or_1(mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLPARADOX_ALLOW_UNPUBLISHED", "yes")
    with pytest.raises(ValueError, match="DLPARADOX_ALLOW_UNPUBLISHED must be 0 or 1; got 'yes'"):
        load("mnist")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", idx(np.arange(6)), "hold 7 images and 6 labels"),
        ("train-labels-idx1-ubyte", idx(np.full(7, 10)), "labels must lie between 0 and 9; got 10"),
        (
            "train-images-idx3-ubyte",
            idx(np.zeros((7, 27, 28))),
            r"of \(28, 28\) pixels expected; got .*\(7, 27, 28\)",
        ),
        ("train-images-idx3-ubyte", b"<html>", "train-images-idx3-ubyte cannot be read: not an idx file"),
        ("train-images-idx3-ubyte", idx(np.zeros(7)), "hold 0 images and 14 labels"),
    ],
    ids=["too few labels", "label 10", "image size", "web page", "labels for images"],
)
def test_unpublished_content_must_still_make_sense(
    mnist: dict[str, bytes], root: Path, name: str, content: bytes, message: str
) -> None:
    fill(root / "mnist", mnist | {name: content})
    with pytest.raises(DataError, match=message):
        load("mnist", allow_unpublished=True)


def test_other_digits_than_published_follow_the_same_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DLPARADOX_ALLOW_UNPUBLISHED", raising=False)
    monkeypatch.setattr(raw, "DIGITS_SHA256", "0" * 64)
    raw._digits.cache_clear()
    try:
        with pytest.raises(DataError, match=f"expected SHA-256 {'0' * 64}.*requirements.lock"):
            load("digits")
        assert "content is not the published one" in load("digits", allow_unpublished=True).note
    finally:
        raw._digits.cache_clear()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("minst", "Did you mean 'mnist'?"),
        ("CIFAR-10", "Did you mean 'cifar10'?"),
        ("imagenet-21k", "cifar10."),
    ],
)
def test_an_unknown_name_lists_the_known_ones(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match="known are digits, mnist, fashion-mnist, cifar10") as caught:
        load(name)
    assert str(caught.value).startswith(f"unknown data set {name!r}") and str(caught.value).endswith(hint)
    assert NAMES == ("digits", "mnist", "fashion-mnist", "cifar10")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_train": 1301}, "n_train must lie between 1 and 1300, what digits has for train; got 1301"),
        ({"n_test": 498}, "n_test must lie between 1 and 497, what digits has for test; got 498"),
        ({"n_train": 0}, "n_train must lie between 1 and 1300.*got 0"),
        ({"n_test": -1}, "n_test must lie between 1 and 497.*got -1"),
        ({"n_train": 0.5}, "n_train must be an integer or None; got 0.5"),
        ({"dtype": torch.int64}, "dtype must be a floating-point type; got torch.int64"),
        ({"seed": -1}, "seed must be at least 0; got -1"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load("digits", **arguments)


def test_the_usual_cache_folder_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DLPARADOX_DATA", raising=False)
    assert str(data_folder()) == platformdirs.user_cache_dir("dlparadox", appauthor=False)
    monkeypatch.setenv("DLPARADOX_DATA", "~/somewhere")
    assert data_folder() == Path.home() / "somewhere"


def test_a_dataset_is_frozen() -> None:
    data: Dataset = load("digits", n_train=1, n_test=1)
    with pytest.raises(AttributeError):
        data.name = "mnist"  # type: ignore[misc]
