"""Inputs without labels, prepared as training prepared those of the target domain."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transferscope.data import arrays
from transferscope.data.domain import fit_images
from transferscope.data.image_folders import SUFFIXES, decode_squares
from transferscope.errors import Refused

ARRAY_SUFFIXES = (".npz", ".mat", ".csv")


def find_pictures(folder: Path) -> list[Path]:
    """Every picture below a folder, at any depth, or the one picture it is; hidden files and folders do not count."""
    if folder.is_file():
        return [folder]
    inside = (f for f in sorted(folder.rglob("*")) if not any(part.startswith(".") for part in f.relative_to(folder).parts))
    pictures = [f for f in inside if f.suffix.lower() in SUFFIXES and f.is_file()]
    if not pictures:
        raise Refused(f"{folder}: no picture in it; pictures are {', '.join(sorted(SUFFIXES))}")
    return pictures


def read_pictures(files: Sequence[Path], own_shape: Sequence[int], input_shape: Sequence[int]) -> Tensor:
    """uint8 [N, *input_shape]: brought to the shape (C, H, W) that the target domain holds its pictures in, then to that of the run.

    Raises Refused naming the first picture that cannot be decoded.
    """
    squares = decode_squares([(str(f), f.read_bytes) for f in files], own_shape[-1], own_shape[0])
    return fit_images(squares, input_shape[-1], input_shape[0])


def read_array(file: Path, loader: Mapping[str, Any], features: int) -> Tensor:
    """float32 [N, features] from a .npz, .mat or .csv file.

    loader: the target domain's yaml, which says under which key and in which scale.
    Raises Refused for a file, key or shape that does not fit.
    """
    from_arrays = loader.get("_target_") == "transferscope.data.arrays.load"
    key = loader.get("inputs", "inputs") if from_arrays else "inputs"
    if file.suffix not in ARRAY_SUFFIXES:
        raise Refused(f"{file}: the model takes arrays of {features} features; give a {', '.join(ARRAY_SUFFIXES)} file")
    if file.suffix == ".csv":
        try:
            table = np.loadtxt(file, delimiter=",", ndmin=2)
        except ValueError as error:
            raise Refused(f"{file}: {error}; allowed: numbers between commas, no header") from error
    else:
        table = arrays.read_members(file, [key])[key]
    values = arrays.as_matrix(str(file), key, table)
    if values.shape[1] != features:
        raise Refused(f"{file}: {values.shape[1]} columns; the model takes {features} features and no label")
    if from_arrays and loader.get("scale") == "l1":
        values = values / np.maximum(np.abs(values).sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return torch.from_numpy(values)
