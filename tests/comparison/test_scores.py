"""Which evaluation of a run counts and what it scores; stores with damaged runs."""

import json
import shutil

import numpy as np
import pytest

from store_fixture import accuracy, edit, write_plan, write_run, write_runs
from transferscope.comparison.compare import compare
from transferscope.comparison.scores import NotSelectable, read_scores
from transferscope.errors import RequestError
from transferscope.store.record import read_record


def test_a_run_that_ends_in_nan_counts_as_diverged_whatever_its_record_says(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    tuned = write_runs(tmp_path, "fine_tuning", 2.0)
    edit(
        tmp_path,
        tuned[0]["fingerprint"],
        lambda members: members["handwritten/test/probabilities/000300"].fill(np.nan),
    )
    (cell,) = compare(tmp_path)
    assert (cell.collapsed, cell.verdict) == (1, "undecided")


def test_selection_is_applied_to_the_records(tmp_path):
    base = write_runs(tmp_path, "scratch", 0.5, peak=200)
    tuned = write_runs(tmp_path, "fine_tuning", 1.0, peak=100)
    last, chosen, oracle = (
        compare(tmp_path, selection=name).cells[0] for name in ("last", "target_val", "oracle")
    )

    def selected(arm, prefix):
        """Test accuracy at the earliest evaluation with the best accuracy on `prefix`."""
        best = [
            max((0, 100, 200, 300), key=lambda s: (accuracy(tmp_path, job["fingerprint"], s, prefix), -s))
            for job in arm
        ]
        return np.mean(
            [accuracy(tmp_path, job["fingerprint"], step) for job, step in zip(arm, best, strict=True)]
        )

    assert last.strategy_score == pytest.approx(
        np.mean([accuracy(tmp_path, job["fingerprint"]) for job in tuned])
    )
    for cell, prefix in ((chosen, "handwritten/val"), (oracle, "handwritten/test")):
        assert cell.strategy_score == pytest.approx(selected(tuned, prefix))
        assert cell.baseline_score == pytest.approx(selected(base, prefix))
    assert (
        "oracle: chosen on test labels" in oracle.flags and "oracle: chosen on test labels" not in last.flags
    )
    # which chooses and scores on the same items
    assert 0 < last.regret["strategy"] < oracle.strategy_score - last.strategy_score
    with pytest.raises(
        RequestError, match="source_val: some arms see nothing to choose by; source_val,last judges these"
    ):
        compare(tmp_path, selection="source_val")
    with pytest.raises(RequestError, match="source_val,lst: not one of source_val,last; did you mean"):
        compare(tmp_path, selection="source_val,lst")
    source = compare(tmp_path, selection="source_val,last").cells[0]
    assert source.strategy_score == pytest.approx(selected(tuned, "printed/val"))
    assert any(flag.startswith("baseline: last evaluation") for flag in source.flags)


def test_the_earliest_of_equal_evaluations_is_selected(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    tuned = write_runs(tmp_path, "fine_tuning", 1.0)
    for job in tuned:
        edit(
            tmp_path,
            job["fingerprint"],
            lambda members: members.update(
                {
                    name: members["handwritten/val/probabilities/000100"]
                    for name in members
                    if "val/prob" in name and "hand" in name
                }
            ),
        )
    (cell,) = compare(tmp_path, selection="target_val")
    assert cell.strategy_score == pytest.approx(
        np.mean([accuracy(tmp_path, job["fingerprint"], 0) for job in tuned])
    )


def test_target_val_needs_labels_set_aside(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, label_budget=2)
    write_runs(tmp_path, "fine_tuning", 1.0, label_budget=2)
    comparison = compare(tmp_path, selection="target_val")
    assert len(comparison) == 0
    assert comparison.missing[0]["reason"] == "target_val: nothing set aside below 5 labels a class"


@pytest.mark.parametrize("metric", ["accuracy", "nll", "brier"])
def test_higher_is_better_in_every_metric(tmp_path, metric):
    write_runs(tmp_path, "scratch", 0.5, item_effect=0.0)
    write_runs(tmp_path, "fine_tuning", 2.0, item_effect=0.0)
    (cell,) = compare(tmp_path, metric=metric)
    assert cell.verdict == "positive" and cell.strategy_score > cell.baseline_score
    assert (cell.strategy_score < 0) == (metric != "accuracy")


def test_metrics_by_hand():
    from transferscope.comparison.scores import item_scores

    p, labels = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]], np.float32), np.array([0, 2])
    assert item_scores(p, labels, "accuracy").tolist() == [1.0, 0.0]
    assert item_scores(p, labels, "nll") == pytest.approx([np.log(0.5), np.log(1e-3)], rel=1e-6)
    assert item_scores(p, labels, "brier") == pytest.approx([-(0.25 + 0.09 + 0.04), -2.0], rel=1e-6)


