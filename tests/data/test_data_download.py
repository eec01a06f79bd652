"""Downloads: mirrors, altered and truncated answers, kills, two processes at once, no network."""

import dataclasses
import errno
import gzip
import hashlib
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest
from publisher import Server, fill, tar_gz

from dlparadox.data import DataError, download, load
from dlparadox.data.download import locate
from dlparadox.data.published import SOURCES

IMAGES = "train-images-idx3-ubyte"

needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(),
    reason="a child must inherit the fabricated publisher",
)
quiet_fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def files(root: Path) -> set[str]:
    """Names of all files below ``root`` that could be taken for data."""
    return {path.name for path in root.rglob("*") if path.is_file() and path.name != ".lock"}


def child(name: str, root: Path) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=locate, args=(name, SOURCES[name], root))
    process.start()
    return process  # type: ignore[return-value]


def test_download_into_the_published_layout(mnist: dict[str, bytes], root: Path, capsys: pytest.CaptureFixture) -> None:
    assert load("mnist").published
    assert files(root) == {f"{name}.gz" for name in mnist}
    assert gzip.decompress((root / "mnist" / f"{IMAGES}.gz").read_bytes()) == mnist[IMAGES]
    captured = capsys.readouterr()
    assert captured.out == "" and f"mnist: {IMAGES}.gz" in captured.err


def test_a_second_load_downloads_nothing(mnist: dict[str, bytes], server: Server) -> None:
    load("mnist")
    asked = len(server.asked)
    load("mnist")
    assert asked == 4 == len(server.asked)


def test_only_what_is_missing_is_downloaded(mnist: dict[str, bytes], root: Path, server: Server) -> None:
    fill(root / "mnist", {name: content for name, content in mnist.items() if name != IMAGES})
    assert load("mnist").published
    assert server.asked == [f"/one/{IMAGES}.gz"]


