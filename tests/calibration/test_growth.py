"""The study of stores that grow: it judges and advises as `verdict.judge`, and what is not paid for fails its
bar."""

import re

import numpy as np
import pytest

from transferscope.calibration import growth
from transferscope.calibration.findings import ALPHA, MARGIN
from transferscope.statistics.verdict import Pair, estimate, judge


def store(cells: int, families: int, truth: float = 0.0) -> growth.Store:
    return growth.Store(cells, families, truth, np.random.default_rng(5))


def differences(of: growth.Store, cell: int, family: int, seeds: int) -> np.ndarray:
    return of.differences(np.array([cell]), np.array([family]), seeds)[0]


def test_a_reading_has_the_p_values_of_the_estimate_whatever_it_had_before():
    planted = store(2, 3, truth=0.03)
    reading = growth.Reading.first(planted)
    seeds = np.array([[5, 9, 12], [7, 5, 12]])
    reading = reading.again(planted, seeds)
    expected = [
        [estimate(differences(planted, cell, at, seeds[cell, at])).p_value() for at in range(3)]
        for cell in range(2)
    ]
    assert reading.apart == pytest.approx(np.where(np.array(expected) <= ALPHA, expected, 1.0), abs=1e-9)


def test_the_advice_is_that_of_the_verdict():
    """Of a family of one that is undecided after its first reading."""
    planted, none = store(1, 40, truth=0.03), np.zeros(5, dtype=bool)
    reading = growth.Reading.first(planted)
    advised = growth.advised(reading, np.full((1, 40), ALPHA / 5))[0]
    told = []
    for family in range(40):
        [judged] = judge([Pair(differences(planted, 0, family, 5), none, none, 50)], MARGIN, ALPHA, 1)
        if judged.verdict == "undecided":
            found = re.match(r"more seeds: about (\d+)", judged.reason)
            told.append((int(found[1]) if found else 5, int(advised[family])))
    wanted, advice = zip(*told, strict=True)
    assert wanted == advice and len(set(wanted)) > 3


def test_seeds_stay_the_same_when_others_come():
    planted = store(2, 2)
    planted.grow(np.full((2, 2), 5))
    before = differences(planted, 1, 0, 5).copy()
    planted.grow(np.array([[20, 5], [5, 9]]))
    assert np.array_equal(differences(planted, 1, 0, 5), before)
    assert len(np.unique(differences(planted, 0, 0, 20)[:, 0])) == 20


def test_a_look_at_every_seed_stays_inside_where_each_is_paid_for():
    finding = growth.nulls(1, 300, "recorded", growth.one_more, 15)
    assert finding.ok and finding.measured < finding.detail["bar"] < finding.detail["at alpha each time"]


def test_strategies_one_at_a_time_err_as_one_family_and_not_as_twelve():
    finding = growth.one_by_one(5, 150, "recorded")
    assert (
        finding.ok
        and finding.measured <= finding.detail["told on the way"] < finding.detail["families of one"] > 0.2
    )
