"""Too little, or nothing that can be told: one line each, no traceback, and JSON without NaN."""

import json
import shutil

import numpy as np
import pytest

from store_fixture import edit, write_runs
from transferscope.cli.main import main
from transferscope.comparison.compare import compare

TEST = "handwritten/test"


def store_of(path, seeds=5, n=60, strategies=("fine_tuning",)):
    for strategy in ("scratch", *strategies):
        write_runs(path, strategy, 1.0 if strategy != "scratch" else 0.5, seeds=seeds, n=n)
    return path


def records(store):
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(store.glob("*/record.json"))}


def judged(path, **options):
    comparison = compare(path, **options)
    text = comparison.to_json()
    assert "NaN" not in text and json.loads(text)
    for width in (200, 80):
        assert comparison.to_table(width).strip()
    return comparison.cells


@pytest.mark.parametrize(
    "line",
    [
        "--margin 1.5: the smallest difference that matters, at least 0 and below 1, is needed",
        "--metric rmsle: not one of accuracy",
        "--metric ece: binned and biased",
        "--alpha 0.0: between 0 and 1 is needed",
    ],
)
def test_a_wrong_request_is_one_line(tmp_path, capsys, line):
    flag, value = line.split(":")[0].split()
    assert main(["compare", str(store_of(tmp_path)), flag, value]) == 2
    expected = capsys.readouterr()
    assert expected.out == "" and line in expected.err and expected.err.count("\n") == 1


def test_one_seed_claims_nothing_and_says_so(tmp_path):
    (cell,) = judged(store_of(tmp_path, seeds=1))
    assert (cell.verdict, cell.overruled, cell.p_adjusted, cell.ci) == ("undecided", "one seed", None, None)
    assert cell.reason.startswith("one seed")


def test_two_seeds_want_seeds_whatever_else_they_want(tmp_path):
    cells = judged(
        store_of(
            tmp_path,
            seeds=2,
            n=40,
            strategies=("fine_tuning", "linear_probe", "dann", "joint", "target_only"),
        )
    )
    assert {cell.verdict for cell in cells} == {"undecided"} and not any(
        "not seeds" in cell.reason for cell in cells
    )
    assert all(cell.mde is None for cell in cells)  # beyond the range of accuracy
    assert "none" in compare(tmp_path).to_table(200)


def test_a_single_item(tmp_path):
    (cell,) = judged(store_of(tmp_path, n=1))
    assert cell.verdict == "undecided" and "few items" in cell.flags


def test_all_scores_equal(tmp_path):
    store_of(tmp_path, n=3000)
    runs = {(record["cell"]["strategy"], record["seed"]): name for name, record in records(tmp_path).items()}
    for seed in range(5):
        with np.load(tmp_path / runs["scratch", seed] / "evaluations.npz") as members:
            same = {name: members[name] for name in members.files if name.startswith(TEST)}
        edit(tmp_path, runs["fine_tuning", seed], lambda members, same=same: members.update(same))
    (cell,) = judged(tmp_path)
    assert (cell.verdict, cell.delta) == ("equivalent", 0.0) and cell.ci[0] < 0 < cell.ci[1]


def test_scores_that_are_not_finite_are_those_of_chance(tmp_path):
    store_of(tmp_path)

    def spoil(members):
        for name in members:
            if name.startswith(f"{TEST}/probabilities"):
                members[name] = np.full_like(members[name], np.nan)

    edit(
        tmp_path,
        next(
            name for name, record in records(tmp_path).items() if record["cell"]["strategy"] == "fine_tuning"
        ),
        spoil,
    )
    (cell,) = judged(tmp_path, metric="nll")
    assert cell.collapsed == 1 and any("scores chance" in flag for flag in cell.flags)


def test_a_metric_that_the_items_lack_is_listed(tmp_path):
    store_of(tmp_path, n=30)
    for name in records(tmp_path):
        edit(
            tmp_path,
            name,
            lambda members: members.update({f"{TEST}/labels": np.zeros_like(members[f"{TEST}/labels"])}),
        )
    comparison = compare(tmp_path, metric="auroc")
    assert (
        not comparison.cells and comparison.missing[0]["reason"] == "auroc: all test items are of one class"
    )


def test_a_run_without_its_evaluations_is_listed(tmp_path):
    store_of(tmp_path)
    folder = next(tmp_path.glob("*/evaluations.npz")).parent
    shutil.move(folder / "evaluations.npz", folder / "elsewhere.npz")
    comparison = compare(tmp_path)
    assert len(comparison.failed) == 1 and comparison.failed[0]["status"] == "unreadable"
