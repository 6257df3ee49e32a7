"""Metrics that are no mean over items: against scikit-learn, numerically, and by the coverage of their
interval."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, roc_auc_score
from torch import from_numpy
from torchmetrics.functional.classification import multiclass_calibration_error

from store_fixture import edit, write_runs
from transferscope.comparison.compare import compare
from transferscope.comparison.scores import calibration_error, item_scores
from transferscope.statistics import influence
from transferscope.statistics.effect import estimate
from transferscope.tasks.metrics import judged_metrics


def reference(p, labels, metric, weights=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if metric == "macro_f1":
            return f1_score(
                labels, p.argmax(1), labels=np.unique(labels), average="macro", sample_weight=weights
            )
        if metric == "macro_precision":
            return precision_score(
                labels,
                p.argmax(1),
                labels=np.unique(labels),
                average="macro",
                zero_division=0,
                sample_weight=weights,
            )
        if metric == "balanced_accuracy":
            return balanced_accuracy_score(labels, p.argmax(1), sample_weight=weights)
        if p.shape[1] == 2:
            return roc_auc_score(labels, p[:, 1], sample_weight=weights)
        rows = [roc_auc_score(labels == c, p[:, c], sample_weight=weights) for c in np.unique(labels)]
        return float(np.mean(rows))


def predictions(rng, n, shares, skill=1.0, digits=2):
    """Probabilities [n, C] with many ties, labels [n] of these shares."""
    labels = rng.choice(len(shares), n, p=shares)
    logits = rng.normal(size=(n, len(shares)))
    logits[np.arange(n), labels] += skill
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.round(p, digits), labels


@pytest.mark.parametrize("metric", influence.METRICS)
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.85, 0.15], [0.5, 0.3, 0.15, 0.05], [0.6, 0.4, 0.0]])
def test_the_mean_is_the_metric_and_each_value_its_derivative(metric, shares):
    """ψ of an item − metric = n × the derivative of the metric by that item's weight."""
    p, labels = predictions(np.random.default_rng(3), 80, shares)
    psi = influence.values(p, labels, metric)
    value = reference(p, labels, metric)
    assert psi.mean() == pytest.approx(value, abs=1e-12)
    for item in range(0, 80, 7):
        weights = np.ones(80)
        weights[item] += 1e-5
        assert psi[item] - value == pytest.approx(
            80 * (reference(p, labels, metric, weights) - value) / 1e-5, abs=1e-2
        )


def test_auroc_of_three_classes_is_scikit_learns_one_against_the_rest():
    p, labels = predictions(np.random.default_rng(5), 200, [0.4, 0.3, 0.3], digits=8)
    p /= p.sum(1, keepdims=True)
    assert influence.values(p, labels, "auroc").mean() == pytest.approx(
        roc_auc_score(labels, p, multi_class="ovr")
    )


def test_macro_precision_by_hand():
    """Classes of 2, 2, 1 items, one more without any; the third is never named, the fourth wrongly."""
    labels, predicted = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 3, 1])
    psi = influence.values(np.eye(4)[predicted], labels, "macro_precision")
    mean = (1 + 1 / 3 + 0) / 3
    # of items named 1, on 3 of 5: (1[y = 1] − 1/3) / (3/5), over three classes
    assert psi == pytest.approx([mean, mean - 5 / 27, mean + 10 / 27, mean, mean - 5 / 27])
    assert psi.mean() == pytest.approx(mean) == reference(np.eye(4)[predicted], labels, "macro_precision")
    assert influence.fewest_named(np.eye(4)[predicted], labels) == 0


def test_what_a_changed_item_makes_of_precision_goes_by_how_rarely_a_class_is_named():
    labels = np.repeat([0, 1, 2, 3], 25)
    assert influence.of_one_change(labels, [np.array([25, 25])]) == 1
    assert influence.of_one_change(labels, [np.array([25, 25]), np.array([5, 10])]) == pytest.approx(
        25 * 0.15
    )
    assert influence.of_one_change(labels, [np.array([0, 0])]) == 25  # one item more, and P is 0 or 1


@pytest.mark.parametrize("metric", influence.METRICS)
def test_groups_of_unequal_size_keep_the_metric(metric):
    rng = np.random.default_rng(7)
    p, labels = predictions(rng, 90, [0.7, 0.3])
    groups = rng.choice(["a", "b", "c", "d", "e"], 90, p=[0.5, 0.2, 0.1, 0.1, 0.1])
    psi = influence.values(p, labels, metric, groups)
    assert np.mean([psi[groups == name].mean() for name in "abcde"]) == pytest.approx(
        reference(p, labels, metric)
    )


@pytest.mark.parametrize("metric", influence.METRICS)
def test_coverage_of_the_interval(metric):
    """Two arms of equal skill on fresh seeds and items: the true difference is 0."""
    rng, draws, n, misses = np.random.default_rng(11), 300, 150, 0
    labels = np.repeat([0, 1, 2], [90, 40, 20])
    for _ in range(draws):
        item, d, named = rng.normal(size=(n, 3)), [], []
        for _ in range(4):
            arms = []
            persistent = rng.normal(scale=0.3)
            for _ in range(2):
                logits = item + rng.normal(scale=0.5, size=(n, 3))
                logits[np.arange(n), labels] += 1.2 + persistent + rng.normal(scale=0.2)
                p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
                arms.append(influence.values(p, labels, metric))
                named.append(influence.fewest_named(p, labels))
            d.append(arms[0] - arms[1])
        change = influence.of_one_change(
            labels, np.reshape(named, (4, 2)).T if metric in influence.OF_NAMED else []
        )
        low, high = estimate(np.array(d), **{influence.SCALES[metric]: change}).interval(0.05)
        misses += not low <= 0 <= high
    assert misses / draws <= 0.05 * 1.25 + 3 * (0.05 * 0.95 / draws) ** 0.5


