"""Δ per class."""

from transferscope.comparison.cells import Cell
from transferscope.evidence import parts
from transferscope.evidence.predictions import Reader, item_differences
from transferscope.tasks.metrics import METRICS


def of(cell: Cell, alpha: float, reader: Reader) -> list[parts.Part]:
    """A part for each class that has test items; empty with a single seed."""
    if len(cell.evidence.seeds) < 2:
        return []
    d, metric = item_differences(cell, reader)
    return parts.differences(d, cell.evidence.labels, cell.evidence.classes, cell.evidence.groups, alpha, METRICS[metric].unit)
