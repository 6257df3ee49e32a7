"""Features that exist already, as arrays in a .npz, .mat or .csv file."""

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.io
import torch

from transferscope.data.domain import Domain
from transferscope.data.image_folders import require_two_classes
from transferscope.errors import Refused, nearest

SPLITS = ("train", "test", "")


def load(
    name: str,
    path: str,
    inputs: str = "inputs",
    labels: str = "labels",
    ids: str | None = None,
    split: str | None = None,
    groups: str | None = None,
    scale: Literal["none", "l1"] = "none",
    test_fraction: float = 0.5,
    whole: bool = False,
    origin: str | None = None,
) -> Domain:
    """inputs float32 [N, d]; classes the labels as text; ids FILE-00042 by row unless the file names them.

    path: a .npz or .mat file (MATLAB 5 to 7.2).
    inputs, labels, ids, split, groups: the keys under which the file holds [N, d], [N], [N], [N] ("train", "test" or ""), [N].
    scale: l1 divides every row by the sum of its absolute values. whole: see Domain. origin: where the file is to be had, for the message.
    Raises Refused for a missing file or key, a shape that does not fit, a value that is not finite, fewer than two classes.
    """
    if scale not in ("none", "l1"):
        raise Refused(f"scale={scale}; allowed: none, l1{nearest(scale, ('none', 'l1'))}")
    keys = [key for key in (inputs, labels, ids, split, groups) if key is not None]
    arrays = read_members(_existing(path, origin), keys)
    values = as_matrix(path, inputs, arrays[inputs])
    columns = {key: _column(path, key, arrays[key], len(values)) for key in keys if key != inputs}
    if scale == "l1":
        values = values / np.maximum(np.abs(values).sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    for odd in sorted(set(columns.get(split, ())) - set(SPLITS)):
        raise Refused(f"{split} in {path} has {odd!r}; allowed: train, test or empty{nearest(odd, SPLITS)}")
    return _domain(
        name,
        path,
        values,
        columns[labels],
        test_fraction,
        ids=None if ids is None else columns[ids],
        split="" if split is None else columns[split],
        groups=None if groups is None else columns[groups],
        whole=whole,
    )


def load_csv(name: str, path: str, test_fraction: float = 0.5, origin: str | None = None) -> Domain:
    """inputs float32 [N, d] from a .csv file of numbers without a header, the label in the last column; ids FILE-00042 by row."""
    file = _existing(path, origin)
    try:
        table = np.loadtxt(file, delimiter=",", ndmin=2)
    except ValueError as error:
        raise Refused(f"{path}: {error}; allowed: numbers between commas, no header") from error
    if table.shape[1] < 2:
        raise Refused(f"{path} has {table.shape[1]} columns; at least one feature and the label are needed")
    values = as_matrix(path, "the feature columns", table[:, :-1])
    return _domain(name, path, values, _column(path, "the last column", table[:, -1], len(values)), test_fraction)


def _domain(
    name: str,
    path: str,
    values: np.ndarray,
    class_of: list[str],
    test_fraction: float,
    ids: list[str] | None = None,
    split: str | list[str] = "",
    groups: list[str] | None = None,
    whole: bool = False,
) -> Domain:
    require_two_classes(set(class_of), path)
    if ids is None:
        ids = [f"{Path(path).stem}-{i:05d}" for i in range(len(values))]
    elif len(set(ids)) < len(ids):
        raise Refused(f"ids in {path} are not unique: {Counter(ids).most_common(1)[0][0]!r} is there twice or more")
    return Domain.build(name, torch.from_numpy(values), class_of, ids, split, test_fraction, groups, whole=whole)


def _existing(path: str, origin: str | None) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        whence = f"it comes from {origin}; " if origin else ""
        raise Refused(f"no file {path}; {whence}mend `path` in the domain's yaml or pass data_root=FOLDER that holds it")
    return file


def read_members(file: Path, keys: list[str]) -> Mapping[str, np.ndarray]:
    readers = {".npz": lambda: np.load(file, allow_pickle=False), ".mat": lambda: nullcontext(scipy.io.loadmat(file))}
    if file.suffix not in readers:
        raise Refused(f"path={file}; allowed: a .npz or .mat file")
    try:
        with readers[file.suffix]() as content:
            known = [key for key in content if not key.startswith("__")]
            arrays = {key: content[key] for key in keys if key in known}
    except NotImplementedError as error:
        raise Refused(f"{file} is a MATLAB 7.3 file; save it with `save -v7`") from error
    except Exception as error:  # readers of foreign bytes raise anything, from BadZipFile to TypeError
        reason = " ".join(str(error).split())
        raise Refused(f"{file} cannot be read ({reason}); save plain arrays of numbers and text") from error
    for missing in [key for key in keys if key not in known]:
        raise Refused(f"no key '{missing}' in {file}; there are: {', '.join(known)}{nearest(missing, known)}")
    return arrays


def as_matrix(path: str, key: str, array: np.ndarray) -> np.ndarray:
    """float32 [N, d], finite"""
    if array.ndim != 2 or not array.size or array.dtype.kind not in "biuf":
        raise Refused(f"{key} in {path} is {array.dtype} of shape {array.shape}; allowed: numbers [items, features]")
    with np.errstate(over="ignore"):  # told below, with its place
        values = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise Refused(f"{key} in {path} has {values[row, column]} in row {row}, column {column}; all values must be finite")
    return values


def _column(path: str, key: str, array: np.ndarray, items: int) -> list[str]:
    """One text an item; 3.0 becomes "3"."""
    flat = array.ravel()
    if len(flat) != items or max(array.shape, default=0) != items or array.dtype.kind not in "biufU":
        raise Refused(f"{key} in {path} is {array.dtype} of shape {array.shape}; allowed: a number or text an item, {items}")
    if flat.dtype.kind == "f":
        odd = flat[~np.isfinite(flat) | (flat != np.round(flat))]
        if len(odd):
            raise Refused(f"{key} in {path} has {odd[0]}; allowed: whole numbers or text")
        flat = flat.astype(np.int64)
    return [str(value) for value in flat.tolist()]
