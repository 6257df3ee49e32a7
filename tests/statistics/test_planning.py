"""The smallest effect that a plan promises, against equations written out here and against simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from transferscope.statistics.effect import estimate, estimate_over_items
from transferscope.statistics.planning import Spread, left_open, power_over_domains


def drawn(seeds: int, items: int, rng: np.random.Generator, row_sd: float = 0.02) -> np.ndarray:
    """Differences of two classifiers in −1, 0, 1: seeds and items with effects of their own."""
    items_effect = rng.normal(0, 0.2, items)
    chance = row_sd * rng.normal(size=(seeds, 1)) + items_effect + rng.normal(0, 0.4, (seeds, items))
    return np.sign(np.where(np.abs(chance) > 0.6, chance, 0.0))


def by_the_equation(d: np.ndarray, alpha: float, quantile: float = 0.35) -> float:
    """MDE² = nc² A (K − 1)/χ² + (t(ν) √C + z √C_raw)², with scipy.stats alone."""
    effect, df = estimate(d), len(d) - 1
    t = stats.t.ppf(1 - alpha / 2, df)
    nc = optimize.brentq(lambda nc: 1 - stats.nct.cdf(t, df, nc) - 0.8, 0, 30)
    seed = nc**2 * effect.seed_variance * df / stats.chi2.ppf(quantile, df)
    item = stats.t.ppf(1 - alpha / 2, effect.item_df) * math.sqrt(effect.item_variance)
    return math.sqrt(seed + (item + stats.norm.ppf(0.8) * math.sqrt(effect.raw_item_variance)) ** 2)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 12])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_a_repetition_of_the_pilot_is_planned_by_the_equation(seeds: int, alpha: float) -> None:
    d = drawn(seeds, 400, np.random.default_rng(seeds))
    expected = by_the_equation(d, alpha)
    assert Spread.of(d).smallest_effect(seeds, 400, alpha) == pytest.approx(expected, rel=2e-3)
    assert estimate(d).minimum_detectable(alpha) == pytest.approx(expected, rel=1e-6)


def test_the_mean_of_six_cells_is_trusted_at_the_median() -> None:
    d = drawn(5, 400, np.random.default_rng(0))
    five, six = (Spread.mean([Spread.of(d)] * cells) for cells in (5, 6))
    assert five.smallest_effect(5, 400, 0.05) == pytest.approx(by_the_equation(d, 0.05), rel=2e-3)
    assert six.smallest_effect(5, 400, 0.05) == pytest.approx(by_the_equation(d, 0.05, 0.5), rel=2e-3)


def test_other_numbers_are_what_experiments_of_them_show() -> None:
    """Many large pilots, and the mean of what 60 experiments with fewer items estimate."""
    rng = np.random.default_rng(1)
    large = replace(Spread.mean([Spread.of(drawn(6, 2000, rng)) for _ in range(40)]), pilot=None)
    found = [estimate(drawn(6, 300, rng)) for _ in range(60)]
    expected = large.expected(6, 300)
    for part in ("seed_variance", "item_variance", "raw_item_variance", "item_df"):
        measured = np.mean([getattr(effect, part) for effect in found])
        assert getattr(expected, part) == pytest.approx(measured, rel=0.15), part


def test_what_is_needed_is_the_fewest_that_suffice() -> None:
    spread = Spread.of(drawn(5, 400, np.random.default_rng(2)))
    items = spread.items_needed(0.06, 10, 0.05)
    assert items is not None
    assert spread.smallest_effect(10, items, 0.05) <= 0.06 < spread.smallest_effect(10, items - 1, 0.05)
    seeds = spread.seeds_needed(0.06, 400, 0.05)
    assert seeds is not None and seeds > 2
    assert spread.smallest_effect(seeds, 400, 0.05) <= 0.06 < spread.smallest_effect(seeds - 1, 400, 0.05)
    assert spread.items_needed(0.01, 3, 0.05 / 12) is None
    assert spread.seeds_needed(0.001, 400, 0.05) is None


def test_more_is_never_worse_and_items_have_an_end() -> None:
    spread = Spread.of(drawn(5, 400, np.random.default_rng(3), row_sd=0.05))
    by_items = [spread.smallest_effect(5, n, 0.05) for n in (50, 200, 400, 2000, 10**6)]
    assert by_items == sorted(by_items, reverse=True)
    assert by_items[-1] > 0.3 * by_items[2]  # seeds are left
    by_seeds = [spread.smallest_effect(k, 400, 0.05) for k in (2, 3, 5, 10, 100)]
    assert by_seeds == sorted(by_seeds, reverse=True)


def test_the_same_differences_in_another_unit_are_planned_alike() -> None:
    d = drawn(5, 300, np.random.default_rng(4))
    ours, theirs = Spread.of(d), Spread.of(7 * d, unit=7.0)
    assert theirs.smallest_effect(8, 700, 0.01) == pytest.approx(7 * ours.smallest_effect(8, 700, 0.01))


def test_influence_values_have_their_own_floor() -> None:
    d = drawn(5, 300, np.random.default_rng(5))
    found = Spread.of(d, influence=1.5).smallest_effect(5, 300, 0.01)
    assert found == pytest.approx(estimate(d, influence=1.5).minimum_detectable(0.01), rel=1e-6)


def test_where_no_seed_changes_anything_items_alone_count() -> None:
    d = drawn(1, 300, np.random.default_rng(6))
    spread = Spread.of(d)
    expected = estimate_over_items(d[0]).minimum_detectable(0.05)
    assert spread.smallest_effect(1, 300, 0.05) == pytest.approx(expected, rel=2e-3)


def test_what_a_pilot_leaves_open() -> None:
    assert left_open(3) == pytest.approx((0.39, 1.82), abs=0.005)
    assert left_open(5) == pytest.approx((0.56, 1.52), abs=0.005)
    assert left_open(10) == pytest.approx((0.71, 1.33), abs=0.005)


def test_power_over_domains_is_that_of_simulated_ones() -> None:
    rng, draws = np.random.default_rng(7), 20_000
    for domains in (5, 20):
        means = 1 + rng.normal(0, 1, (draws, domains)) + rng.normal(0, 1, (draws, domains))
        told = np.mean(stats.ttest_1samp(means, 0, axis=1).pvalue <= 0.05)
        assert power_over_domains(domains) == pytest.approx(told, abs=0.012)
