"""What the source's labels are worth, and the rest of the source: differences of their own, not two verdicts
side by side."""

import json

import numpy as np
import pytest

from store_fixture import accuracy, missing_job, write_plan, write_runs
from transferscope.comparison.compare import compare
from transferscope.comparison.contrasts import LABELS, REST

SHUFFLED = {"source_label_noise": 1.0}


def planted(store, **more):
    """Labels worth much, the rest of the source a little."""
    arms = [("scratch", 0.0, {}), ("fine_tuning", 2.0, {"initialisation": "source"})]
    arms.append(("fine_tuning", 0.5, {"initialisation": "source", "consumed": SHUFFLED}))
    return [
        write_runs(store, strategy, skill, item_effect=0.0, **choices, **more)
        for strategy, skill, choices in arms
    ]


def test_a_gain_is_taken_apart(tmp_path):
    scratch, tuned, shuffled = planted(tmp_path)
    comparison = compare(tmp_path)
    labels, rest = comparison.contrasts
    means = [
        np.mean([accuracy(tmp_path, job["fingerprint"]) for job in arm]) for arm in (scratch, tuned, shuffled)
    ]
    assert (labels.contrast, labels.delta) == (LABELS, pytest.approx(means[1] - means[2]))
    assert (rest.contrast, rest.delta) == (REST, pytest.approx(means[2] - means[0]))
    gain = next(cell.delta for cell in comparison if not cell.variant)
    assert labels.delta + rest.delta == pytest.approx(gain)
    assert labels.verdict == "decided" and labels.ci[0] < labels.delta < labels.ci[1]
    assert (
        (labels.seeds, labels.items, labels.family_size)
        == (5, 300, 2)
        == (rest.seeds, rest.items, rest.family_size)
    )
    assert labels.family == rest.family and labels.family not in {cell.family for cell in comparison}


def test_contrasts_are_told_whatever_the_baseline(tmp_path):
    planted(tmp_path)
    write_runs(tmp_path, "source_only", 0.2)
    views = [compare(tmp_path, baseline=name) for name in ("scratch", "source_only", "shuffled_source")]
    assert views[0].contrasts == views[1].contrasts == views[2].contrasts
    rows = json.loads(views[0].to_json())["contrasts"]
    assert [row["contrast"] for row in rows] == [LABELS, REST] and {
        "delta",
        "ci",
        "ci_simultaneous",
        "p_adjusted",
    } <= rows[0].keys()
    text = " ".join(views[0].to_table(100).split())
    assert (
        "what the source's labels are worth" in text
        and "strategy − shuffled_source +" in text
        and "shuffled_source − target_only" in text
    )
    assert "strategy − shuffled_source" in views[0].to_markdown()


def test_without_a_control_there_is_no_contrast(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 1.0)
    write_runs(tmp_path, "fine_tuning", 0.7, consumed={"source_label_noise": 0.5})
    comparison = compare(tmp_path)
    assert comparison.contrasts == [] and "labels are worth" not in comparison.to_table()


def test_a_shuffled_source_in_the_loss_is_called_a_planted_harm(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    for noise in (0.0, 1.0):
        write_runs(tmp_path, "dann", 1.0 - noise, consumed={"source_label_noise": noise})
    comparison = compare(tmp_path)
    assert any("planted harm" in note for note in comparison.contrasts[0].notes)
    assert "planted harm" in comparison.to_table()
    planted(tmp_path / "other")
    assert "planted harm" not in compare(tmp_path / "other").to_table()


def test_the_family_is_as_planned(tmp_path):
    """A control that is planned and has no run yet counts."""
    jobs = sum(planted(tmp_path), []) + write_runs(tmp_path, "dann", 1.0)
    two = compare(tmp_path).contrasts[0]
    lost = [missing_job(tmp_path, "dann", seed, consumed=SHUFFLED) for seed in range(5)]
    write_plan(tmp_path, "first", jobs + lost)
    comparison = compare(tmp_path)
    assert [row.strategy for row in comparison.contrasts] == ["fine_tuning", "fine_tuning"]
    assert {row.family_size for row in comparison.contrasts} == {4}
    assert (
        comparison.contrasts[0].ci == two.ci
        and comparison.contrasts[0].ci_simultaneous[0] < two.ci_simultaneous[0]
    )


def test_a_control_belongs_to_its_own_variant(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    for weight in (1, 2):
        for noise in (0.0, 1.0):
            write_runs(
                tmp_path,
                "dann",
                2.0 - noise,
                consumed={"source_label_noise": noise, "strategy": {"weight": weight}},
            )
    rows = compare(tmp_path).contrasts
    assert [(row.variant, row.contrast) for row in rows] == [
        (f"strategy.weight={weight}", name) for weight in (1, 2) for name in (LABELS, REST)
    ]


def test_what_was_not_asked_for_refuses_nothing(tmp_path):
    """The only target-only arm was tested on other items; the comparison is with something else."""
    for noise in (0.0, 1.0):
        write_runs(
            tmp_path, "fine_tuning", 1.0, initialisation="source", consumed={"source_label_noise": noise}
        )
    write_runs(tmp_path, "source_only", 0.2)
    write_runs(tmp_path, "scratch", 0.5, split_seed=1)
    comparison = compare(tmp_path, baseline="source_only")
    assert len(comparison) == 2
    assert [(row.contrast, row.family_size) for row in comparison.contrasts] == [(LABELS, 2)]
