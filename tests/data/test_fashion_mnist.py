"""Where Fashion-MNIST is found, and its download from a server on this machine that can be made to misbehave."""

import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from attar.data import fashion_mnist
from attar.data.datasets import load, load_fashion_mnist
from attar.errors import BadInput, CorruptFile


def idx(array: torch.Tensor) -> bytes:
    header = bytes([0, 0, 8, array.dim()]) + struct.pack(f">{array.dim()}I", *array.shape)
    return header + bytes(array.flatten().tolist())


CONTENTS = {
    "train-images-idx3-ubyte": idx(torch.arange(96, dtype=torch.uint8).view(6, 4, 4)),
    "train-labels-idx1-ubyte": idx(torch.tensor([0, 1, 2, 0, 1, 2], dtype=torch.uint8)),
    "t10k-images-idx3-ubyte": idx(torch.arange(32, dtype=torch.uint8).view(2, 4, 4)),
    "t10k-labels-idx1-ubyte": idx(torch.tensor([2, 1], dtype=torch.uint8)),
}
DIGESTS = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
ZIPPED = {f"{name}.gz": gzip.compress(content) for name, content in CONTENTS.items()}


class Server:
    """A server of files; an entry of ``broken`` is sent without its second half."""

    def __init__(self) -> None:
        self.files = dict(ZIPPED)
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.address = ""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            state.asked.append(name)
            if name not in state.files:
                self.send_error(404)
                return
            content = state.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if name in state.broken else content)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        state.address = f"http://127.0.0.1:{listener.server_address[1]}/data/"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        listener.shutdown()
        thread.join()


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine without the files; what is returned is its cache folder."""
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(fashion_mnist, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("ATTAR_DATA", raising=False)
    return tmp_path / "cache" / "fashion-mnist"


def put(folder, contents=ZIPPED):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def left_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def dead_address() -> str:
    """An address at which nobody listens."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as listener:
        return f"http://127.0.0.1:{listener.server_address[1]}"


@pytest.mark.parametrize("contents", [ZIPPED, CONTENTS], ids=["gzipped", "plain"])
def test_the_four_files_are_read(tmp_path, contents):
    files = fashion_mnist.read(put(tmp_path, contents), DIGESTS)
    assert torch.equal(files.train_images, torch.arange(96, dtype=torch.uint8).view(6, 4, 4))
    assert files.train_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert files.test_images.shape == (2, 4, 4) and files.test_labels.tolist() == [2, 1]


def test_other_data_under_the_same_names_are_refused(tmp_path):
    with pytest.raises(CorruptFile, match=r"train-images-idx3-ubyte.gz must have the published content"):
        load_fashion_mnist(put(tmp_path), download=False)


def test_places_are_tried_in_order(nowhere, monkeypatch, tmp_path):
    def found():
        return fashion_mnist.find(download=False, digests=DIGESTS)

    assert put(nowhere) == found()
    assert put(fashion_mnist.DEBIAN) == found()
    monkeypatch.setenv("ATTAR_DATA", str(tmp_path / "data"))
    assert fashion_mnist.DEBIAN == found(), "ATTAR_DATA without the files does not hide them"
    assert put(tmp_path / "data") == found()
    assert put(tmp_path / "data" / "fashion-mnist") == found()
    assert put(tmp_path / "given") == fashion_mnist.find(tmp_path / "given", download=False, digests=DIGESTS)


def test_an_incomplete_folder_is_passed_over(nowhere):
    put(fashion_mnist.DEBIAN)
    put(nowhere)
    next(fashion_mnist.DEBIAN.iterdir()).unlink()
    assert fashion_mnist.find(download=False, digests=DIGESTS) == nowhere


def test_without_files_and_download_the_three_ways_are_named(nowhere):
    with pytest.raises(BadInput) as caught:
        load_fashion_mnist(download=False)
    message = str(caught.value)
    assert message.startswith(
        "folder of load_fashion_mnist must be one with the four files of Fashion-MNIST (downloading is switched off)"
    )
    for way in ("Set ATTAR_DATA", "install the Debian package dataset-fashion-mnist", "be downloaded"):
        assert way in message


