"""`transferscope plan` as it is called: without a pilot, from a store, from a file of results."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from store_fixture import write_plan, write_runs
from transferscope.cli.main import main
from transferscope.comparison.compare import compare
from transferscope.comparison.pilots import Pilot
from transferscope.comparison.plan import Plan
from transferscope.statistics.effect import spread_doubt
from transferscope.statistics.planning import Spread
from transferscope.statistics.typical_spread import TYPICAL_SPREAD


def said(capsys: pytest.CaptureFixture, *words: str) -> str:
    assert main(["plan", *words]) == 0
    return capsys.readouterr().out


def rows(capsys: pytest.CaptureFixture, *words: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(said(capsys, *words, "--format", "csv"))))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for strategy, skill in {"scratch": 1.0, "fine_tuning": 1.3, "dann": 1.2}.items():
        write_runs(folder, strategy, skill, seeds=5, n=200)
    return folder


def test_without_a_pilot_it_gives_the_range_of_real_experiments(capsys: pytest.CaptureFixture) -> None:
    text = said(capsys, "--seeds", "3,5", "--items", "1000", "--cells", "12")
    assert "corrected for 12 cells (alpha 0.05 / 12)" in text
    expected = {
        name: f"{100 * spread.smallest_effect(5, 1000, 0.05 / 12):.1f}"
        for name, spread in TYPICAL_SPREAD.items()
    }
    assert re.search(
        rf"^ +5 +65 +{expected['typical']} \({expected['lowest']}–{expected['highest']}\)", text, re.M
    )
    flat = " ".join(text.split())
    assert "× 0.39 to 1.82 with 3 seeds" in flat and "× 0.56 to 1.52 with 5 seeds" in flat
    assert "2 or 3 seeds decide nothing in a family of 12 cells" in flat
    assert "23 % of 5, 51 % of 10, 85 % of 20 targets" in flat
    few = " ".join(said(capsys, "--seeds", "5", "--cells", "3").split())
    assert "decide nothing" not in few and "× 0.39" not in few


def test_a_store_is_a_pilot_and_reading_it_so_is_no_reading(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    found = rows(capsys, str(store), "--seeds", "5", "--items", "200")
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    [row] = found
    assert row["target"] == "handwritten" and row["pilot_seeds"] == "5" and row["cells"] == "2"
    assert row["runs"] == "15"  # two cells and their baseline, five seeds
    cells = compare(store).cells
    pairs = [cell.evidence.strategy_scores - cell.evidence.held_against for cell in cells]
    mean = Spread.mean([Spread.of(d) for d in pairs])
    expected = mean.smallest_effect(5, 200, 0.05 / 2)
    assert float(row["smallest_effect"]) == pytest.approx(100 * expected, rel=1e-4)
    assert mean.doubt == spread_doubt(4)


def test_a_single_undecided_cell_is_planned_as_compare_has_its_mde(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for strategy, skill in {"scratch": 1.0, "fine_tuning": 1.05}.items():
        write_runs(tmp_path, strategy, skill, seeds=5, n=200)
    [row] = rows(capsys, str(tmp_path), "--seeds", "5", "--items", "200")
    [cell] = compare(tmp_path).cells
    assert cell.verdict == "undecided" and cell.mde is not None
    assert float(row["smallest_effect"]) == pytest.approx(100 * cell.mde, rel=3e-3)


def test_what_an_effect_needs(store: Path, capsys: pytest.CaptureFixture) -> None:
    [row] = rows(capsys, str(store), "--seeds", "10", "--items", "400", "--effect", "8")
    needed = int(row["items_needed"]), int(row["seeds_needed"])
    [again] = rows(capsys, str(store), "--seeds", "10", "--items", str(needed[0]))
    assert 7.5 < float(again["smallest_effect"]) <= 8
    [again] = rows(capsys, str(store), "--seeds", str(needed[1]), "--items", "400")
    assert float(again["smallest_effect"]) <= 8
    text = said(capsys, str(store), "--seeds", "10", "--items", "400", "--effect", "8")
    assert "An effect of 8 points needs" in text
    assert f"With 400 test items: {needed[1]} seeds, {3 * needed[1]} runs" in text


def test_json_and_markdown(store: Path, capsys: pytest.CaptureFixture) -> None:
    told = json.loads(said(capsys, str(store), "--effect", "0.05", "--metric", "nll", "--format", "json"))
    assert told["metric"] == "nll" and told["power"] == 0.8 and told["notes"]
    assert {row["unit"] for row in told["rows"]} == {"nats"}
    assert {row["effect"] for row in told["rows"]} == {0.05}
    text = said(capsys, "--seeds", "5", "--items", "500", "--format", "markdown")
    assert "| seeds | runs | 500 items |\n| ---: | ---: | ---: |\n| 5 | 10 | " in text


def test_results_made_elsewhere_are_a_pilot(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng, lines = np.random.default_rng(0), ["item,strategy,seed,score"]
    for seed in range(4):
        for strategy, right in (("plain", 0.6), ("moved", 0.7)):
            lines += [f"{i},{strategy},{seed},{int(rng.random() < right)}" for i in range(80)]
    path = tmp_path / "results.csv"
    path.write_text("\n".join(lines) + "\n")
    [row] = rows(capsys, str(path), "--baseline", "plain", "--seeds", "4", "--items", "80")
    assert row["pilot_items"] == "80" and float(row["smallest_effect"]) > 5


def test_markdown_takes_no_name_for_a_tag() -> None:
    spread = TYPICAL_SPREAD["typical"]
    names = {"unit": "<b>|m", "target": "<img src=x>|t", "item_unit": "<i>|"}
    pilot = Pilot({"measured": spread}, span=1.0, seeds=5, items=100, **names)
    text = Plan("mae", [pilot], items=[100], left_out=["<u>"]).to_markdown()
    assert not re.search(r"<[a-z]", text) and "&lt;img src=x>" in text
    assert "| seeds | runs | 100 &lt;i>/s |" in text


def test_one_effect_for_several_units_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = TYPICAL_SPREAD["typical"]
    both = [Pilot({"measured": spread}, unit=unit, span=1.0, seeds=5, items=100) for unit in ("EUR", "m")]
    monkeypatch.setattr("transferscope.comparison.pilots.read_pilots", lambda *_, **__: ("mae", both, []))
    assert main(["plan", str(tmp_path), "--effect", "0.1"]) == 2
    assert "--effect 0.1: the pilots are in several units (EUR, m)" in capsys.readouterr().err


def test_the_spread_of_seeds_is_told_without_the_items_chance() -> None:
    """Seeds that differ by nothing but which items they happen to have right."""
    chance = Spread(row=0.16 / 100, rest=0.16, item=0.04, square=0.05, fourth=0.04, items=100, pilot=5)
    real = replace(chance, row=chance.row + 0.03**2)
    for spread, told in ((chance, "0.0"), (real, "3.0")):
        pilot = Pilot({"measured": spread}, unit="points", span=1.0, seeds=5, items=100, target="t")
        assert f"{told} between seeds, 20.0 between items" in Plan("accuracy", [pilot]).to_table()


def test_where_no_seed_changes_anything_items_alone_are_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for strategy, skill in {"scratch": 1.0, "fine_tuning": 1.2}.items():
        write_runs(tmp_path, strategy, skill, seeds=1, deterministic=True)
    text = said(capsys, str(tmp_path), "--items", "300", "--effect", "3")
    assert (
        re.search(r"^ +any +2 +\d", text, re.M)
        and "seeds, " not in text.split("needs")[1].split("A claim")[0]
    )


def test_the_naive_predictor_needs_no_run(store: Path, capsys: pytest.CaptureFixture) -> None:
    [row] = rows(capsys, str(store), "--baseline", "naive", "--seeds", "5", "--items", "200")
    assert row["cells"] == "3" and row["runs"] == "15"


def test_cells_that_cannot_be_used_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    jobs = [*write_runs(tmp_path, "scratch", 1.0, seeds=5), *write_runs(tmp_path, "dann", 1.2, seeds=5)]
    jobs += write_runs(tmp_path, "fine_tuning", 1.2, seeds=1)
    write_plan(tmp_path, "mine", jobs)
    text = said(capsys, str(tmp_path / "sweeps" / "mine"))
    assert "1 cell, 5 seeds, 300 items" in text and "corrected for 2 cells" in text
    assert "left out: fine_tuning on handwritten: one seed tells nothing of others" in " ".join(text.split())


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seeds", "-3"], "--seeds -3: whole numbers from 2 to 100 needed"),
        (["--seeds", "1"], "--seeds 1: whole numbers from 2 to 100"),
        (["--items", "many"], "--items many: whole numbers from 10 to 1,000,000 needed"),
        (["--cells", "0"], "--cells 0: a whole number from 1"),
        (["--cells", "3,4"], "--cells 3,4: a whole number from 1"),
        (["--effect", "2points"], "--effect 2points: a number above 0 is needed"),
        (["--effect", "120"], "--effect 120: no difference is above 100 points"),
        (["--alpha", "5"], "--alpha 5.0: between 0 and 1 is needed"),
        (["--metric", "nll"], "--metric nll: is said of a pilot"),
        (["--baseline", "scratch"], "--baseline scratch: is said of a pilot"),
        (["--format", "latex"], "--format latex: not one of table, json, csv, markdown"),
        (["nothing"], "RUNS=nothing: no such folder"),
        (["--seed", "3"], "plan: unrecognized arguments: --seed"),
    ],
)
def test_wrong_requests_get_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["plan", *words]) == 2
    told = capsys.readouterr().err
    assert line in told and told.count("\n") == 1


def test_a_store_without_the_baseline_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_runs(tmp_path, "fine_tuning", 1.0, seeds=3)
    assert main(["plan", str(tmp_path)]) == 2
    assert "nothing to plan from: no cell has a baseline scratch" in capsys.readouterr().err


def test_help_answers_without_torch() -> None:
    code = (
        "import sys; from transferscope.cli.main import main; main(['plan', '--help']); "
        "main(['plan', '--cells', '4']); sys.exit('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and "usage: transferscope plan" in run.stdout
