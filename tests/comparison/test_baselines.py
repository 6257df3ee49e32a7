"""The baselines beside scratch, the A/A twins, and the sign at every learning rate."""

import html
import json
import re

import pytest

from store_fixture import SEES, write_plan, write_run, write_runs
from transferscope.comparison import baselines, wording
from transferscope.comparison.baseline_words import WORDS
from transferscope.comparison.compare import compare
from transferscope.errors import RequestError
from transferscope.report.page import render

LONG = {"trainer": {"steps": 600}}
SOURCE = {"initialisation": "source", "consumed": {"trainer": {"source_steps": 300}}}


def steps_of_baseline(cell):
    (steps,) = {
        cell.evidence.records[run]["consumed"]["trainer"].get("steps") for run in cell.evidence.baseline_runs
    }
    return steps


def test_target_ssl_is_self_training_from_the_same_start(tmp_path):
    pretrained = {"initialisation": "pretrained"}
    write_runs(tmp_path, "scratch", 0.3)
    write_runs(tmp_path, "target_ssl", 0.6)
    write_runs(tmp_path, "target_ssl", 0.7, **pretrained)
    write_runs(tmp_path, "target_ssl", 0.7, label_budget=2)
    write_runs(tmp_path, "dann", 0.9)
    write_runs(tmp_path, "dann", 0.9, source="letters", **pretrained)
    write_runs(tmp_path, "dann", 0.9, source="faxes", protocol="transductive")
    comparison = compare(tmp_path, baseline="target_ssl")
    held = {cell.source: cell.evidence.records[cell.evidence.baseline_runs[0]]["cell"] for cell in comparison}
    assert {
        source: (cell["strategy"], cell["initialisation"], cell["label_budget"])
        for source, cell in held.items()
    } == {
        "printed": ("target_ssl", "random", 10),
        "letters": ("target_ssl", "pretrained", 10),
    }
    # the target's unlabelled items are others
    assert [row["source"] for row in comparison.missing] == ["faxes"]
    assert "the source helps" in comparison.to_table() and "negative transfer" not in comparison.to_table()
    assert {cell.strategy for cell in compare(tmp_path, protocol="both")} == {"dann", "target_ssl"}


@pytest.mark.parametrize("start", ["source", "rotation", "simclr"])
def test_without_its_source_an_arm_starts_from_random_weights(tmp_path, start):
    write_runs(tmp_path, "scratch", 0.3)
    write_runs(
        tmp_path, "fine_tuning", 0.9, initialisation=start, consumed={"trainer": {"source_steps": 300}}
    )
    [cell] = compare(tmp_path, baseline="target_only")
    assert cell.evidence.records[cell.evidence.baseline_runs[0]]["cell"]["strategy"] == "scratch"


def test_target_only_long_has_the_steps_of_cell_and_source_model(tmp_path):
    write_runs(tmp_path, "scratch", 0.3)
    write_runs(tmp_path, "scratch", 0.5, consumed=LONG)
    write_runs(tmp_path, "fine_tuning", 0.9, **SOURCE)
    write_runs(tmp_path, "dann", 0.9)
    cells = {cell.strategy: cell for cell in compare(tmp_path, baseline="target_only_long")}
    assert {name: steps_of_baseline(cell) for name, cell in cells.items()} == {
        "fine_tuning": 600,
        "dann": 300,
    }
    assert not cells["fine_tuning"].flags  # other steps are what it is about
    for name in ("scratch", "target_only"):  # the longer arm is in nobody's way
        assert {steps_of_baseline(cell) for cell in compare(tmp_path, baseline=name)} == {300}


def test_without_a_longer_arm_the_cell_is_missing(tmp_path):
    write_runs(tmp_path, "scratch", 0.3)
    write_runs(tmp_path, "fine_tuning", 0.9, **SOURCE)
    comparison = compare(tmp_path, baseline="target_only_long")
    assert len(comparison) == 0 and "no target_only_long" in comparison.missing[0]["reason"]


