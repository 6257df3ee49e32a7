"""Arms that were still improving when they stopped; a discriminator that had nothing left to say."""

import csv
import io
import json

import numpy as np
import pytest
from scipy import integrate, stats

from store_fixture import CLASSES, edit, write_run, write_runs
from transferscope.comparison.compare import compare
from transferscope.comparison.plateau import Curve, Rise, evenly, project
from transferscope.comparison.plateau import rise as rise_of

STEPS = tuple(range(0, 301, 30))  # eleven evaluations; the last third is 3 of 10 intervals


def rise(curves, schedule="constant", **more):
    return rise_of([evenly(curve, schedule) for curve in curves], **more)


def test_the_end_of_three_curves_by_hand():
    """Six intervals, a third is two: the last third rises by 0.04, 0.05 and 0.03, the one before by 0.20,
    0.20 and 0.20."""
    curves = [
        [0.1, 0.4, 0.5, 0.60, 0.70, 0.72, 0.74],
        [0.2, 0.4, 0.5, 0.60, 0.70, 0.72, 0.75],
        [0.3, 0.3, 0.4, 0.50, 0.60, 0.62, 0.63],
    ]
    found = rise(curves)
    assert (found.runs, found.evaluations, found.share) == (3, 7, pytest.approx(1 / 3))
    error = np.std([0.04, 0.05, 0.03], ddof=1) / np.sqrt(3)
    assert (found.mean, found.error) == (pytest.approx(0.04), pytest.approx(error))
    assert found.upper == pytest.approx(0.04 + stats.t.ppf(0.95, 2) * error)
    q = (0.04 + error) / 0.2
    assert found.is_rising and found.remaining == pytest.approx((0.04 + error) * q / (1 - q))
    assert not rise(curves, margin=0.05).is_rising  # not more than what matters
    assert rise(curves, margin=0.05).projected > 0 == rise(curves, margin=0.05).remaining


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("evaluations", [4, 5, 8, 11])
def test_what_is_projected_is_what_an_exponential_has_left(schedule, evaluations):
    """An exponential in the learning rate spent, ∫ (1 + cos πs) / 2 ds up to t for a cosine."""
    t = np.linspace(0, 1, evaluations)
    spent = (
        t
        if schedule == "constant"
        else 2 * np.array([integrate.quad(lambda s: (1 + np.cos(np.pi * s)) / 2, 0, end)[0] for end in t])
    )
    for rate in (1.0, 2.0, 4.0):
        curves = [0.8 - 0.7 * np.exp(-rate * spent)] * 2
        assert rise(curves, schedule).projected == pytest.approx(0.7 * np.exp(-rate))


def test_thirds_are_of_the_learning_rate():
    curves = [np.linspace(0, 0.8, 11)] * 2
    assert (rise(curves).share, rise(curves).mean) == (pytest.approx(0.3), pytest.approx(0.24))
    assert (rise(curves, "cosine").share, rise(curves, "cosine").mean) == (
        pytest.approx(0.6),
        pytest.approx(0.48),
    )
    # at 0.4, where the rate is still high
    stopped = rise_of([Curve(curve[:5], np.linspace(0, 1, 11)[:5], "cosine") for curve in curves])
    assert stopped.share == pytest.approx(0.5) and stopped.mean == pytest.approx(0.16)


def test_a_projection_is_never_negative_nor_without_end():
    assert project(0.0, 0.1) == project(-0.02, 0.1) == 0.0
    assert project(0.02, 0.04) == pytest.approx(0.02)
    for before in (0.02, 0.01, 0.0, -0.1):  # not slowing down, or only beginning to rise
        assert project(0.02, before) == pytest.approx(0.18)


def test_what_cannot_be_told_is_not_told():
    for curves in ([], [[]], [[0, 0, 0, 0.2]], [[0, 0, 0.2], [0, 0, 0.3]], [[0, 0, 0, 0.2], []]):
        found = rise(curves)
        assert found == Rise(found.runs, found.evaluations) and found.mean is None and found.remaining == 0
    assert rise([[0, 0, 0.2], [0, 0, 0.3]]).evaluations == 3


def test_chance_constant_curves_and_runs_of_unequal_length():
    by_chance = rise([[0, 0, 0, 0.2], [0, 0, 0, -0.1]])
    assert (
        by_chance.mean > 0.01
        and by_chance.projected > 0
        and not by_chance.is_rising
        and by_chance.remaining == 0
    )
    constant = rise([[0.9] * 4] * 3, margin=0.0)
    assert (constant.mean, constant.error, constant.upper, constant.projected, constant.is_rising) == (
        0,
        0,
        0,
        0,
        False,
    )
    equal = rise([[0.1, 0.2, 0.3, 0.4]] * 2)
    assert equal.is_rising and equal.upper == pytest.approx(equal.mean) and equal.mean == pytest.approx(0.1)
    # as steep as before would be nine more thirds, but 1 is the end
    assert equal.remaining == pytest.approx(0.6)
    assert rise([[-9, -6, -3, -2]] * 2, best=0.0).remaining == pytest.approx(0.5)
    stopped_early = rise([[0, 0.5, 0.6, 0.64], [0, 0.3, 0.4, 0.5, 0.56, 0.6, 0.62]])
    assert stopped_early.mean == pytest.approx((0.04 + 0.06) / 2) and stopped_early.evaluations == 4


