"""Claims over domains against closed forms, numbers by hand and a slow second way."""

import math

import numpy as np
import pytest
from scipy import stats

from transferscope.statistics import pooled
from transferscope.statistics.verdict import benjamini_hochberg, holm

Y = np.array([0.06, -0.01, 0.03, 0.08, 0.02, 0.04])


def test_the_mean_over_domains_is_the_one_sample_t():
    effect, theirs = pooled.of_domains(Y), stats.ttest_1samp(Y, 0.0)
    for alpha in (0.05, 0.05 / 12):
        bounds = theirs.confidence_interval(1 - alpha)
        assert effect.interval(alpha) == pytest.approx((bounds.low, bounds.high))
    assert effect.p_value() == pytest.approx(theirs.pvalue)
    lower = stats.ttest_1samp(Y, -0.1).pvalue
    assert effect.p_equivalence(0.1) == pytest.approx(max(lower, stats.ttest_1samp(Y, 0.1).pvalue))


def test_a_new_domain_by_hand():
    """1, 2, 3: mean 2, spread 1, t(0.975; 2) = 4.3027, times √(1 + 1/3)."""
    half = 4.302653 * math.sqrt(4 / 3)
    assert pooled.new_domain(np.array([1.0, 2.0, 3.0]), 0.05) == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_equal_effects_are_not_sure():
    """Scores are multiples of a step; what rounding hides is allowed for."""
    assert pooled.of_domains(np.zeros(5), rounding=1e-4).p_value() == pytest.approx(1.0)
    low, high = pooled.of_domains(np.full(5, 0.02), rounding=1e-4).interval(0.05)
    assert high - low == pytest.approx(2 * 2.776445 * 0.01 / math.sqrt(5), rel=1e-5)


@pytest.mark.parametrize(("delta", "p"), [(0.0, 1.0), (0.01, 1e-15)])
def test_an_interval_of_no_width_is_sure_of_nothing_but_what_it_leaves_out(delta, p):
    assert pooled.of_domains(np.full(5, delta)).p_value() == p


def all_pairs(domains: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source, target = np.nonzero(~np.eye(domains, dtype=bool))
    eye = np.eye(domains, dtype=bool)
    return source, target, eye[source] | eye[target]


def test_pairs_whose_effects_are_their_domains_are_a_t_over_domains():
    """x_st = a_s + b_t, all pairs: what a domain contributes is a_d + b_d."""
    a, b = np.random.default_rng(0).normal(size=(2, 7))
    source, target, involved = all_pairs(7)
    found, plain = pooled.of_pairs(a[source] + b[target], involved), pooled.of_domains(a + b)
    assert found.delta == pytest.approx(plain.delta)
    assert found.half(0.05) == pytest.approx(plain.half(0.05))
    jackknife = pooled.Jackknife.of(a[source] + b[target], involved)
    assert jackknife.pseudo_values == pytest.approx(a + b)


def test_a_domain_counts_once_where_pairs_are_missing():
    """Pairs (0,1) 1, (1,0) 3, (0,2) 8 and (2,3) 4: means of domains 4, 2, 6, 4, of which 4 is the mean;
    without 0 domain 1 is gone as well, and 2 and 3 have 4."""
    effects = np.array([1.0, 3.0, 8.0, 4.0])
    involved = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]], dtype=bool)
    found = pooled.Jackknife.of(effects, involved)
    assert found.estimate == pytest.approx(4.0)
    # without 1: 8, 6, 4; without 2: 2, 2; without 3: 4, 2, 8
    assert found.left_out == pytest.approx([4.0, 6.0, 2.0, 14 / 3])
    values = np.array([4.0, 6.0, 2.0, 14 / 3])
    assert found.variance() == pytest.approx(3 / 4 * np.sum((values - values.mean()) ** 2))


def test_the_jackknife_a_second_way():
    rng = np.random.default_rng(1)
    source, target, involved = all_pairs(8)
    there = rng.random(len(source)) > 0.4
    effects, involved = rng.normal(size=there.sum()), involved[there]
    found = pooled.Jackknife.of(effects, involved)
    for d in range(8):
        rest = ~involved[:, d]
        means = [
            np.mean([x for x, has in zip(effects[rest], involved[rest], strict=True) if has[e]])
            for e in range(8)
            if involved[rest][:, e].any()
        ]
        assert found.left_out[d] == pytest.approx(np.mean(means))


def test_one_domain_in_every_pair_makes_no_claim():
    involved = np.array([[True, k == 1, k == 2, k == 3] for k in (1, 2, 3)])
    assert pooled.of_pairs(np.array([0.1, 0.2, 0.3]), involved) is None


