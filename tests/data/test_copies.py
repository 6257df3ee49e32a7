"""Test items that lie among what is trained on: counted, said, flagged, left out where that is asked for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from transferscope.cli.main import main
from transferscope.comparison.compare import compare
from transferscope.data import copies
from transferscope.data.domain import Domain
from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import split
from transferscope.errors import RequestError
from transferscope.store.record import read_record, run_folders


def domain(name: str, inputs: np.ndarray, **more) -> Domain:
    classes = [f"class{k % 2}" for k in range(len(inputs))]
    return Domain.build(
        name,
        torch.tensor(inputs, dtype=torch.float32),
        classes,
        [f"{name}{k}" for k in range(len(inputs))],
        **more,
    )


@pytest.fixture
def target() -> Domain:
    """40 items of which three test items have a copy among the others, one of them two."""
    inputs = np.random.default_rng(0).normal(size=(40, 3))
    train, test = split(domain("target", inputs), 0)
    inputs[train[:4]] = inputs[test[[0, 1, 2, 2]]]
    return domain("target", inputs)


def test_copies_are_counted_by_the_test_items_that_have_one(target):
    _, test = split(target, 0)
    source = domain("source", np.vstack([target.inputs[test[5:9]].numpy(), np.ones((3, 3))]))
    found = copies.count(target, (source,), 0, None)
    assert found == (20, 3, {"source": 4})
    assert (
        found.warnings("target")[1] == "4 of 20 test items of target have a bit-equal copy in source source"
    )
    wider = domain("wider", np.ones((4, 4)))
    assert copies.count(target, (wider,), 0, None).sources == {"wider": 0}


def test_dropping_them_leaves_the_test_items_and_all_else(target):
    train, test = split(target, 0)
    source = domain(
        "source", np.vstack([target.inputs[test[5:9]].numpy(), np.random.default_rng(1).normal(size=(8, 3))])
    )
    mine, (theirs,) = copies.dropped(target, (source,), 0)
    assert mine.ids[split(mine, 0)[1]].tolist() == target.ids[test].tolist()
    assert mine.ids[split(mine, 0)[0]].tolist() == target.ids[train[4:]].tolist()
    assert theirs.ids.tolist() == source.ids[4:].tolist() and theirs.digest != source.digest
    assert copies.count(mine, (theirs,), 0, None) == (20, 0, {"source": 0})
    assert copies.dropped(mine, (theirs,), 0) == (mine, (theirs,))  # nothing to drop: the domains themselves


def test_pictures_on_disk_without_hashes_are_said_to_be_unknown(target):
    on_disk = OnDisk(lambda rows: torch.zeros(len(rows), 1, 2, 2, dtype=torch.uint8), np.arange(4), (1, 2, 2))
    big = replace(domain("big", np.zeros((4, 3))), inputs=on_disk)
    found = copies.count(target, (big,), 0, None)
    assert (found.train, found.sources) == (3, {"big": None}) and len(found.warnings("target")) == 1
    with pytest.raises(
        RequestError, match="copies=drop_train: pictures of big or target stay on disk and have no hashes"
    ):
        copies.dropped(target, (big,), 0)


def test_a_column_that_nearly_tells_the_label_is_found():
    labels = np.arange(80) % 2
    columns = {
        "scanner": labels + 2 * (np.arange(80) == 3),
        "ward": np.arange(80) // 2 % 2,
        "patient": np.arange(80),
    }
    inputs = np.random.default_rng(0).normal(size=(80, 2))
    assert copies.leaking_columns(
        domain("hospital", inputs, metadata=columns | {"scanner": labels}), 0, None
    ) == ["scanner"]
    sides = ["train"] * 40 + ["test"] * 40  # that put the same patients on both
    patients = domain("hospital", inputs, split=sides, groups=[f"patient{k % 8}" for k in range(80)])
    assert copies.leaking_columns(patients, 0, None) == ["group"]
    # a split of ours keeps groups together
    assert copies.leaking_columns(replace(patients, split=np.full(80, "")), 0, None) == []
    one_class = replace(
        domain("hospital", inputs, metadata={"ward": columns["ward"]}),
        labels=torch.zeros(80, dtype=torch.int64),
    )
    # where one class is nearly all, every column tells it
    assert copies.leaking_columns(one_class, 0, None) == []


@pytest.fixture
def choices(tmp_path: Path) -> Path:
    """A target whose items all lie in the source, beside noise."""
    draws = np.random.default_rng(7)
    labels = np.arange(120) % 2
    inputs = draws.normal(size=(120, 8)).astype(np.float32)
    np.savez(tmp_path / "weak_t.npz", inputs=inputs[:60], labels=labels[:60])
    np.savez(tmp_path / "weak_s.npz", inputs=inputs, labels=labels)
    (tmp_path / "conf/domain").mkdir(parents=True)
    for name in ("weak_t", "weak_s"):
        (tmp_path / f"conf/domain/{name}.yaml").write_text(
            f"# x\n_target_: transferscope.data.arrays.load\npath: {tmp_path}/{name}.npz\n"
        )
    return tmp_path


def run(choices: Path, *words: str) -> int:
    small = [
        "backbone=mlp",
        "backbone.hidden=[4]",
        "tracking=off",
        "trainer.steps=4",
        "trainer.evaluations=1",
        "label_budget=5",
    ]
    where = [
        "--config-dir",
        str(choices / "conf"),
        f"store={choices / 'runs'}",
        "target=weak_t",
        "source=weak_s",
    ]
    return main(["run", *small, *where, *words])


def test_a_run_says_records_and_flags_them(choices, capsys):
    assert run(choices, "-m", "strategy=scratch,joint", "seed=0,1", "hydra.launcher.n_jobs=1") == 0
    assert (
        "30 of 30 test items of weak_t have a bit-equal copy in source weak_s; copies=drop_train leaves "
        "those out"
    ) in capsys.readouterr().err
    records = {
        read_record(folder)["cell"]["strategy"]: read_record(folder)
        for folder in run_folders(choices / "runs")
    }
    assert records["joint"]["result"]["copies"] == {"tested": 30, "train": 0, "sources": {"weak_s": 30}}
    assert records["scratch"]["result"]["copies"] == {"tested": 30, "train": 0, "sources": {}}
    (cell,) = compare(choices / "runs")
    assert (
        cell.copies["sources"] == {"weak_s": 30}
        and "30 of 30 test items of weak_t have a bit-equal copy in source weak_s" in cell.flags
    )
    for folder in run_folders(choices / "runs"):  # as an earlier version left it
        entry = json.loads((folder / "record.json").read_text())
        del entry["result"]["copies"]
        (folder / "record.json").write_text(json.dumps(entry))
    assert next(iter(compare(choices / "runs"))).copies is None
    assert run(choices, "strategy=joint", "--dry-run") == 0 and "bit-equal" in capsys.readouterr().err


def test_left_out_they_are_no_more(choices, capsys):
    assert run(choices, "strategy=joint", "copies=drop_train") == 0
    (folder,) = run_folders(choices / "runs")
    assert (
        read_record(folder)["result"]["copies"]["sources"] == {"weak_s": 0}
        and "bit-equal" not in capsys.readouterr().err
    )
    assert (
        run(choices, "strategy=joint", "copies=drop_train", "fold=0") == 2
        and "give copies=keep" in capsys.readouterr().err
    )
    assert (
        run(choices, "strategy=joint", "copies=drop") == 2
        and "copies=drop: not one of keep, drop_train" in capsys.readouterr().err
    )
