"""How seeds agree: rates by hand, outliers by hand and by simulation."""

import numpy as np
import pytest

from transferscope.statistics.seeds import agreement, outliers


@pytest.mark.parametrize(("seeds", "rate"), [(5, 1 - 0.05**0.2), (10, 1 - 0.05**0.1), (20, 1 - 0.05**0.05)])
def test_what_all_seeds_ahead_do_not_exclude(seeds, rate):
    found = agreement(-np.linspace(1, 2, seeds))
    assert found.ahead == seeds and found.failure_rate == pytest.approx(rate)  # 45 % at 5 seeds


def test_a_seed_that_lies_behind_or_at_zero_is_not_ahead():
    found = agreement(np.array([0.02, 0.03, 0.0, 0.02, -0.01]))
    # of 2 in 5, one-sided Clopper-Pearson
    assert found.ahead == 3 and found.failure_rate == pytest.approx(0.811, abs=1e-3)
    assert agreement(np.zeros(4)).failure_rate == 1.0


def test_outlying_seeds_are_named():
    seeds = np.array([0.02, 0.021, 0.019, -0.30, 0.02])
    assert agreement(seeds).outliers == (3,)
    many = np.r_[np.full(9, 0.02) + 0.001 * np.arange(9), -0.3, np.full(9, 0.02) + 0.001 * np.arange(9), -0.3]
    assert outliers(many) == (9, 19)  # neither hides the other
    assert outliers(np.array([0.0, 0.0, 1.0])) == () and outliers(np.zeros(10)) == ()


@pytest.mark.parametrize("seeds", [5, 10])
def test_outliers_are_named_in_one_normal_cell_of_a_hundred(seeds):
    rng, draws = np.random.default_rng(1), 4000
    rate = np.mean([bool(outliers(rng.normal(size=seeds))) for _ in range(draws)])
    assert rate <= 0.01 * 1.5 + 3 * np.sqrt(0.01 / draws)
