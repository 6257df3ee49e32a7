import json
import os
import shutil
import time

import pytest
from PIL import Image

from transferscope.cli.main import main
from transferscope.data import image_folders
from transferscope.store import lease, record


def tree(store):
    return {path: path.stat().st_size for path in store.rglob("*") if path.is_file()}


def planned(store):
    return next(job["fingerprint"] for job in record.read_plans(store)[0]["jobs"] if job["fingerprint"])


def begun(store, name, checkpoint):
    """What a killed process leaves of a run."""
    folder = record.running(store) / name
    folder.mkdir(parents=True)
    (folder / "claim.json").write_text(
        '{"host": "elsewhere", "pid": 1, "since": "2026-01-01T00:00:00+00:00", "step": 10, "steps": 20}'
    )
    if checkpoint:
        (folder / "checkpoint.ckpt").write_bytes(bytes(1500))
    return folder


def test_work_in_progress_of_a_finished_run_goes_with_yes_alone(store, capsys):
    folder = begun(store, planned(store), checkpoint=True)
    before = tree(store)
    assert main(["prune", str(store)]) == 0
    out = capsys.readouterr().out
    assert f"1.6 kB  work in progress of {folder.name[:8]}, which is done" in out and "add --yes" in out
    assert tree(store) == before
    assert main(["prune", str(store), "--yes"]) == 0
    assert "freed" in capsys.readouterr().out
    assert not folder.exists()


def test_records_plans_and_kept_models_stay(store):
    mine = {
        path: size
        for path, size in tree(store).items()
        if not {"source_models", "features", ".running"} & set(path.parts)
    }
    assert any(path.name == "model.safetensors" for path in mine)
    begun(store, planned(store), checkpoint=True)
    assert main(["prune", str(store), "--yes"]) == 0
    assert tree(store) == mine


@pytest.mark.parametrize("is_planned", [True, False])
def test_the_checkpoint_of_a_killed_run_is_kept_and_shown(store, is_planned, capsys):
    name = planned(store) if is_planned else "0123456789abcdef"
    if is_planned:
        (store / name).rename(store.parent / name)
    folder = begun(store, name, checkpoint=True)
    assert main(["prune", str(store), "--yes"]) == 0
    assert f"kept: work in progress of {name[:8]}: stopped at step 10 of 20" in capsys.readouterr().out
    assert (folder / "checkpoint.ckpt").exists()


def test_a_killed_run_without_checkpoint_goes_where_no_plan_names_it(store):
    name = planned(store)
    (store / name).rename(store.parent / name)
    inside, outside = begun(store, name, checkpoint=False), begun(store, "0123456789abcdef", checkpoint=False)
    assert main(["prune", str(store), "--yes"]) == 0
    assert inside.exists() and not outside.exists()


def test_source_models_and_features_stay_while_a_planned_run_is_unfinished(store, capsys):
    models = list((store / ".cache" / "source_models").glob("*.safetensors"))
    features = list((store / ".cache" / "features").glob("*/*.safetensors"))
    assert models and features
    name = planned(store)
    (store / name).rename(store.parent / name)
    assert main(["prune", str(store), "--yes"]) == 0
    assert "1 planned runs are unfinished" in capsys.readouterr().out
    assert all(path.exists() for path in models + features)
    (store.parent / name).rename(store / name)
    assert main(["prune", str(store), "--yes"]) == 0
    assert not any(path.exists() for path in models + features) and not any(
        (store / ".cache" / "features").iterdir()
    )


def test_what_killed_processes_left_half_written(store):
    shared, features = store / ".cache" / "source_models", next((store / ".cache" / "features").glob("*/"))
    drafts = [
        record.running(store) / "abcd.draft-12",
        shared / "abcd.draft-12",
        shared / "ab.damaged",
        features / "ab.draft-12",
    ]
    old, new = store / "sweeps" / "small" / ".plan.json.12", store / "sweeps" / "small" / ".plan.json.13"
    drafts[0].mkdir(parents=True)
    for path in (*drafts[1:], old, new):
        path.write_text("{")
    os.utime(old, (time.time() - 7200,) * 2)
    assert main(["prune", str(store), "--yes"]) == 0
    assert not any(path.exists() for path in (*drafts, old))
    assert new.exists()  # its process may be about to rename it


