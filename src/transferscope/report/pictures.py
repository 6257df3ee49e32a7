"""Thumbnails of flipped items as data URIs, where the store has them."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.flips import Flips
from transferscope.store.thumbnails import png, read_thumbnails

MOST = 24  # a cell


@dataclass
class Pictures:
    """Reads the store's thumbnails once for each state of the data."""

    known: dict[tuple[Path, str], dict[str, np.ndarray]] = field(default_factory=dict)

    def of_items_lost(self, cell: Cell, found: Flips | None) -> dict[str, str]:
        """{item id: data URI} of the first listed items."""
        if found is None or not found.items_lost:
            return {}
        folder = cell.evidence.strategy_runs[0]
        key = folder.parent, cell.evidence.records[folder]["consumed"]["target"]["digest"]
        if key not in self.known:
            self.known[key] = read_thumbnails(*key)
        here = self.known[key]
        return {item.id: _uri(here[item.id]) for item in found.items_lost[:MOST] if item.id in here}


def _uri(image: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"
