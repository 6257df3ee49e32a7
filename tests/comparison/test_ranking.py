"""What `predict` left in a store against the Δ of its runs. Stores are synthetic, values known."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from store_fixture import write_run, write_runs
from transferscope.cli import compare as verb
from transferscope.comparison.compare import compare
from transferscope.comparison.comparison import Comparison
from transferscope.store import record

DOMAINS = [f"d{k}" for k in range(5)]
PAIRS = [(source, target) for source in DOMAINS for target in DOMAINS if source != target]


def gain(source: str, target: str) -> float:
    return 0.9 - 0.35 * abs(int(source[1]) - int(target[1])) + 0.03 * int(source[1])


def write(store: Path, pairs: list[tuple[str, str]], budget: int = 10, n: int = 80) -> None:
    for target in sorted({target for _, target in pairs}):
        write_runs(store, "scratch", 0.5, seeds=2, target=target, n=n, label_budget=budget)
    for source, target in pairs:
        own = {
            "source": source,
            "target": target,
            "n": n,
            "initialisation": "source",
            "label_budget": budget,
            "seed_effect": 0.02,
        }
        write_runs(store, "fine_tuning", 0.5 + gain(source, target), seeds=2, **own)


def predict(
    store: Path,
    values: dict[tuple[str, str], dict],
    kind: str = "distances",
    created: str = "2026-01-01",
    **given,
) -> None:
    """Leaves what `predict` would: values by pair, {group: {name: value}}. given: what it consumed beside the
    domains."""
    runs = [record.read_record(folder) for folder in record.run_folders(store)]
    for run in runs:
        cell, eaten = run["cell"], run["consumed"]
        if (cell["source"], cell["target"]) in values and run["seed"] == 0:
            consumed = {
                key: eaten.get(key)
                for key in ("sources", "target", "backbone", "image_size", "channels", "split_seed")
            }
            consumed |= {"seed": 0, **given}
            content = {"schema": 1, "kind": kind, "created": created, "consumed": consumed, "reasons": {}}
            content["values"] = values[cell["source"], cell["target"]]
            record.write_atomically(
                record.prediction_path(store, record.fingerprint({"kind": kind, **consumed})),
                json.dumps(content),
            )


def known(store: Path) -> dict[tuple[str, str], float]:
    return {(cell.source, cell.target): cell.delta for cell in compare(store) if cell.source}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Five domains: one distance that is −Δ, one that is Δ, one of noise with an interval; a score that
    knows, of two budgets."""
    store = tmp_path_factory.mktemp("ranking") / "runs"
    write(store, PAIRS)
    deltas, draws = known(store), np.random.default_rng(0)
    expected = {
        pair: {
            "inputs": {
                "good": -delta,
                "bad": delta,
                "noise": {"estimate": draws.normal(), "lo": -9, "hi": 9},
            },
            "features": {},
        }
        for pair, delta in deltas.items()
    }
    predict(store, expected)
    predict(
        store,
        {pair: {"scores": {"knows": delta, "same": 1.0}} for pair, delta in deltas.items()},
        "scores",
        label_budget=10,
    )
    predict(
        store,
        {pair: {"scores": {"other": delta}} for pair, delta in deltas.items()},
        "scores",
        label_budget=2,
    )
    return store


@pytest.fixture(scope="module")
def comparison(store) -> Comparison:
    return compare(store)


def test_each_score_is_ranked_in_the_direction_it_expects(comparison):
    (found,) = comparison.rankings
    scores = {score.name: score for score in found.scores}
    # not those of another budget
    assert scores.keys() == {"inputs/good", "inputs/bad", "inputs/noise", "scores/knows", "scores/same"}
    assert (scores["inputs/good"].tau, scores["inputs/bad"].tau, scores["scores/knows"].tau) == pytest.approx(
        (1, -1, 1)
    )
    assert (
        scores["inputs/good"].larger_means == "lower Δ" and scores["scores/knows"].larger_means == "higher Δ"
    )
    assert scores["inputs/good"].p == pytest.approx(1 / 120) and scores["inputs/bad"].p == 1
    assert scores["scores/same"].tau is None and "the same value" in scores["scores/same"].reasons[0]
    assert (found.strategy, found.label_budget, found.pairs, found.domains) == ("fine_tuning", 10, 20, 5)


def test_holm_counts_the_scores_that_were_tested(comparison):
    (found,) = comparison.rankings
    adjusted = {score.name: score.p_adjusted for score in found.scores}
    assert adjusted["inputs/good"] == pytest.approx(4 / 120) and adjusted["scores/same"] is None
    assert (
        found.claims == ["inputs/good", "scores/knows"]
        and found.conclusion == "Ranked Δ beyond chance: inputs/good, scores/knows."
    )


def test_every_value_is_told_pair_by_pair(comparison):
    (found,) = comparison.rankings
    deltas = {(cell.source, cell.target): cell.delta for cell in comparison}
    assert {(p.source, p.target) for p in found.points} == set(PAIRS)
    for point in found.points:
        assert (
            point.delta
            == deltas[point.source, point.target]
            == point.values["scores/knows"]
            == -point.values["inputs/good"]
        )