def test_an_arm_without_steps_on_the_target_is_held_against_the_ordinary_baseline(tmp_path):
    write_runs(tmp_path, "scratch", 0.3)
    write_runs(tmp_path, "scratch", 0.5, consumed=LONG)
    write_runs(tmp_path, "source_only", 0.2, consumed={"trainer": {"source_steps": 500}})
    for run in tmp_path.iterdir():
        record = json.loads((run / "record.json").read_text())
        if record["cell"]["strategy"] == "source_only":
            del record["consumed"]["trainer"]["steps"]
            (run / "record.json").write_text(json.dumps(record))
    (cell,) = compare(tmp_path)
    assert steps_of_baseline(cell) == 300


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_every_baseline_says_what_it_isolates(tmp_path, name):
    write_runs(tmp_path, "scratch", 0.3, 2, n=40)
    write_runs(tmp_path, "dann", 0.9, 2, n=40)
    comparison = compare(tmp_path, baseline=name)
    sentence = WORDS[name].isolates
    assert comparison.settings["isolates"] == sentence
    assert (
        sentence in " ".join(comparison.to_table(80).split())
        and sentence in json.loads(comparison.to_json())["settings"]["isolates"]
    )


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_every_baseline_is_held_against_in_words(tmp_path, name):
    """With a cell at least: the sentence under the table, and the first one of the page."""
    budget = None if name in baselines.SOURCE_ONLY else 10
    for noise in (0.0, 1.0):
        write_runs(
            tmp_path, "dann", 0.9 - noise / 2, 2, n=40, label_budget=budget,
            consumed={"source_label_noise": noise},
        )  # fmt: skip
    # random weights: the same thing
    alone = {"target_only": "scratch", "target_only_long": "scratch", "target_full": "scratch"}
    if (strategy := alone.get(name, name)) in SEES:
        source = "printed" if name in baselines.SOURCE_ONLY else None
        write_runs(
            tmp_path, strategy, 0.3, 2, n=40, source=source,
            label_budget="full" if name == "target_full" else budget,
        )  # fmt: skip
    comparison = compare(tmp_path, baseline=name)
    assert len(comparison) >= 1
    assert f"Against {name}, " in " ".join(comparison.to_table(80).split())
    page = html.unescape(re.sub("<[^>]+>", "", render(comparison)))
    assert f"Against {WORDS[name].against}, {WORDS[name].subject} " in page and WORDS[name].isolates in page


# --- A/A twins


def test_a_twin_is_neither_row_nor_baseline_and_can_be_found(tmp_path):
    jobs = write_runs(tmp_path, "scratch", 0.5) + write_runs(tmp_path, "fine_tuning", 1.0)
    write_plan(tmp_path, "first", jobs)
    before = compare(tmp_path).cells[0].to_dict()
    twins = [write_run(tmp_path, "scratch", seed, 0.5, consumed={"twin": True}) for seed in (3, 1)]
    tuned = [write_run(tmp_path, "fine_tuning", seed, 1.0, consumed={"twin": True}) for seed in (0, 1)]
    write_plan(tmp_path, "first", jobs + twins + tuned)
    (cell,) = compare(tmp_path)
    assert cell.to_dict() == before
    assert [run.name for run in cell.evidence.twin_runs] == [twins[1]["fingerprint"], twins[0]["fingerprint"]]


def test_the_twin_of_another_arm_is_not_taken(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 1.0)
    write_runs(tmp_path, "scratch", 0.5, consumed={"twin": True} | LONG)
    assert compare(tmp_path).cells[0].evidence.twin_runs == []


# --- learning rates


def at_rates(store, strategy, skills, **more):
    for rate, skill in skills.items():
        write_runs(store, strategy, skill, consumed={"trainer": {"optimizer": {"lr": rate}}}, **more)


def test_the_sign_at_every_learning_rate(tmp_path):
    at_rates(tmp_path, "scratch", {0.001: 0.5, 0.01: 0.7, 0.1: 0.2})
    at_rates(tmp_path, "fine_tuning", {0.001: 2.0, 0.01: 2.0, 0.1: 2.0})
    at_rates(tmp_path, "dann", {0.001: 2.0, 0.01: 2.0, 0.1: -2.0})
    at_rates(tmp_path, "linear_probe", {0.001: 2.0, 0.01: 0.7, 0.1: -0.1})
    write_runs(tmp_path, "joint", 1.0, consumed={"trainer": {"optimizer": {"lr": 0.01}}})
    cells = list(compare(tmp_path))
    for strategy, flag in {
        "linear_probe": "sign not told apart from 0 at 2 of 3 learning rates (intervals at alpha / 3)",
        "fine_tuning": "sign holds at all 3 learning rates (intervals at alpha / 3)",
        "dann": "sign changes with the learning rate: + at 0.001, 0.01; − at 0.1 (intervals at alpha / 3)",
    }.items():
        found = [cell for cell in cells if cell.strategy == strategy]
        assert [cell.rates for cell in found] == [
            {f"{rate:g}": cell.delta for rate, cell in zip((0.001, 0.01, 0.1), found, strict=True)}
        ] * 3
        assert all(flag in cell.flags and flag.startswith(cell.rates_sign) for cell in found)
    (alone,) = (cell for cell in cells if cell.strategy == "joint")
    assert alone.rates is None and not any("sign" in flag for flag in alone.flags)


