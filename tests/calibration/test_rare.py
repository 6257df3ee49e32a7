"""The studies of rare differences, real-valued scores and bad seeds in small: their truths are true, and what
is known to fail fails there."""

import numpy as np
import pytest

from transferscope.calibration import (
    bad_seeds,
    influence_kinds,
    kinds,
    metrics,
    null_families,
    rarely_named,
    scores,
)
from transferscope.calibration.discordance import Kind
from transferscope.calibration.findings import Size, most_errors
from transferscope.calibration.many import Layout
from transferscope.calibration.tally import held_against


def test_a_rare_lasting_gain_is_inside_where_the_interval_without_pseudo_items_is_not():
    drawn = kinds.drawn("test", Kind((0.01, 0.0), (0.005, 0.005)), 10, 200, 5_000)
    findings = list(held_against("kinds", "test", drawn, 0.01))
    assert all(finding.ok for finding in findings)
    assert all(finding.detail["plain interval"] > 1.5 * finding.detail["bar"] for finding in findings)
    assert findings[0].detail["told"] > 0.005 > findings[0].detail["opposite sign"]


def test_equivalent_at_the_margin():
    (effects,) = (
        sums.effects() for sums in kinds.drawn("test", kinds.AT_THE_MARGIN["lasting gain"], 5, 1000, 5_000)
    )
    assert 0 < kinds.equivalent(effects, 0.05).mean() <= most_errors(0.025, 5_000)


@pytest.mark.parametrize("name", scores.SCORES)
def test_items_that_fail_for_good_are_made_up_for(name):
    rng, score = np.random.default_rng(1), scores.SCORES[name]
    d = scores.null(score, 0.02, 4, 500, 400, rng)
    means = d.mean(axis=(1, 2), dtype=float)
    assert means.mean() == pytest.approx(0.0, abs=4 * means.std() / len(means) ** 0.5)
    assert np.abs(d).max() <= 2 * score.unit * (1 + 1e-6) or not score.has_bound
    assert scores.gain_for(score, 0.0) == 0.0


def test_false_signs_of_log_likelihoods():
    rng, score = np.random.default_rng(2), scores.SCORES["nll"]
    sums = [Layout(scores.null(score, 0.02, 5, 50, 2_000, rng)).sums]
    finding = next(held_against("scores", "nll", sums, 0.0, score.unit))
    assert finding.ok and finding.detail["plain interval"] > 0.3


def test_sums_with_a_gaussian_rest_are_those_of_full_layouts():
    rng, (draws, seeds, items) = np.random.default_rng(3), (4_000, 4, 30)
    item, seed = rng.exponential(size=(draws, items)), 0.2 * rng.standard_normal((draws, seeds))
    found = scores.with_gaussian_rest(item, seed, 0.5, rng)
    full = Layout(item[:, None] + seed[:, :, None] + 0.5 * rng.standard_normal((draws, seeds, items))).sums
    for some, others in zip(found.mean_squares()[:3], full.mean_squares()[:3], strict=True):
        assert some.mean() == pytest.approx(others.mean(), rel=0.05)
        assert some.std() == pytest.approx(others.std(), rel=0.1)
    assert found.delta.std() == pytest.approx(full.delta.std(), rel=0.05)
    assert found.columns.mean(axis=1) == pytest.approx(full.columns.mean(axis=1), rel=0.05)


def test_a_decision_does_not_depend_on_the_unit():
    assert scores.in_three_units("nll", 0.005, 200).measured == 0


def test_rare_bad_seeds_are_a_limit():
    *_, name = bad_seeds.KINDS
    finding = next(
        held_against(
            "bad_seeds", name, [bad_seeds.sums(name, 5, 1_000, np.random.default_rng(4))], -0.012, limit=True
        )
    )
    assert finding.limit and not finding.ok
    assert finding.detail["opposite sign"] == pytest.approx(0.59, abs=0.05)


