"""A run of another tool as a file of results: a row a test item."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from transferscope.errors import RequestError, nearest
from transferscope.external.columns import ITEM, RUN
from transferscope.store.printable import printable

WRITTEN = (".csv", ".parquet")
OUTCOMES = ({"score"}, {"label", "prediction"}, {"label", "p"}, {"truth", "prediction"})


def new_file(path: str | Path) -> Path:
    """Raises RequestError where it cannot be written: best before training, not after it."""
    path = Path(path)
    name = printable(str(path))
    if path.suffix not in WRITTEN:
        raise RequestError(f"{name}: a file of results that is written ends in {' or '.join(WRITTEN)}")
    if path.exists():
        raise RequestError(f"{name}: exists already; a run has a file of its own")
    if not os.access(path.parent, os.W_OK):
        raise RequestError(f"{name}: {path.parent} is no folder that can be written to")
    return path


def write_results(
    path: str | Path,
    *,
    strategy: str,
    seed: int = 0,
    scores: Any = None,
    labels: Any = None,
    predictions: Any = None,
    probabilities: Any = None,
    truths: Any = None,
    classes: Sequence[Any] | None = None,
    items: Sequence[Any] | None = None,
    **columns: Any,
) -> None:
    """Write what one run says of the test items, for `transferscope compare FILE...`; .csv or .parquet.

    One of scores [n]; labels [n] and predictions [n]; labels [n] and probabilities [n, C] with classes [C],
    else 0 to C − 1, which labels are among; truths [n] and predictions [n], both numbers. items: names [n],
    else 0 to n − 1: the same for all runs that are compared. columns: of the cell and of the items, such as
    source="web", label_budget=100, group=writers. Raises RequestError."""
    path = new_file(path)
    allowed = (*RUN[2:], *ITEM[1:])
    for name in columns:
        if name not in allowed:
            raise RequestError(
                f"write_results({name}=...): not one of {', '.join(allowed)}{nearest(name, allowed)}"
            )
    given = {"score": scores, "label": labels, "prediction": predictions, "truth": truths}
    found = {name: np.asarray(values) for name, values in given.items() if values is not None}
    told = set(found) | ({"p"} if probabilities is not None else set())
    if told not in OUTCOMES:
        raise RequestError(
            "write_results: scores; labels and predictions; labels and probabilities; or truths and "
            f"predictions are needed, got {' and '.join(sorted(told)) or 'none'}"
        )
    if probabilities is not None:
        found |= _by_class(np.asarray(probabilities), classes)
    n = len(next(iter(found.values())))
    cell = {"item": range(n) if items is None else items, "seed": seed, "strategy": strategy}
    cell |= {name: values for name, values in columns.items() if values is not None}
    table = {name: _whole(name, values, n) for name, values in (*cell.items(), *found.items())}
    _write(path, pa.table(table))


def _by_class(p: np.ndarray, classes: Sequence[Any] | None) -> dict[str, np.ndarray]:
    if p.ndim != 2 or classes is not None and len(classes) != p.shape[1]:
        named = "" if classes is None else f" for {len(classes)} classes"
        raise RequestError(
            f"write_results: probabilities of shape {p.shape}{named}; [items, classes] is needed"
        )
    names = range(p.shape[1]) if classes is None else classes
    return {f"p_{name}": p[:, at] for at, name in enumerate(names)}


def _whole(name: str, values: Any, n: int) -> pa.Array:
    """[n], a single value for every item."""
    values = np.asarray(values)
    if values.ndim == 0:
        values = np.repeat(values, n)
    if values.shape != (n,):
        raise RequestError(f"write_results: {name} is of shape {values.shape} for {n} items")
    return pa.array(values.tolist())


def _write(path: Path, table: pa.Table) -> None:
    """Whole or not at all."""
    from pyarrow import csv, parquet

    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        (csv.write_csv if path.suffix == ".csv" else parquet.write_table)(table, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
