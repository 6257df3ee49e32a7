"""Inputs without labels, prepared as training prepared those of the target domain."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transferscope.data import array_files, picture_files, table_files, tables
from transferscope.data.decoding import DEEPEST, Encoded, decode_squares, white_of
from transferscope.data.domain import fit_images
from transferscope.data.picture_files import SUFFIXES, kinds, tell, tell_left_out
from transferscope.errors import RequestError

ARRAY_SUFFIXES = (".npz", ".mat", ".csv")


def find_pictures(path: Path) -> list[Path]:
    """The one picture it is, or every picture below a folder, as training finds them; one line on stderr says
    what was left out."""
    if path.is_file():
        return [path]
    pictures, left_out = picture_files.find_files(path)
    if not pictures:
        found = f" (left out: {kinds(left_out)})" if left_out else ""
        raise RequestError(f"{path}: no picture in it{found}; pictures are {', '.join(sorted(SUFFIXES))}")
    tell_left_out(path, left_out)
    return pictures


def white_of_files(files: Sequence[Path], of_training: int | None) -> int:
    """The white of 16-bit greys: that of the training pictures; where they had none, that of these, and a
    line on stderr says it."""
    if of_training is None and (own := white_of(_encoded(files))):
        tell(f"16-bit greys: 0 to {own} became 0 to 255; the model was trained on pictures of 8 bits")
        return own
    return of_training or DEEPEST


def read_pictures(
    files: Sequence[Path], own_shape: Sequence[int], input_shape: Sequence[int], white: int = DEEPEST
) -> Tensor:
    """uint8 [N, *input_shape]: brought to the shape (C, H, W) that the target domain holds its pictures in,
    then to that of the run.

    white: of 16-bit greys. Raises RequestError naming the first picture that cannot be decoded.
    """
    squares = decode_squares(_encoded(files), own_shape[-1], own_shape[0], white)
    return fit_images(squares, input_shape[-1], input_shape[0])


def _encoded(files: Sequence[Path]) -> list[Encoded]:
    return [(str(f), partial(open, f, "rb")) for f in files]


def read_table(file: Path, loader: Mapping[str, Any], columns: Mapping[str, Sequence[str]]) -> Tensor:
    """float32 [N, d] from a table whose header names the features, or which has the columns that the target's
    yaml gives `names`; other columns are passed over.

    loader: the target domain's yaml. columns: of the target, with their categories. Raises RequestError for
    what `tables.load` refuses."""
    form = {key: loader[key] for key in ("separator", "comment") if key in loader}
    frame, places = table_files.read([str(file)], **form)
    if "names" in loader and not set(columns) <= {str(column) for column in frame.columns}:
        frame, places = table_files.read([str(file)], loader["names"], loader.get("header"), **form)
    tables.require_columns(list(columns), [str(column) for column in frame.columns], str(file))
    listed = {name: list(categories) for name, categories in columns.items() if categories}
    values, _ = tables.features_of(str(file), frame[list(columns)], listed, loader.get("missing"), places)
    gaps = np.isnan(values)
    inputs = array_files.as_matrix(str(file), "the features", np.where(gaps, 0, values))
    inputs[gaps] = np.nan
    return torch.from_numpy(inputs)


def read_array(file: Path, loader: Mapping[str, Any], features: int) -> Tensor:
    """float32 [N, features] from a .npz, .mat or .csv file.

    loader: the target domain's yaml, which says under which key and in which scale.
    Raises RequestError for a file, key or shape that does not fit.
    """
    from_arrays = loader.get("_target_") == "transferscope.data.arrays.load"
    key = loader.get("inputs", "inputs") if from_arrays else "inputs"
    if file.suffix not in ARRAY_SUFFIXES:
        raise RequestError(
            f"{file}: the model takes arrays of {features} features; give a {', '.join(ARRAY_SUFFIXES)} file"
        )
    table = (
        array_files.read_csv(file, loader.get("header"))
        if file.suffix == ".csv"
        else array_files.read_members(file, [key])[key]
    )
    values = array_files.as_matrix(str(file), key, table)
    if values.shape[1] != features:
        raise RequestError(
            f"{file}: {values.shape[1]} columns; the model takes {features} features and no label"
        )
    if from_arrays and loader.get("scale") == "l1":
        values = values / np.maximum(np.abs(values).sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return torch.from_numpy(values)