@pytest.mark.parametrize("where", ["cache", "ATTAR_DATA", "folder"])
def test_files_are_downloaded_once(nowhere, server, monkeypatch, tmp_path, where):
    expected = {"cache": nowhere, "ATTAR_DATA": tmp_path / "data" / "fashion-mnist", "folder": tmp_path / "given"}[
        where
    ]
    if where == "ATTAR_DATA":
        monkeypatch.setenv("ATTAR_DATA", str(tmp_path / "data"))
    folder = tmp_path / "given" if where == "folder" else None
    for _ in range(2):
        assert fashion_mnist.find(folder, addresses=[server.address], digests=DIGESTS) == expected
    assert sorted(server.asked) == left_in(expected) == sorted(ZIPPED)
    assert fashion_mnist.read(expected, DIGESTS).test_labels.tolist() == [2, 1]


def test_the_bytes_are_reported(nowhere, server):
    bars: dict[str, list[int]] = {}

    @contextmanager
    def progress(title, total):
        bars[title] = [total]
        yield bars[title].append

    fashion_mnist.find(addresses=[server.address], digests=DIGESTS, progress=progress)
    assert list(bars) == [f"download {name}.gz" for name in CONTENTS]
    for name, content in ZIPPED.items():
        total, *steps = bars[f"download {name}"]
        assert total == sum(steps) == len(content)


def test_other_compression_is_accepted(nowhere, server):
    server.files = {f"{name}.gz": gzip.compress(content, compresslevel=1) for name, content in CONTENTS.items()}
    assert fashion_mnist.find(addresses=[server.address], digests=DIGESTS) == nowhere


@pytest.mark.parametrize(
    "content", [gzip.compress(b"something else"), b"<html>Log in first</html>"], ids=["other", "page"]
)
def test_a_wrong_download_is_refused_and_removed(nowhere, server, content):
    server.files["t10k-images-idx3-ubyte.gz"] = content
    message = (
        r"^the download of t10k-images-idx3-ubyte\.gz must have the published content; got another from http://127.*"
        r"Try again, or get the file from elsewhere\.$"
    )
    with pytest.raises(CorruptFile, match=message):
        fashion_mnist.find(addresses=[server.address], digests=DIGESTS)
    assert left_in(nowhere) == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]


def test_a_broken_off_download_leaves_nothing_and_goes_on_later(nowhere, server):
    name = "train-labels-idx1-ubyte.gz"
    server.broken = {name}
    length = len(ZIPPED[name])
    message = rf"the connection broke off after {length // 2} of {length} bytes"
    with pytest.raises(BadInput, match=message):
        fashion_mnist.find(addresses=[server.address], digests=DIGESTS)
    assert left_in(nowhere) == ["train-images-idx3-ubyte.gz"]
    server.broken, server.asked = set(), []
    assert fashion_mnist.find(addresses=[server.address], digests=DIGESTS) == nowhere
    assert "train-images-idx3-ubyte.gz" not in server.asked and left_in(nowhere) == sorted(ZIPPED)


def test_a_killed_download_leaves_no_part_of_a_file(nowhere, server):
    @contextmanager
    def killed(title, total):
        def advance(steps):
            raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        fashion_mnist.find(addresses=[server.address], digests=DIGESTS, progress=killed)
    assert left_in(nowhere) == []


def test_the_next_address_is_tried(nowhere, server):
    assert fashion_mnist.find(addresses=[dead_address(), server.address], digests=DIGESTS) == nowhere


def test_a_missing_file_names_address_and_reason(nowhere, server):
    server.files.clear()
    with pytest.raises(BadInput, match=r"\(http://127.*/data/train-images-idx3-ubyte\.gz: HTTP Error 404: Not Found\)"):
        load_fashion_mnist(addresses=[server.address])
    assert left_in(nowhere) == []


def test_no_network_names_the_reason_and_the_three_ways(nowhere, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(BadInput, match=r"(?i)refused.*ATTAR_DATA.*dataset-fashion-mnist.*where there is a network"):
        load_fashion_mnist(addresses=[dead_address()])


@pytest.mark.skipif(not fashion_mnist.DEBIAN.exists(), reason="needs the Debian package dataset-fashion-mnist")
def test_the_real_files_have_their_digests_and_shapes():
    dataset = load("fashion-mnist", validation=5000, seed=3)
    assert [len(split) for split in dataset.splits().values()] == [55_000, 5_000, 10_000]
    assert dataset.train.inputs.shape[1:] == (1, 28, 28) and dataset.train.inputs.dtype == torch.uint8
    assert torch.bincount(dataset.validation.labels).tolist() == [500] * 10
    assert torch.bincount(dataset.test.labels).tolist() == [1000] * 10
    both = torch.cat((dataset.train.ids, dataset.validation.ids))
    assert torch.equal(both.sort().values, torch.arange(60_000))
    assert dataset.classes[9] == "Ankle boot" and dataset.train.classes == dataset.classes
