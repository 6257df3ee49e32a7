"""What a store says of a dataset that its runs read, not the data themselves.

`.cache/datasets/{digest}/`: `summary.json` (digest, items, classes, items by class and split, shape and type
of an input) and `items.csv` (id, class, split, group), one row an item. One folder for each state of the
data."""

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transferscope.data.domain import Domain

MANIFEST = ("summary.json", "items.csv")


def manifest_path(store: Path, digest: str) -> Path:
    """digest: the data's content hash, as in a record's `consumed`."""
    return Path(store) / ".cache" / "datasets" / digest


def write_manifest(store: Path, domain: "Domain") -> None:
    """Once a store: whole or not at all."""
    folder = manifest_path(store, domain.digest)
    if folder.exists():
        return
    if domain.tags:
        tags = np.array(domain.tags)
        has = domain.labels.numpy()  # "-" of an item that has none, "" of one of which that is not known
        names = ["" if np.isnan(row).any() else "; ".join(tags[row == 1]) or "-" for row in has]
    elif domain.quantities:
        names = [", ".join(f"{value:g}" for value in row) for row in domain.labels.tolist()]
    else:
        names = [domain.classes[label] if label >= 0 else "" for label in domain.labels.tolist()]
    groups = [""] * len(domain) if domain.groups is None else domain.groups.tolist()
    rows = list(zip(domain.ids.tolist(), names, domain.split.tolist(), groups, strict=True))
    summary = {
        "digest": domain.digest, "items": len(domain), "classes": list(domain.classes),
        "quantities": list(domain.quantities), "unit": domain.unit,
        **({"tags": list(domain.tags)} if domain.tags else {}),
        "items_by_class": Counter(names) if domain.has_classes else {},
        "items_by_split": Counter(row[2] or "drawn" for row in rows),
        "test_fraction": domain.test_fraction, "input_shape": list(domain.inputs.shape[1:]),
        "input_type": str(domain.inputs.dtype),
    }  # fmt: skip
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        draft.mkdir(parents=True, exist_ok=True)
        (draft / "summary.json").write_text(json.dumps(summary, indent=1))
        with open(draft / "items.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("id", "class", "split", "group"), *rows])
        os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