def test_sources_and_targets_apart_by_hand():
    """Effects a_s + b_t without anything of the pair: A and C are the variances of the two means, each with
    its own t."""
    a, b = np.array([0.0, 0.1, 0.2, 0.3, 0.4]), np.array([0.0, 0.2, 0.0, 0.2, 0.0, 0.2])
    found = pooled.of_roles(a[:, None] + b)
    # MS of sources is T var(a), of targets S var(b), of the rest 0
    assert found.seed_variance == pytest.approx(a.var(ddof=1) / 5)
    assert found.item_variance == pytest.approx(b.var(ddof=1) / 6)
    t_sources, t_targets = stats.t.ppf(0.975, 4), stats.t.ppf(0.975, 5)
    half = math.hypot(t_sources * a.std(ddof=1) / 5**0.5, t_targets * b.std(ddof=1) / 6**0.5)
    assert found.half(0.05) == pytest.approx(half)


def test_roles_without_all_pairs_are_near_those_with_all():
    rng = np.random.default_rng(2)
    cells = rng.normal(size=(30, 1)) + rng.normal(size=40) + 0.1 * rng.normal(size=(30, 40))
    gone = cells.copy()
    gone[rng.random(cells.shape) < 0.2] = np.nan
    full, part = pooled.of_roles(cells), pooled.of_roles(gone)
    assert part.delta == pytest.approx(full.delta, abs=0.1)
    assert part.half(0.05) == pytest.approx(full.half(0.05), rel=0.15)


def test_shape_by_hand():
    """0, 0, 0, 0, 5: mean 1, Σ of squares 4 + 16 = 20, Σ of cubes −4 + 64 = 60."""
    shape = pooled.Shape.of(np.array([0.0, 0.0, 0.0, 0.0, 5.0]))
    assert (shape.largest, shape.share) == (4, pytest.approx(16 / 20))
    assert shape.skewness == pytest.approx(60 / 5 / (20 / 5) ** 1.5)
    assert shape.is_skewed and shape.hangs_on_one
    assert pooled.Shape.of(np.zeros(5)) == pooled.Shape(0.0, 0, 0.0)


def judged(rows: list[list[float]], correction: str = "holm", margin: float = 0.01):
    effects = [pooled.of_domains(np.array(row)) for row in rows]
    return effects, pooled.judge(
        effects, [margin] * len(rows), 0.05, correction, [("targets", "")] * len(rows)
    )


GAIN, LOSS = [0.05, 0.06, 0.055, 0.045, 0.05], [-0.05, -0.06, -0.055, -0.045, -0.05]
SAME, OPEN = [0.001, -0.001, 0.0005, -0.0005, 0.0], [0.05, -0.05, 0.08, -0.02, 0.01]


@pytest.mark.parametrize(("correction", "adjust"), [("holm", holm), ("bh", benjamini_hochberg)])
def test_the_two_procedures_count_every_claim(correction, adjust):
    effects, found = judged([GAIN, LOSS, SAME, OPEN], correction)
    assert [one.verdict for one in found] == ["positive", "negative", "equivalent", "undecided"]
    different = adjust([effect.p_value() for effect in effects], 4)
    equal = adjust([effect.p_equivalence(0.01) for effect in effects], 4)
    assert [one.p_difference for one in found] == pytest.approx(different)
    assert [one.p_equivalence for one in found] == pytest.approx(equal)
    assert [one.no_harm for one in found] == [True, False, True, False]
    assert [one.material for one in found] == [True, True, False, False]


def test_intervals_hold_for_all_claims_and_never_contradict_the_verdict():
    effects, found = judged([GAIN, [0.01, 0.05, 0.02, 0.06, 0.02]])
    assert found[0].ci_simultaneous == effects[0].interval(0.05 / 2)
    assert found[1].ci == effects[1].interval(0.05)
    # told by Holm's second step at 0.05; at 0.025 its interval would reach below 0
    assert effects[1].interval(0.05 / 2)[0] < 0
    assert found[1].verdict == "positive" and found[1].by_step_down and found[1].ci_simultaneous[0] == 0


def test_what_would_decide_is_told_in_domains():
    _, found = judged([OPEN, [0.02, 0.05, -0.01, 0.04, 0.03]])
    assert found[0].reason.startswith(("more targets: about", "budget: more than 100 targets"))
    seeds = int(found[1].reason.split()[3])
    assert found[1].verdict == "undecided" and 5 < seeds < 15
