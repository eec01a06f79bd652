"""A tiny fabricated publisher on 127.0.0.1: no test of the data sets needs a network."""

import contextlib
import dataclasses
import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from publisher import Server, cifar, digests, idx, tar_gz

from dlparadox.data.published import SOURCES, Archive


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            body = state.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            half = len(body) // 2
            self.wfile.write(body[:half])
            if self.path in state.cut:
                return
            if self.path in state.hang:
                self.wfile.flush()
                state.halfway.set()
                state.release.wait(30)
            with contextlib.suppress(OSError):  # the client was killed, as the test intends
                self.wfile.write(body[half:])

        def log_message(self, *arguments: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    state.release.set()
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, no permission for unpublished content, and no proxy before the server."""
    monkeypatch.setenv("DLPARADOX_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("DLPARADOX_ALLOW_UNPUBLISHED", raising=False)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    return tmp_path / "data"


@pytest.fixture
def mnist(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Content of a fabricated MNIST of 7 and 4 images, which the server publishes on /one/ and /two/."""
    random = np.random.default_rng(0)
    train = {
        "train-images-idx3-ubyte": idx(random.integers(0, 256, (7, 28, 28))),
        "train-labels-idx1-ubyte": idx(random.integers(0, 10, 7)),
    }
    test = {
        "t10k-images-idx3-ubyte": idx(random.integers(0, 256, (4, 28, 28))),
        "t10k-labels-idx1-ubyte": idx(random.integers(0, 10, 4)),
    }
    source = dataclasses.replace(
        SOURCES["mnist"],
        train=digests(train),
        test=digests(test),
        mirrors=(f"{server.url}/one/", f"{server.url}/two/"),
    )
    monkeypatch.setitem(SOURCES, "mnist", source)
    for mirror in ("one", "two"):
        server.files |= {f"/{mirror}/{name}.gz": gzip.compress(data) for name, data in (train | test).items()}
    return train | test


@pytest.fixture
def cifar10(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Content of a fabricated CIFAR-10 of two images per file; its archive is on /one/ and /two/."""
    random = np.random.default_rng(1)
    names = [*SOURCES["cifar10"].train, *SOURCES["cifar10"].test]
    files = {name: cifar(random.integers(0, 256, (2, 3, 32, 32)), random.integers(0, 10, 2)) for name in names}
    sums = digests(files)
    archive = tar_gz(files)
    source = dataclasses.replace(
        SOURCES["cifar10"],
        train={name: sums[name] for name in names[:-1]},
        test={names[-1]: sums[names[-1]]},
        mirrors=(f"{server.url}/one/", f"{server.url}/two/"),
        archive=Archive("cifar-10-binary.tar.gz", hashlib.sha256(archive).hexdigest()),
    )
    monkeypatch.setitem(SOURCES, "cifar10", source)
    server.files |= {f"/{mirror}/cifar-10-binary.tar.gz": archive for mirror in ("one", "two")}
    return files
