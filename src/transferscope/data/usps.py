"""USPS (Hull 1994): 7291 + 2007 digits from envelopes, 16×16 grey, official split, from the LIBSVM text that
torchvision reads too."""

import bz2
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from transferscope.data.domain import Domain
from transferscope.data.files import official_file
from transferscope.errors import RequestError

ORIGIN = (
    "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps "
    "(torchvision.datasets.USPS fetches it)"
)
PIXELS = 256


def load(
    name: str,
    data_root: str,
    download: bool = False,
    pad: int = 0,
    parts: Literal["both", "train"] = "both",
    test_fraction: float = 0.5,
) -> Domain:
    """inputs uint8 [9298, 1, 16, 16], the values torchvision.datasets.USPS gives; classes "0" to "9"; ids
    such as "test-0042", by line.

    Reads `data_root/usps/usps.bz2` and `usps.t.bz2` (also from `data_root` itself, where torchvision puts
    them). download: let torchvision fetch what is missing. pad: pixels of black on every side. parts: train
    leaves the official test part out; of the 7291 others `test_fraction` is tested on. Raises RequestError
    for a missing or damaged file."""
    if pad < 0:
        raise RequestError(f"pad={pad}: a whole number of pixels from 0 is needed")
    if parts not in ("both", "train"):
        raise RequestError(f"parts={parts}; allowed: both, train")
    inputs, class_of, ids, split = [], [], [], []
    for part, file in (("train", "usps.bz2"), ("test", "usps.t.bz2"))[: 1 if parts == "train" else 2]:
        path = official_file(data_root, [f"usps/{file}", file], ORIGIN, _fetch if download else None)
        images, digits = _read(path)
        inputs.append(images)
        class_of += digits.astype(str).tolist()
        ids += [f"{part}-{i:04d}" for i in range(len(images))]
        split += [part if parts == "both" else ""] * len(images)
    padded = np.pad(np.concatenate(inputs), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return Domain.build(name, torch.from_numpy(padded), class_of, ids, split, test_fraction)


def _fetch(folder: Path) -> None:
    from torchvision.datasets import USPS

    for train in (True, False):
        USPS(folder / "usps", train=train, download=True)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """LIBSVM text with every pixel: `label 1:value ... 256:value`, labels 1 to 10, values -1 to 1 → uint8 [N,
    1, 16, 16], digits [N]."""
    try:
        numbers = np.fromstring(
            bz2.decompress(path.read_bytes()).replace(b":", b" ").decode("ascii"), dtype=np.float32, sep=" "
        )
        rows = numbers.reshape(-1, 1 + 2 * PIXELS)
    except (OSError, EOFError, ValueError) as error:
        raise RequestError(
            f"{path}: damaged ({error}); delete it and fetch it again from {ORIGIN}"
        ) from error
    values = rows[:, 2::2]  # [N, 256]; the columns between are the pixel numbers
    images = ((values + 1) / 2 * 255).astype(np.uint8)
    return images.reshape(-1, 1, 16, 16), rows[:, 0].astype(np.int64) - 1
