"""The share of one difference that another one is."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from transferscope.statistics.effect import estimate, estimate_over_seeds
from transferscope.statistics.share import share_of_way


def arms(rng, seeds=5, items=300, gain=0.3, way=0.5, spread=0.02):
    """(gain, way) [K, n] that share the noise of their baseline."""
    baseline = spread * rng.normal(size=(seeds, 1)) + 0.2 * rng.normal(size=(seeds, items))
    return tuple(
        mean + spread * rng.normal(size=(seeds, 1)) + 0.2 * rng.normal(size=(seeds, items)) - baseline
        for mean in (gain, way)
    )


def test_over_seeds_it_is_fiellers_interval():
    """The two roots of (x − θy)² = t² (s_xx − 2θ s_xy + θ² s_yy) / K."""
    gain, way = arms(np.random.default_rng(0), spread=0.1)
    found = share_of_way(gain, way, estimate_over_seeds, 0.05)
    x, y = gain.mean(1), way.mean(1)
    t2, (s, seeds) = stats.t.ppf(0.975, 4) ** 2, (np.cov(x, y), 5)
    a = y.mean() ** 2 - t2 * s[1, 1] / seeds
    b = x.mean() * y.mean() - t2 * s[0, 1] / seeds
    c = x.mean() ** 2 - t2 * s[0, 0] / seeds
    roots = [(b + sign * np.sqrt(b**2 - a * c)) / a for sign in (-1, 1)]
    assert found.value == pytest.approx(x.mean() / y.mean()) and found.ci == pytest.approx(roots, abs=1e-4)


def test_a_way_that_is_not_surely_there_has_no_share():
    rng = np.random.default_rng(1)
    for way in (0.0, -0.5, 0.01):
        assert share_of_way(*arms(rng, way=way, spread=0.1), estimate, 0.05) is None
    assert share_of_way(*arms(rng), lambda d: None, 0.05) is None


def test_the_whole_way_none_of_it_and_beyond():
    _, way = arms(np.random.default_rng(2))
    for theta in (1.0, 0.0, 2.5, -1.0):
        found = share_of_way(theta * way, way, estimate, 0.05)
        assert found.value == pytest.approx(theta) and found.ci[0] < theta < found.ci[1]
    noisier = share_of_way(*arms(np.random.default_rng(3), spread=0.1), estimate, 0.05)
    calmer = share_of_way(*arms(np.random.default_rng(3), spread=0.01), estimate, 0.05)
    assert np.diff(noisier.ci) > np.diff(calmer.ci) > 0


def test_its_interval_holds_what_the_differences_do_not_reject():
    gain, way = arms(np.random.default_rng(4), spread=0.05)
    low, high = share_of_way(gain, way, estimate, 0.05).ci
    for theta, inside in ((low + 1e-4, True), (high - 1e-4, True), (low - 1e-4, False), (high + 1e-4, False)):
        ci = estimate((gain - theta * way) / max(1, abs(theta), abs(1 - theta))).interval(0.05)
        assert (ci[0] <= 0 <= ci[1]) == inside


@pytest.mark.slow
def test_it_misses_the_true_share_no_oftener_than_promised():
    rng, missed, expected = np.random.default_rng(5), 0, 0
    for _ in range(2000):
        found = share_of_way(*arms(rng, items=100, spread=0.05), partial(estimate), 0.05)
        expected += found is not None
        missed += found is not None and not found.ci[0] <= 0.6 <= found.ci[1]
    assert expected > 1900 and missed / expected <= 1.25 * 0.05