def test_arms_that_never_differ_on_few_items_are_not_certain():
    for n, shares in ((50, 1.0), (1000, 50.0)):  # balanced; two classes, the smaller one of 1 %
        assert (
            min(estimate(np.zeros((5, n)), **{scale: shares}).half(0.05) for scale in ("unit", "influence"))
            > 0.05
        )
    assert influence.of_one_change(np.repeat([0, 1], [990, 10])) == 50
    assert influence.of_one_change(np.tile([0, 1, 2, 3], 25)) == 1


@pytest.mark.parametrize("metric", influence.METRICS)
def test_guessing_scores_what_guessing_scores(metric):
    rng, labels = np.random.default_rng(13), np.repeat([0, 1, 2], [6000, 3000, 1000])
    guesses = rng.dirichlet(np.ones(3), len(labels))
    assert influence.at_chance(labels, 3, metric) == pytest.approx(
        influence.values(guesses, labels, metric).mean(), abs=0.02
    )


@pytest.mark.parametrize("metric", judged_metrics("classification"))
def test_every_metric_is_compared(tmp_path, metric):
    write_runs(tmp_path, "scratch", 0.0, classes=2, item_effect=0.0)
    tuned = write_runs(tmp_path, "fine_tuning", 2.5, classes=2, item_effect=0.0)
    (cell,) = compare(tmp_path, metric=metric)
    assert cell.verdict == "positive" and cell.ci[0] < cell.delta < cell.ci[1]
    values = []
    for job in tuned:
        with np.load(tmp_path / job["fingerprint"] / "evaluations.npz") as members:
            p, labels = members["handwritten/test/probabilities/000300"], members["handwritten/test/labels"]
            values.append(
                reference(p, labels, metric)
                if metric in influence.METRICS
                else item_scores(p, labels, metric).mean()
            )
    assert cell.strategy_score == pytest.approx(np.mean(values))


def test_a_class_that_one_run_never_names_leaves_precision_undecided(tmp_path):
    """The other runs alone would be far better than the baseline's, which guess."""
    here = {"item_effect": 0.0, "classes": 2}
    write_runs(tmp_path, "scratch", 0.0, **here)
    never, *_ = write_runs(tmp_path, "fine_tuning", 2.5, **here)
    (before,) = compare(tmp_path, metric="macro_precision")
    assert before.verdict == "positive" and "is named on" not in str(before.flags)
    edit(
        tmp_path,
        never["fingerprint"],
        lambda members: members["handwritten/test/probabilities/000300"].__setitem__(slice(None), [0.9, 0.1]),
    )
    (after,) = compare(tmp_path, metric="macro_precision")
    assert after.verdict == "undecided"
    assert "a class is named on 0 items in some run: its precision is hardly known" in after.flags


def test_a_metric_without_a_value_is_listed(tmp_path):
    for job in write_runs(tmp_path, "scratch", 0.0, classes=2) + write_runs(
        tmp_path, "fine_tuning", 1.0, classes=2
    ):
        edit(tmp_path, job["fingerprint"], lambda members: members["handwritten/test/labels"].fill(1))
    comparison = compare(tmp_path, metric="auroc")
    assert len(comparison) == 0
    assert [row["reason"] for row in comparison.missing] == ["auroc: all test items are of one class"]


def test_a_run_without_a_finite_evaluation_scores_chance(tmp_path):
    write_runs(tmp_path, "scratch", 0.5)
    for job in write_runs(tmp_path, "fine_tuning", 1.0):
        edit(
            tmp_path,
            job["fingerprint"],
            lambda members: [m.fill(np.nan) for name, m in members.items() if "test/probabilities" in name],
        )
    (cell,) = compare(tmp_path, metric="auroc")
    assert cell.strategy_score == pytest.approx(0.5) and cell.strategy_ece is None and cell.baseline_ece > 0


def test_few_items_in_a_class_are_stamped_and_never_equivalent(tmp_path):
    """10 classes of 9 items; arms that never differ."""
    here = {"item_effect": 0.0, "seed_effect": 0.0, "n": 90}
    jobs = [write_runs(tmp_path, strategy, 3.0, **here) for strategy in ("scratch", "fine_tuning")]
    with np.load(tmp_path / jobs[0][0]["fingerprint"] / "evaluations.npz") as members:
        same = {name: members[name] for name in members.files if "test/prob" in name}
    for job in sum(jobs, []):
        edit(tmp_path, job["fingerprint"], lambda members: members.update(same))
    for metric in ("macro_f1", "accuracy"):
        (cell,) = compare(tmp_path, metric=metric, margin=0.5)
        assert (cell.delta, cell.verdict) == (0.0, "undecided") and "few items" in cell.flags


def test_calibration_error_is_torchmetrics(tmp_path):
    p, labels = predictions(np.random.default_rng(17), 400, [0.4, 0.3, 0.3], digits=3)
    p /= p.sum(1, keepdims=True)
    expected = float(multiclass_calibration_error(from_numpy(p), from_numpy(labels), 3, n_bins=15))
    assert calibration_error(p, labels) == pytest.approx(expected, abs=1e-6)
    write_runs(tmp_path, "scratch", 0.5)
    write_runs(tmp_path, "fine_tuning", 1.0)
    comparison = compare(tmp_path, metric="nll")
    shown = f"{comparison.cells[0].strategy_ece:.3f} vs {comparison.cells[0].baseline_ece:.3f}"
    assert shown in comparison.to_table() and "ECE" not in compare(tmp_path).to_table()
