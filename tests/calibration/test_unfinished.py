"""Learning curves of known asymptotes in small: the rule, the one before it, and what neither can see."""

from dataclasses import replace

import numpy as np
import pytest

from transferscope.calibration import unfinished
from transferscope.calibration.findings import QUICK
from transferscope.calibration.unfinished import (
    FINISHED,
    KEPT,
    POWER_FINISHED,
    POWER_SLOW,
    World,
    claim_rates,
    experiment,
    finding,
    power_law,
)

EXPERIMENTS = 40


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize(
    ("world", "claim"), [(World(2.5, FINISHED), "negative"), (World(FINISHED, 2.5), "positive")]
)
def test_a_slow_arm_of_the_same_asymptote_is_not_told_behind(world, claim, schedule):
    rates = claim_rates(replace(world, schedule=schedule), claim, 10, EXPERIMENTS, "test")
    assert rates["no rule"] > 0.8  # five points apart, for now
    assert rates["now"] <= 0.1
    seen = claim == "positive" and schedule == "constant"  # of a cosine, the last steps are flat
    assert rates["before"] <= 0.1 if seen else rates["before"] > 0.5


@pytest.mark.parametrize("gap", [0.10, 0.25])
def test_a_gap_is_told_though_the_baseline_still_rises(gap):
    rates = claim_rates(World(FINISHED, 2.5, gap), "positive", 10, EXPERIMENTS, "test")
    assert rates["now"] > 0.85 and rates["before"] < 0.1


def test_a_power_law_is_a_limit():
    rates = claim_rates(
        World(POWER_SLOW, POWER_FINISHED, missing=power_law), "negative", 10, EXPERIMENTS, "test"
    )
    assert 0.1 < rates["now"] < rates["no rule"]


def test_curves_approach_what_their_world_says():
    found = [
        experiment(
            [World(4.0, 1.2, gap=0.1, times=times) for times in (1, 4)], 10, np.random.default_rng(seed)
        )
        for seed in range(10)
    ]
    early, late = ([one.d.mean() for one in length] for length in zip(*found, strict=True))
    assert np.mean(early) == pytest.approx(0.1 + (0.6 * np.exp(-1.2) - 0.7 * np.exp(-4.0)), abs=0.03)
    assert np.mean(late) == pytest.approx(0.1, abs=0.03)


def test_what_was_settled_holds_its_level_and_tells_the_gap():
    null, gap = unfinished.settled(5, 11, "cosine", EXPERIMENTS)
    assert null.ok and null.measured <= 0.1 and 1 < null.detail["mean length"] < 3
    assert gap.ok and gap.measured > 0.9


def test_the_bars_can_fail():
    slower = claim_rates(World(2.5, FINISHED), "negative", 10, EXPERIMENTS, "test")
    assert finding("", 0.05, slower, EXPERIMENTS, is_limit=False).ok
    assert not finding("", 0.05, slower | {"now": slower["before"]}, EXPERIMENTS, is_limit=False).ok
    gap = claim_rates(World(FINISHED, 2.5, 0.25), "positive", 10, EXPERIMENTS, "test")
    assert finding("", KEPT, gap, EXPERIMENTS, is_limit=False, at_least=True).ok
    assert not finding("", KEPT, gap | {"now": gap["before"]}, EXPERIMENTS, is_limit=False, at_least=True).ok


def test_the_study_is_whole():
    findings = list(unfinished.study(replace(QUICK, draws=20)))
    assert len(findings) == len({finding.setting for finding in findings}) == 3 * (8 + 9 + 2)
    assert sum(finding.limit for finding in findings) == 3 * (4 + 5)
