"""Δ per subgroup of the test items: each metadata column of the target's domain is a family of its own."""

from collections import defaultdict

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.evidence import parts
from transferscope.evidence.predictions import Reader, item_differences, order
from transferscope.tasks.metrics import METRICS

MOST = 40  # values of a column beyond which it names items rather than subgroups


def of(cell: Cell, alpha: float, reader: Reader) -> dict[str, list[parts.Part]]:
    """{column: its parts} for columns of 2 to 40 values; empty with a single seed or a domain without metadata."""
    if len(cell.evidence.seeds) < 2:
        return {}
    d, metric = item_differences(cell, reader)
    found = {}
    for column, values in _columns(cell).items():
        names, part = np.unique(values, return_inverse=True)
        if 2 <= len(names) <= MOST:
            found[column] = parts.differences(d, part, names, cell.evidence.groups, alpha, METRICS[metric].unit)
    return found


def _columns(cell: Cell) -> dict[str, np.ndarray]:
    """Metadata of the test items, in the order of the cell's ids."""
    prefix = f"{cell.target}/test"
    start = f"{prefix}/metadata/"
    ids, columns = [], defaultdict(list)
    for folder in cell.evidence.rows(cell.evidence.strategy_runs)[0]:
        with np.load(folder / "evaluations.npz", allow_pickle=False) as members:
            ids.append(members[f"{prefix}/ids"])
            for name in members.files:
                if name.startswith(start):
                    columns[name[len(start) :]].append(members[name])
    place = order(np.concatenate(ids), cell.evidence.ids)
    return {column: np.concatenate(parts)[place] for column, parts in columns.items()}
