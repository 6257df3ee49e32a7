"""A domain: inputs, labels, names. What a strategy may see of it is decided in splits.py."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from unicodedata import normalize

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from transferscope.data.on_disk import OnDisk
from transferscope.data.texts import Texts
from transferscope.errors import RequestError
from transferscope.tasks.base import Task
from transferscope.tasks.classification import Classification
from transferscope.tasks.multi_label import MultiLabel
from transferscope.tasks.regression import Regression

UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class Domain:
    """A named distribution.

    inputs: uint8 [N, C, H, W] (images), float32 [N, d] (features), texts, or any tensor whose first axis
    counts items; images may stay on disk.
    labels: int64 [N], index into `classes`, -1 where an item has no label; or float32 [N, T], the numbers
    that are to be predicted, NaN where an item has none; or float32 [N, L], 1 where an item has a label of
    several and 0 where it has it not, NaN throughout where that is not known.
    classes: class names, sorted, so that equal sets of classes give equal indices in every domain. One may
    have no item (some_classes.py). () where numbers or several labels are predicted.
    quantities: names of these T numbers, () where classes are predicted. unit: of all of them, as tables tell
    it, or "" where they have none in common.
    tags: names of these L labels, sorted as classes are, () where something else is predicted.
    ids: str [N], unique and stable: items are paired by id across runs.
    split: str [N], "train", "test", or "" for an item that splits.py assigns (a share of `test_fraction` goes
    to test).
    whole: as a source all labelled items are trained on, as a target all are tested on, as many published
        tables have it; protocol=inductive then leaves a target no training items.
    groups: str [N], the unit of the statistics where items are not independent (writer, font, patient).
    white: value that became 255 where pictures of 16 bits are among the inputs, so that a model of theirs is
    given others in the same scale.
    columns: of a table, the names of the features in their order, each with its categories, () where it holds
    numbers. The input of a category is its place among them, that of a missing value NaN."""

    name: str
    inputs: Tensor | OnDisk | Texts
    labels: Tensor
    classes: tuple[str, ...]
    ids: np.ndarray
    split: np.ndarray
    test_fraction: float = 0.5
    groups: np.ndarray | None = None
    metadata: dict[str, np.ndarray] = field(default_factory=dict)
    whole: bool = False
    white: int | None = None
    columns: dict[str, tuple[str, ...]] | None = None
    quantities: tuple[str, ...] = ()
    unit: str = ""
    tags: tuple[str, ...] = ()
    # of a user's own, made from the classes; the task is classification where it is None
    own_task: type[Classification] | None = None

    @classmethod
    def build(
        cls,
        name: str,
        inputs: Tensor | OnDisk | Texts,
        class_of: Sequence[str | None],
        ids: Sequence[str],
        split: str | Sequence[str] = "",
        test_fraction: float = 0.5,
        *,
        groups: Sequence[str] | None = None,
        metadata: dict[str, Sequence] | None = None,
        whole: bool = False,
        white: int | None = None,
    ) -> "Domain":
        """From the class *name* of each item (None = unlabelled); sorts the classes and numbers the labels.

        Names of classes are compared in one form of Unicode (NFC); those that differ by case or space at an
        end alone are pointed out on stderr. Raises RequestError for ids and class names that no file can hold
        as UTF-8, ValueError for ids that are not unique."""
        class_of = [None if c is None else normalize("NFC", c) for c in class_of]
        classes = tuple(sorted({c for c in class_of if c is not None}))
        index = {c: i for i, c in enumerate(classes)} | {None: UNLABELLED}
        names = _unique(name, ids)
        _refuse_unwritable(name, [*names.tolist(), *classes])
        _point_out_twins(name, classes)
        return cls(
            name=name,
            inputs=inputs,
            labels=torch.tensor([index[c] for c in class_of], dtype=torch.int64),
            classes=classes,
            ids=names,
            split=np.full(len(ids), split) if isinstance(split, str) else np.asarray(split, dtype=str),
            test_fraction=test_fraction,
            groups=None if groups is None else np.asarray(groups, dtype=str),
            metadata={k: np.asarray(v) for k, v in (metadata or {}).items()},
            whole=whole,
            white=white,
        )

    @classmethod
    def of_numbers(
        cls,
        name: str,
        inputs: Tensor | OnDisk | Texts,
        numbers: np.ndarray,
        ids: Sequence[str],
        *,
        quantities: Sequence[str],
        unit: str = "",
        split: str | Sequence[str] = "",
        test_fraction: float = 0.5,
        groups: Sequence[str] | None = None,
        whole: bool = False,
    ) -> "Domain":
        """From numbers [N, T] that are to be predicted, NaN where an item has none.

        Raises RequestError where a number is infinite, where no item has any, where all items have the same
        (nothing is to be told apart), and for ids that no file can hold."""
        numbers = np.asarray(numbers, dtype=np.float64)
        names = _unique(name, ids)
        _refuse_unwritable(name, [*names.tolist(), *quantities])
        for k, quantity in enumerate(quantities):
            known = numbers[:, k][~np.isnan(numbers[:, k])]
            largest = np.finfo(np.float32).max
            if (odd := np.flatnonzero(~(np.abs(known) <= largest))).size:
                raise RequestError(
                    f"domain {name}: {quantity} has {known[odd[0]]}; finite numbers are needed"
                )
            if not len(known):
                raise RequestError(f"domain {name}: no item has a number in {quantity}")
            if known.min() == known.max():
                raise RequestError(
                    f"domain {name}: {quantity} is {known[0]:g} for every item; nothing is to be predicted"
                )
        return cls._of_arrays(
            name, inputs, numbers, names, split, groups, test_fraction=test_fraction, whole=whole,
            quantities=tuple(quantities), unit=unit,
        )  # fmt: skip

    @classmethod
    def of_tags(
        cls,
        name: str,
        inputs: Tensor | OnDisk | Texts,
        has: np.ndarray,
        ids: Sequence[str],
        *,
        tags: Sequence[str],
        split: str | Sequence[str] = "",
        test_fraction: float = 0.5,
        groups: Sequence[str] | None = None,
        whole: bool = False,
    ) -> "Domain":
        """From which of the labels `tags`, in any order, an item has: [N, L] of 1 and 0, NaN throughout where
        that is not known.

        Raises RequestError for any other value, for an item of which some labels are known and others not,
        for a label that no item has or every item has, and for ids and names that no file can hold."""
        has, named = np.asarray(has, dtype=np.float64), _unique(name, ids)
        _refuse_unwritable(name, [*named.tolist(), *tags])
        _refuse_no_tags(name, has, named, tags)
        order = np.argsort(np.asarray(tags, dtype=str), kind="stable")
        return cls._of_arrays(
            name, inputs, has[:, order], named, split, groups, test_fraction=test_fraction, whole=whole,
            tags=tuple(tags[k] for k in order),
        )  # fmt: skip

    @classmethod
    def _of_arrays(
        cls,
        name: str,
        inputs: Tensor | OnDisk | Texts,
        labels: np.ndarray,
        ids: np.ndarray,
        split: str | Sequence[str],
        groups: Sequence[str] | None,
        **facts: Any,
    ) -> "Domain":
        """Without classes: labels [N, ...] as float32."""
        return cls(
            name=name,
            inputs=inputs,
            labels=torch.from_numpy(labels.astype(np.float32)),
            classes=(),
            ids=ids,
            split=np.full(len(ids), split) if isinstance(split, str) else np.asarray(split, dtype=str),
            groups=None if groups is None else np.asarray(groups, dtype=str),
            **facts,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_classes(self) -> bool:
        """Whether a label is one class of several; else labels are float32 [N, ...]."""
        return not (self.quantities or self.tags)

    @property
    def task(self) -> Task:
        """What is to be predicted of an item."""
        if self.quantities:
            return Regression(self.quantities, self.unit)
        if self.tags:
            return MultiLabel(self.tags)
        return (self.own_task or Classification)(self.classes)

    @cached_property
    def is_labelled(self) -> np.ndarray:
        """bool [N]: whether an item has a label, or all the numbers that are to be predicted, or it is known
        which of several labels it has."""
        labels: np.ndarray = self.labels.numpy()
        known: np.ndarray = labels != UNLABELLED if self.has_classes else np.isfinite(labels).all(axis=1)
        return known

    @property
    def is_images(self) -> bool:
        return self.inputs.dtype == torch.uint8 and self.inputs.ndim == 4

    @cached_property
    def gaps(self) -> list[str]:
        """The columns of a table that have missing values."""
        if self.columns is None or isinstance(self.inputs, OnDisk | Texts):
            return []
        missing = self.inputs.isnan().any(dim=0).tolist()
        return [name for name, has_gaps in zip(self.columns, missing, strict=True) if has_gaps]

    @property
    def categorical(self) -> list[str]:
        """The columns of a table that hold categories."""
        return [name for name, categories in (self.columns or {}).items() if categories]

    @cached_property
    def digest(self) -> str:
        """Hash of all that a run can read of the domain; part of the fingerprint."""
        h = hashlib.blake2b(digest_size=16)
        inputs = self.inputs
        of_inputs = np.array(inputs.digest) if isinstance(inputs, OnDisk | Texts) else inputs.numpy()
        for array in (of_inputs, self.labels.numpy(), self.ids, self.split, self.groups):
            if array is not None:
                h.update(f"{array.dtype}{array.shape}".encode())
                h.update(np.ascontiguousarray(array).view(np.uint8).data)
        h.update(repr((self.classes, self.test_fraction) + (("whole",) if self.whole else ())).encode())
        if self.categorical:  # what their codes stand for
            h.update(repr(self.columns).encode())
        if self.quantities:
            h.update(repr((self.quantities, self.unit)).encode())
        if self.tags:
            h.update(repr(("tags", self.tags)).encode())
        return h.hexdigest()


def _unique(name: str, ids: Sequence[str]) -> np.ndarray:
    """str [N]"""
    found = np.asarray(ids, dtype=str)
    if len(np.unique(found)) != len(found):
        raise ValueError(f"domain {name}: item ids are not unique")
    return found


def _refuse_unwritable(name: str, texts: list[str]) -> None:
    """Ids and classes are written after the training: what cannot be is refused before it."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RequestError(
                f"domain {name}: {ascii(text)} is an id or class that cannot be written as UTF-8; give "
                "another name"
            ) from error


