"""The naive predictor: one constant answer from the classes of the labelled items."""

import html
import json
import re

import numpy as np
import pytest

from store_fixture import accuracy, write_plan, write_run, write_runs
from transferscope.cli import compare as command
from transferscope.comparison import naive
from transferscope.comparison.baselines import parse
from transferscope.comparison.compare import compare
from transferscope.comparison.scores import NotSelectable
from transferscope.errors import RequestError
from transferscope.report.page import render
from transferscope.tasks.metrics import judged_metrics

LABELS = np.array([0, 0, 0, 1, 1, 2])  # shares of 1/2, 1/3 and 1/6
ONE_FOLD = np.zeros(6, int)


def mean_score(counts, metric, labels=LABELS, **more):
    return naive.item_scores([counts], np.zeros(len(labels), int), labels, metric, **more).mean()


@pytest.mark.parametrize(
    ("counts", "metric", "expected"),
    [
        ([5, 3, 2], "accuracy", 1 / 2),
        ([4, 4, 2], "accuracy", (1 / 2 + 1 / 3) / 2),
        ([1, 1, 1], "accuracy", 1 / 3),
        ([5, 3, 2], "balanced_accuracy", 1 / 3),  # recalls of 1, 0, 0
        ([1, 1, 1], "balanced_accuracy", 1 / 3),
        # F1 of the class told, none of the two others
        ([5, 3, 2], "macro_f1", 2 * (1 / 2) / (1 / 2 + 1) / 3),
        ([5, 3, 5], "macro_f1", (2 * (1 / 2) / (1 / 2 + 1) + 2 * (1 / 6) / (1 / 6 + 1)) / 2 / 3),
        ([5, 3, 2], "macro_precision", (1 / 2) / 3),
        ([5, 3, 5], "macro_precision", (1 / 2 + 1 / 6) / 2 / 3),
        ([5, 3, 2], "auroc", 1 / 2),
        ([5, 3, 2], "nll", (3 * np.log(0.5) + 2 * np.log(0.3) + np.log(0.2)) / 6),
        # a class never seen: clipped as any run's
        ([8, 2, 0], "nll", (3 * np.log(0.8) + 2 * np.log(0.2) + np.log(1e-3)) / 6),
        (
            [5, 3, 2],
            "brier",
            -(3 * (0.25 + 0.09 + 0.04) + 2 * (0.25 + 0.49 + 0.04) + (0.25 + 0.09 + 0.64)) / 6,
        ),
    ],
)
def test_the_score_is_the_one_computed_by_hand(counts, metric, expected):
    assert mean_score(counts, metric) == pytest.approx(expected)


def test_each_item_has_its_own_score():
    assert naive.item_scores([[4, 4, 2]], ONE_FOLD, LABELS, "accuracy").tolist() == [0.5] * 5 + [0.0]
    influence = naive.item_scores([[5, 3, 2]], ONE_FOLD, LABELS, "macro_f1")
    # one more item of the class told raises its F1, any other lowers it
    assert influence[0] > influence[3] == influence[5]
    assert np.ptp(naive.item_scores([[5, 3, 2]], ONE_FOLD, LABELS, "balanced_accuracy")) == pytest.approx(0)


def test_a_class_told_that_has_no_test_item_scores_nothing():
    labels = np.array([0, 0, 1, 1])
    assert mean_score([1, 1, 8], "accuracy", labels) == 0
    assert (
        mean_score([1, 1, 8], "macro_f1", labels) == mean_score([1, 1, 8], "balanced_accuracy", labels) == 0
    )
    # F1 2/3 of two classes, in one of two ties
    assert mean_score([8, 1, 8], "macro_f1", labels) == pytest.approx((2 / 3 / 2 + 0) / 2)


@pytest.mark.parametrize(
    "metric", ["accuracy", "macro_f1", "balanced_accuracy", "macro_precision", "nll", "brier"]
)
@pytest.mark.parametrize("counts", [[5, 3, 2, 0], [1, 1, 1, 1], [3, 0, 3, 1]])
def test_it_is_what_runs_that_always_answer_so_score(metric, counts):
    """Of every tied class one run, their mean; groups as well."""
    from transferscope.comparison.scores import item_scores

    labels, groups = np.array([0, 0, 0, 1, 1, 2]), np.array(["a", "a", "b", "b", "c", "c"])
    if metric in ("nll", "brier"):
        runs = [np.array(counts) / sum(counts)]
    else:
        runs = [np.eye(4)[c] for c in range(4) if counts[c] == max(counts)]
    expected = np.mean([item_scores(np.tile(p, (6, 1)), labels, metric, groups) for p in runs], axis=0)
    assert naive.item_scores([counts], ONE_FOLD, labels, metric, groups) == pytest.approx(expected)


