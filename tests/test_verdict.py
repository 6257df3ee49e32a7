"""The statistics against hand calculation, an independent derivation, simulation, and the cases a reviewer
would try."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from transferscope.statistics.verdict import (
    Effect,
    Pair,
    clopper_pearson,
    estimate,
    group_means,
    holm,
    interval,
    judge,
    mean_squares,
    smallest_class,
)


def differences(rng, seeds=5, n=200, delta=0.0, sd_seed=0.0, sd_item=0.1, sd_rest=0.1):
    return (
        delta
        + sd_seed * rng.normal(size=(seeds, 1))
        + sd_item * rng.normal(size=n)
        + sd_rest * rng.normal(size=(seeds, n))
    )


def pair(d, strategy=(), baseline=(), smallest=100):
    """`strategy`, `baseline`: seeds whose run collapsed."""
    collapsed = [np.isin(np.arange(len(d)), runs) for runs in (strategy, baseline)]
    return Pair(np.asarray(d, float), *collapsed, smallest, unit=0.1)  # scores that vary by tenths


def test_estimate_by_hand():
    # with +1 and −1 four items; row means 1/4 and 0; sums of squares 0.125 (seeds) + 4.375 (items) + 0.375; c
    # = (0.5, 0)
    effect = estimate([[1, 0], [0, 0]])
    assert effect.delta == 0.25
    assert effect.seed_variance == pytest.approx(0.125 / 8)
    assert effect.item_variance == pytest.approx((4.375 / 3 - 0.125) / 8)
    assert (effect.seeds, effect.items) == (2, 2)
    assert effect.item_df == pytest.approx(2.25**2 / 2.0625)
    # t with 1 degree of freedom
    half = math.sqrt(12.7062**2 * 0.015625 + stats.t.ppf(0.975, 2.25**2 / 2.0625) ** 2 / 6)
    assert effect.half(0.05) == pytest.approx(half, rel=1e-5)
    assert effect.interval(0.05) == pytest.approx((0.25 - half, 0.25 + half), rel=1e-5)


def test_mean_squares_are_those_of_nested_least_squares_fits():
    d = np.random.default_rng(0).normal(size=(4, 7))
    seed, item = (np.eye(size)[index.ravel()] for size, index in zip((4, 7), np.indices((4, 7)), strict=True))

    def residual(*parts):
        design = np.hstack([np.ones((28, 1)), *parts])
        fitted = design @ np.linalg.lstsq(design, d.ravel(), rcond=None)[0]
        return np.sum((d.ravel() - fitted) ** 2)

    rest = residual(seed, item)
    expected = (residual(item) - rest) / 3, (residual(seed) - rest) / 6, rest / 18
    assert mean_squares(d) == pytest.approx(expected)


def test_seed_component_alone_is_the_paired_t_interval():
    """Without item variance the interval is the textbook t over seed means."""
    d = np.repeat([[0.31], [0.12], [0.27], [0.05]], 4000, axis=1)
    d[:, ::2] += 0.2
    d[:, 1::2] -= 0.2
    effect = estimate(d)
    without_items = Effect(effect.delta, effect.seed_variance, 0.0, effect.seeds, effect.items, 4001)
    expected = stats.ttest_1samp(d.mean(1), 0).confidence_interval(0.99)
    assert without_items.interval(0.01) == pytest.approx((expected.low, expected.high), rel=2e-3)


def test_item_component_alone_is_the_t_interval_over_items():
    items = np.random.default_rng(3).normal(0.1, 0.5, 5000)
    effect = estimate(np.tile(items, (3, 1)))
    expected = stats.ttest_1samp(items, 0).confidence_interval(0.95)
    assert effect.interval(0.05) == pytest.approx((expected.low, expected.high), abs=2e-4)


def test_p_value_is_the_level_at_which_the_interval_reaches_x():
    effect = estimate(differences(np.random.default_rng(1), delta=0.03, sd_seed=0.02))
    for x in (0.0, -0.01, 0.05):
        assert effect.half(effect.p_value(x)) == pytest.approx(abs(effect.delta - x))
    assert effect.p_value(effect.delta) == 1.0
    inside = Effect(0.002, 1e-7, 1e-7, 5, 200, 201)
    low, high = inside.interval(inside.p_equivalence(0.01))
    assert high == pytest.approx(0.01) and low > -0.01
    assert effect.p_equivalence(0.01) == 1.0  # the estimate itself lies beyond


@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("n", [1, 2, 50])
@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_equal_scores_never_give_a_certain_answer(seeds, n, value):
    effect = estimate(np.full((seeds, n), value))
    assert effect.half(0.05) > 1 / n
    assert 0 < effect.p_value(0.5) <= 1
    assert np.isfinite(effect.minimum_detectable(0.05 / 36))


def test_tied_seed_means_are_not_taken_for_certainty():
    """Two seeds whose means agree by chance while they disagree on every item."""
    d = np.array([[1, -1] * 10, [-1, 1] * 10])
    assert estimate(d).half(0.05) > 0.1
    (judgement,) = judge([pair(d)], margin=0.01, alpha=0.05, family_size=1)
    assert judgement.verdict == "undecided"


def test_sign_flips_with_the_arms():
    d = differences(np.random.default_rng(5), delta=0.04, sd_seed=0.01)
    low, high = interval(d, 0.05)
    assert interval(-d, 0.05) == pytest.approx((-high, -low))
    for sign, verdict in ((1, "positive"), (-1, "negative")):
        (judgement,) = judge([pair(sign * d)], margin=0.01, alpha=0.05, family_size=1)
        assert judgement.verdict == verdict


def test_fewer_items_never_narrow_the_interval():
    """Satterthwaite's interval does that with 3 seeds (4.30 at C = 0, 3.26 at C = 0.5)."""
    halves = [Effect(0.0, 1.0, c, 3, 500, 501).half(0.05) for c in (0.0, 0.1, 0.5, 2.0)]
    assert halves == sorted(halves)


