"""Which outputs a run keeps, what is said of those that were dropped, and how it is found that files are
whole."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dropped_outputs import as_schema_2, rewrite
from store_fixture import write_plan, write_runs
from transferscope import compare, load_run
from transferscope.cli.main import main
from transferscope.store import record
from transferscope.store.damage import damage
from transferscope.store.evaluations import Evaluations
from transferscope.training import kept_outputs

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "label_budget=5", "trainer.steps=20",
    "trainer.source_steps=20", "trainer.evaluations=4", "trainer.accelerator=cpu",
    "tracking=off", "strategy=dann"]  # fmt: skip


def run(store: Path, *words: str) -> Path:
    assert main(["run", *SMALL, *words, f"store={store}"]) == 0
    [folder] = record.run_folders(store)
    return folder


def members(folder: Path) -> dict[str, np.ndarray]:
    with Evaluations(folder / "evaluations.npz") as found:
        return {name: found[name] for name in found}


@pytest.fixture(scope="module")
def all_kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("all"), "keep=selected")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of schema 1: two arms, whose best evaluation is not their last, and a diverged run."""
    place = tmp_path_factory.mktemp("stored") / "runs"
    jobs = write_runs(place, "scratch", 0.5, n=90, peak=200, group_size=3, label_budget="full")
    jobs += write_runs(place, "fine_tuning", 1.0, n=90, peak=200, group_size=3, label_budget="full")
    write_plan(place, "mine", jobs)
    return place


