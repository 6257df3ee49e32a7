"""A torch Dataset of (input, label), as torchvision's are, read into a Domain."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from transferscope.data.arrays import class_of, refuse_odd_split
from transferscope.data.decoding import check_shape, square
from transferscope.data.domain import Domain
from transferscope.data.image_folders import require_two_classes
from transferscope.errors import RequestError


def from_dataset(
    name: str,
    dataset: Dataset,
    *,
    size: int | None = None,
    channels: int = 3,
    ids: Sequence[str] | None = None,
    split: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    test_fraction: float = 0.5,
    unlabelled: str | float | None = None,
) -> Domain:
    """Every item, once and in order; all of them are held in memory.

    dataset: gives (input, label) for 0 … N - 1. An input is a picture (PIL, of 8 bits; or uint8 [C, H, W],
        all of one shape) or float [d]. A label is a whole number or text; where the dataset has `classes`, a
        number is the index of a name among them.
    size, channels: of the squares that PIL pictures are made, as in image_folders. ids: NAME-00042 by
    position where they are not given. split: "train", "test" or "" for each item. unlabelled: see
    `arrays.load`. Raises RequestError for an input of another kind, such as pictures that a transform made
    floats of, and for what no class can be."""
    pairs = [dataset[i] for i in range(len(dataset))]
    for number, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise RequestError(f"item {number} of {name} is no (input, label) but {type(pair).__name__}")
    if any(isinstance(x, Image.Image) for x, _ in pairs):
        if size is None:
            raise RequestError(
                f"size=None; {name} holds pictures: give the number of pixels of the squares they become"
            )
        check_shape(size, channels)
    inputs = [_input(name, number, x, size, channels) for number, (x, _) in enumerate(pairs)]
    if len(shapes := sorted({(tuple(x.shape), str(x.dtype)) for x in inputs}, key=str)) != 1:
        raise RequestError(
            f"inputs of {name} are of {len(shapes)} shapes or types, such as {shapes[:2]}; allowed: items, "
            "all alike"
        )
    names = getattr(dataset, "classes", None)
    labels = [_label(name, number, y, names) for number, (_, y) in enumerate(pairs)]
    classes = class_of(name, "labels", labels, unlabelled)
    require_two_classes(set(classes) - {None}, name)
    parts = list(split) if split is not None else [""] * len(pairs)
    refuse_odd_split(name, parts, classes)
    ids = [f"{name}-{i:05d}" for i in range(len(pairs))] if ids is None else ids
    return Domain.build(name, torch.stack(inputs), classes, ids, parts, test_fraction, groups=groups)


def _input(name: str, number: int, x: Any, size: int | None, channels: int) -> Tensor:
    """uint8 [C, H, W] or float32 [d]"""
    if isinstance(x, Image.Image):
        if x.mode[0] in "IF":
            raise RequestError(
                f"item {number} of {name} is a picture of more than 8 bits (mode {x.mode}); allowed: 8 bits "
                "a pixel"
            )
        return torch.from_numpy(square(x, size, channels).copy())
    x = torch.as_tensor(x) if isinstance(x, Tensor | np.ndarray) else None
    if x is not None and x.ndim == 3 and x.dtype == torch.uint8 and x.shape[0] in (1, 3):
        return x
    if x is not None and x.ndim == 1 and x.is_floating_point() and bool(x.isfinite().all()):
        return x.float()
    what = "no picture and no array" if x is None else f"{x.dtype} of shape {tuple(x.shape)}"
    raise RequestError(
        f"item {number} of {name} is {what}; allowed: a PIL picture (no ToTensor), uint8 [C, H, W], finite "
        "floats [d]"
    )


def _label(name: str, number: int, y: Any, names: Sequence[str] | None) -> str:
    y = y.item() if isinstance(y, Tensor | np.ndarray | np.generic) and np.asarray(y).size == 1 else y
    if isinstance(y, str):
        return y
    if not isinstance(y, int):
        raise RequestError(f"label of item {number} of {name} is {y!r}; allowed: a whole number or text")
    if names is None or y < 0:
        return str(y)
    if y >= len(names):
        raise RequestError(f"label of item {number} of {name} is {y}; the dataset names {len(names)} classes")
    return str(names[y])
