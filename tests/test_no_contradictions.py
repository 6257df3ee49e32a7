"""Terminal, page and JSON of one store, read together: no sentence says what another denies."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from store_fixture import edit, write_plan, write_run, write_runs, write_store
from transferscope.comparison.cells import Cell
from transferscope.comparison.compare import compare
from transferscope.comparison.comparison import Comparison
from transferscope.comparison.evidence import budgets
from transferscope.report import page

TEST = "handwritten/test"


def barred_by_each_rule(store: Path) -> None:
    """A gain that a collapse bars, one seed, few items, a slower strategy, a slower baseline, a baseline that
    learnt nothing."""
    for budget in (1, 2, 5, 10, 20):
        slow = {"rate": 1.0} if budget == 5 else {}
        write_runs(
            store,
            "scratch",
            1.5 if budget in (5, 10) else 0.0,
            label_budget=budget,
            steps=tuple(range(0, 330, 30)),
            **slow,
        )
    write_runs(store, "fine_tuning", 2.0, 4, label_budget=1)
    write_run(store, "fine_tuning", 4, 2.0, label_budget=1, status="collapsed", reason="constant predictor")
    write_runs(store, "fine_tuning", 2.0, 1, label_budget=2)
    write_runs(store, "fine_tuning", 1.5, label_budget=5, steps=tuple(range(0, 330, 30)), rate=4.0)
    write_runs(store, "fine_tuning", 1.7, label_budget=10, steps=tuple(range(0, 330, 30)), rate=1.0)
    write_runs(store, "fine_tuning", 0.0, label_budget=20, n=40)
    write_runs(store, "scratch", 0.0, label_budget=20, n=40)


def nothing_learnt(store: Path) -> None:
    counts = {"target": {f"class{k}": 10 for k in range(10)}}
    write_runs(
        store, "scratch", 0.0, status="collapsed", reason="chance-level predictor", class_counts=counts
    )
    for strategy, skill in {"fine_tuning": 1.5, "dann": 1.0}.items():
        write_runs(store, strategy, skill, class_counts=counts)


def several_backbones(store: Path) -> None:
    """The cell that scores highest is below its own baseline, another backbone's gain is not."""
    for backbone, skills in {"small_cnn": (0.0, 1.0, 0.9), "wide": (3.0, 2.4, 2.0)}.items():
        for strategy, skill in zip(("scratch", "fine_tuning", "dann"), skills, strict=True):
            write_runs(store, strategy, skill, backbone=backbone)


def a_crossover_at_an_undecided_cell(store: Path) -> None:
    """A gain, then a loss that a strategy still rising is not charged with; and one that it is."""
    for budget in (2, 50):
        write_runs(store, "scratch", 1.0, label_budget=budget)
    for strategy, rate in {"fine_tuning": 0.8, "dann": 30.0}.items():
        write_runs(store, strategy, 2.5, label_budget=2, initialisation="source")
        steps = tuple(range(0, 330, 30))
        write_runs(
            store,
            strategy,
            {"fine_tuning": 1.2, "dann": -0.5}[strategy],
            label_budget=50,
            steps=steps,
            rate=rate,
            initialisation="source",
        )


def rates_that_differ(store: Path) -> None:
    by_strategy = {
        "scratch": (0.5, 0.7, 0.2),
        "fine_tuning": (2.0, 2.0, 2.0),
        "dann": (2.0, 2.0, -2.0),
        "joint": (0.6, 0.7, 0.3),
    }
    for strategy, skills in by_strategy.items():
        for rate, skill in zip((0.001, 0.01, 0.1), skills, strict=True):
            write_runs(store, strategy, skill, consumed={"trainer": {"optimizer": {"lr": rate}}})


def a_class_that_pays(store: Path) -> None:
    def spoil(members: dict) -> None:
        members[f"{TEST}/metadata/ward"] = np.array(["north", "south", "west"])[np.arange(300) % 3]
        members[f"{TEST}/probabilities/000300"][members[f"{TEST}/labels"] == 3] = np.eye(
            10, dtype=np.float32
        )[4]

    write_runs(store, "scratch", 1.0)
    for job in write_runs(store, "joint", 2.0):
        edit(store, job["fingerprint"], spoil)