# --- through compare


def one(store, **options):
    (cell,) = compare(store, **options)
    return cell


def test_a_slower_strategy_with_the_same_asymptote_is_not_called_negative(tmp_path):
    write_runs(tmp_path, "scratch", 1.5, rate=8.0, steps=STEPS)
    write_runs(tmp_path, "fine_tuning", 1.5, rate=1.5, steps=STEPS)
    cell = one(tmp_path)
    assert cell.ci[1] < -0.05  # ten points behind, for now
    assert (cell.verdict, cell.reason, cell.barred) == (
        "undecided",
        "the strategy was still improving: train it longer",
        True,
    )
    assert cell.strategy_rise["is_rising"] and cell.strategy_rise["remaining"] > -cell.ci[1]
    assert not cell.baseline_rise["is_rising"] and cell.baseline_rise["remaining"] == 0
    rising, left = 100 * cell.strategy_rise["mean"], 100 * cell.strategy_rise["remaining"]
    said = (
        f"strategy still improving: +{rising:.1f} points over the last 30 % of its steps, +{left:.1f} "
        "points more projected"
    )
    assert cell.flags == [said]
    for width in (80, 140):
        assert "because the strategy was still improving" in " ".join(
            compare(tmp_path).to_table(width).split()
        )
    assert "train longer" in compare(tmp_path).to_table(80)


@pytest.mark.parametrize(("skill", "gap"), [(1.0, 0.1), (2.0, 0.25)])
def test_a_large_gap_is_told_though_the_baseline_still_rises(tmp_path, skill, gap):
    write_runs(tmp_path, "scratch", 0.3, rate=4.0, steps=STEPS)
    write_runs(tmp_path, "fine_tuning", skill, rate=8.0, steps=STEPS)
    cell = one(tmp_path)
    assert cell.verdict == "positive" and cell.ci[0] > cell.baseline_rise["remaining"] > 0.005
    assert cell.delta > gap and any(flag.startswith("baseline still improving: +") for flag in cell.flags)


def test_a_baseline_that_may_catch_up_is_not_beaten(tmp_path):
    for folder, rate in ((tmp_path / "stopped", 8.0), (tmp_path / "rising", 1.5)):
        write_runs(folder, "scratch", 0.5, rate=rate, steps=STEPS)
        write_runs(folder, "fine_tuning", 1.2, rate=8.0, steps=STEPS)
        write_runs(folder, "dann", -0.9, rate=8.0, steps=STEPS)
    stopped, rising = (
        {cell.strategy: cell for cell in compare(tmp_path / name)} for name in ("stopped", "rising")
    )
    assert stopped["fine_tuning"].verdict == "positive" and not stopped["fine_tuning"].flags
    assert (rising["fine_tuning"].verdict, rising["fine_tuning"].barred) == ("undecided", True)
    assert rising["fine_tuning"].reason == "the baseline was still improving: train it longer"
    assert rising["dann"].verdict == "negative"  # a longer baseline would be ahead all the more


def test_arms_that_still_rise_are_not_called_equivalent(tmp_path):
    for folder, rate in ((tmp_path / "stopped", 8.0), (tmp_path / "rising", 2.0)):
        write_runs(folder, "scratch", 0.5, rate=rate, steps=STEPS, item_effect=0.0)
        write_runs(folder, "fine_tuning", 0.5, rate=rate, steps=STEPS, item_effect=0.0)
    assert one(tmp_path / "stopped", margin=0.1).verdict == "equivalent"
    cell = one(tmp_path / "rising", margin=0.1)
    assert (cell.verdict, cell.reason) == ("undecided", "both arms were still improving: train them longer")


@pytest.mark.parametrize("planned", [300, 600])
def test_the_schedule_and_the_planned_steps_are_the_record_s(tmp_path, planned):
    trainer = {"schedule": "cosine", "steps": planned}  # of 600 it stopped at 300
    write_runs(tmp_path, "scratch", 0.5, rate=1.5, steps=STEPS, consumed={"trainer": trainer})
    write_runs(tmp_path, "fine_tuning", 1.5, steps=STEPS, consumed={"trainer": trainer})
    at = [step / planned for step in STEPS]
    expected = rise_of([Curve(np.zeros(11), at, "cosine")] * 2).share
    assert one(tmp_path).baseline_rise["share"] == pytest.approx(expected)
    assert expected == pytest.approx({300: 0.6, 600: 0.4}[planned])


