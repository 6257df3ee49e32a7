"""Features that exist already, as arrays in a .npz, .mat or .csv file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from hydra.utils import get_class

from transferscope.data.array_files import as_column, as_matrix, existing, read_csv, read_members
from transferscope.data.domain import Domain
from transferscope.data.image_folders import require_two_classes
from transferscope.data.mapped_arrays import open_matrix
from transferscope.data.on_disk import OnDisk
from transferscope.data.picture_files import normal
from transferscope.data.texts import Texts
from transferscope.errors import RequestError, nearest
from transferscope.tasks.classification import Classification

SPLITS = ("train", "test", "")
TASKS = ("classification", "regression", "multi_label")
NO_LABEL = ("-1", "nan", "")  # what other programs write for an item without label


def load(
    name: str,
    path: str,
    *,
    inputs: str = "inputs",
    labels: str = "labels",
    ids: str | None = None,
    split: str | None = None,
    groups: str | None = None,
    scale: Literal["none", "l1"] = "none",
    test_fraction: float = 0.5,
    whole: bool = False,
    origin: str | None = None,
    unlabelled: str | float | None = None,
    labels_path: str | None = None,
    task: str = "classification",
    unit: str = "",
) -> Domain:
    """inputs float32 [N, d]; classes the labels as text; ids FILE-00042 by row unless the file names them.

    task: `regression` where the labels, [N] or [N, T], are numbers to be predicted; unit: of theirs.
    `multi_label` where they are [N, L] of 1 and 0, whether an item has each label. Or a task of one's own, by
    its class (docs/how-to/adding-a-task.md).

    path: a .npz or .mat file (MATLAB 5 to 7.2); sparse matrices are read as dense ones. Or a .npy file of the
    inputs alone, which stays on disk where it is large (mapped_arrays.py).
    inputs, labels, ids, split, groups: the keys under which the file holds [N, d], [N], [N], [N] ("train",
    "test" or ""), [N]. scale: l1 divides every row by the sum of its absolute values. whole: see Domain.
    origin: where the file is to be had, for the message. unlabelled: the label of items that have none, such
    as -1 or "nan"; "none" where these are classes. labels_path: the file of all but the inputs, where `path`
    holds them alone, as what scipy.sparse.save_npz writes does. Raises RequestError for a missing file or
    key, a shape that does not fit, a value that is not finite, fewer than two classes, a label that looks
    like none where `unlabelled` does not say what it is."""
    if scale not in ("none", "l1"):
        raise RequestError(f"scale={scale}; allowed: none, l1{nearest(scale, ('none', 'l1'))}")
    keys = [key for key in (labels, ids, split, groups) if key is not None]
    file, alone = existing(path, origin), path.endswith(".npy")
    if alone and labels_path is None:
        raise RequestError(f"path={path}: holds the inputs alone; labels_path is needed, a .npz or .mat file")
    arrays: dict[str, Any]
    if labels_path is None:
        arrays = dict(read_members(file, [inputs, *keys]))
    else:
        arrays = dict(read_members(existing(labels_path, origin), keys))
        arrays |= {inputs: open_matrix(file)} if alone else read_members(file, [inputs])
    matrix = arrays[inputs]
    values = matrix if isinstance(matrix, OnDisk) else as_matrix(path, inputs, matrix)
    own, numbers = own_task(task, unit), None
    if task in TASKS[1:]:
        numbers = as_numbers(labels_path or path, labels, arrays[labels], len(values), unlabelled)
        keys.remove(labels)
    columns = {
        key: as_column(labels_path or path, key, arrays[key], len(values), missing=key == labels)
        for key in keys
    }
    if scale == "l1":
        if isinstance(values, OnDisk):
            raise RequestError(f"scale=l1: {path} stays on disk and is not scaled; leave the key out")
        values = values / np.maximum(np.abs(values).sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    width = 1 if numbers is None else numbers.shape[1]
    digits = len(str(width - 1)) if task == "multi_label" else 0  # labels are sorted by name
    return build(
        name,
        path,
        values,
        class_of(path, labels, columns[labels], unlabelled) if numbers is None else [],
        test_fraction=test_fraction,
        ids=None if ids is None else columns[ids],
        split="" if split is None else columns[split],
        groups=None if groups is None else columns[groups],
        whole=whole,
        numbers=numbers,
        quantities=[labels] if width == 1 else [f"{labels}[{k:0{digits}}]" for k in range(width)],
        has_tags=task == "multi_label",
        unit=unit,
        own_task=own,
    )


def load_csv(
    name: str,
    path: str,
    test_fraction: float = 0.5,
    origin: str | None = None,
    header: bool | None = None,
    unlabelled: str | float | None = None,
) -> Domain:
    """inputs float32 [N, d] from a .csv file of numbers, the label in the last column; ids FILE-00042 by row.

    header: whether the first line names the columns; refused where it seems to and this is not said.
    unlabelled: see `load`."""
    table = read_csv(existing(path, origin), header)
    if table.shape[1] < 2:
        raise RequestError(
            f"{path} has {table.shape[1]} columns; at least one feature and the label are needed"
        )
    values = as_matrix(path, "the feature columns", table[:, :-1])
    labels = as_column(path, "the last column", table[:, -1], len(values), missing=True)
    classes = class_of(path, "the last column", labels, unlabelled)
    return build(name, path, values, classes, test_fraction=test_fraction)


def class_of(path: str, key: str, labels: list[str], unlabelled: str | float | None) -> list[str | None]:
    """The class of each item, or None. A label that other programs write for none is refused until
    `unlabelled` says what it is."""
    if unlabelled is None:
        found = set(labels)
        # -1 and 1 are the two classes of many files
        suspects = [] if found == {"-1", "1"} else sorted(found.intersection(NO_LABEL))
        for suspect in suspects:
            shown = suspect or "''"
            raise RequestError(
                f"{key} in {path} has {shown}; say unlabelled: {shown} if such an item has no label, "
                "unlabelled: none if it is a class"
            )
        return list(labels)
    marker = (
        str(int(unlabelled)) if isinstance(unlabelled, float) and unlabelled.is_integer() else str(unlabelled)
    )
    if marker != "none" and marker not in labels:
        raise RequestError(
            f"unlabelled={marker}: {key} in {path} has no such label{nearest(marker, sorted(set(labels)))}"
        )
    return [None if label == marker else label for label in labels]


def own_task(task: str, unit: str) -> type[Classification] | None:
    """The class of a task of a user's own, None for ours. Raises RequestError for what is neither, and for a
    unit of classes."""
    if unit and task != "regression":
        what = "labels" if task == "multi_label" else "classes"
        raise RequestError(f"unit={unit}: {what} have none; give task: regression, or leave it out")
    if task in TASKS:
        return None
    if "." not in task:
        raise RequestError(
            f"task={task}; allowed: {', '.join(TASKS)}{nearest(task, TASKS)}, or module.Class of one's own"
        )
    try:
        found = get_class(task)
    except Exception as error:  # Hydra says with several types that an import failed
        why = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
        raise RequestError(
            f"task={task}: cannot be imported ({why}); for a file of the current folder: export PYTHONPATH=."
        ) from error
    if not issubclass(found, Classification):
        raise RequestError(f"task={task}: a subclass of {Classification.__module__}.Classification is needed")
    return found


def as_numbers(
    path: str, key: str, array: np.ndarray, items: int, unlabelled: str | float | None
) -> np.ndarray:
    """float64 [N, T] of numbers to be predicted, [N] or [N, T], NaN where `unlabelled` stands."""
    array = array.reshape(items, -1) if array.size == items else array  # MATLAB has a row or a column
    if array.ndim != 2 or len(array) != items or not array.size or array.dtype.kind not in "biuf":
        raise RequestError(
            f"{key} in {path} is {array.dtype} of shape {array.shape}; allowed: a number an item, or "
            f"several, {items} rows"
        )
    numbers = array.astype(np.float64)
    if unlabelled is not None:
        if not _is_float(unlabelled):
            raise RequestError(f"unlabelled={unlabelled}: a number or nan stands for no number in {path}")
        numbers[numbers == float(unlabelled)] = np.nan
    elif (odd := np.flatnonzero(np.isnan(numbers).any(axis=1))).size:
        raise RequestError(
            f"{key} in {path} is nan in row {odd[0]}; say unlabelled: nan if such an item has no number"
        )
    return numbers


def _is_float(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def refuse_odd_split(path: str, split: list[str], classes: Sequence[object]) -> None:
    """Of each item: which part of the split it is of, and its class or number, or None."""
    for odd in sorted(set(split) - set(SPLITS)):
        raise RequestError(
            f"the split in {path} has {odd!r}; allowed: train, test or empty{nearest(odd, SPLITS)}"
        )
    for row in [
        i for i, (c, part) in enumerate(zip(classes, split, strict=True)) if c is None and part == "test"
    ]:
        raise RequestError(
            f"{path}: row {row} is of test and has no label; nothing can be tested on it: call it train or "
            "leave it out"
        )


def build(
    name: str,
    path: str,
    values: np.ndarray | OnDisk | Texts,
    classes: list[str | None],
    *,
    test_fraction: float,
    ids: list[str] | None = None,
    split: str | list[str] = "",
    groups: list[str] | None = None,
    whole: bool = False,
    numbers: np.ndarray | None = None,
    quantities: Sequence[str] = (),
    unit: str = "",
    has_tags: bool = False,
    own_task: type[Classification] | None = None,
) -> Domain:
    """From float32 [N, d], which may stay on disk, or texts, and what is known of each item: its class or,
    where these are given, its numbers [N, T], which say with has_tags which labels it has. path: for
    messages, and its stem for ids."""
    if numbers is None:
        require_two_classes(set(classes) - {None}, path)
    kept = values if isinstance(values, OnDisk | Texts) else torch.from_numpy(values)
    if not isinstance(split, str):
        known = classes if numbers is None else [None if np.isnan(row).any() else row for row in numbers]
        refuse_odd_split(path, split, known)
    if ids is None:
        ids = [f"{normal(Path(path).stem)}-{i:05d}" for i in range(len(values))]
    elif len(set(ids)) < len(ids):
        raise RequestError(
            f"ids in {path} are not unique: {Counter(ids).most_common(1)[0][0]!r} is there twice or more"
        )
    if numbers is not None and has_tags:
        return Domain.of_tags(
            name, kept, numbers, ids, tags=quantities, split=split,
            test_fraction=test_fraction, groups=groups, whole=whole,
        )  # fmt: skip
    if numbers is not None:
        return Domain.of_numbers(
            name, kept, numbers, ids, quantities=quantities, unit=unit, split=split,
            test_fraction=test_fraction, groups=groups, whole=whole,
        )  # fmt: skip
    built = Domain.build(name, kept, classes, ids, split, test_fraction, groups=groups, whole=whole)
    return replace(built, own_task=own_task)