def everything_at_once(store: Path) -> None:
    write_store(store, n=100)


STORES = (barred_by_each_rule, nothing_learnt, several_backbones, a_crossover_at_an_undecided_cell,
    rates_that_differ, a_class_that_pays,
          everything_at_once)  # fmt: skip


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def expected(request, tmp_path) -> tuple[Comparison, str, str, dict]:
    """(the comparison, its terminal output and its page as one line each, its JSON)"""
    request.param(tmp_path)
    if not any(tmp_path.glob("sweeps/*/plan.json")):
        write_plan(tmp_path, "named", [])
    comparison = compare(tmp_path, protocol="both")
    html = re.sub(r"<(style|script)>.*?</\1>", " ", page.render(comparison), flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", html).replace("&#39;", "'").replace("&lt;", "<")
    terminal = " ".join(comparison.to_table(240).split())
    return comparison, terminal, " ".join(text.split()), json.loads(comparison.to_json())


def test_nothing_denies_anything(expected):
    comparison, terminal, text, answer = expected
    cells = [cell for cell in comparison if not cell.family.endswith("/controls")]
    count = Counter(cell.verdict for cell in cells)
    assert (
        Counter(cell["verdict"] for cell in answer["cells"] if not cell["family"].endswith("/controls"))
        == count
    )
    for of, found in (("helps", count["positive"]), ("hurts", count["negative"])):
        assert re.search(rf"{of} in {found}\b", terminal) and (
            re.search(rf"{of} in {found}\b", text) or not found
        )
    for cell in comparison:
        one_cell(cell, comparison.settings["alpha"])
    choices(comparison, terminal, text)
    turns(comparison, text)
    signs(comparison, terminal, text)
    for line in re.findall(r"Not in the mean, the surest first: (.*?) \. baseline", text):
        assert " is negative as a whole" not in line
    assert "at least +" not in text and "cannot be expected apart" not in terminal


def one_cell(cell: Cell, alpha: float) -> None:
    """Verdict, interval, p, reason, half-verdicts and probabilities of one row."""
    decided = cell.verdict != "undecided"
    assert bool(cell.reason) != decided
    if cell.ci_simultaneous is None:
        assert cell.verdict == "undecided" and cell.mde is None
        return
    low, high = cell.ci_simultaneous
    assert {
        "positive": low >= 0,
        "negative": high <= 0,
        "equivalent": max(-low, high) <= cell.margin + 1e-12,
        "undecided": True,
    }[cell.verdict]
    assert low <= cell.delta <= high and (cell.p_adjusted is None) == bool(cell.overruled)
    assert cell.p_adjusted is None or (cell.p_adjusted <= alpha) == decided
    assert not (cell.no_harm and cell.verdict == "negative") and not (
        cell.no_gain and cell.verdict == "positive"
    )
    assert not (cell.barred or cell.overruled) or not decided
    assert not ("not seeds" in cell.reason and "more seeds" in cell.reason)
    if cell.collapsed and cell.baseline_collapsed < cell.seeds:
        assert cell.verdict in ("negative", "undecided")
    if cell.verdict in ("positive", "negative") and cell.probability_harm is not None:
        assert (cell.probability_gain > cell.probability_harm) == (cell.verdict == "positive")
    if cell.share_of_way is not None:
        assert (cell.share_of_way > 0) == (cell.delta > 0)


def choices(comparison: Comparison, terminal: str, text: str) -> None:
    """What is said of the best, beside the verdicts of those it was chosen from."""
    for best in comparison.best:
        among = [
            cell
            for cell in comparison
            if (cell.target, cell.label_budget, cell.protocol)
            == (best.target, best.label_budget, best.protocol)
        ]
        if best.arm:
            among = [cell for cell in among if cell.backbone == best.arm]
        gain = any(cell.verdict == "positive" for cell in among if not cell.family.endswith("/controls"))
        assert not (gain and not best.gains)
        assert all(
            cell.strategy_score <= best.cells[0].strategy_score
            for cell in among
            if cell.seeds == best.cells[0].seeds and not cell.variant
        )
    silent = sum(not best.gains for best in comparison.best if best.among > 1)
    assert terminal.count("none of") == silent and text.count("None of them scores above") == silent


def turns(comparison: Comparison, text: str) -> None:
    """A crossover is named only between cells that may claim their sides."""
    found = re.findall(r"turns into a (loss|gain) between", text)
    for side in found:
        sign = 1 if side == "gain" else -1
        assert any(cell.side(0.05, "random") == sign for cell in comparison) and any(
            cell.side(0.05, "random") == -sign for cell in comparison
        )


def signs(comparison: Comparison, terminal: str, text: str) -> None:
    """What is said of the learning rates is the same everywhere, and true of the verdicts."""
    for cell in comparison:
        if cell.rates_sign is None:
            continue
        assert cell.rates_sign in terminal and cell.rates_sign.removeprefix("sign ") in text
        siblings = [
            other for other in comparison if other.rates == cell.rates and other.strategy == cell.strategy
        ]
        verdicts = {other.verdict for other in siblings}
        if "holds" in cell.rates_sign:
            assert (
                len({np.sign(delta) for delta in cell.rates.values()}) == 1
                and not {"positive", "negative"} <= verdicts
            )
        if {"positive", "negative"} <= verdicts:
            assert "changes" in cell.rates_sign


def test_what_is_promised_of_intervals_goes_by_the_correction(tmp_path):
    for source, skill in {"printed": 0.8, "printed+letters": 0.6}.items():
        write_runs(tmp_path, "fine_tuning", skill, 3, n=60, source=source, initialisation="source")
        write_runs(tmp_path, "fine_tuning", 0.3, 3, n=60, source=source, initialisation="source",
                   consumed={"source_label_noise": 1.0})  # fmt: skip
    write_runs(tmp_path, "scratch", 0.3, 3, n=60)
    promises = {
        "holm": "hold for all cells of a family at once",
        "bh": "of the decided cells of a family: a share of 0.05",
    }
    for correction, promise in promises.items():
        comparison = compare(tmp_path, correction=correction)
        terminal, html = " ".join(comparison.to_table(240).split()), page.render(comparison)
        assert promise in terminal and promise.replace("cells of a family", "of them") in html
        assert comparison.contrasts and terminal.count("hold for all") == html.count("hold for all") == (
            2 if correction == "holm" else 0
        )


def test_the_stores_are_what_they_are_called(tmp_path):
    """Else the test above reads nothing."""
    found = {}
    for make in STORES[:-1]:
        make(tmp_path / make.__name__)
        found[make] = list(compare(tmp_path / make.__name__))
    barred = {cell.label_budget: cell.reason for cell in found[barred_by_each_rule]}
    for budget, words in {
        1: "collapse",
        2: "one seed",
        5: "the baseline was",
        10: "the strategy was",
        20: "few items",
    }.items():
        assert words in barred[budget], barred
    assert {cell.verdict for cell in found[nothing_learnt]} == {"positive"}
    assert {cell.verdict for cell in found[several_backbones]} >= {"positive", "negative"}
    late = {
        cell.strategy: cell for cell in found[a_crossover_at_an_undecided_cell] if cell.label_budget == 50
    }
    assert "strategy was still improving" in late["fine_tuning"].reason and late["dann"].verdict == "negative"
    lines = [
        [cell for cell in found[a_crossover_at_an_undecided_cell] if cell.strategy == strategy]
        for strategy in ("dann", "fine_tuning")
    ]
    assert [len(budgets.band(line, 0.05).crossovers()) for line in lines] == [1, 0]
    assert {cell.rates_sign.split()[1] for cell in found[rates_that_differ]} == {"holds", "changes", "not"}
