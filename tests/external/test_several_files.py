"""The same run is the same whatever it is read beside, and files may have different columns."""

import numpy as np
import pytest

import transferscope as ts
from tables_of_results import prediction_rows, probability_rows, score_rows, scores, write
from transferscope.cli.main import main

FOUND = scores(seeds=2, items=60, scratch=0.5, fine_tuning=0.8)


def of_seed(rows: list[dict], seed: int) -> list[dict]:
    return [row for row in rows if row["seed"] == seed]


def imported(capsys, store, *paths) -> str:
    assert main(["import", *map(str, paths), "--store", str(store)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("form", [prediction_rows, probability_rows])
def test_two_imports_are_one(form, tmp_path, capsys):
    """Seed 1 names a class that seed 0 does not know, and another target has longer names."""
    rows = form(FOUND)
    if form is prediction_rows:
        for row in of_seed(rows, 1)[:5]:
            row["prediction"] = "bird"
    first, second = (write(tmp_path / f"{seed}.csv", of_seed(rows, seed)) for seed in (0, 1))
    far = [row | {"item": f"{row['item']} of a far longer name", "target": "far"} for row in rows]
    other = write(tmp_path / "other.csv", far)
    store, at_once = tmp_path / "runs", tmp_path / "at_once"
    imported(capsys, store, first)
    imported(capsys, store, second)
    assert imported(capsys, store, first, second, other).startswith("4 runs imported")  # those of far
    imported(capsys, at_once, first, second, other)
    one, all_at_once = (
        next(cell for cell in ts.compare(runs) if cell.target == "target") for runs in (store, at_once)
    )
    assert one.seeds == 2 and one.variant == ""
    assert (one.delta, one.ci) == (all_at_once.delta, all_at_once.ci)
    for runs in (store, at_once):
        assert main(["report", str(runs), "-o", str(tmp_path / f"{runs.name}.html")]) == 0


def test_what_a_class_is_on_the_page_does_not_hang_on_what_another_run_named(tmp_path, capsys):
    """`a_bird` stands before the classes of the items, were they sorted together."""
    rows = prediction_rows(FOUND)
    for row in of_seed(rows, 1)[:5]:
        row["prediction"] = "a_bird"
    store = tmp_path / "runs"
    for seed in (0, 1):
        imported(capsys, store, write(tmp_path / f"{seed}.csv", of_seed(rows, seed)))
    from transferscope.comparison.evidence.class_scores import class_scores
    from transferscope.comparison.evidence.predictions import PredictionReader

    (cell,) = ts.compare(store)
    found = {row.name: row for row in class_scores(cell, PredictionReader())}
    said = [row["prediction"] for row in rows if row["strategy"] == "fine_tuning" and row["label"] == "cat"]
    assert found["cat"].support == 30
    assert found["cat"].recall[0] == pytest.approx(np.mean([name == "cat" for name in said]))


def test_a_column_that_only_one_file_has_is_empty_in_the_other(tmp_path):
    rows = score_rows(FOUND)
    scratch = write(tmp_path / "scratch.csv", [row for row in rows if row["strategy"] == "scratch"])
    tuned = [row | {"source": "web", "label_budget": 10} for row in rows if row["strategy"] != "scratch"]
    (cell,) = ts.compare(ts.Results(scratch, write(tmp_path / "tuned.jsonl", tuned)))
    assert (cell.source, cell.label_budget, cell.seeds) == ("web", 10, 2)


def test_a_wide_file_has_every_column_of_each_seed(tmp_path, capsys):
    wide = [{"item": i, "strategy": "a", "gold_0": "x", "gold_1": "y", "said_0": "x"} for i in range(3)]
    arguments = ["--map", "label=gold_{seed},prediction=said_{seed}", "--baseline", "a"]
    assert main(["compare", str(write(tmp_path / "a.csv", wide)), *arguments]) == 2
    line = capsys.readouterr().err
    assert "seed 1" in line and "label alone" in line and line.count("\n") == 1


def test_infinite_text_columns_are_text(tmp_path):
    rows = [row | {"variant": float("inf")} for row in score_rows(FOUND)]
    table = {key: [row[key] for row in rows] for key in rows[0]}
    (cell,) = ts.compare(table)
    assert cell.delta == pytest.approx(float(FOUND["fine_tuning"].mean() - FOUND["scratch"].mean()))


def test_errors_without_a_cap_say_that_the_test_items_gave_it(tmp_path, capsys):
    draw = np.random.default_rng(0)
    rows = [
        {"item": i, "seed": s, "strategy": name, "truth": i % 7, "prediction": i % 7 + draw.normal(0, spread)}
        for name, spread in (("scratch", 2.0), ("fine_tuning", 0.5))
        for s in range(2)
        for i in range(40)
    ]
    (cell,) = ts.compare(write(tmp_path / "a.csv", rows))
    assert any("test items" in str(flag) and "--cap" in str(flag) for flag in cell.flags)
    (cell,) = ts.compare(ts.Results(tmp_path / "a.csv", cap=5.0))
    assert not any("--cap" in str(flag) for flag in cell.flags)


def test_separate_imports_that_differ_in_what_is_judged_are_refused(tmp_path, capsys):
    rows = score_rows(FOUND)
    for group, (first, second) in {
        "range": (["--score-range=0,2"], ["--score-range=0,4"]),
        "group": ([], ["--map", "group=item"]),
    }.items():
        store = tmp_path / group
        for arm, options in (("scratch", first), ("fine_tuning", second)):
            of_arm = [row for row in rows if row["strategy"] == arm]
            if options[:1] == ["--map"]:
                of_arm = [row | {"group": str(int(row["item"][5:]) // 10)} for row in of_arm]
            path = write(tmp_path / f"{arm}.csv", of_arm)
            plain = [] if options[:1] == ["--map"] else options
            assert main(["import", str(path), "--store", str(store), *plain]) == 0
        capsys.readouterr()
        code = main(["compare", str(store), *(["--metric", "ranged_score"] if group == "range" else [])])
        said = capsys.readouterr()
        assert code == 2 and "differ; import them in one command" in said.err


def test_any_name_is_that_of_a_baseline(tmp_path):
    """Also those that have a rule of their own among the harness's runs."""
    for name in ("naive", "source_only", "target_full", "target_only", "shuffled_source"):
        rows = score_rows({name: FOUND["scratch"], "fine_tuning": FOUND["fine_tuning"]})
        (cell,) = ts.compare(write(tmp_path / f"{name}.csv", rows), baseline=name)
        assert cell.delta == pytest.approx(float(FOUND["fine_tuning"].mean() - FOUND["scratch"].mean()))
