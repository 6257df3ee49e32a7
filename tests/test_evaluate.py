"""From probabilities to metrics, statuses and members of evaluations.npz."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    precision_score,
)

from transferscope.comparison.scores import calibration_error
from transferscope.data.splits import EvaluationSet
from transferscope.tasks.classification import Classification, by_class
from transferscope.tasks.metrics import METRICS, judged_metrics
from transferscope.training import evaluate
from transferscope.training.settings import FitResult

TASK = Classification(("a", "b", "c"))


def evaluated(labels: list[int], groups: list[str] | None = None) -> EvaluationSet:
    ids = np.asarray([f"item-{number}" for number in range(len(labels))])
    inputs = torch.zeros(len(labels), 1)
    return EvaluationSet(
        inputs, torch.tensor(labels), ids, ("a", "b", "c"), None if groups is None else np.asarray(groups)
    )


def outcome(*evaluations: torch.Tensor) -> FitResult:
    steps = range(0, 10 * len(evaluations), 10)
    rows = [{"step": step, "seconds": 0.0} for step in steps]
    return FitResult(predictions={"toy/test": dict(zip(steps, evaluations, strict=True))}, history=rows)


def one_hot(*predicted: int) -> torch.Tensor:
    return torch.eye(3)[list(predicted)]


def test_scores_by_hand():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.4, 0.5, 0.1]])
    scores = TASK.scores(p, torch.tensor([0, 1, 2, 0]))
    assert scores["accuracy"] == 0.5
    assert scores["balanced_accuracy"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert scores["macro_f1"] == pytest.approx((0.5 + 0 + 1) / 3)  # class a: precision 1/2, recall 1/2
    assert scores["nll"] == pytest.approx(-np.log([0.7, 0.3, 0.8, 0.4]).mean())
    brier = np.mean([0.09 + 0.04 + 0.01, 0.36 + 0.49 + 0.01, 0.01 + 0.01 + 0.04, 0.36 + 0.25 + 0.01])
    assert scores["brier"] == pytest.approx(brier)
    assert scores["ece"] == pytest.approx((0.3 + 0.6 + 0.2 + 0.5) / 4)  # each item in a bin of its own


def test_scores_agree_with_scikit_learn():
    draw = np.random.default_rng(0)
    p, labels = draw.dirichlet(np.ones(4), size=200).astype(np.float32), draw.integers(4, size=200)
    scores, predicted = TASK.scores(torch.from_numpy(p), torch.from_numpy(labels)), p.argmax(1)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    p = p.astype(float) / p.sum(1, dtype=float, keepdims=True)
    assert scores["nll"] == pytest.approx(log_loss(labels, p), rel=1e-5)
    assert scores["brier"] == pytest.approx(brier_score_loss(labels, p, scale_by_half=False), rel=1e-5)


def test_precision_recall_f1_and_support_agree_with_scikit_learn():
    draw = np.random.default_rng(0)
    p, labels = draw.dirichlet(np.ones(4), 60), draw.integers(0, 3, 60)  # no item of the fourth class
    p[:, 1] = 0  # which is never predicted
    found = by_class(torch.from_numpy(p), torch.from_numpy(labels))
    expected = precision_recall_fscore_support(labels, p.argmax(1), labels=range(4), zero_division=0)
    assert found["precision"] == pytest.approx(expected[0]) and found["precision"][1] == 0
    for name, values in (("recall", expected[1]), ("f1", expected[2])):
        assert found[name][:3] == pytest.approx(values[:3]) and found[name][3] is None
    assert found["support"] == expected[3].tolist()
    of_three = precision_score(labels, p.argmax(1), labels=range(3), average="macro", zero_division=0)
    recorded = TASK.scores(torch.from_numpy(p), torch.from_numpy(labels))
    assert recorded["macro_precision"] == pytest.approx(of_three)


@pytest.mark.parametrize("absent", [None, 2])
def test_what_is_recorded_is_what_compare_judges(absent):
    """Also where a class is predicted that has no test item: it is in no mean over classes."""
    draw = np.random.default_rng(1)
    p = draw.dirichlet(np.ones(4), size=200).astype(np.float32)
    labels = draw.choice([c for c in range(4) if c != absent], size=200)
    recorded, predicted = TASK.scores(torch.from_numpy(p), torch.from_numpy(labels)), p.argmax(1)
    assert 2 in predicted
    for name in judged_metrics("classification"):
        if name in recorded:
            judged = METRICS[name].per_item(p, labels, None).mean() * (-1 if METRICS[name].is_loss else 1)
            assert recorded[name] == pytest.approx(judged, rel=1e-5), name
    assert recorded["ece"] == pytest.approx(calibration_error(p, labels), rel=1e-5)
    assert recorded["macro_f1"] == pytest.approx(
        f1_score(labels, predicted, average="macro", labels=np.unique(labels))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert recorded["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_an_impossible_item_does_not_make_nll_infinite():
    assert TASK.scores(one_hot(0, 1), torch.tensor([0, 2]))["nll"] == pytest.approx(
        -(np.log(1e-3) + np.log(0.999)) / 2, rel=1e-5
    )


def test_metrics_are_of_the_last_finite_evaluation_and_accuracy_of_each_goes_into_the_history():
    items = {"toy/test": evaluated([0, 1, 2, 2])}
    result = outcome(one_hot(0, 0, 0, 0), one_hot(0, 1, 2, 0), torch.full((4, 3), torch.nan))
    assert evaluate.metrics(result, items, TASK)["toy/test/accuracy"] == 0.75
    assert [row["toy/test/accuracy"] for row in result.history][:2] == [0.25, 0.75]


def test_a_set_that_was_never_finite_has_no_metric():
    assert (
        evaluate.metrics(outcome(torch.full((2, 3), torch.nan)), {"toy/test": evaluated([0, 1])}, TASK) == {}
    )


LABELS = [0, 1, 2] * 40


@pytest.mark.parametrize(
    ("predicted", "labels", "word"),
    [
        ([1] * 120, LABELS, "constant predictor: one class for 100%"),
        ([1] * 119 + [2], LABELS, "constant predictor: one class for 99%"),
        ([1, 2, 0] * 40, LABELS, "chance-level predictor: test accuracy 0.000 with 3 classes"),
        # chance + 2 standard errors is 0.419
        ([0, 1, 2] * 14 + [1, 2, 0] * 26, LABELS, "chance-level predictor: test accuracy 0.350"),
        ([0, 1, 2] * 20 + [1, 2, 0] * 20, LABELS, ""),
        ([1] * 100 + [2] * 20, LABELS, "chance-level"),  # 100 of 120 one class: not constant
        ([0] * 100, [0] * 100, ""),  # one class is all there is
        ([0] * 90, [0] * 60 + [1] * 15 + [2] * 15, "constant"),
        # of a class that is most of the items many are right by chance, which balanced accuracy allows for
        ([0] * 60 + [1] * 30, [0] * 80 + [1] * 10, ""),
        ([0] * 50 + [1] * 50, [0, 0, 0, 1] * 25, "chance-level predictor: balanced test accuracy 0.513"),
        ([1] * 30 + [0] * 70, [1] * 25 + [0] * 5 + [0] * 60 + [1] * 10, ""),
        ([0] * 80 + [1, 0] * 10, [0] * 80 + [1] * 10 + [2] * 10, ""),
    ],
)
def test_collapse(predicted, labels, word):
    p = outcome(one_hot(*labels), one_hot(*predicted))
    reason = evaluate.collapse(p, "toy/test", torch.tensor(labels), TASK)
    assert reason.startswith(word) and bool(reason) == bool(word)


@pytest.mark.parametrize(
    ("right", "word"), [(0, ""), (39, ""), (41, "chance-level"), (59, "chance-level"), (61, "")]
)
def test_of_two_classes_being_reversed_is_harm_and_no_collapse(right, word):
    """100 items: two standard errors about chance are 40 to 60 %."""
    labels = [0, 1] * 50
    predicted = [label if k < right else 1 - label for k, label in enumerate(labels)]
    given = torch.nn.functional.one_hot(torch.tensor(predicted), 2).float()
    p = FitResult(predictions={"toy/test": {10: given}}, history=[{"step": 10, "seconds": 0.0}])
    reason = evaluate.collapse(p, "toy/test", torch.tensor(labels), TASK)
    assert reason.startswith(word) and bool(reason) == bool(word)


def test_members_of_the_evaluations():
    p = [one_hot(0, 1), one_hot(2, 2)]
    members = evaluate.arrays(outcome(*p), {"toy/test": evaluated([0, 1], groups=["x", "y"])}, TASK)
    assert {name: array.tolist() for name, array in members.items()} == {
        "toy/test/ids": ["item-0", "item-1"], "toy/test/targets": [0, 1], "toy/test/classes": ["a", "b", "c"],
        "toy/test/groups": ["x", "y"], "toy/test/outputs/000000": p[0].tolist(),
        "toy/test/outputs/000010": p[1].tolist(),
    }  # fmt: skip
    assert (
        members["toy/test/targets"].dtype == np.int64
        and members["toy/test/outputs/000000"].dtype == np.float32
    )
    assert "toy/test/groups" not in evaluate.arrays(outcome(*p), {"toy/test": evaluated([0, 1])}, TASK)