@pytest.fixture(scope="module")
def rewritten(store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By what it keeps: the same of schema 2. Only read."""
    place = tmp_path_factory.mktemp("rewritten")
    return {kept: as_schema_2(store, place / kept, kept) for kept in ("all", "last", "none")}


# --- what is written


def test_a_small_run_keeps_all_and_the_record_says_what_was_written(all_kept: Path) -> None:
    entry, found = record.read_record(all_kept), members(all_kept)
    assert json.loads((all_kept / "record.json").read_text())["schema"] == 2
    assert entry["outputs"] == {"kept": "all", "selection": None}
    assert entry["files"].keys() == {"evaluations.npz", "history.csv", "model.safetensors"}
    assert {name.split("/")[2] for name in found} == {"ids", "targets", "classes", "outputs"}
    assert load_run(all_kept).evaluations.keys() == found.keys()


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("outputs=last",), {20}),
        (("outputs=last", "selection=source_val"), None),
        (("outputs=none",), set()),
    ],
)
def test_dropped_outputs_leave_the_scores_that_they_would_give(
    words: tuple[str, ...], kept: set[int] | None, all_kept: Path, tmp_path: Path
) -> None:
    folder = run(tmp_path, *words)
    assert folder.name == all_kept.name  # the same run
    before, now = members(all_kept), members(folder)
    with Evaluations(folder / "evaluations.npz") as found:
        steps = {step for step in found.steps("blobs/test") if found.outputs("blobs/test", step) is not None}
    assert {int(name.split("/")[3]) for name in now if "/outputs/" in name} == steps
    rule = record.read_record(folder)["outputs"]["selection"] or "last"
    taken = compared_step(all_kept.parent, rule)
    assert steps == ({20, taken} if kept is None else kept)
    assert all(np.array_equal(now[name], before[name]) for name in now if name in before)
    right = before["blobs/test/outputs/000010"].argmax(1) == before["blobs/test/targets"]
    if 10 not in steps:
        assert np.array_equal(now["blobs/test/scores/accuracy/000010"], right.astype(float))
        assert {name.split("/")[3] for name in now if "/scores/" in name} == {
            "accuracy", "macro_f1", "balanced_accuracy", "macro_precision", "auroc", "nll", "brier"
        }  # fmt: skip


def compared_step(store: Path, selection: str) -> int | None:
    from transferscope.comparison.scores import read_scores

    [folder] = record.run_folders(store)
    return read_scores(folder, record.read_record(folder), "accuracy", selection).step


def test_what_is_large_keeps_the_last_and_a_later_wish_is_heard(
    all_kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(kept_outputs, "AUTOMATIC_BYTES", 1000)
    folder = run(tmp_path)
    assert record.read_record(folder)["outputs"] == {"kept": "last", "selection": "last"}
    written = (folder / "evaluations.npz").stat().st_mtime_ns
    run(tmp_path, "outputs=last")
    assert (folder / "evaluations.npz").stat().st_mtime_ns == written  # nothing was to do
    run(tmp_path, "outputs=all")
    assert members(folder).keys() == members(all_kept).keys()
    run(tmp_path, "keep=selected")  # made again, and nothing that it kept is lost
    assert record.read_record(folder)["outputs"]["kept"] == "all" and not list(tmp_path.glob(".running/*"))
    assert main(["run", *SMALL, "outputs=some", f"store={tmp_path}"]) == 2
    assert "outputs=some: all, last, none or null is needed" in capsys.readouterr().err


# --- what is read


@pytest.mark.parametrize("selection", ["last", "target_val", "oracle"])
@pytest.mark.parametrize("metric", ["accuracy", "nll", "macro_precision", "auroc"])
def test_both_schemas_and_dropped_outputs_give_the_same_verdicts(
    metric: str, selection: str, store: Path, rewritten: dict[str, Path]
) -> None:
    expected = verdicts(store, metric, selection)
    assert expected[0]["seeds"] == 5
    for kept, place in rewritten.items():
        found = verdicts(place, metric, selection)
        if kept != "all" and not (kept == "last" and selection == "last"):
            assert found[0].pop("strategy_ece") is None and found[0].pop("baseline_ece") is None
            trimmed = [{k: v for k, v in row.items() if k in found[0]} for row in expected]
        else:
            trimmed = expected
        assert found == trimmed, kept


def verdicts(store: Path, metric: str, selection: str) -> list[dict]:
    comparison = compare(store, metric=metric, selection=selection)
    assert not comparison.failed and not comparison.missing
    return [json.loads(json.dumps(cell.to_dict(), default=str)) for cell in comparison]


def test_a_store_of_both_schemas_is_paired(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "runs")
    folders = record.run_folders(tmp_path / "runs")
    for folder in folders[::2]:
        rewrite(folder, "last")
    assert {json.loads((f / "record.json").read_text())["schema"] for f in folders} == {1, 2}
    assert verdicts(tmp_path / "runs", "accuracy", "last") == verdicts(store, "accuracy", "last")


def test_a_schema_to_come_is_refused(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "runs")
    path = record.run_folders(tmp_path / "runs")[0] / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 3}))
    [row] = compare(tmp_path / "runs").failed
    assert "schema version 3; this transferscope reads version 1 and 2" in row["reason"]


def test_the_page_says_what_is_not_told(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    place = as_schema_2(store, tmp_path / "runs", "none")
    assert main(["report", str(place), "-o", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "10 of 10 runs have dropped the outputs of the evaluation taken" in text
    assert "Each class, accuracy" in text and "Precision, recall and F1," not in text
    assert main(["status", str(place)]) == 0 and main(["prune", str(place)]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_an_own_metric_says_that_it_needs_the_outputs(store: Path, tmp_path: Path) -> None:
    from transferscope.tasks import metrics

    place = as_schema_2(store, tmp_path / "runs", "last")
    metrics.register("cost", lambda p, labels: (p.argmax(1) == labels).astype(float), OWN)
    try:
        assert list(compare(place, metric="cost", margin=0.1))[0].strategy_score > 0
        comparison = compare(place, metric="cost", margin=0.1, selection="oracle")
        assert not list(comparison)
        [row] = [row for row in comparison.missing if "cost" in row["reason"]]
        assert "dropped its outputs at step" in row["reason"] and "outputs=all" in row["reason"]
    finally:
        del metrics.METRICS["cost"]


OWN = {"span": 1.0, "best": 1.0, "margin": 0.1}


# --- whole or damaged


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


def test_files_are_read_where_they_changed_or_on_demand(
    all_kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "runs" / all_kept.name
    shutil.copytree(all_kept, folder)
    path = folder / "evaluations.npz"
    assert damage(folder) == ""
    os.utime(path, ns=(0, 0))  # another time, the same content
    assert damage(folder) == ""
    flipped(path)
    assert damage(folder) == f"{path}: damaged (its content)"
    kept = record.read_record(folder)["files"]["evaluations.npz"]["mtime"]
    os.utime(path, ns=(kept, kept))
    assert damage(folder) == ""  # seen by those who read
    assert main(["doctor", "--verify", str(tmp_path / "runs")]) == 1
    said = capsys.readouterr().out
    assert f"{path}: damaged (its content)\n" in said and "1 of 1 runs are damaged" in said
    path.write_bytes(path.read_bytes()[:-1])
    assert damage(folder) == f"{path}: damaged (its size)"
    (folder / "model.safetensors").unlink()
    shutil.copy2(all_kept / "evaluations.npz", path)
    assert damage(folder, verify=True) == ""  # a model may be taken away
    path.unlink()
    assert damage(folder) == f"{path}: damaged (FileNotFoundError)"


def test_verifying_is_asked_for_a_store(store: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["doctor", "--verify", str(store)]) == 0
    assert main(["doctor", "--verify"]) == 2 and main(["doctor", "--verify", str(store / "nowhere")]) == 2
    assert "--verify and the folder of a store are needed" in capsys.readouterr().err