def test_mirrors_are_tried_in_order(mnist: dict[str, bytes], server: Server) -> None:
    del server.files[f"/one/{IMAGES}.gz"]
    server.cut.add("/one/t10k-images-idx3-ubyte.gz")
    server.files["/one/t10k-labels-idx1-ubyte.gz"] = gzip.compress(b"altered")
    assert load("mnist").published
    twice = [IMAGES, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    expected = []
    for name in SOURCES["mnist"].files:
        expected += [f"/one/{name}.gz"] + [f"/two/{name}.gz"] * (name in twice)
    assert server.asked == expected


@pytest.mark.parametrize("how", ["altered", "truncated gz", "cut"])
def test_a_bad_download_is_refused_and_leaves_nothing(
    mnist: dict[str, bytes], root: Path, server: Server, how: str
) -> None:
    for mirror in ("one", "two"):
        path = f"/{mirror}/{IMAGES}.gz"
        if how == "altered":
            server.files[path] = gzip.compress(mnist[IMAGES][:-1] + b"\0")
        elif how == "truncated gz":
            server.files[path] = server.files[path][:-100]
        else:
            server.cut.add(path)
    with pytest.raises(DataError) as caught:
        load("mnist")
    message = str(caught.value)
    assert message.startswith(f"mnist: could not download {IMAGES}.gz:\n")
    assert f"{server.url}/one/{IMAGES}.gz: " in message and f"{server.url}/two/{IMAGES}.gz: " in message
    if how != "cut":
        assert f"expected SHA-256 {hashlib.sha256(mnist[IMAGES]).hexdigest()}, found " in message
    assert files(root) == set()


def test_no_network_says_what_to_do(mnist: dict[str, bytes], root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = dataclasses.replace(SOURCES["mnist"], mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setitem(SOURCES, "mnist", closed)
    with pytest.raises(DataError) as caught:
        load("mnist")
    message = str(caught.value)
    assert f"http://127.0.0.1:9/{IMAGES}.gz: no connection" in message
    for needed in ("mnist", str(root / "mnist"), *mnist, "DLPARADOX_DATA", "quick profile needs no download"):
        assert needed in message


def test_no_network_for_cifar_names_archive_and_files(
    cifar10: dict[str, bytes], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "cifar10", dataclasses.replace(SOURCES["cifar10"], mirrors=("http://127.0.0.1:9/",)))
    with pytest.raises(DataError) as caught:
        load("cifar10")
    message = str(caught.value)
    for needed in (
        *cifar10,
        "cifar-10-binary.tar.gz",
        str(root / "cifar10" / "cifar-10-batches-bin"),
        "DLPARADOX_DATA",
    ):
        assert needed in message


def test_a_server_error_is_named(mnist: dict[str, bytes], server: Server) -> None:
    server.files.clear()
    with pytest.raises(DataError, match=f"/two/{IMAGES}.gz: the server answers 404 Not Found"):
        load("mnist")


def test_cifar_archive_is_unpacked_and_not_kept(cifar10: dict[str, bytes], root: Path, server: Server) -> None:
    assert load("cifar10").published
    assert files(root) == set(cifar10)
    assert server.asked == ["/one/cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("how", ["altered", "truncated", "cut"])
def test_a_bad_archive_is_refused_and_leaves_nothing(
    cifar10: dict[str, bytes], root: Path, server: Server, how: str
) -> None:
    for path in list(server.files):
        if how == "altered":
            server.files[path] = tar_gz(cifar10 | {"test_batch.bin": bytes(3073)})
        elif how == "truncated":
            server.files[path] = server.files[path][:-1000]
        else:
            server.cut.add(path)
    with pytest.raises(DataError, match=r"cifar10: could not download cifar-10-binary\.tar\.gz") as caught:
        load("cifar10")
    archive = SOURCES["cifar10"].archive
    assert archive and (how == "cut" or f"expected SHA-256 {archive.sha256}, found " in str(caught.value))
    assert files(root) == set()


def test_an_archive_placed_by_hand(cifar10: dict[str, bytes], root: Path, server: Server) -> None:
    fill(root / "cifar10", {"cifar-10-binary.tar.gz": server.files["/one/cifar-10-binary.tar.gz"]})
    assert load("cifar10").published
    assert server.asked == []


def test_a_wrong_archive_placed_by_hand_is_refused(cifar10: dict[str, bytes], root: Path) -> None:
    fill(root / "cifar10", {"cifar-10-binary.tar.gz": b"something else"})
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(
        DataError, match=f"cifar-10-binary.tar.gz is not the published archive: .*found {found}. Delete it"
    ):
        load("cifar10")


def test_unpacking_goes_on_where_it_was_killed(
    cifar10: dict[str, bytes], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = []

    def killed_at_the_third(source: Path, target: Path) -> None:
        moves.append(target)
        if len(moves) == 3:
            raise KeyboardInterrupt
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(download.os, "replace", killed_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            load("cifar10")
    assert files(root) == {"data_batch_1.bin", "data_batch_2.bin"}
    assert load("cifar10").published


def test_an_unpublished_file_is_not_replaced_by_a_download(cifar10: dict[str, bytes], root: Path) -> None:
    fill(root / "cifar10" / "cifar-10-batches-bin", {"test_batch.bin": bytes(3073)})
    assert "test_batch.bin" in load("cifar10", allow_unpublished=True).note
    assert (root / "cifar10" / "cifar-10-batches-bin" / "test_batch.bin").read_bytes() == bytes(3073)


@needs_fork
@quiet_fork
def test_a_killed_download_leaves_nothing_that_passes(mnist: dict[str, bytes], root: Path, server: Server) -> None:
    server.hang.add(f"/one/{IMAGES}.gz")
    process = child("mnist", root)
    assert server.halfway.wait(20)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert not list((root / "mnist").glob("*.gz"))
    server.hang.clear()
    assert load("mnist").published
    assert files(root) == {f"{name}.gz" for name in mnist}
    assert not list((root / "mnist").glob(".download-*"))


@needs_fork
@quiet_fork
@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
def test_two_processes_at_once(
    mnist: dict[str, bytes], root: Path, server: Server, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    if not locks:
        monkeypatch.setattr(download, "fcntl", None)
    elif sys.platform == "win32":
        pytest.skip("no file locks here")
    server.hang.add(f"/one/{IMAGES}.gz")
    first = child("mnist", root)
    assert server.halfway.wait(20)
    second = child("mnist", root)
    second.join(0.3)
    server.release.set()
    first.join()
    second.join()
    assert (first.exitcode, second.exitcode) == (0, 0)
    assert load("mnist").published
    assert not list((root / "mnist").glob(".download-*"))
    if locks:
        assert len(server.asked) == 4  # the second process waited, and then found everything


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_folder_that_cannot_be_written(
    mnist: dict[str, bytes], root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(download.pooch, "HTTPDownloader", lambda **keywords: refuse)
    with pytest.raises(DataError, match=f"cannot write to {root / 'mnist'}: {os.strerror(code)}.*DLPARADOX_DATA"):
        load("mnist")
    assert files(root) == set()
