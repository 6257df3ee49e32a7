"""The expected best of k trials: by hand, by drawing, for ties, and its band."""

from itertools import combinations

import numpy as np
import pytest

from transferscope.statistics.expected_best import band, best_so_far, expected_best


def test_by_all_ways_to_choose() -> None:
    assert expected_best([0.6, 0.2, 0.4]) == pytest.approx([0.4, (0.4 + 0.6 + 0.6) / 3, 0.6])
    assert expected_best([0.0, 1.0, 1.0]) == pytest.approx([2 / 3, 1, 1])
    assert expected_best([0.7]) == pytest.approx([0.7])
    scores = np.random.default_rng(0).normal(size=9)
    assert expected_best(scores) == pytest.approx(
        [np.mean([max(some) for some in combinations(scores, k)]) for k in range(1, 10)]
    )


def test_it_is_unbiased() -> None:
    """The best of 20 normal draws is 1.87 standard deviations above their mean; drawn with replacement from
    the 20 it seems 1.67."""
    rng = np.random.default_rng(1)
    last = [expected_best(rng.normal(size=20))[-1] for _ in range(2000)]
    assert np.mean(last) == pytest.approx(1.867, abs=0.05)


def test_a_thousand_trials_stay_finite() -> None:
    found = expected_best(np.linspace(0, 1, 1000))
    assert np.isfinite(found).all() and (np.diff(found) > -1e-12).all() and found[-1] == pytest.approx(1.0)


def test_the_band_holds_what_other_trials_would_give() -> None:
    rng, truth, inside = np.random.default_rng(2), 1.163, 0  # of the best of 5 normal draws
    for _ in range(200):
        low, high = band(rng.normal(size=40), 0.05)
        inside += low[4] <= truth <= high[4]
    assert inside / 200 > 0.86 and len(low) == 10


def test_the_best_so_far_goes_by_the_order() -> None:
    assert best_so_far([0.3, 0.1, 0.5, 0.4]).tolist() == [0.3, 0.3, 0.5, 0.5]
