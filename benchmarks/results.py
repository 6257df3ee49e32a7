"""P18: `compare` of a file with a million rows."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from benchmarks.bars import Bar
from benchmarks.memory import used
from benchmarks.runs import scratch_folder

SEEDS, ITEMS, CLASSES = 25, 10_000, 10
ARMS = {"scratch": 0.6, "fine_tuning": 0.7, "linear_probe": 0.65, "dann": 0.6}  # how often each is right
FORMATS = {".csv": 5, ".parquet": 5, ".jsonl": 10}


def rows() -> pa.Table:
    """A row an item, seed and strategy: the class that is right, and the one that is named."""
    draw = np.random.default_rng(0)
    names = np.array([f"class_{number}" for number in range(CLASSES)])
    label, parts = draw.integers(0, CLASSES, ITEMS), []
    for name, share in ARMS.items():
        for seed in range(SEEDS):
            other = (label + draw.integers(1, CLASSES, ITEMS)) % CLASSES
            named = np.where(draw.random(ITEMS) < share, label, other)
            items = [f"item_{number}" for number in range(ITEMS)]
            parts.append(
                pa.table(
                    {
                        "item": items,
                        "seed": [seed] * ITEMS,
                        "strategy": [name] * ITEMS,
                        "label": names[label],
                        "prediction": names[named],
                    }
                )
            )
    return pa.concat_tables(parts)


def write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    else:
        (csv.write_csv if path.suffix == ".csv" else parquet.write_table)(table, path)


def bars() -> Iterator[Bar]:
    table = rows()
    with scratch_folder() as folder:
        letters = iter("abcdef")
        for suffix, most in FORMATS.items():
            path = folder / f"results{suffix}"
            write(table, path)
            taken = used("-m", "transferscope.cli", "compare", str(path))
            what = f"{len(table)} rows, {suffix}"
            yield Bar(f"P18{next(letters)}", taken.seconds, "<=", most, note=f"seconds, compare of {what}")
            yield Bar(f"P18{next(letters)}", taken.gigabytes, "<=", 1, note=f"GB resident, {what}")