def test_the_rate_of_a_transferred_backbone_is_one_of_them(tmp_path):
    """A baseline that was trained at several of them serves each row at its own."""
    for rate, skill in {0.01: 2.0, 0.1: 1.5, 1.0: -1.0}.items():
        slower = {"strategy": {"backbone_rate": rate}} if rate != 1 else {}
        write_runs(tmp_path, "target_only", 0.5, initialisation="pretrained", consumed=slower)
        of_source = {"source_backbone_rate": rate} if rate != 1 else {}
        write_runs(tmp_path, "fine_tuning", skill, initialisation="pretrained", consumed=slower | of_source)
    cells = [cell for cell in compare(tmp_path, baseline="target_only") if cell.strategy == "fine_tuning"]
    assert [cell.verdict for cell in cells] == ["positive", "positive", "negative"]
    assert [cell.variant for cell in cells] == [f"strategy.backbone_rate={rate}" for rate in (0.01, 0.1, 1.0)]
    assert list(cells[0].rates) == ["backbone × 0.01", "backbone × 0.1", "backbone × 1"]
    assert (
        cells[0].rates_sign
        == "sign changes with the learning rate: + at backbone × 0.01, backbone × 0.1; − at backbone × 1"
    )


@pytest.mark.parametrize("tried", [1, 2])
def test_harm_at_one_rate_says_so_and_how_to_try_three(tmp_path, tried):
    write_runs(tmp_path, "scratch", 1.0, consumed={"trainer": {"optimizer": {"lr": 0.01}}})
    at_rates(tmp_path, "fine_tuning", dict.fromkeys((0.01, 0.1)[:tried], -1.0))
    (cell, *_) = compare(tmp_path)
    assert cell.verdict == "negative"
    expected = (
        "one rate tried: add 'trainer.optimizer.lr=0.001,0.003,0.01' to the command, for both arms, or "
        "--search"
    )
    assert (expected in cell.flags) == (tried == 1) and (
        expected in " ".join(compare(tmp_path).to_table(200).split())
    ) == (tried == 1)


def test_rates_are_those_of_one_cell(tmp_path):
    """Other steps, other budgets: other cells. One baseline serves all rates."""
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "scratch", 0.5, label_budget=2)
    at_rates(tmp_path, "fine_tuning", {0.001: 2.0, 0.01: 1.5})
    at_rates(tmp_path, "fine_tuning", {0.1: 2.0}, label_budget=2)
    by_budget = {cell.label_budget: cell for cell in compare(tmp_path)}
    assert by_budget[2].rates is None and list(by_budget[10].rates) == ["0.001", "0.01"]


# --- what the two arms have alike


SHALLOW = {"classifier": "svm", "C": 1.0, "scaling": "source", "unit_length": "none"}


def shallow(**keys) -> dict:
    return {"strategy": SHALLOW | keys}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, []),
        ({"dimensions": 30}, []),  # what makes the strategy
        ({"scaling": "domain"}, ["unlike baseline: strategy.scaling domain vs source"]),
        ({"C": 0.1}, ["unlike baseline: strategy.C 0.1 vs 1.0"]),
        (
            {"classifier": "nearest_neighbour", "unit_length": "both"},
            [
                (
                    "unlike baseline: strategy.classifier nearest_neighbour vs svm, strategy.unit_length "
                    "both "
                    "vs none"
                )
            ],
        ),
    ],
)
def test_another_scaling_or_classifier_than_the_baselines_is_said(tmp_path, keys, said):
    """Each alone is worth points that are not the adaptation's."""
    write_runs(tmp_path, "source_svm", 0.3, label_budget=None, consumed=shallow())
    write_runs(tmp_path, "coral", 0.6, label_budget=None, consumed=shallow(**keys))
    [cell] = compare(tmp_path, baseline="source_svm")
    assert [flag for flag in cell.flags if flag.startswith("unlike")] == said


