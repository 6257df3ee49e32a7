"""Thumbnails of flipped items as data URIs, or the begins of their texts, where the store has them."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.flips import Flips
from transferscope.store.excerpts import read_excerpts
from transferscope.store.thumbnails import png, read_thumbnails

T = TypeVar("T")
MOST = 24  # a cell


@dataclass
class Pictures:
    """Reads the store's thumbnails and texts once for each state of the data."""

    pictures: dict[tuple[Path, str], dict[str, np.ndarray]] = field(default_factory=dict)
    texts: dict[tuple[Path, str], dict[str, list[str]]] = field(default_factory=dict)

    def of_items_lost(self, cell: Cell, found: Flips | None) -> dict[str, str]:
        """{item id: data URI} of the first listed items."""
        return {
            item: _uri(image) for item, image in _lost(cell, found, self.pictures, read_thumbnails).items()
        }

    def texts_of_items_lost(self, cell: Cell, found: Flips | None) -> dict[str, list[str]]:
        """{item id: one text or two} of the first listed items."""
        return _lost(cell, found, self.texts, read_excerpts)


def _lost(
    cell: Cell,
    found: Flips | None,
    known: dict[tuple[Path, str], dict[str, T]],
    read: Callable[[Path, str], dict[str, T]],
) -> dict[str, T]:
    if found is None or not found.items_lost:
        return {}
    folder = cell.evidence.strategy_runs[0]
    key = folder.parent, cell.evidence.records[folder]["consumed"]["target"]["digest"]
    if key not in known:
        known[key] = read(*key)
    return {item.id: known[key][item.id] for item in found.items_lost[:MOST] if item.id in known[key]}


def _uri(image: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"
