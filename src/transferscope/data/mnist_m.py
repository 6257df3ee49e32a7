"""MNIST-M (Ganin et al. 2016, arXiv 1505.07818): MNIST digits blended with photo patches, 32×32 RGB."""

import io
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image

from transferscope.data.domain import Domain
from transferscope.data.files import official_file
from transferscope.errors import RequestError

ORIGIN = "the authors' archive mnist_m.tar.gz (linked from http://yaroslav.ganin.net)"
# The authors' link is a Google Drive page that refuses plain clients; this copy has the same MD5.
ADDRESS = "https://cornell.box.com/shared/static/jado7quprg6hzzdubvwzh9umr75damwi"
MD5 = "859df31c91afe82e80e5012ba928f279"
PARTS = {"mnist_m_train": "train", "mnist_m_test": "test"}
ARCHIVES = ["mnist_m/mnist_m.tar.gz", "mnist_m/mnist_m_train10k_test9001.tar.gz"]


def load(name: str, data_root: str, download: bool = False) -> Domain:
    """inputs uint8 [N, 3, 32, 32]; classes "0" to "9"; ids such as "train-00000042", the name of the picture.

    Reads `data_root/mnist_m/mnist_m.tar.gz` (59001 + 9001), else the shortened
    `mnist_m_train10k_test9001.tar.gz` (10000 + 9001); neither is unpacked. In both, a picture has the same
    id. download: fetch the authors' archive if neither is there. Raises RequestError for a missing or damaged
    archive."""
    path = official_file(data_root, ARCHIVES, ORIGIN, _fetch if download else None)
    try:
        pictures, digits = _read(path)
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise RequestError(f"{path}: damaged ({error}); delete it and fetch it again: {ORIGIN}") from error
    items = sorted(digits)
    if set(items) != set(pictures) or not items:
        raise RequestError(
            f"{path}: {len(pictures)} pictures and {len(digits)} labels that do not match; fetch it again: "
            f"{ORIGIN}"
        )
    inputs = np.stack([pictures[item] for item in items]).transpose(0, 3, 1, 2)  # [N, 3, 32, 32]
    return Domain.build(
        name,
        torch.from_numpy(np.ascontiguousarray(inputs)),
        [digits[item] for item in items],
        [f"{part}-{file.removesuffix('.png')}" for part, file in items],
        [part for part, _ in items],
    )


def _fetch(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    download_url(ADDRESS, str(folder / "mnist_m"), "mnist_m.tar.gz", md5=MD5)


def _read(path: Path) -> tuple[dict[tuple[str, str], np.ndarray], dict[tuple[str, str], str]]:
    """Picture [32, 32, 3] and digit of each (split, file name), in one pass over the archive."""
    pictures, digits = {}, {}
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            inner = PurePosixPath(member.name)
            if inner.suffix == ".png" and inner.parent.name in PARTS:
                picture = Image.open(io.BytesIO(archive.extractfile(member).read()))
                pictures[PARTS[inner.parent.name], inner.name] = np.asarray(picture.convert("RGB"))
            elif inner.name.removesuffix("_labels.txt") in PARTS and member.isfile():
                part = PARTS[inner.name.removesuffix("_labels.txt")]
                lines = archive.extractfile(member).read().decode().splitlines()
                digits |= {(part, file): digit for file, digit in map(str.split, lines)}
    return pictures, digits
