"""What `judge` is asked beside the usual: other designs, other corrections, margins of their own, a baseline
that was still improving."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from transferscope.statistics.effect import estimate_over_items, estimate_over_seeds
from transferscope.statistics.verdict import (
    BASELINE_IMPROVING,
    COLLAPSE,
    STILL_IMPROVING,
    Pair,
    benjamini_hochberg,
    judge,
)


def pair(d, **more):
    d = np.asarray(d, float)
    never = np.zeros(len(d), bool)
    # scores that vary by tenths
    return Pair(d, never, never, more.pop("smallest", 100), unit=more.pop("unit", 0.1), **more)


def differences(rng, seeds=5, n=2000, delta=0.0, sd_seed=0.0, sd_item=0.05, sd_rest=0.05):
    return (
        delta
        + sd_seed * rng.normal(size=(seeds, 1))
        + sd_item * rng.normal(size=n)
        + sd_rest * rng.normal(size=(seeds, n))
    )


def test_for_these_items_the_interval_is_the_t_over_seed_means():
    d = differences(np.random.default_rng(1), n=300, sd_seed=0.02, sd_item=0.4)
    expected = stats.ttest_1samp(d.mean(1), 0)
    effect = estimate_over_seeds(d)
    assert effect.interval(0.05) == pytest.approx(
        (expected.confidence_interval().low, expected.confidence_interval().high)
    )
    assert effect.p_value() == pytest.approx(expected.pvalue, rel=1e-6)
    (fixed,) = judge([pair(d, chance="seeds", smallest=3)], 0.01, 0.05, 1)
    assert fixed.ci == pytest.approx(effect.interval(0.05)) and not fixed.few_items
    assert "test items" not in fixed.reason
    assert estimate_over_seeds(np.zeros((5, 100))).half(0.05) > 0


def test_for_this_training_set_the_interval_is_the_t_over_items():
    items = np.random.default_rng(2).normal(0.1, 0.5, 5000)
    expected = stats.ttest_1samp(items, 0).confidence_interval(0.99)
    assert estimate_over_items(items).interval(0.01) == pytest.approx((expected.low, expected.high), abs=2e-4)
    (judgement,) = judge([pair(items[None], chance="items")], 0.01, 0.05, 1)
    assert judgement.verdict == "positive" and judgement.mde > 0
    (undecided,) = judge([pair(np.tile([1.0, -1.0], 50)[None], chance="items")], 0.01, 0.05, 1)
    assert undecided.reason.startswith("needs test items, not seeds")
    assert estimate_over_items(np.zeros(100)).half(0.05) > 0.01


def test_benjamini_hochberg_is_scipys():
    p = np.random.default_rng(3).random(20) ** 2
    assert benjamini_hochberg(p, 20) == pytest.approx(stats.false_discovery_control(p))
    # two planned cells have no run: p = 1
    assert benjamini_hochberg([0.01, 0.02], 4) == pytest.approx([0.04, 0.04])
    assert len(benjamini_hochberg([], 3)) == 0


def test_with_bh_the_interval_is_at_the_fcr_level_and_never_contradicts_the_verdict():
    rng, more = np.random.default_rng(5), 0
    for _ in range(40):
        pairs = [
            pair(differences(rng, delta=delta, sd_seed=0.004))
            for delta in rng.choice([0.0, 0.004, 0.02, -0.02], size=8)
        ]
        found, strict = (judge(pairs, 0.01, 0.05, 9, correction) for correction in ("bh", "holm"))
        decided = [j for j in found if j.verdict != "undecided"]
        more += len(decided) - sum(j.verdict != "undecided" for j in strict)
        for judgement in found:
            low, high = judgement.ci_simultaneous
            inside = {
                "positive": low >= 0,
                "negative": high <= 0,
                "equivalent": low >= -0.01 and high <= 0.01,
                "undecided": low < 0 < high and not (low > -0.01 and high < 0.01),
            }
            assert inside[judgement.verdict] and not judgement.by_step_down
    assert more > 0  # what the weaker promise buys


def test_false_discoveries_are_a_share_of_alpha():
    rng, shares = np.random.default_rng(7), []
    for _ in range(300):
        deltas = np.repeat([0.0, 0.03], [12, 4])
        found = judge(
            [pair(differences(rng, n=60, delta=delta, sd_seed=0.005)) for delta in deltas], 0.0, 0.1, 16, "bh"
        )
        wrong = [
            delta == 0
            for delta, judgement in zip(deltas, found, strict=True)
            if judgement.verdict != "undecided"
        ]
        shares.append(np.mean(wrong) if wrong else 0.0)
    assert np.mean(shares) <= 0.1 + 3 * np.std(shares) / math.sqrt(len(shares))


def test_each_cell_may_have_its_own_margin():
    d = differences(np.random.default_rng(9), n=20_000, delta=0.005)
    narrow, wide = judge([pair(d - 0.005), pair(d - 0.005)], [0.0001, 0.01], 0.05, 2)
    assert (narrow.verdict, wide.verdict) == ("undecided", "equivalent")
    assert wide.ci_simultaneous[1] <= 0.01


def test_over_a_baseline_that_learnt_nothing_a_gain_is_the_one_claim():
    rng = np.random.default_rng(12)
    for delta, verdict in ((0.66, "positive"), (0.0001, "undecided"), (-0.05, "undecided")):
        d = differences(rng, n=20_000)
        d = d - d.mean() + delta
        told = replace(pair(d), baseline_collapsed=np.ones(5, bool), baseline_learnt_nothing=True)
        (judgement,) = judge([told], 0.01, 0.05, 1)
        assert (judgement.verdict, judgement.no_harm) == (verdict, verdict == "positive")
        assert (judgement.overruled == COLLAPSE) == (delta < 0) and "equivalence" not in judgement.reason
        (as_it_was,) = judge([replace(told, baseline_learnt_nothing=False)], 0.01, 0.05, 1)
        assert as_it_was.verdict == ("negative" if delta < 0 else "undecided")
        (rising,) = judge([replace(told, baseline_remaining=0.7)], 0.01, 0.05, 1)
        assert rising.verdict == "undecided"
    assert "no more than the naive predictor" in judgement.reason


def test_a_baseline_that_was_still_improving_is_not_beaten_by_less_than_its_rise():
    rng = np.random.default_rng(11)
    for delta, verdict in ((0.05, "undecided"), (0.0, "equivalent"), (-0.05, "negative")):
        d = differences(rng, n=20_000)
        (judgement,) = judge([pair(d - d.mean() + delta, baseline_remaining=0.06)], 0.01, 0.05, 1)
        assert judgement.verdict == verdict
        assert (judgement.overruled == BASELINE_IMPROVING) == (delta > 0)
        assert delta <= 0 or (
            judgement.reason == STILL_IMPROVING[BASELINE_IMPROVING] and judgement.p_adjusted is None
        )
    small = differences(rng, n=20_000, delta=0.004)
    assert judge([pair(small)], 0.01, 0.05, 1)[0].verdict == "positive"
    assert judge([pair(small, baseline_remaining=0.06)], 0.01, 0.05, 1)[0].verdict == "equivalent"
    (rising,) = judge([pair(small, baseline_remaining=0.06, rising=(False, True))], 0.01, 0.05, 1)
    assert rising.verdict == "undecided" and not rising.no_harm


def test_training_that_has_not_finished_is_held_against_its_projected_rise_in_both_arms():
    for sign, arm, told in ((1, "baseline_remaining", "positive"), (-1, "strategy_remaining", "negative")):
        d = sign * differences(np.random.default_rng(12), n=20_000, delta=0.1, sd_seed=0.002)
        verdicts = [
            judge([pair(d, **{arm: rise})], 0.01, 0.05, 1)[0].verdict for rise in (0.0, 0.05, 0.12, 0.2)
        ]
        assert verdicts == [told, told, "undecided", "undecided"]
        other = "strategy_remaining" if sign > 0 else "baseline_remaining"
        # the arm ahead may rise as it likes
        assert judge([pair(d, **{other: 0.5})], 0.01, 0.05, 1)[0].verdict == told