@pytest.mark.parametrize("sd_seed", [0.0, 0.02])
def test_coverage_and_error_rate_at_the_levels_of_holm(sd_seed):
    rng, draws = np.random.default_rng(7), 4000
    p = np.array(
        [estimate(differences(rng, seeds=3, n=100, sd_seed=sd_seed)).p_value() for _ in range(draws)]
    )
    assert np.mean(p > 0.05) >= 0.93
    for alpha in (0.05, 0.05 / 12, 0.05 / 36):
        assert np.mean(p <= alpha) <= 1.25 * alpha + 3 * math.sqrt(alpha / draws)


def test_few_discordant_items_are_not_called_equivalent():
    """1 % of the items persistently lost, 50 tested: without pseudo-items `equivalent` comes out in most
    draws."""
    rng, equivalent = np.random.default_rng(11), 0
    for _ in range(300):
        d = np.repeat(-(rng.random((1, 50)) < 0.01).astype(float), 3, axis=0)
        (judgement,) = judge([pair(d)], margin=0.01, alpha=0.05, family_size=1)
        equivalent += judgement.verdict == "equivalent"
    assert equivalent == 0


def test_minimum_detectable_effect_is_found_four_times_in_five():
    rng = np.random.default_rng(13)
    mde = np.mean([estimate(differences(rng, sd_seed=0.01)).minimum_detectable(0.05) for _ in range(300)])
    found = np.mean(
        [estimate(differences(rng, delta=mde, sd_seed=0.01)).p_value() <= 0.05 for _ in range(1000)]
    )
    assert 0.75 <= found <= 0.95


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03], 3) == pytest.approx([0.03, 0.06, 0.06])
    # two planned cells have no run: p = 1
    assert holm([0.01, 0.04, 0.03], 5) == pytest.approx([0.05, 0.12, 0.12])
    assert holm([0.9, 0.8], 2) == pytest.approx([1.0, 1.0])
    assert len(holm([], 0)) == 0


def test_verdicts_and_intervals_never_contradict_each_other():
    """Whatever Holm's steps do: a decided cell's simultaneous interval lies where its verdict says, an
    undecided one's allows both."""
    rng, seen, step_down = np.random.default_rng(17), set(), 0
    for _ in range(60):
        deltas = rng.choice([0.0, 0.004, 0.02, -0.02, 0.2], size=8)
        pairs = [
            pair(differences(rng, n=2000, delta=delta, sd_seed=0.003, sd_item=0.05, sd_rest=0.05))
            for delta in deltas
        ]
        for judgement in judge(pairs, margin=0.01, alpha=0.05, family_size=9):
            low, high = judgement.ci_simultaneous
            inside = {
                "positive": low >= 0,
                "negative": high <= 0,
                "equivalent": low >= -0.01 and high <= 0.01,
                "undecided": low < 0 < high and not (low > -0.01 and high < 0.01),
            }
            assert inside[judgement.verdict]
            assert (judgement.p_adjusted <= 0.05) == (judgement.verdict != "undecided")
            assert (judgement.reason != "") == (judgement.verdict == "undecided")
            seen.add(judgement.verdict)
            step_down += judgement.by_step_down
    assert seen == {"positive", "negative", "equivalent", "undecided"}
    assert step_down > 0


