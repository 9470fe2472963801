"""Fashion-MNIST: where its four files are found on this machine, or else fetched from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from attar.data.download import cache_folder, fetch_gzip
from attar.data.idx import decompressed, read_idx
from attar.errors import BadInput, must
from attar.training.progress import Progress, silent

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

ADDRESSES = (
    "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
)
"""The publisher's two doors to the same files, best first. The second has no https; the digests make that safe."""

DIGESTS: Mapping[str, str] = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of each file's decompressed content."""

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where the Debian package ``dataset-fashion-mnist`` installs the files."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """What the four files hold: pictures ``[n, 28, 28]`` and class numbers ``[n]``, all unsigned bytes."""

    train_images: UInt8[Tensor, "train height width"]
    train_labels: UInt8[Tensor, " train"]
    test_images: UInt8[Tensor, "test height width"]
    test_labels: UInt8[Tensor, " test"]


def read(folder: Path, digests: Mapping[str, str | None] = DIGESTS) -> Arrays:
    """The four files in a folder, each gzipped or not, checked against their digests where these are known.

    Raises:
        CorruptFile: If a file is truncated, is not an IDX file, or is not the published one (plain MNIST has the same
            file names).
    """
    train_images, train_labels, test_images, test_labels = (
        read_idx(present(folder, name), dimensions=3 if "images" in name else 1, sha256=sha256)
        for name, sha256 in digests.items()
    )
    return Arrays(train_images, train_labels, test_images, test_labels)


def find(
    folder: Path | None = None,
    *,
    download: bool = True,
    addresses: Sequence[str] = ADDRESSES,
    digests: Mapping[str, str] = DIGESTS,
    progress: Progress = silent,
) -> Path:
    """A folder that holds the four files; they are downloaded into one where there is none.

    Args:
        folder: The only folder to look in, and to download into. None looks in ``$ATTAR_DATA/fashion-mnist``, in
            ``$ATTAR_DATA``, where the Debian package puts them and in the user's cache, and downloads into the first of
            these if ``$ATTAR_DATA`` is set, else into the cache.
        download: Whether to download at all.
        addresses: Where from; the next one is tried when one cannot be reached.
        digests: File name to SHA-256 of the decompressed content.
        progress: Told the bytes as they arrive.

    Raises:
        BadInput: If no folder has the files and they cannot be or may not be downloaded.
        CorruptFile: If what was downloaded is not what was published.
    """
    places = [folder] if folder is not None else _places()
    for place in places:
        if all(present(place, name).is_file() for name in digests):
            return place
    if not download:
        raise _not_found(places, "downloading is switched off")
    target = places[0] if folder is not None or os.environ.get("ATTAR_DATA") else places[-1]
    for name, sha256 in digests.items():
        if present(target, name).is_file():
            continue
        reasons = []
        for address in addresses:
            url = f"{address.rstrip('/')}/{name}.gz"
            try:
                fetch_gzip(url, target / f"{name}.gz", sha256=sha256, progress=progress)
                break
            except OSError as error:
                reasons.append(f"{url}: {error}")
        else:
            raise _not_found(places, "; ".join(reasons))
    return target


def _not_found(places: Sequence[Path], why: str) -> BadInput:
    remedy = (
        "Set ATTAR_DATA to a folder that has them, or install the Debian package dataset-fashion-mnist, "
        "or let them be downloaded where there is a network"
    )
    looked = ", ".join(map(str, places))
    return must("folder", "load_fashion_mnist", f"one with the four files of Fashion-MNIST ({why})", looked, remedy)


def is_published(path: Path) -> bool:
    """Whether a file of labels or pictures, gzipped or not, has the content that was published."""
    content = decompressed(path) if path.suffix == ".gz" else path.read_bytes()
    return hashlib.sha256(content).hexdigest() == DIGESTS[path.name.removesuffix(".gz")]


def present(folder: Path, name: str) -> Path:
    """The file of that name, plain if there is one, else gzipped."""
    uncompressed = folder / name
    return uncompressed if uncompressed.is_file() else folder / f"{name}.gz"


def _places() -> list[Path]:
    """The folders to look in, best first; the user's cache comes last."""
    data = os.environ.get("ATTAR_DATA")
    given = [Path(data) / "fashion-mnist", Path(data)] if data else []
    return [*given, DEBIAN, cache_folder() / "fashion-mnist"]