def test_contrasts_follow_the_same_rule(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, steps=STEPS)
    write_runs(tmp_path, "fine_tuning", 1.5, rate=1.5, steps=STEPS)
    write_runs(tmp_path, "fine_tuning", 1.5, rate=8.0, steps=STEPS, consumed={"source_label_noise": 1.0})
    row = next(row for row in compare(tmp_path).contrasts if row.contrast == "strategy − shuffled_source")
    assert row.ci[1] < -0.05
    assert (row.verdict, row.reason) == ("undecided", "the strategy was still improving: train it longer")


def test_the_bound_of_arms_that_are_not_flagged_is_printed_once(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, rate=8.0, steps=STEPS)
    write_runs(tmp_path, "fine_tuning", 1.5, rate=1.5, steps=STEPS)
    comparison = compare(tmp_path)
    upper = 100 * comparison.cells[0].baseline_rise["upper"]
    said = (
        f"arms not flagged as still improving rose by at most {upper:.1f} points over the end of their "
        "training (95 % bound)"
    )
    assert " ".join(comparison.to_table().split()).count(said) == 1
    told = json.loads(comparison.to_json())["cells"][0]
    assert told["strategy_rise"]["share"] == pytest.approx(0.3) and told["baseline_rise"]["evaluations"] == 11
    (row,) = csv.DictReader(io.StringIO(comparison.to_csv()))
    assert float(row["strategy_rise_remaining"]) == pytest.approx(
        100 * told["strategy_rise"]["remaining"], rel=1e-5
    )
    assert float(row["baseline_rise_upper"]) == pytest.approx(upper, rel=1e-5)


def test_too_few_evaluations_are_said(tmp_path):
    write_runs(tmp_path, "scratch", 0.5, steps=(0, 150, 300), settled=1.0)
    write_runs(tmp_path, "fine_tuning", 2.0)
    cell = one(tmp_path)
    assert cell.verdict == "positive" and cell.baseline_rise["mean"] is None
    assert cell.flags == [
        (
            "whether the baseline had finished training cannot be told: 3 evaluations, 4 are needed "
            "(trainer.evaluations=3)"
        )
    ]


def test_a_run_without_a_history_is_taken_as_it_is(tmp_path):
    for job in write_runs(tmp_path, "scratch", 0.5, settled=1.0):
        (tmp_path / job["fingerprint"] / "history.csv").unlink()
    write_runs(tmp_path, "fine_tuning", 2.0)
    assert one(tmp_path).verdict == "positive"


def test_another_metric_is_projected_by_its_own_curve(tmp_path):
    """Read from the evaluations, and only of an arm whose accuracy still rises."""
    rising = write_runs(tmp_path, "scratch", 1.5, settled=1.0, steps=STEPS)
    finished = write_runs(tmp_path, "fine_tuning", 1.5, rate=8.0, steps=STEPS)
    for job in finished:  # an evaluation that nobody needs cannot be read
        edit(
            tmp_path,
            job["fingerprint"],
            lambda members: members.update({"handwritten/test/probabilities/000090": np.ones((1, CLASSES))}),
        )
    cell = one(tmp_path, metric="brier")
    curves = []
    for job in rising:
        with np.load(tmp_path / job["fingerprint"] / "evaluations.npz") as members:
            truth = np.eye(CLASSES)[members["handwritten/test/labels"]]
            scores = [members[f"handwritten/test/probabilities/{step:06d}"].astype(float) for step in STEPS]
            curves.append([-((p - truth) ** 2).sum(1).mean() for p in scores])
    by_hand = rise(curves, best=0.0)
    assert cell.baseline_rise["metric"] == "brier" and cell.baseline_rise["is_rising"]
    assert (cell.baseline_rise["mean"], cell.baseline_rise["remaining"]) == (
        pytest.approx(by_hand.mean),
        pytest.approx(by_hand.projected),
    )
    assert by_hand.projected < rise(curves).projected  # no Brier score is better than 0
    assert cell.strategy_rise["metric"] == "accuracy"
    assert any(
        flag.startswith("baseline still improving: +0.") and " Brier over the last 30 %" in flag
        for flag in cell.flags
    )


def test_flags_of_runs_are_counted(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "dann", 1.0, seeds=2)
    write_runs(tmp_path, "joint", 1.0)
    for seed in (2, 3, 4):
        write_run(tmp_path, "dann", seed, 1.0, flags=("saturated discriminator",))
    flags = {cell.strategy: cell.flags for cell in compare(tmp_path)}
    assert flags == {"dann": ["saturated discriminator in 3 of 5 runs"], "joint": []}
