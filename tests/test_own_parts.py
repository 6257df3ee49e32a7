"""Metrics, validators and distances of a user's own: what a yaml of theirs may say, and the numbers that come
of it. Each command has a process of its own, since what it registers stays."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forked import exit_code, forked
from transferscope.store.record import read_record, run_folders

GOLDEN = Path(__file__).parent / "golden" / "store"
PARTS = """
import numpy as np

def cost(probabilities, labels):
    wrong = probabilities.argmax(1) != labels
    return -np.where(wrong, np.where(labels == 0, 5.0, 1.0), 0.0)

def short(probabilities, labels):
    return np.zeros(3)

def margin(probabilities, features, power: float = 1.0):
    return float(probabilities.max())

def medians(source, target):
    return 0.0

NUMBER = 3
"""
COST = "_target_: own_parts_of_mine.cost\nspan: 5\nbest: 0\nmargin: 0.05\n"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | None]:
    """command(files, *words): transferscope WORDS, with yamls of these names and texts in a config folder."""
    (tmp_path / "own_parts_of_mine.py").write_text(PARTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    shutil.copytree(GOLDEN, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)

    def run(files: dict[str, str], *words: str) -> int | None:
        (tmp_path / "conf").mkdir(exist_ok=True)
        for name, text in files.items():
            path = tmp_path / "conf" / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return exit_code(forked(*words, "--config-dir", "conf"), 60)

    return run


def test_a_metric_is_the_mean_of_its_scores(command, capfd):
    assert command({"metric/cost": COST}, "compare", "--metric", "cost", "--format", "json") == 0
    comparison = json.loads(capfd.readouterr().out)
    assert comparison["settings"]["metric"] == "cost" and comparison["settings"]["margin"] == 0.05
    [cell] = [
        cell for cell in comparison["cells"] if cell["strategy"] == "dann" and "folds" not in cell["variant"]
    ]
    expected = []
    for folder in run_folders(Path("runs")):
        run = read_record(folder)
        if run["cell"]["strategy"] == "dann" and "fold" not in run["consumed"]:
            with np.load(folder / "evaluations.npz") as members:
                steps = sorted(key for key in members if key.startswith("blobs/test/probabilities/"))
                wrong = members[steps[-1]].argmax(1) != (labels := members["blobs/test/labels"])
            expected.append(-float((wrong * np.where(labels == 0, 5.0, 1.0)).mean()))
    assert len(expected) == cell["seeds"]
    assert cell["strategy_score"] == pytest.approx(np.mean(expected), abs=1e-9)


def test_own_parts_are_listed(command, capfd):
    files = {"validator/ahead": "# How far ahead\n_target_: own_parts_of_mine.margin\npower: 2.0\n"}
    assert command(files, "list", "validators") == 0
    assert "ahead" in (said := capfd.readouterr().out) and "How far ahead" in said


@pytest.mark.parametrize(
    ("files", "words", "told"),
    [
        ({"metric/cost": COST}, ["compare", "--metric", "cos"], "--metric cos: not one of accuracy, "),
        (
            {"metric/cost": COST + "dispaly: x\n"},
            ["compare"],
            "cost.yaml: dispaly: a metric says span, best, margin, display; did you mean 'display'?",
        ),
        (
            {"metric/cost": COST.replace("margin: 0.05", "margin: 0")},
            ["compare"],
            "conf/metric/cost.yaml: margin is missing or of another type",
        ),
        ({"metric/nll": COST}, ["compare"], "conf/metric/nll.yaml: the project has a metric nll"),
        ({"metric/cost": "span: 5\n"}, ["compare"], "conf/metric/cost.yaml: _target_ is missing"),
        (
            {"metric/cost": "_target_: own_parts_of_mine.cost\nspan: 5\nbest: 0\n"},
            ["compare"],
            "conf/metric/cost.yaml: margin is missing or of another type; a metric says span, best, margin",
        ),
        (
            {"metric/cost": COST.replace("span: 5", "span: 2")},
            ["compare", "--metric", "cost"],
            "--metric cost: a score for each of the ",
        ),
        (
            {"metric/cost": COST.replace(".cost", ".short")},
            ["report", "--metric", "cost"],
            "--metric cost: a score for each of the ",
        ),
        (
            {"validator/mine": "_target_: own_parts_of_mine.gone\n"},
            ["compare"],
            "conf/validator/mine.yaml: _target_=own_parts_of_mine.gone: cannot be imported (module",
        ),
        (
            {"validator/mine": "_target_: own_parts_of_mine.NUMBER\n"},
            ["compare"],
            "conf/validator/mine.yaml: _target_=own_parts_of_mine.NUMBER: is no function",
        ),
        (
            {"validator/mine": "_target_: own_parts_of_mine.cost\n"},
            ["compare"],
            "conf/validator/mine.yaml: cost asks for labels; it may ask for features, probabilities, ",
        ),
        (
            {"validator/mine": "_target_: own_parts_of_mine.margin\npowr: 2\n"},
            ["compare"],
            "conf/validator/mine.yaml: powr=2: margin takes power; did you mean 'power'?",
        ),
        (
            {"validator/mine": "_target_: own_parts_of_mine.margin\npower: x\n"},
            ["compare"],
            "conf/validator/mine.yaml: power=x: float is needed, not str",
        ),
        (
            {"distance/mmd": "_target_: own_parts_of_mine.medians\n"},
            ["rank", "target=blobs", "source=blobs_shifted", "backbone=mlp"],
            "conf/distance/mmd.yaml: the project has a distance mmd",
        ),
        ({}, ["compare", "--selection", "ahed"], "--selection ahed: not one of last, "),
    ],
)
def test_a_mistake_is_one_line(command, capfd, files, words, told):
    assert command(files, *words) == 2
    said = capfd.readouterr().err
    assert told in said and len(said.splitlines()) == 1, said
