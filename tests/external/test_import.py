"""`transferscope import`: foreign rows become records of a store, and never pass for the harness's own."""

import json

import pytest

import transferscope as ts
from store_fixture import write_store
from tables_of_results import prediction_rows, score_rows, scores, write
from transferscope.cli.main import main

FOUND = scores(seeds=3, items=60, scratch=0.5, fine_tuning=0.8)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "mine.csv", score_rows(FOUND))


def imported(path, store, capsys) -> str:
    assert main(["import", str(path), "--store", str(store)]) == 0
    return capsys.readouterr().out


def test_the_store_gives_the_verdict_of_the_file_and_a_second_import_adds_nothing(path, tmp_path, capsys):
    store = tmp_path / "runs"
    assert "6 runs imported" in imported(path, store, capsys)
    assert "0 runs imported" in (said := imported(path, store, capsys)) and "had 6" in said
    (of_store,), (of_file,) = ts.compare(store), ts.compare(path)
    assert (of_store.delta, of_store.ci, of_store.verdict) == (of_file.delta, of_file.ci, of_file.verdict)


def test_records_are_stamped_and_show_in_status_and_on_the_page(path, tmp_path, capsys):
    store = tmp_path / "runs"
    imported(path, store, capsys)
    records = [json.loads(record.read_text()) for record in store.glob("*/record.json")]
    assert len(records) == 6
    for record in records:
        assert record["imported"]["file"].endswith("mine.csv")
        assert record["imported"]["tool"].startswith("transferscope ")
        assert len(record["imported"]["hash"]) == 32 and record["consumed"]["imported"] is True
    assert main(["status", str(store)]) == 0
    assert main(["report", str(store), "--output", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "imported from" in page and "labels not stated" in page and "source not stated" in page
    assert "no labels" not in page and "without a source domain" not in page
    assert "What choosing a checkpoint costs" not in page


def test_other_results_of_one_run_are_refused_and_nothing_is_added(path, tmp_path, capsys):
    store = tmp_path / "runs"
    imported(path, store, capsys)
    before = sorted(store.rglob("*"))
    rows = score_rows(FOUND)
    rows[0]["score"] = 1 - rows[0]["score"]
    rows += score_rows(scores(seeds=3, items=60, dann=0.7))
    other = write(tmp_path / "other.csv", rows)
    assert main(["import", str(other), "--store", str(store)]) == 2
    line = capsys.readouterr().err
    assert "other.csv" in line and "other results of scratch, seed 0" in line and "mine.csv" in line
    assert sorted(store.rglob("*")) == before


def test_imported_runs_are_held_against_each_other_alone(path, tmp_path, capsys):
    """The store's own runs of the same names and target are another experiment."""
    store = write_store(tmp_path / "runs")
    own = {cell.family for cell in ts.compare(store)}
    rows = [
        row | {"target": "handwritten", "source": "" if row["strategy"] == "scratch" else "printed"}
        for row in prediction_rows(FOUND)
    ]
    imported(write(tmp_path / "same_names.csv", rows), store, capsys)
    families = {cell.family for cell in ts.compare(store)}
    assert own < families
    assert all("imported" in family for family in families - own)


def test_an_imported_run_is_loaded_without_a_model(path, tmp_path, capsys):
    store = tmp_path / "runs"
    imported(path, store, capsys)
    run = ts.load_run(next(store.glob("*/record.json")).parent)
    assert run.strategy is None and run.record["imported"]["form"] == "score"
    assert run.evaluations["target/test/outputs/000000"].shape == (60, 1)