@pytest.mark.parametrize("kind", influence_kinds.kinds(0.02))
def test_truths_of_influence_values(kind):
    rng, arms = np.random.default_rng(5), influence_kinds.kinds(0.05)[kind]
    shares = np.r_[0.28, np.full(influence_kinds.CLASSES - 1, 0.08)]
    differences, _ = influence_kinds.classified(arms, shares, 4, 1000, 100, rng)
    truth = {metric: influence_kinds.worth(metric, arms, shares) for metric in differences}
    ranked, _ = influence_kinds.ranked(arms, 0.3, 4, 500, 100, rng)
    for metric, d in (differences | ranked).items():
        means = d.mean(axis=(1, 2))
        expected = truth.get(metric, influence_kinds.area(arms[0]) - influence_kinds.area(arms[1]))
        assert means.mean() == pytest.approx(expected, abs=4 * means.std() / 10)


def test_items_that_auroc_loses_for_good():
    """As a tenth of the largest change, which the first edition took for the unit of AUROC, is far too
    small."""
    kind, arms = "null: lasting loss, diffuse gain", influence_kinds.kinds(0.003)
    rng = np.random.default_rng(6)
    d, change = influence_kinds.ranked(arms[kind], 0.5, 10, 500, 300, rng)
    sums, unit = Layout(d["auroc"]).sums, change["auroc"]
    assert sums.effects(unit=unit).misses(0.0, 0.05).mean() <= most_errors(0.05, 300)
    assert sums.effects(unit=0.1 * unit).misses(0.0, 0.05).mean() > 0.15


@pytest.mark.parametrize(
    "name", [name for name in rarely_named.KINDS if "on 20 items" in name or "null" in name]
)
def test_truths_of_rarely_named_classes(name):
    """Where a class is named on enough items for its share not to be 0 by chance."""
    rng, kind = np.random.default_rng(7), rarely_named.KINDS[name]
    d, _ = influence_kinds.differences(
        *rarely_named.answered(kind, 3, 0.3, seeds=4, items=200, draws=200, rng=rng)
    )
    for metric in metrics.INFLUENCE:
        means = d[metric].mean(axis=(1, 2))
        expected = rarely_named.worth(metric, kind, 3, 200)
        assert means.mean() == pytest.approx(expected, abs=4 * means.std() / len(means) ** 0.5), metric


def test_a_class_that_is_hardly_named_is_no_certainty():
    """What one changed item of the smallest class makes of a difference, right for macro-F1, is far too
    small."""
    rng, kind = np.random.default_rng(8), rarely_named.Kind(rarely_named.Naming(2, 0.5))
    d, change = influence_kinds.differences(
        *rarely_named.answered(kind, 3, 0.95, seeds=10, items=200, draws=300, rng=rng)
    )
    sums, truth = Layout(d["macro_precision"]).sums, rarely_named.worth("macro_precision", kind, 3, 200)
    missed = {
        metric: sums.effects(influence=change[metric]).misses(truth, 0.05).mean()
        for metric in ("macro_precision", "macro_f1")
    }
    assert missed["macro_precision"] <= most_errors(0.05, 300) < 0.3 < missed["macro_f1"]


def test_families_under_both_corrections_and_looks():
    setting, truth = "test", np.resize(null_families.GAINS, 6)
    arms = [Kind((0.005 + gain, 0.005), (0.01, 0.01)) for gain in truth]
    findings = list(
        null_families.errors(setting, null_families.independent(arms, 5, 2000, 100, setting), truth)
    )
    assert all(finding.ok for finding in findings) and len(findings) == 4
    assert (
        findings[0].detail["differences found"] > 0.5 and 0.1 < findings[0].detail["equivalences found"] < 0.9
    )
    looks = null_families.looked_at(12, 5000, 40)
    assert (
        looks.ok and looks.detail["one count"] >= looks.measured and looks.detail["equivalences found"] > 0.9
    )


@pytest.mark.parametrize("study", [kinds, bad_seeds])
def test_each_study_names_its_rows_apart(study):
    settings = [finding.setting for finding in study.study(Size(10, 1, 1, 1))]
    assert len(settings) == len(set(settings)) > 30