def test_every_fold_has_its_own_answer():
    fold = np.array([0, 0, 0, 1, 1, 1])
    assert naive.item_scores([[2, 1, 1], [1, 2, 1]], fold, LABELS, "accuracy").tolist() == [1, 1, 1, 1, 1, 0]
    nll = naive.item_scores([[2, 1, 1], [1, 2, 1]], fold, LABELS, "nll")
    assert nll == pytest.approx(np.log([0.5, 0.5, 0.5, 0.5, 0.5, 0.25]))
    tied = naive.item_scores([[1, 1, 1], [1, 1, 1]], fold, LABELS, "macro_f1")
    # ties are broken alike in all folds
    assert tied == pytest.approx(naive.item_scores([[1, 1, 1]], ONE_FOLD, LABELS, "macro_f1"))
    mixed = naive.item_scores([[1, 1, 0], [2, 1, 1]], fold, LABELS, "accuracy")
    assert mixed.tolist() == [0.5, 0.5, 0.5, 0, 0, 0]
    assert naive.item_scores([[1, 1, 0], [1, 1, 1]], fold, LABELS, "accuracy") == pytest.approx(
        [1 / 2] * 3 + [1 / 3] * 3
    )


# --- the labels it learns from

CLASSES = np.array(["cat", "dog", "cow"])
EVERY = {"target_labels", "source_labels", "source_inputs"}


def record(budget, sees=EVERY, **counts):
    return {
        "cell": {"label_budget": budget},
        "sees": sorted(sees),
        "result": {"class_counts": counts} if counts else {},
    }


def test_the_labels_are_the_targets_and_without_these_the_sources():
    counts = {"target": {"dog": 1, "cat": 4, "cow": 2}, "source": {"cat": 7, "dog": 8, "cow": 9}}
    found = {budget: naive.class_counts(record(budget, **counts), CLASSES) for budget in (2, "full", 0, None)}
    assert found == {2: [1, 1, 1], "full": [4, 1, 2], 0: [7, 8, 9], None: [7, 8, 9]}
    assert naive.class_counts(record(5), CLASSES) == [1, 1, 1]  # an older record of k a class


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (
            record("full"),
            r"naive: not told: the record does not say the class shares \(made by an earlier version\)",
        ),
        (record(0), "not told"),
        (record("full", source={"cat": 1, "dog": 1, "cow": 1}), "not told"),
        (
            record(0, {"source_inputs", "target_inputs"}, source={"cat": 1, "dog": 1, "cow": 1}),
            "no label reaches the run",
        ),
        (
            record(0, source={"cat": 1, "dog": 1, "fish": 1}),
            "the source's classes are not those of the test items",
        ),
        (record(0, source={"cat": 1, "dog": 1}), "the source's classes are not those of the test items"),
        (record("full", target={"cat": -1, "dog": 3, "cow": 1}), "class counts are no counts"),
        (record("full", target={"cat": 0, "dog": 0, "cow": 0}), "class counts are no counts"),
    ],
)
def test_what_is_not_known_is_said(entry, why):
    with pytest.raises(NotSelectable, match=why):
        naive.class_counts(entry, CLASSES)


def test_counts_beyond_any_number_are_shares_all_the_same():
    huge = naive.class_counts(record("full", target={"cat": 10**400, "dog": 10**400, "cow": 0}), CLASSES)
    assert mean_score(huge, "accuracy") == pytest.approx(5 / 12) and np.isfinite(mean_score(huge, "nll"))


# --- the command


def even(of=50):
    return {f"class{c}": of for c in range(10)}


def test_every_arm_is_held_against_it_without_a_run_of_it(tmp_path):
    jobs = write_runs(tmp_path, "scratch", 0.3)
    jobs += write_runs(tmp_path, "fine_tuning", 1.5, initialisation="source")
    jobs += write_runs(tmp_path, "dann", -9.0)
    jobs += write_runs(tmp_path, "source_only", 0.5, class_counts={"source": even()})
    write_plan(tmp_path, "one", jobs)
    comparison = compare(tmp_path, baseline="naive")
    cells = {cell.strategy: cell for cell in comparison}
    assert {name: (cell.label_budget, cell.verdict) for name, cell in cells.items()} == {
        "scratch": (10, "positive"), "fine_tuning": (10, "positive"), "dann": (10, "negative"),
        "source_only": (None, "positive"),
    }  # fmt: skip
    for cell in comparison:
        assert cell.baseline_score == pytest.approx(0.1) and cell.delta == pytest.approx(
            cell.strategy_score - 0.1
        )
        assert (cell.baseline_collapsed, cell.family) == (0, "one/handwritten/naive/accuracy/inductive")
        assert not any("baseline" in flag for flag in cell.flags)
        assert (cell.seeds, cell.baseline, cell.regret.keys()) == (5, "naive", {"strategy"})
    by_hand = np.mean([accuracy(tmp_path, job["fingerprint"]) for job in jobs[:5]])
    assert cells["scratch"].strategy_score == pytest.approx(by_hand)
    text = " ".join(comparison.to_table(80).split())
    assert (
        "Against naive, learning helps in 3 cells, hurts in 1, makes no difference" in text
        and "negative transfer" not in text
    )


