"""The study of errors of predicted numbers in small."""

import numpy as np
import pytest

from transferscope.calibration import errors as study
from transferscope.calibration.errors import (
    Arm,
    Kind,
    absolute,
    at_the_cap,
    differences,
    held_against,
    judged,
)
from transferscope.calibration.findings import Size
from transferscope.comparison.pairing import of_one_error
from transferscope.statistics.verdict import estimate, group_means
from transferscope.tasks.metrics import METRICS, Errors


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(study, "TRUTH", (1_000, 1_000))


@pytest.mark.parametrize("groups", [1, 0])
def test_what_is_judged_is_what_compare_judges(groups):
    """One experiment, through the metrics and `estimate`."""
    kind, bound = Kind(Arm(0.3, offset=0.5), Arm(0.4, rare=0.05), groups=groups), study.cap("normal")
    arms, starts = absolute(kind, 4, 60, 3, np.random.default_rng(0))
    found = judged(arms, starts, bound)
    errors = Errors(("number",), "", np.ones(1), np.zeros(1), np.zeros(1), bound)
    n, group = arms[0].shape[2], None
    if groups == 0:
        assert len(starts) < n
        group = np.searchsorted(starts, np.arange(n), side="right")
    for name, (sums, effects) in found.items():
        metric = METRICS[name].within(errors)
        for b in range(3):
            of_arm = [
                np.stack([metric.per_item(row[:, None], np.zeros((n, 1)), group) for row in arm[b]])
                for arm in arms
            ]
            means = [group_means(scores, group) for scores in of_arm]
            unit = metric.unit
            if name == "rmse":
                unit = of_one_error(bound, min(-scores.mean() for scores in means), len(starts))
            expected = estimate(means[0] - means[1], unit)
            assert sums.delta[b] == pytest.approx(expected.delta, abs=1e-6)
            assert effects.half(0.01)[b] == pytest.approx(expected.half(0.01), rel=1e-5)


@pytest.mark.parametrize("size", [0.001, 0.1, 0.7])
def test_the_unit_of_rmse_is_what_one_error_at_the_cap_makes_of_a_pseudo_value(size):
    squared, cap, n = np.full((2, 1, 200), size**2), 1.0, 200
    squared[:, 0, 0] = 0.0, cap
    none, one = study.pseudo_values(squared)[:, 0, 0]
    assert of_one_error(cap, size, n) == pytest.approx((one - none) / 2, rel=0.02)
    # the slope, of which there is no end for small errors
    assert of_one_error(cap, size, n) <= cap**2 / (4 * size)
    assert of_one_error(7 * cap, 7 * size, n) == pytest.approx(7 * of_one_error(cap, size, n))


def test_truths_are_of_clipped_errors():
    kind = Kind(at_the_cap(1e-4, 0.1), Arm(1e-4))
    found, bound = study.truths("two values", kind), study.cap("normal")
    assert found == pytest.approx({"mae": -0.1 * bound, "rmse": -(0.1**0.5) * bound}, rel=0.01)
    assert study.truths("alike", Kind(Arm(), Arm())) == {"mae": 0.0, "rmse": 0.0}


def test_errors_of_other_shapes_are_as_large_on_average():
    for metric, power in (("mae", 1), ("rmse", 2)):
        kind, bound = Kind(study.balanced(metric, 0.01, 0.5)), study.cap("normal")
        arms, _ = absolute(kind, 1, 1000, 300, np.random.default_rng(1))
        own, other = (np.minimum(arm, bound) ** power for arm in arms)
        assert own.mean() == pytest.approx(other.mean(), rel=0.03)
        assert np.median(own) < 0.97 * np.median(other)


def test_rare_errors_at_the_cap_are_inside_where_the_interval_without_pseudo_items_is_not():
    kind = Kind(at_the_cap(0.025, 0.01))
    truth = study.truths("rare", kind)
    found = list(held_against("rare", kind, truth, 5, 200, 1_000))
    assert all(finding.ok for finding in found)
    of_root = [finding for finding in found if finding.setting.startswith("rmse")]
    assert of_root[0].detail["plain interval"] > 1.5 * of_root[0].detail["bar"]


def test_a_smaller_unit_of_rmse_does_not_hold():
    """As three errors at the cap would have it, spread over three."""
    kind, bound = Kind(at_the_cap(0.025, 0.01)), study.cap("normal")
    truth = study.truths("rare", kind)["rmse"]
    _, root, least = differences(*absolute(kind, 5, 200, 1_000, np.random.default_rng(2)), bound)
    of_three = 200 / 6 * (np.sqrt(least**2 + 3 * bound**2 / 200) - least)
    missed = [
        root.effects(unit).misses(truth, 0.05).mean() for unit in (of_one_error(bound, least, 200), of_three)
    ]
    assert missed[0] < 0.05 < 0.09 < missed[1]


def test_rmse_finds_a_gain_from_large_to_small_errors():
    """Which the slope as the unit never found."""
    kind, bound = Kind(Arm(0.025)), study.cap("normal")
    _, root, least = differences(*absolute(kind, 5, 200, 50, np.random.default_rng(3)), bound)
    half = root.effects(of_one_error(bound, least, 200)).half(0.05)
    assert np.mean(root.delta > half) > 0.9
    assert np.mean(root.delta > root.effects(bound**2 / (4 * least)).half(0.05)) == 0


def test_rows_are_named_apart_and_bad_seeds_alone_are_a_limit(monkeypatch):
    monkeypatch.setattr(study, "TRUTH", (10, 100))
    monkeypatch.setattr(study, "SEEDS", (3,))
    monkeypatch.setattr(study, "ITEMS", (50,))
    findings = list(study.study(Size(20, 1, 1, 1)))
    settings = [finding.setting for finding in findings]
    assert len(settings) == len(set(settings)) > 200
    assert {finding.setting.split(", K")[0] for finding in findings if finding.limit} == {
        "mae, one bad seed in ten",
        "rmse, one bad seed in ten",
    }
