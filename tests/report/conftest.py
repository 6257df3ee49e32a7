from pathlib import Path

import numpy as np
import pytest

from store_fixture import edit, write_runs, write_store
from transferscope.comparison.compare import compare
from transferscope.comparison.comparison import Comparison
from transferscope.store.record import read_record
from transferscope.store.thumbnails import write_thumbnails

ITEMS = 200


@pytest.fixture(scope="session")
def bare(tmp_path_factory) -> Path:
    """Every kind of row once; nothing beside it: no twin, subgroups, source scores or pictures."""
    return write_store(tmp_path_factory.mktemp("report") / "bare", n=ITEMS)


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    """The same runs with all that can stand beside the mean."""
    store = write_store(tmp_path_factory.mktemp("report") / "runs", n=ITEMS)
    for budget, skill in ((2, 0.3), (10, 1.2)):
        write_runs(store, "scratch", skill, label_budget=budget, n=ITEMS, consumed={"twin": True})
    for path in store.glob("*/evaluations.npz"):
        edit(store, path.parent.name, _enrich)
    digest = next(
        record["consumed"]["target"]["digest"]
        for record in (read_record(path.parent) for path in store.glob("*/record.json"))
        if record["result"]
    )
    ids = [f"handwritten-0-{i:05d}" for i in range(ITEMS)]
    write_thumbnails(
        store, digest, ids, lambda ids: [np.full((9, 9), 7 * k % 256, np.uint8) for k in range(len(ids))]
    )
    return store


@pytest.fixture(scope="session")
def comparison(store) -> Comparison:
    return compare(store)


def _enrich(members: dict) -> None:
    members["handwritten/test/metadata/ward"] = np.array(["north", "south"])[np.arange(ITEMS) % 2]
    if "printed/val/labels" in members:
        members["printed/val/probabilities/000000"] = np.eye(10, dtype=np.float32)[
            members["printed/val/labels"]
        ]