def _refuse_no_tags(name: str, has: np.ndarray, ids: np.ndarray, tags: Sequence[str]) -> None:
    """What is no table of which labels each item has."""
    if len(set(tags)) < len(tags) or "" in tags:
        raise RequestError(f"domain {name}: labels {', '.join(tags)}: each needs a name of its own")
    gaps = np.isnan(has)
    if (odd := np.argwhere(~gaps & (has != 0) & (has != 1))).size:
        row, k = odd[0]
        raise RequestError(
            f"domain {name}: {tags[k]} of {ids[row]} is {has[row, k]:g}; 1 or 0 is needed, whether the item "
            "has this label"
        )
    if (partly := np.flatnonzero(gaps.any(1) & ~gaps.all(1))).size:
        unknown = tags[int(gaps[partly[0]].argmax())]
        raise RequestError(
            f"domain {name}: {unknown} of {ids[partly[0]]} is not known, and other labels of it are; give "
            "all labels of an item, or none"
        )
    for k, tag in enumerate(tags):
        if not (known := has[~gaps[:, k], k]).size or known.min() == known.max():
            what = "every item has" if known.size and known.min() else "no item has"
            raise RequestError(f"domain {name}: {what} the label {tag}; nothing is to be predicted")


def _point_out_twins(name: str, classes: tuple[str, ...]) -> None:
    """Not refused: a and A are two classes of letters."""
    alike: dict[str, list[str]] = {}
    for c in classes:
        alike.setdefault(c.strip().casefold(), []).append(c)
    if twins := [" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1]:
        shown = f"{', '.join(twins[:5])}{' …' if len(twins) > 5 else ''}"
        print(
            f"domain {name}: classes {shown} differ in case or space alone; rename where they are one class",
            file=sys.stderr,
        )


def fit_images(inputs: Tensor, size: int, channels: int) -> Tensor:
    """Images [N, C, H, W] uint8 → [N, channels, size, size] uint8: bilinear with antialiasing; grey is
    repeated, colour is averaged (ITU-R 601)."""
    if inputs.shape[1] == 3 and channels == 1:
        weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        inputs = (inputs.float() * weights).sum(1, keepdim=True).round().to(torch.uint8)  # [N, 1, H, W]
    elif inputs.shape[1] == 1 and channels > 1:
        inputs = inputs.expand(-1, channels, -1, -1)
    if inputs.shape[-2:] == (size, size):
        return inputs.contiguous()
    chunks = [
        interpolate(chunk.float(), size=(size, size), mode="bilinear", antialias=True)
        .round()
        .clamp(0, 255)
        .to(torch.uint8)
        for chunk in inputs.split(64)
    ]
    return torch.cat(chunks)
