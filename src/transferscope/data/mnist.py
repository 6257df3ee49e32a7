"""MNIST (LeCun, Cortes, Burges): 60000 + 10000 handwritten digits, 28×28 grey, official split."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch

from transferscope.data.domain import Domain
from transferscope.data.files import official_file
from transferscope.errors import RequestError

ORIGIN = "http://yann.lecun.com/exdb/mnist (torchvision.datasets.MNIST fetches it)"


def load(name: str, data_root: str, download: bool = False) -> Domain:
    """inputs uint8 [70000, 1, 28, 28]; classes "0" to "9"; ids such as "train-00042", numbered as in the
    files.

    Reads `data_root/mnist/*-ubyte.gz`, or torchvision's own folder `data_root/MNIST/raw`.
    download: let torchvision fetch what is missing. Raises RequestError for a missing or damaged file.
    """
    inputs, class_of, ids, split = [], [], [], []
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = _idx(_find(f"{prefix}-images-idx3-ubyte", data_root, download), axes=3)
        labels = _idx(_find(f"{prefix}-labels-idx1-ubyte", data_root, download), axes=1)
        inputs.append(images)
        class_of += labels.astype(str).tolist()
        ids += [f"{part}-{i:05d}" for i in range(len(images))]
        split += [part] * len(images)
    return Domain.build(name, torch.from_numpy(np.concatenate(inputs)[:, None]), class_of, ids, split)


def _find(file: str, data_root: str, download: bool) -> Path:
    places = [f"mnist/{file}.gz", f"mnist/{file}", f"MNIST/raw/{file}", f"MNIST/raw/{file}.gz"]
    return official_file(data_root, places, ORIGIN, _fetch if download else None)


def _fetch(folder: Path) -> None:
    from torchvision.datasets import MNIST

    MNIST(folder, download=True)


def _idx(path: Path, axes: int) -> np.ndarray:
    """An idx file of bytes: two zeros, type 8 (uint8), number of axes, one big-endian int32 an axis, then the
    values."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if raw[:4] != bytes((0, 0, 8, axes)):
            raise ValueError(f"no idx file of bytes with {axes} axes")
        shape = np.frombuffer(raw, ">i4", count=axes, offset=4).tolist()
        return np.frombuffer(raw, np.uint8, count=math.prod(shape), offset=4 + 4 * axes).reshape(shape)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise RequestError(
            f"{path}: damaged ({error}); delete it and fetch it again from {ORIGIN}"
        ) from error
