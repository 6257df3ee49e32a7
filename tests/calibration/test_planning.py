"""The study of the plan's promise, in small: that it holds, and that a plan without doubt fails the bar."""

from pathlib import Path

import numpy as np
import pytest

from transferscope.calibration.planning import Planned, power
from transferscope.statistics import planning as statistics


@pytest.fixture(scope="module")
def pool() -> np.ndarray:
    """int8 [1, 100, 722]: scratch's twin against scratch, in real training."""
    members = np.load(Path(__file__).with_name("recorded.npz"))
    twin, scratch = (
        np.unpackbits(members[name], axis=1, count=int(members["items"])).astype(np.int8)
        for name in ("twin", "scratch")
    )
    return (twin - scratch)[None]


def test_a_pilot_plans_for_power_of_four_fifths(pool: np.ndarray) -> None:
    alone, family = power(pool, Planned((10, 200), 10, 200), 150, 800, "recorded")
    for found in (alone, family):
        assert found.ok and found.detail["promised"] == "yes" and not found.limit
        assert found.measured == pytest.approx(0.8, abs=0.05)
        assert 0.6 < found.detail["lowest"] < 1 < found.detail["highest"] < 1.7
    assert family.detail["planned"] > alone.detail["planned"]


def test_without_doubt_of_the_pilots_spread_it_fails(
    pool: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "spread_doubt", lambda df, quantile: 1.0)
    alone, _ = power(pool, Planned((5, 500), 5, 500), 150, 800, "recorded")
    assert not alone.ok and alone.measured < 0.75


def test_many_more_items_than_the_pilots_are_a_limit() -> None:
    assert Planned((5, 200), 10, 400).is_within_reach and not Planned((5, 200), 10, 1000).is_within_reach
    assert str(Planned((5, 200), 10, 1000)) == "K=10 n=1000 by a pilot of K=5 n=200"