@pytest.mark.parametrize("metric", judged_metrics("classification"))
def test_every_metric_has_its_naive_score_and_a_page(tmp_path, metric):
    write_runs(tmp_path, "scratch", 0.9, group_size=4)
    (cell,) = comparison = compare(tmp_path, baseline="naive", metric=metric)
    assert cell.verdict == "positive"
    by_hand = {
        "macro_f1": 2 * 0.1 / 1.1 / 10,
        "macro_precision": 0.1 / 10,
        "auroc": 0.5,
        "nll": np.log(0.1),
        "brier": -0.9,
    }.get(metric, 0.1)
    assert cell.baseline_score == pytest.approx(by_hand)
    page = html.unescape(re.sub("<[^>]+>", " ", render(comparison)))
    assert (
        "Against one constant answer from the labelled items' classes, learning helps in 1 of 1 cell" in page
    )
    assert (
        "Where it hurts: negative transfer" not in page
        and "class9" in page
        and "nan" not in page.lower().split()
    )


def test_with_all_labels_or_none_the_record_tells_the_shares_and_the_test_labels_do_not(tmp_path):
    uneven = even(10) | {"class3": 30, "class7": 80}
    write_runs(tmp_path, "scratch", 0.3, label_budget="full", class_counts={"target": uneven})
    write_runs(tmp_path, "dann", 0.3, label_budget=None, class_counts={"source": uneven}, target="faxes")
    by_metric = {
        metric: compare(tmp_path, baseline="naive", metric=metric).cells
        for metric in ("nll", "brier", "accuracy")
    }
    shares = np.array(list(uneven.values())) / 190
    for cells in zip(*by_metric.values(), strict=True):
        nll, brier, right = (cell.baseline_score for cell in cells)
        # the fixture's test items are evenly spread over the classes
        assert nll == pytest.approx(np.log(shares).mean())
        assert brier == pytest.approx(-(1 - 2 * shares.mean() + (shares**2).sum()))
        assert right == pytest.approx(0.1)


def test_records_of_an_earlier_version_are_missing_where_the_shares_are_not_known(tmp_path):
    write_runs(tmp_path, "scratch", 0.3, seeds=2)
    write_runs(tmp_path, "scratch", 0.9, seeds=2, label_budget="full")
    write_runs(tmp_path, "source_only", 0.3, seeds=2)
    comparison = compare(tmp_path, baseline="naive")
    assert [cell.label_budget for cell in comparison] == [10] and comparison.cells[0].family_size == 3
    why = "naive: not told: the record does not say the class shares (made by an earlier version)"
    missing = {(row["strategy"], row["label_budget"], row["reason"]) for row in comparison.missing}
    assert missing == {("scratch", "full", why), ("source_only", None, why)}
    assert why in " ".join(comparison.to_table(200).split()) and why in comparison.to_json()


@pytest.mark.parametrize("counts", ["many", {"target": ["class0"]}, {"target": {"class0": 0.5}}])
def test_counts_that_are_none_make_a_record_unreadable(tmp_path, counts):
    write_runs(tmp_path, "scratch", 0.3, seeds=2, label_budget="full", class_counts=counts)
    comparison = compare(tmp_path, baseline="naive")
    assert not comparison.cells and len(comparison.failed) == 2
    assert all("not a run record: 'result.class_counts" in row["reason"] for row in comparison.failed)


def test_other_classes_in_the_source_are_said_in_one_line(tmp_path, capsys):
    write_runs(tmp_path, "source_only", 0.3, class_counts={"source": {"a": 3, "b": 4}})
    assert command.main([str(tmp_path), "--baseline", "naive", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["cells"] == [] and {row["reason"] for row in answer["missing"]} == {
        "naive: the source's classes are not those of the test items, of which its class shares say nothing"
    }


def test_one_seed_and_one_deterministic_run(tmp_path):
    write_run(tmp_path, "knn", 0, 1.0, deterministic=True)
    write_run(tmp_path, "scratch", 0, 1.0)
    cells = {cell.strategy: cell for cell in compare(tmp_path, baseline="naive")}
    assert (cells["scratch"].verdict, cells["scratch"].reason[:8]) == ("undecided", "one seed")
    assert cells["knn"].verdict == "positive" and "training_set" in cells["knn"].conditional_on


def test_a_run_that_cannot_be_read_leaves_the_others(tmp_path):
    jobs = write_runs(tmp_path, "scratch", 1.0, seeds=3)
    write_plan(tmp_path, "three", jobs)
    (tmp_path / jobs[1]["fingerprint"] / "evaluations.npz").write_bytes(b"")
    comparison = compare(tmp_path, baseline="naive")
    assert [cell.seeds for cell in comparison] == [2] and [row["status"] for row in comparison.failed] == [
        "unreadable"
    ]
    for job in jobs:
        (tmp_path / job["fingerprint"] / "evaluations.npz").write_bytes(b"")
    assert [row["reason"] for row in compare(tmp_path, baseline="naive").missing] == [
        "no readable run of the cell"
    ]


def test_it_has_no_settings():
    with pytest.raises(
        RequestError,
        match="--baseline naive:trainer.steps=3: the naive predictor has no settings; give --baseline naive",
    ):
        parse("naive:trainer.steps=3")