# --- damaged stores


def set_schema(folder):
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))


def drop_cell(folder):
    path = folder / "record.json"
    path.write_text(
        json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "cell"})
    )


def list_for_a_source(folder):
    path = folder / "record.json"
    content = json.loads(path.read_text())
    content["cell"]["source"] = ["printed"]
    path.write_text(json.dumps(content))


def truncate(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:500])


def pickled(folder):
    with np.load(folder / "evaluations.npz") as members:
        arrays = {name: members[name] for name in members.files}
    arrays["handwritten/test/ids"] = arrays["handwritten/test/ids"].astype(object)
    np.savez(folder / "evaluations.npz", **arrays)


def wrong_shape(folder):
    edit(
        folder.parent,
        folder.name,
        lambda members: members.update(
            {"handwritten/test/probabilities/000300": np.ones((7, 2), np.float32)}
        ),
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (set_schema, "schema version 99"),
        (drop_cell, "'cell' is missing"),
        (list_for_a_source, "'cell.source' is missing or of another type"),
        (truncate("record.json"), "not a run record"),
        (truncate("evaluations.npz"), "not a file of evaluations"),
        (lambda folder: (folder / "evaluations.npz").unlink(), "cannot be read"),
        (pickled, "not a file of evaluations"),
        (wrong_shape, "outputs of shape"),
    ],
)
def test_a_damaged_run_is_listed_and_the_others_go_on(tmp_path, damage, said):
    write_runs(tmp_path, "scratch", 0.5)
    tuned = write_runs(tmp_path, "fine_tuning", 1.5)
    write_plan(tmp_path, "first", tuned)
    damage(tmp_path / tuned[2]["fingerprint"])
    comparison = compare(tmp_path)
    (cell,) = comparison
    assert cell.evidence.seeds == [0, 1, 3, 4] and cell.verdict == "positive"
    (row,) = comparison.failed
    assert (
        row["fingerprint"] == tuned[2]["fingerprint"] and said in row["reason"] and "\n" not in row["reason"]
    )
    assert (row["strategy"], row["seed"]) == ("fine_tuning", 2)
    assert comparison.missing == []


@pytest.mark.parametrize(
    "text",
    ["{", '{"schema": 1, "name": "first"}', '{"schema": 1, "name": "first", "created": "", "jobs": [{}]}'],
)
def test_a_damaged_plan_is_refused_for_it_is_the_family(tmp_path, text):
    write_plan(tmp_path, "first", write_runs(tmp_path, "scratch", 0.5, seeds=2))
    (tmp_path / "sweeps" / "first" / "plan.json").write_text(text)
    with pytest.raises(RequestError, match="not a sweep plan"):
        compare(tmp_path)


def test_a_copied_run_is_not_counted_twice(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    tuned = write_runs(tmp_path, "fine_tuning", 1.0)
    shutil.copytree(tmp_path / tuned[0]["fingerprint"], tmp_path / "ffffffffffffffff.copy")
    comparison = compare(tmp_path)
    assert comparison.cells[0].seeds == 5
    assert [row["status"] for row in comparison.failed] == ["unreadable"]


def test_mixed_versions_and_revisions_are_warned_of(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, revision="aaaaaaaa")
    write_runs(
        tmp_path, "fine_tuning", 1.0, revision="bbbbbbbb", versions={"torch": "2.1", "transferscope": "0.1.0"}
    )
    warnings = " ".join(compare(tmp_path).warnings)
    assert "torch 2.0, 2.1" in warnings and "transferscope" not in warnings
    assert "aaaaaaa, bbbbbbb" in warnings
    assert "made by several versions: torch 2.0, 2.1" in compare(tmp_path).cells[0].flags


@pytest.mark.parametrize("lacking", ["samples", "metrics"])
@pytest.mark.parametrize("rule", ["dev", "snd", "last", "source_val"])
def test_a_record_that_lacks_what_it_may_lack_ends_in_no_traceback(tmp_path, lacking, rule):
    job = write_run(tmp_path, "fine_tuning", 0, 0.5)
    folder = tmp_path / job["fingerprint"]
    record = read_record(folder)
    record["result"].pop(lacking, None)
    try:
        assert read_scores(folder, record, "accuracy", rule).step is not None
    except NotSelectable as reason:
        assert str(reason)