def test_a_larger_family_is_stricter():
    d = differences(np.random.default_rng(19), delta=0.022, sd_seed=0.012)
    alone, among = (judge([pair(d)], margin=0.01, alpha=0.05, family_size=size)[0] for size in (1, 36))
    assert (alone.verdict, among.verdict) == ("positive", "undecided")
    assert alone.ci == among.ci
    assert among.mde > alone.mde


def test_family_wise_error_with_a_shared_baseline():
    """24 cells against one baseline, no effect anywhere: at most alpha of the families claim any
    difference."""
    rng, families, wrong = np.random.default_rng(23), 150, 0
    for _ in range(families):
        shared = differences(rng, n=60, sd_seed=0.03)
        pairs = [pair(differences(rng, n=60, sd_seed=0.03) - shared) for _ in range(24)]
        wrong += any(
            judgement.verdict in ("positive", "negative") for judgement in judge(pairs, 0.01, 0.05, 24)
        )
    assert wrong / families <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)


def test_material_and_half_verdicts():
    rng = np.random.default_rng(29)

    def verdict(delta):
        return judge(
            [pair(differences(rng, n=20_000, delta=delta, sd_item=0.05, sd_rest=0.05))], 0.01, 0.05, 1
        )[0]

    large, small, none, loss = verdict(0.05), verdict(0.005), verdict(0.0), verdict(-0.05)
    assert (large.verdict, large.material, large.no_harm, large.no_gain) == ("positive", True, True, False)
    assert (small.verdict, small.material, small.no_harm, small.no_gain) == ("positive", False, True, True)
    assert (none.verdict, none.material, none.no_harm, none.no_gain) == ("equivalent", False, True, True)
    assert (loss.verdict, loss.material, loss.no_harm, loss.no_gain) == ("negative", True, False, True)


def test_one_seed_claims_nothing():
    (judgement,) = judge([pair(np.ones((1, 500)))], margin=0.01, alpha=0.05, family_size=1)
    assert judgement.verdict == "undecided" and judgement.reason.startswith("one seed")
    assert judgement.ci is judgement.ci_simultaneous is judgement.p_adjusted is judgement.mde is None
    assert judgement.delta == 1.0 and not (judgement.no_harm or judgement.no_gain or judgement.material)


def test_few_items_are_never_equivalent():
    d = np.zeros((5, 100_000))
    enough, few = (judge([pair(d, smallest=smallest)], 0.01, 0.05, 1)[0] for smallest in (10, 9))
    assert enough.verdict == "equivalent" and not enough.few_items
    assert few.verdict == "undecided" and few.few_items and "few items" in few.reason
    assert not few.no_harm and not few.no_gain


@pytest.mark.parametrize("arm", ["strategy", "baseline"])
def test_a_collapse_is_never_positive_or_equivalent(arm):
    rng = np.random.default_rng(31)
    for delta, verdict in ((0.3, "undecided"), (0.0, "undecided"), (-0.3, "negative")):
        d = differences(rng, n=20_000, delta=delta)
        clean = judge([pair(d)], 0.01, 0.05, 1)[0]
        collapsed = judge([pair(d, **{arm: [2]})], 0.01, 0.05, 1)[0]
        assert clean.verdict != "undecided"
        assert collapsed.verdict == verdict
        assert not collapsed.no_harm
        if verdict == "undecided":
            assert collapsed.reason.startswith("collapse: 1 of 5")
            assert collapsed.p_equivalence == 1.0
        if delta > 0:
            assert collapsed.overruled == "collapse" and collapsed.p_adjusted is None


def test_collapsed_runs_stay_in_delta_and_are_shown_apart():
    d = np.full((5, 400), 0.02)
    d[3] = -0.5
    (judgement,) = judge([pair(d, strategy=[3])], 0.01, 0.05, 1)
    assert judgement.delta == pytest.approx((4 * 0.02 - 0.5) / 5)
    assert judgement.without_collapse["delta"] == pytest.approx(0.02)
    assert judgement.without_collapse["seeds"] == 4
    assert judgement.collapse_rate == (1, *clopper_pearson(1, 5, 0.05))
    (all_gone,) = judge([pair(d, strategy=range(5))], 0.01, 0.05, 1)
    assert all_gone.without_collapse is None


def test_clopper_pearson_is_the_exact_binomial_interval():
    for count in (0, 1, 4, 5):
        expected = stats.binomtest(count, 5).proportion_ci(0.95, "exact")
        assert clopper_pearson(count, 5, 0.05) == pytest.approx((expected.low, expected.high))


def reason(effect_d):
    return judge([pair(effect_d)], margin=0.01, alpha=0.05, family_size=1)[0].reason


