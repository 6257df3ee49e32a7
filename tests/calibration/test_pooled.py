"""The study of claims over domains, in small: what holds, and that the t over cells does not."""

from dataclasses import replace

import numpy as np
import pytest

from transferscope.calibration import pooled
from transferscope.calibration.findings import LEVELS, most_errors


@pytest.mark.parametrize("kind", ["normal effects", "unequal variances", "one domain measured badly"])
def test_means_over_five_domains_hold_their_level(kind):
    found = list(pooled.means(kind, kind, 5, 600, np.random.default_rng(0)))
    assert [one.nominal for one in found] == [*LEVELS.values()]
    assert all(one.ok for one in found) and found[0].measured > 0.01


def test_strong_skew_is_a_limit_and_flagged():
    alpha, *_ = pooled.means("log-normal", "log-normal effects", 10, 400, np.random.default_rng(1))
    assert alpha.limit and not alpha.ok and alpha.detail["called skewed"] > 0.4


def test_pairs_of_correlated_roles_hold_where_cells_as_independent_do_not():
    kind = replace(pooled.PAIRS[2], missing=0.3)
    alpha, *rest = pooled.pairs("pairs", kind, (6, 6), 150, np.random.default_rng(2))
    assert alpha.ok and all(one.ok for one in rest)
    assert alpha.detail["cells as independent"] > 2 * most_errors(0.05, 150)


def test_sources_and_targets_apart_hold_with_pairs_missing():
    for missing in (0.0, 0.3):
        rng = np.random.default_rng(3)
        alpha, *_ = pooled.crossed("roles", (1.0, 1.0, 1.0), (5, 6), missing, 200, rng)
        assert alpha.ok and alpha.detail["cells as independent"] > 0.15


def test_a_new_domain_lies_where_it_was_said():
    one = pooled.new_domains("new", "normal effects", 5, 600, np.random.default_rng(4))
    assert one.ok and one.measured > 0.01


@pytest.mark.parametrize(("domains", "power"), [(5, 0.24), (10, 0.53), (20, 0.85)])
def test_what_is_found_is_what_theory_says(domains, power):
    """Of a mean as large as the spread between domains, each measured as unsurely."""
    one = pooled.found(domains, 1.0, 400)
    assert one.ok and one.nominal == pytest.approx(power, abs=0.02)