def test_a_rate_at_which_every_run_collapsed_is_none_that_was_tried(tmp_path):
    write_runs(tmp_path, "scratch", 1.0, consumed={"trainer": {"optimizer": {"lr": 0.01}}})
    at_rates(tmp_path, "fine_tuning", {0.01: -1.0})
    at_rates(tmp_path, "fine_tuning", {10.0: -3.0}, status="collapsed")
    (cell, collapsed) = compare(tmp_path)
    assert cell.rates is None and any(flag.startswith("one rate tried") for flag in cell.flags)
    assert collapsed.collapsed == collapsed.seeds and collapsed.rates is None


# --- what transfers nothing


def test_a_method_without_a_source_is_no_case_of_negative_transfer(tmp_path):
    write_runs(tmp_path, "scratch", 2.0)
    write_runs(tmp_path, "logistic_regression", -1.0, source=None, initialisation="random")
    assert wording.sentence(compare(tmp_path)).startswith("No cell transfers anything")
    write_runs(tmp_path, "fine_tuning", 2.2)
    write_runs(tmp_path, "last_groups", -1.0, source=None, initialisation="pretrained")
    comparison = compare(tmp_path)
    cells = {cell.strategy: cell for cell in comparison}
    assert [cells[name].verdict for name in ("logistic_regression", "last_groups")] == ["negative"] * 2
    assert [name for name, cell in cells.items() if not cell.transfers] == ["logistic_regression"]
    said = wording.sentence(comparison)
    assert "hurts in 1 (negative transfer)" in said
    assert "logistic_regression: without a source, not counted here." in said
    assert [cell.transfers for cell in compare(tmp_path, baseline="naive")] == [True] * 4


def test_every_backbone_is_held_against_the_baseline_on_one(tmp_path):
    minilm = {"backbone": "minilm", "initialisation": "pretrained", "source": None}
    write_runs(tmp_path, "logistic_regression", 0.5, backbone="tfidf", source=None)
    write_runs(tmp_path, "logistic_regression", 0.9, **minilm)
    write_runs(tmp_path, "logistic_regression", 0.9, label_budget=2, **minilm)  # of which tfidf has none
    write_runs(tmp_path, "dann", 0.7, backbone="tfidf", source="letters")
    found = compare(tmp_path, baseline="logistic_regression:backbone=tfidf")
    assert {(cell.strategy, cell.backbone) for cell in found} == {
        ("logistic_regression", "minilm"),
        ("dann", "tfidf"),
    }
    for cell in found:
        against = cell.evidence.records[cell.evidence.baseline_runs[0]]["cell"]
        assert (against["strategy"], against["backbone"]) == ("logistic_regression", "tfidf")
        assert "logistic_regression:backbone=tfidf/" in cell.family
        assert not any("unlike baseline" in flag for flag in cell.flags)
    assert [row["label_budget"] for row in found.missing] == [2]
    (told,) = wording.best(found)
    assert "logistic_regression (minilm) scores highest" in told
    for pinned in ("backbone=tfidf", "trainer.steps=300,backbone=tfidf"):  # wherever it stands
        found = compare(tmp_path, baseline=f"logistic_regression:{pinned}")
        assert wording.sentence(found).startswith("Against logistic_regression:backbone=tfidf,")
        assert wording.best(found) == [told]
    assert [cell.strategy for cell in compare(tmp_path, baseline="logistic_regression")] == ["dann"]


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("logistic_regression:backbone=tfid", "did you mean 'tfidf'?; it has tfidf"),
        ("scratch:backbone=tfidf", "it has none at all"),
        ("target_only:backbone=tfidf", "goes with scratch, or a strategy that is held against as it is"),
    ],
)
def test_a_backbone_that_the_baseline_has_no_run_of_is_refused(baseline, said, tmp_path):
    write_runs(tmp_path, "logistic_regression", 0.5, backbone="tfidf")
    with pytest.raises(RequestError) as refusal:
        compare(tmp_path, baseline=baseline)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