def test_what_no_number_of_domains_could_decide_is_said_to_be_too_few(store):
    """At α = 0.03, four scores and 120 ways to name five domains cannot give an adjusted p that is small
    enough."""
    (found,) = compare(store, alpha=0.03).rankings
    assert (
        found.claims == []
        and "Too few" in found.conclusion
        and "120 ways" in found.conclusion
        and "below 0.033" in found.conclusion
    )
    # printed all the same
    assert {score.name: score.tau for score in found.scores}["inputs/good"] == pytest.approx(1)


def test_auroc_wants_five_negative_and_five_other_pairs(comparison):
    def areas(negative: int) -> dict:
        cells = sorted(comparison, key=lambda cell: cell.delta)
        judged = [
            replace(cell, verdict="negative" if k < negative else "undecided") for k, cell in enumerate(cells)
        ]
        (found,) = replace(comparison, cells=judged).rankings
        return {score.name: (score.auroc, score.reasons) for score in found.scores}

    assert areas(4)["inputs/good"] == (
        None,
        ["no AUROC: 4 negative and 16 other pairs; 5 of each are the least"],
    )
    assert areas(16)["inputs/good"][0] is None
    found = areas(5)
    assert found["inputs/good"][0] == found["scores/knows"][0] > 0.95 and found["inputs/bad"][0] < 0.05
    assert found["scores/same"][0] == 0.5


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        (PAIRS[:7], "7 pairs of 5 domains"),
        ([(s, t) for s, t in PAIRS if {s, t} <= {"d0", "d1", "d2"}], "6 pairs of 3 domains"),
        (PAIRS[:1], "1 pair of 2 domains"),
    ],
)
def test_few_pairs_have_values_and_no_tau(pairs, why, tmp_path):
    write(tmp_path, pairs, n=40)
    deltas = known(tmp_path)
    predict(tmp_path, {pair: {"inputs": {"good": -delta}} for pair, delta in deltas.items()})
    comparison = compare(tmp_path)
    (found,) = comparison.rankings
    assert found.conclusion == f"Too few to claim anything: {why}; 8 pairs of 4 domains are the least."
    assert (
        found.scores[0].tau is None and found.scores[0].p is None and [p.values for p in found.points] != []
    )
    assert "too few to claim" in comparison.to_table()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("few") / "runs"
    write(store, PAIRS[:2], n=40)
    return store


@pytest.fixture
def few(small, tmp_path) -> Path:
    """A store of two pairs without a prediction."""
    for path in small.glob("*/"):
        shutil.copytree(path, tmp_path / path.name)
    return tmp_path


def test_nothing_is_said_without_predictions(few):
    comparison = compare(few)
    assert comparison.rankings == [] and "predicted" not in comparison.to_table()
    assert json.loads(comparison.to_json())["rankings"] == []


def test_the_footing_of_most_pairs_then_of_the_lowest_seed_then_the_latest_counts(few):
    both, one = PAIRS[:2], PAIRS[:1]

    def leave(pairs: list, value: float, **given) -> None:
        predict(few, {pair: {"inputs": {"good": value}} for pair in pairs}, **given)

    def counted() -> list[float]:
        return [point.values.get("inputs/good") for point in compare(few).rankings[0].points]

    leave(one, 1.0, source_items=90)
    assert counted() == [1.0, None]
    leave(both, 2.0, source_items=80, seed=1)
    assert counted() == [2.0, 2.0]
    leave(both, 3.0, source_items=80)
    assert counted() == [3.0, 3.0]
    leave(both, 4.0, source_items=70, created="2026-01-02")
    assert counted() == [4.0, 4.0]


@pytest.mark.parametrize(
    "other",
    [{"split_seed": 1}, {"backbone": {"name": "mlp"}}, {"target": {"name": "d1", "digest": "changed"}}],
)
def test_a_prediction_of_something_else_does_not_count(few, other):
    predict(few, {pair: {"inputs": {"good": 1.0}} for pair in PAIRS[:2]}, **other)
    assert compare(few).rankings == []


def test_shuffled_controls_are_not_ranked(few):
    own = {"source": "d0", "target": "d1", "n": 40, "initialisation": "source"}
    for seed in range(2):
        write_run(few, "fine_tuning", seed, 0.5, consumed={"source_label_noise": 1.0}, **own)
    predict(few, {pair: {"inputs": {"good": 1.0}} for pair in PAIRS[:2]})
    comparison = compare(few)
    assert len(comparison) == 3 and [len(one.points) for one in comparison.rankings] == [2]


def test_a_prediction_that_cannot_be_read_is_warned_of_and_the_verdicts_stand(few):
    record.write_atomically(record.prediction_path(few, "0" * 16), "{")
    comparison = compare(few)
    assert len(comparison) == 2 and comparison.rankings == []
    assert any(
        "no prediction is ranked" in warning and "0" * 16 in warning for warning in comparison.warnings
    )


def test_table_and_json_tell_it(store, capsys):
    assert verb.main([str(store)]) == 0
    lines = " ".join(capsys.readouterr().out.split()).split("predicted beforehand")[1:]
    expected = "2 of 4 scores ranked Δ beyond chance (by chance alone, any would in 5 % of stores)"
    assert len(lines) == 1 and lines[0].startswith(
        f", 20 pairs of 5 domains: {expected} (transferscope report)"
    )
    assert verb.main([str(store), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["rankings"]
    assert (
        found["claims"] == ["inputs/good", "scores/knows"]
        and len(found["points"]) == 20
        and found["scores"][0]["relabellings"] == 120
    )