def test_reason_more_seeds_is_kept_by_that_many_seeds():
    """At a fifth of the level, for what is read with them has been read before."""
    rng = np.random.default_rng(37)
    d = differences(rng, n=5000, delta=0.0, sd_seed=0.0, sd_item=0.02, sd_rest=0.02) + np.array(
        [[0.06], [0.0], [0.08], [-0.01], [0.03]]
    )
    text = reason(d)
    assert text.startswith("more seeds: about ")
    effect, seeds = estimate(d), int(text.split()[3])
    assert seeds > 5

    def half(k):
        return math.sqrt(
            stats.t.ppf(0.995, k - 1) ** 2 * effect.seed_variance * 5 / k
            + stats.t.ppf(0.995, effect.item_df) ** 2 * effect.item_variance
        )

    assert half(seeds) < effect.delta <= half(seeds - 1)


def test_reason_items_not_seeds():
    """45 of 300 items won and 36 lost whatever the seed: no number of seeds decides."""
    d = np.zeros((5, 300))
    d[:, :45], d[:, 45:81] = 1, -1
    text, effect = reason(d), estimate(d, unit=0.1)
    needed = effect.items_needed(effect.delta, 0.05)
    assert text == f"needs test items, not seeds: about {needed:,.0f} for this Δ"
    assert 300 < needed == pytest.approx(1.96**2 * (81 / 300 - 0.03**2) / 0.03**2, rel=0.04)
    then = replace(
        effect, item_variance=effect.item_variance * 300 / needed, item_df=effect.item_df * needed / 300
    )
    assert then.item_half(0.05) == pytest.approx(effect.delta)


def test_reason_equivalence_needs_items():
    """5 % persistent discordance: inside ±0.01 cannot be shown below about z² 0.05 / 0.0001 = 1,921 items."""
    d = np.zeros((5, 800))
    d[:, :20], d[:, 20:40] = 1, -1
    text = reason(d)
    assert text.startswith("needs test items, not seeds: equivalence needs n >= ")
    assert int(text.split()[-1].replace(",", "")) == pytest.approx(1921, rel=0.06)


def test_undecided_cells_are_told_what_the_level_asks_at_which_holm_stopped():
    d = np.zeros((5, 300))
    d[:, :45], d[:, 45:81] = 1, -1
    one, other = judge([pair(d), pair(d)], margin=0.01, alpha=0.05, family_size=2)
    assert one.reason == other.reason != reason(d)


def test_reason_budget():
    d = np.array([[0.3], [-0.3], [0.29], [-0.31], [0.06]]) + np.zeros((5, 5000))
    assert reason(d) == "budget: more than 100 seeds"


def test_items_of_a_group_count_once():
    """Ten copies of every item give the interval of one copy, not a narrower one."""
    rng = np.random.default_rng(43)
    scores = differences(rng, n=40)
    groups = np.repeat(np.arange(40), 10)
    means = group_means(np.repeat(scores, 10, axis=1), groups)
    assert means == pytest.approx(scores)
    assert interval(means, 0.05) == pytest.approx(interval(scores, 0.05))
    assert smallest_class(np.repeat([0, 1], 200), groups) == 20
    assert smallest_class(np.repeat([0, 1], 200), None) == 200


def test_groups_of_unequal_size_weigh_the_same():
    assert group_means(np.array([[1.0, 0.0, 0.0, 0.0]]), np.array(["a", "b", "b", "b"])) == pytest.approx(
        np.array([[1.0, 0.0]])
    )


def lasting(rng, seeds=10, n=5000, share=0.01, noise=0.02, baseline=None):
    """d of two arms that are equally good: on a share of items they differ in every seed, either way equally
    often; elsewhere by chance."""
    c = rng.choice([0, 1, -1], size=n, p=[1 - share, share / 2, share / 2])
    return c + (c == 0) * rng.choice([0, 1, -1], size=(seeds, n), p=[1 - noise, noise / 2, noise / 2])


def test_equivalences_do_not_make_false_differences():
    """Twelve truly equal cells on 5,000 items: one procedure over the smaller p told some cell different in
    28 to 37 % of families, for each equivalence that was told made the next test of a difference easier."""
    rng, families, false, equivalent = np.random.default_rng(41), 100, 0, 0
    for _ in range(families):
        pairs = [Pair(lasting(rng), np.zeros(10, bool), np.zeros(10, bool), 100) for _ in range(12)]
        verdicts = [judgement.verdict for judgement in judge(pairs, 0.01, 0.05, 12)]
        false += bool({"positive", "negative"} & set(verdicts))
        equivalent += verdicts.count("equivalent")
    assert false / families <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / families)
    assert equivalent / families / 12 >= 0.97
