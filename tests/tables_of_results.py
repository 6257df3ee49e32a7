"""Results as other people's tools leave them: a table with a row an item and run."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

Rows = list[dict]


def scores(seeds: int = 5, items: int = 200, **skill: float) -> dict[str, np.ndarray]:
    """By strategy 0 or 1 [seeds, items]: a strategy is right with probability `skill`."""
    draw = np.random.default_rng(0)
    hard = draw.random(items) - 0.5
    return {
        name: (draw.random((seeds, items)) < np.clip(right + 0.3 * hard, 0, 1)).astype(int)
        for name, right in skill.items()
    }


def score_rows(found: dict[str, np.ndarray], **more: object) -> Rows:
    return [
        {"item": f"item_{i}", "seed": s, "strategy": name, **more, "score": int(rows[s, i])}
        for name, rows in found.items()
        for s in range(rows.shape[0])
        for i in range(rows.shape[1])
    ]


def prediction_rows(found: dict[str, np.ndarray]) -> Rows:
    """The same with classes: `cat` or `dog` is named, rightly where the score is 1."""
    return [
        {"item": row["item"], "seed": row["seed"], "strategy": row["strategy"], **_named(row)}
        for row in score_rows(found)
    ]


def _named(row: dict) -> dict:
    label = ("cat", "dog")[int(row["item"].split("_")[1]) % 2]
    other = {"cat": "dog", "dog": "cat"}[label]
    return {"label": label, "prediction": label if row["score"] else other}


def probability_rows(found: dict[str, np.ndarray]) -> Rows:
    rows = prediction_rows(found)
    for row in rows:
        named = row.pop("prediction")
        row |= {f"p_{name}": 0.75 if name == named else 0.25 for name in ("cat", "dog")}
    return rows


def write(path: Path, rows: Rows) -> Path:
    """In the format that its name ends in."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif ".jsonl" in path.name:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    else:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(
                file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",", lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(rows)
    return path
