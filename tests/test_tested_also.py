"""A model that is scored on further domains than its target: `test_also`, and `compare --tested-on`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transferscope import compare
from transferscope.cli.main import main
from transferscope.comparison.compare import compare_away
from transferscope.comparison.formatting import signed
from transferscope.report import away
from transferscope.report.page import render
from transferscope.store import record

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "backbone.hidden=[16]",
    "trainer.steps=20", "trainer.source_steps=20", "trainer.evaluations=4", "trainer.accelerator=cpu",
    "tracking=off"]  # fmt: skip
SWEEP = ["run", "-m", *SMALL, "strategy=scratch,fine_tuning"]
AWAY = "blobs_shifted"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seed 0 was run before it was to be tested away; seed 2 never was."""
    store = tmp_path_factory.mktemp("away") / "runs"
    assert main([*SWEEP, "seed=0,2", "sweep=home", f"store={store}"]) == 0
    before = {folder: predicted(folder, "blobs") for folder in record.run_folders(store)}
    assert main([*SWEEP, "seed=0,1", f"test_also=[{AWAY}]", "sweep=away", f"store={store}"]) == 0
    # training is the same whatever is tested also, and so is the run
    for folder, probabilities in before.items():
        assert (predicted(folder, "blobs") == probabilities).all()
    assert len(record.run_folders(store)) == 6
    return store


def runs(store: Path, strategy: str) -> list[Path]:
    """Those that were tested away."""
    entries = {folder: record.read_record(folder) for folder in record.run_folders(store)}
    return [
        folder
        for folder, entry in entries.items()
        if entry["cell"]["strategy"] == strategy and "test_also" in entry
    ]


def predicted(folder: Path, name: str) -> np.ndarray:
    with np.load(folder / "evaluations.npz") as members:
        return members[f"{name}/test/outputs/000020"]


def test_what_was_tested_away_is_not_lost_and_not_run_again(
    store: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([*SWEEP, "seed=0,1", f"store={store}"]) == 0
    assert "4 runs, 4 done" in capsys.readouterr().err
    [one, _] = runs(store, "scratch")
    assert main(["run", *SMALL, "strategy=scratch", "seed=0", "keep=selected", f"store={store}"]) == 2
    said = capsys.readouterr().err
    assert f"would lose that it was tested on {AWAY}; give test_also=[{AWAY}]" in said and one.exists()


def test_the_verdict_away_is_made_of_the_other_domains_test_items(store: Path) -> None:
    [cell] = compare(store / "sweeps" / "away", tested_on=AWAY)

    def accuracy(strategy: str) -> float:
        hits = []
        for folder in runs(store, strategy):
            with np.load(folder / "evaluations.npz") as members:
                hits.append(predicted(folder, AWAY).argmax(1) == members[f"{AWAY}/test/targets"])
        return float(np.mean(hits))

    assert (cell.target, cell.tested_on) == ("blobs", AWAY)
    assert cell.strategy_score == pytest.approx(accuracy("fine_tuning"))
    assert cell.delta == pytest.approx(accuracy("fine_tuning") - accuracy("scratch"))
    [home] = compare(store / "sweeps" / "away")
    assert home.tested_on == "blobs" and home.delta != cell.delta and home.family != cell.family


def test_table_and_page_say_where_they_tested(store: Path) -> None:
    comparison = compare(store / "sweeps" / "away", tested_on=AWAY)
    assert f"TESTED ON {AWAY} in place of the target" in comparison.to_table()
    page = render(comparison)
    assert f"Tested on {AWAY} in place of the target" in page and f"--tested-on {AWAY}" in page
    assert "in place of the target" not in render(compare(store / "sweeps" / "away"))


def test_the_page_of_the_target_has_the_verdicts_away_beside_its_own(store: Path) -> None:
    home = compare(store / "sweeps" / "away")
    elsewhere = compare_away(home)
    assert list(elsewhere) == [AWAY] and compare_away(elsewhere[AWAY]) == {}
    [row] = away.rows(home, elsewhere)
    assert (row.home.tested_on, row.away[AWAY].tested_on) == ("blobs", AWAY)
    page = render(home, elsewhere=elsewhere)
    section = page[page.index('<section id="away"') :].partition("</section>")[0]
    for cell in (row.home, row.away[AWAY]):
        assert f"{signed(cell.delta, 'accuracy')}</strong>" in section
    assert '<section id="away"' not in render(home)


def test_a_gain_that_is_a_loss_away_is_marked(store: Path) -> None:
    home, there = compare(store / "sweeps" / "away"), compare(store / "sweeps" / "away", tested_on=AWAY)
    home, there = (
        replace(one, cells=[replace(cell, verdict=verdict) for cell in one])
        for one, verdict in ((home, "positive"), (there, "negative"))
    )
    [row] = away.rows(home, {AWAY: there})
    assert row.turns == [AWAY]
    assert "<em>turned</em>" in render(home, elsewhere={AWAY: there})


def test_seeds_that_were_not_tested_there_are_left_out(store: Path) -> None:
    [home] = compare(store / "sweeps" / "home")
    assert home.evidence.seeds == [0, 1, 2]
    [cell] = compare(store / "sweeps" / "home", tested_on=AWAY)
    assert cell.evidence.seeds == [0, 1] and f"seed 2 left out: not tested on {AWAY}" in cell.flags
    nowhere = compare(store, tested_on="usps")
    assert [row["reason"] for row in nowhere.missing] == ["not tested on usps (test_also=[usps])"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["test_also=[blobs]"], "test_also=blobs: tested already; give other domains than the target"),
        ([f"test_also=[{AWAY},{AWAY}]"], f"test_also={AWAY}: tested already"),
        (["test_also=[handwritten_digits]"], "test_also=handwritten_digits: its classes must be those of"),
        (["test_also=[blob]"], "test_also=blob: no such domain; did you mean 'blobs'?"),
        (["test_also=blobs_shifted"], "test_also=blobs_shifted: a list [a,b] of domains is needed"),
        ([f"test_also=[{AWAY}]", "fold=0"], f"test_also={AWAY}: every fold would test all their items"),
    ],
)
def test_what_cannot_be_tested_also_is_refused_in_one_line(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["run", *SMALL, "strategy=scratch", *words, f"store={tmp_path / 'runs'}"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert told in line and not (tmp_path / "runs").exists()
