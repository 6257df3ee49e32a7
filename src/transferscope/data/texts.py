"""Texts as the inputs of a domain. What a network is given of them are rows of numbers, which the reader of
its backbone makes (training/reading.py)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from transferscope.data.on_disk import OnDisk

Item = tuple[str, ...]  # one text, or two
IN_MEMORY = 2**28  # bytes: more rows than these are made when they are asked for


class Rows(Protocol):
    """What a reader makes of n texts. cut: bool [n], of which it left the end out."""

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def cut(self) -> np.ndarray: ...

    @property
    def row_shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def rows(self, numbers: np.ndarray) -> Tensor:
        """[n, *row_shape]"""


class Reader(Protocol):
    """How a backbone takes texts. learns: whether rows follow from the texts that are trained on, to which it
    is fitted. key: of all that they follow from beside the text itself, "" where it has yet to be fitted.
    mask: the token that stands for a hidden one, None where there is none."""

    @property
    def learns(self) -> bool: ...

    @property
    def key(self) -> str: ...

    @property
    def mask(self) -> int | None: ...

    @property
    def row_shape(self) -> tuple[int, ...]: ...

    def __hash__(self) -> int: ...

    def fit(self, items: Sequence[Item]) -> "Reader":
        """A reader that knows the texts that are trained on, or the same where it has no need to."""

    def read(self, items: Sequence[Item]) -> Rows: ...


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts, one or two an item, as training asks a tensor for them; any of the items are Texts again.

    every: all that were loaded. places: int64 [N], of these items among them."""

    every: tuple[Item, ...]
    places: np.ndarray

    dtype = "text"

    @classmethod
    def of(cls, items: Sequence[Item]) -> Self:
        return cls(tuple(items), np.arange(len(items)))

    def __len__(self) -> int:
        return len(self.places)

    @property
    def ndim(self) -> int:
        return 2

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), len(self.every[0]) if self.every else 1

    def __getitem__(self, items: "slice | Sequence[int] | np.ndarray | Tensor") -> "Texts":
        chosen = items if isinstance(items, slice) else np.asarray(items)
        return replace(self, places=self.places[chosen])

    def items(self) -> list[Item]:
        return [self.every[place] for place in self.places.tolist()]

    @cached_property
    def hashes(self) -> np.ndarray:
        """uint64 [N], equal for items of the same texts."""
        return np.array(
            [int.from_bytes(_hash(item).digest()[:8], "little") for item in self.items()], dtype=np.uint64
        )

    @cached_property
    def digest(self) -> str:
        h = hashlib.blake2b(digest_size=16)
        for item in self.items():
            h.update(_hash(item).digest())
        return h.hexdigest()


def _hash(item: Item) -> hashlib.blake2b:
    return hashlib.blake2b("\0".join(f"{len(text)} {text}" for text in item).encode(), digest_size=16)


def together(parts: Sequence[Texts]) -> Texts:
    """One after another. All that were loaded stay together: they are read once, whatever the parts."""
    starts: dict[tuple[Item, ...], int] = {}
    for part in parts:
        starts.setdefault(part.every, sum(map(len, starts)))
    return Texts(
        tuple(item for every in starts for item in every),
        np.concatenate([part.places + starts[part.every] for part in parts]),
    )


def as_inputs(rows: Rows, places: np.ndarray) -> Tensor | OnDisk:
    """Rows of some of the texts: a tensor, or made when they are asked for where they are many."""
    one = torch.empty(rows.row_shape, dtype=rows.dtype)
    if len(places) * one.numel() * one.element_size() <= IN_MEMORY:
        return rows.rows(places)
    return OnDisk(rows.rows, places, rows.row_shape, dtype=rows.dtype)
