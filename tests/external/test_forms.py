"""Results made elsewhere get the same verdict in whatever form and file they come."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import transferscope as ts
from store_fixture import write_run, write_store
from tables_of_results import prediction_rows, probability_rows, score_rows, scores, write
from transferscope.cli.main import main

FOUND = scores(scratch=0.6, fine_tuning=0.8)


def numbers(cell) -> tuple:
    return cell.delta, cell.ci, cell.p_adjusted, cell.verdict, cell.mde, cell.seeds, cell.items


def verdict_of(*tables, baseline="scratch", **options):
    (cell,) = ts.compare(ts.Results(*tables, **options), baseline=baseline)
    return cell


@pytest.fixture(scope="module")
def expected():
    """The verdict on the arrays themselves."""
    return ts.verdict(FOUND["fine_tuning"], FOUND["scratch"])


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_every_format_of_file_gives_the_verdict_of_the_arrays(name, expected, tmp_path):
    cell = verdict_of(write(tmp_path / name, score_rows(FOUND)))
    assert (cell.verdict, cell.seeds, cell.items) == ("positive", 5, 200)
    assert cell.delta == expected.delta and cell.ci == expected.ci


@pytest.mark.parametrize("rows", [prediction_rows, probability_rows])
def test_classes_give_the_verdict_of_the_scores(rows, expected, tmp_path):
    cell = verdict_of(write(tmp_path / "a.csv", rows(FOUND)))
    assert cell.metric == "accuracy"
    assert cell.delta == pytest.approx(expected.delta) and cell.ci == pytest.approx(expected.ci)


def test_probabilities_can_be_judged_by_their_own_metrics_and_named_classes_cannot(tmp_path):
    full = write(tmp_path / "p.csv", probability_rows(FOUND))
    named = write(tmp_path / "n.csv", prediction_rows(FOUND))
    (cell,) = ts.compare(full, baseline="scratch", metric="nll")
    right = FOUND["fine_tuning"].mean() - FOUND["scratch"].mean()
    assert cell.delta == pytest.approx(right * np.log(3), rel=1e-5)  # −log 0.25 + log 0.75 an item
    refused = ts.compare(named, baseline="scratch", metric="nll")
    assert not list(refused) and "names classes alone" in refused.missing[0]["reason"]


def test_frames_and_dicts_are_tables_too(expected):
    columns = {key: [row[key] for row in score_rows(FOUND)] for key in ("item", "seed", "strategy", "score")}
    for table in (columns, pd.DataFrame(columns)):
        (cell,) = ts.compare(table, baseline="scratch")
        assert cell.ci == expected.ci


def test_wide_files_have_a_column_a_strategy_or_a_strategy_and_seed(expected, tmp_path):
    wide = [
        {"item": f"item_{i}", "seed": s, **{name: int(FOUND[name][s, i]) for name in FOUND}}
        for s in range(5)
        for i in range(200)
    ]
    cell = verdict_of(write(tmp_path / "a.csv", wide), columns={"score": "{strategy}"})
    assert cell.ci == expected.ci
    wider = [
        {"id": f"item_{i}", **{f"{name}@{s}": int(FOUND[name][s, i]) for name in FOUND for s in range(5)}}
        for i in range(200)
    ]
    cell = verdict_of(write(tmp_path / "b.csv", wider), columns={"item": "id", "score": "{strategy}@{seed}"})
    assert cell.ci == expected.ci


def test_a_file_an_arm_and_rows_in_any_order(expected, tmp_path):
    rows = score_rows(FOUND)
    np.random.default_rng(1).shuffle(rows)
    files = [write(tmp_path / f"{arm}.csv", [row for row in rows if row["strategy"] == arm]) for arm in FOUND]
    cell = verdict_of(*files)
    assert cell.delta == pytest.approx(expected.delta, abs=1e-15)
    assert cell.ci == pytest.approx(expected.ci, abs=1e-12)


def test_items_of_one_group_count_once(tmp_path):
    groups = np.arange(200) // 10
    rows = [row | {"group": f"writer_{groups[int(row['item'][5:])]}"} for row in score_rows(FOUND)]
    cell = verdict_of(write(tmp_path / "a.csv", rows))
    expected = ts.verdict(FOUND["fine_tuning"], FOUND["scratch"], groups=groups)
    assert cell.item_unit == "group" and cell.ci == pytest.approx(expected.ci)


def test_only_rows_of_split_test_are_judged(expected, tmp_path):
    rows = [row | {"split": "test"} for row in score_rows(FOUND)]
    rows += [row | {"item": "t" + row["item"], "split": "val", "score": 0} for row in score_rows(FOUND)]
    assert verdict_of(write(tmp_path / "a.csv", rows)).ci == expected.ci


def test_scores_where_less_is_better_change_sign(tmp_path):
    losses = [row | {"score": 2.0 - row["score"]} for row in score_rows(FOUND)]
    options = {"lower_is_better": True, "score_range": (0.0, 2.0)}
    cell = verdict_of(write(tmp_path / "a.csv", losses), **options)
    assert cell.verdict == "positive" and cell.metric == "ranged_score"
    assert cell.delta == pytest.approx((FOUND["fine_tuning"] - FOUND["scratch"]).mean())


def test_predicted_numbers_are_judged_by_their_error(tmp_path):
    draw = np.random.default_rng(0)
    truth = draw.normal(10, 2, 200)
    rows = [
        {"item": i, "seed": s, "strategy": name, "truth": truth[i], "prediction": truth[i] + noise}
        for name, spread in (("scratch", 2.0), ("fine_tuning", 0.5))
        for s in range(5)
        for i, noise in enumerate(draw.normal(0, spread, 200))
    ]
    cell = verdict_of(write(tmp_path / "a.parquet", rows), cap=8.0)
    error = {
        name: np.mean([abs(row["prediction"] - row["truth"]) for row in rows if row["strategy"] == name])
        for name in ("scratch", "fine_tuning")
    }
    assert cell.metric == "mae" and cell.verdict == "positive"
    assert cell.delta == pytest.approx(error["scratch"] - error["fine_tuning"])


def test_any_strategy_is_a_baseline_and_sources_and_budgets_are_cells(tmp_path):
    rows = [
        row | {"source": "" if row["strategy"] == "scratch" else source, "label_budget": budget}
        for budget in (10, 100)
        for source in ("web", "scans")
        for row in score_rows(FOUND)
        if row["strategy"] != "scratch" or source == "web"
    ]
    cells = ts.compare(write(tmp_path / "a.csv", rows), baseline="scratch")
    assert {(cell.source, cell.label_budget) for cell in cells} == {
        (source, budget) for source in ("web", "scans") for budget in (10, 100)
    }
    rows += [row | {"strategy": "dann"} for row in rows if row["strategy"] == "fine_tuning"]
    cells = ts.compare(write(tmp_path / "b.csv", rows), baseline="fine_tuning")
    assert {(cell.strategy, cell.source) for cell in cells} == {("dann", "web"), ("dann", "scans")}
    assert {cell.verdict for cell in cells} == {"undecided"} and {cell.delta for cell in cells} == {0.0}
    assert "of its source or of none" in cells.missing[0]["reason"]


def test_predictions_that_were_exported_come_back_with_the_same_verdicts(tmp_path, capsys):
    store = write_store(tmp_path / "runs")
    assert main(["compare", str(store), "--format", "predictions"]) == 0
    path = tmp_path / "exported.csv"
    path.write_text(capsys.readouterr().out)
    key = ("strategy", "source", "target", "label_budget", "variant", "protocol")

    def by_cell(runs):
        return {tuple(getattr(cell, name) for name in key): cell for cell in ts.compare(runs)}

    ours, theirs = by_cell(store), by_cell(path)
    again = [name for name, cell in ours.items() if name in theirs and not cell.flags]
    assert len(again) >= 5
    for name in again:  # those that nothing bars which predictions alone cannot show
        assert (theirs[name].delta, theirs[name].ci) == (ours[name].delta, ours[name].ci)
        assert theirs[name].p_adjusted == ours[name].p_adjusted


def test_variants_that_were_exported_stay_apart(tmp_path, capsys):
    for rate in (0.1, 0.01):
        for strategy in ("scratch", "fine_tuning"):
            for seed in range(3):
                write_run(
                    tmp_path / "runs", strategy, seed, 0.5 + rate,
                    consumed={"trainer": {"optimizer": {"lr": rate}}},
                )  # fmt: skip
    assert main(["compare", str(tmp_path / "runs"), "--format", "predictions"]) == 0
    path = tmp_path / "exported.csv"
    path.write_text(capsys.readouterr().out)
    ours, theirs = (
        {cell.variant: cell.ci for cell in ts.compare(runs)} for runs in (tmp_path / "runs", path)
    )
    assert ours == theirs and len(ours) == 2


def test_json_says_that_a_cell_was_imported_and_from_where(tmp_path, capsys):
    path = write(tmp_path / "mine.csv", score_rows(FOUND))
    assert main(["compare", str(path), "--format", "json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert any("mine.csv: how training ended is not known" in flag for flag in cell["flags"])


def test_comparing_a_file_imports_no_torch(tmp_path):
    path = write(tmp_path / "a.csv", score_rows(scores(items=50, scratch=0.5, fine_tuning=0.6)))
    code = (
        "import sys; from transferscope.cli.main import main; "
        f"assert main(['compare', {str(path)!r}]) == 0; "
        "print(sorted({'torch', 'hydra', 'wandb'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_dates_in_json_lines_are_names(tmp_path):
    """Were they taken for times, the same date would be another text beside a name that is none."""
    rows = [
        row | {"label": f"2020-01-{row['item'][5:]:>02}", "prediction": f"2020-01-{row['item'][5:]:>02}"}
        for row in prediction_rows(scores(seeds=2, items=20, a=0.5, b=0.5))
    ]
    for row in rows:
        del row["seed"]
    rows = list({(row["item"], row["strategy"]): row for row in rows}.values())
    rows[3]["prediction"] = "unknown"
    (cell,) = ts.compare(write(tmp_path / "a.jsonl", rows), baseline="a")
    assert (cell.baseline_score, cell.strategy_score) == (19 / 20, 1.0)