def test_predictions_go_where_the_data_of_their_domains_have_changed_alone(store):
    source, target = {"name": "blobs_shifted"}, {"name": "blobs"}
    runs = [record.read_record(folder)["consumed"] for folder in record.run_folders(store)]
    for one in (target, source):
        one["digest"] = next(
            d["digest"] for run in runs for d in (run["target"], *run["sources"]) if d["name"] == one["name"]
        )
    unknown = {"name": "of_no_run_yet", "digest": "0"}
    cases = {
        "still": (target, [source]),
        "before_any_run": (unknown, [source]),
        "other_target": (target | {"digest": "0"}, [source]),
        "other_source": (unknown, [source, source | {"digest": "0"}]),
    }
    for name, (of, sources) in cases.items():
        content = {"schema": 1, "kind": "distances", "created": "", "values": {}, "reasons": {}}
        content["consumed"] = {"target": of, "sources": sources, "seed": 0}
        record.write_atomically(record.prediction_path(store, name), json.dumps(content))
    half = store / "predictions" / ".still.json.12"
    half.write_text("{")
    os.utime(half, (time.time() - 7200,) * 2)
    assert main(["prune", str(store), "--yes"]) == 0
    assert sorted(path.name for path in (store / "predictions").iterdir()) == [
        "before_any_run.json",
        "still.json",
    ]


def test_lists_of_items_of_data_that_no_run_is_of(store, capsys):
    """W&B's dataset artifacts are made of them; those of a source's data stay as well."""
    runs = [record.read_record(folder)["consumed"] for folder in record.run_folders(store)]
    used = {domain["digest"] for run in runs for domain in (run["target"], *run["sources"])}
    lists = store / ".cache" / "datasets"
    assert {path.name for path in lists.iterdir()} == used and len(used) > 1
    for name in ("0123456789abcdef", ".half.12"):
        (lists / name).mkdir()
    assert main(["prune", str(store), "--yes"]) == 0
    assert "lists of items of 2 states of the data that no run is of" in capsys.readouterr().out
    assert {path.name for path in lists.iterdir()} == used


def test_decoded_pictures_of_a_folder_that_is_gone(store, tmp_path, decoded_pictures, capsys):
    roots = [tmp_path / "here", tmp_path / "gone"]
    for root in roots:
        for name in "ab":
            (root / name).mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(root / name / "1.png")
    before = set(decoded_pictures.iterdir())
    kept = []
    for root in roots:
        image_folders.load("mine", str(root), size=4)
        kept += set(decoded_pictures.iterdir()) - before - set(kept)
    shutil.rmtree(roots[1])
    assert main(["prune", str(store), "--yes"]) == 0
    assert f"folders that are gone, in {decoded_pictures}" in capsys.readouterr().out
    assert [path.exists() for path in kept] == [True, False]


def test_what_the_client_of_wandb_cached_in_the_store(store, capsys):
    cached = store / ".cache" / "wandb"
    cached.mkdir(parents=True)
    (cached / "log").write_bytes(bytes(1500))
    assert main(["prune", str(store), "--yes"]) == 0
    assert "1.5 kB  cached by W&B's client" in capsys.readouterr().out and not cached.exists()


def test_nothing_while_a_run_is_at_work(store, capsys):
    begun(store, planned(store), checkpoint=True)
    with lease.Lease(store, "0123456789abcdef", {}, 0, steps=20):
        before = tree(store)
        assert main(["prune", str(store), "--yes"]) == 2
        assert tree(store) == before
    assert "1 at work (0123456789abcdef)" in capsys.readouterr().err


def test_a_plan_that_cannot_be_read_stops_it(store, capsys):
    (store / "sweeps" / "later").mkdir()
    (store / "sweeps" / "later" / "plan.json").write_text('{"schema": 9}')
    before = tree(store)
    assert main(["prune", str(store), "--yes"]) == 2
    assert "schema version 9" in capsys.readouterr().err
    assert tree(store) == before


def test_no_store(tmp_path, capsys):
    assert main(["prune", str(tmp_path / "runs")]) == 2
    assert "no such store" in capsys.readouterr().err
