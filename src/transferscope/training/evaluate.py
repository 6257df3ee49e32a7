"""From stored probabilities to scores. The only place before `compare` that reads a test label, after
training has ended."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
    multiclass_precision,
)

from transferscope.data.splits import EvaluationSet
from transferscope.store.record import CHANCE_LEVEL, CONSTANT
from transferscope.tasks.metrics import by_class as metrics_by_class
from transferscope.tasks.metrics import log_likelihood
from transferscope.training.fit import FitResult

CONSTANT_SHARE = 0.99  # a predictor that gives one class to this share of the items is called constant


def scores(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Metrics of class probabilities [n, C] against labels [n], all fractions but nll (nats, of clipped
    probabilities). Means over classes are over those that have an item, as in scikit-learn's
    balanced_accuracy_score, which is macro recall, and in `compare`."""
    classes, present = probabilities.shape[1], torch.unique(labels)
    one_hot = torch.nn.functional.one_hot(labels, classes)
    return {
        "accuracy": float((probabilities.argmax(1) == labels).float().mean()),
        "balanced_accuracy": float(
            multiclass_accuracy(probabilities, labels, classes, average="none")[present].mean()
        ),
        "macro_precision": float(
            multiclass_precision(probabilities, labels, classes, average="none")[present].mean()
        ),
        "macro_f1": float(
            multiclass_f1_score(probabilities, labels, classes, average="none")[present].mean()
        ),
        "nll": -float(log_likelihood(probabilities.numpy(), labels.numpy()).mean()),
        "brier": float((probabilities - one_hot).square().sum(1).mean()),
        "ece": float(multiclass_calibration_error(probabilities, labels, classes, n_bins=15)),
    }


def by_class(probabilities: Tensor, labels: Tensor) -> dict[str, list[Any]]:
    """Precision, recall, F1 (fractions) and support (items) of each class, as scikit-learn's
    precision_recall_fscore_support: a class that is never predicted has a precision of 0. Recall and F1 are
    None where a class has no item."""
    classes = probabilities.shape[1]
    found = metrics_by_class(probabilities.argmax(1).numpy(), labels.numpy(), classes)
    scored = {name: values.tolist() for name, values in found.items()}
    for name in ("recall", "f1"):
        of_items = zip(scored[name], scored["support"], strict=True)
        scored[name] = [value if items else None for value, items in of_items]
    return scored


def last_finite(by_step: dict[int, Tensor]) -> Tensor | None:
    finite = [step for step, p in by_step.items() if torch.isfinite(p).all()]
    return by_step[max(finite)] if finite else None


def metrics(outcome: FitResult, evaluated: dict[str, EvaluationSet]) -> dict[str, float]:
    """`{domain}/{split}/{metric}` at the last evaluation whose probabilities are finite; accuracy of every
    evaluation goes into the history."""
    result: dict[str, float] = {}
    for name, items in evaluated.items():
        by_step = outcome.probabilities[name]
        for row in outcome.history:
            row[f"{name}/accuracy"] = float(
                (by_step[int(row["step"])].argmax(1) == items.labels).float().mean()
            )
        if (last := last_finite(by_step)) is not None:
            result |= {f"{name}/{metric}": value for metric, value in scores(last, items.labels).items()}
    return result


def collapse(outcome: FitResult, test: str, labels: Tensor) -> str:
    """Why a finished run's last predictor counts as collapsed, or ''. In a task of two classes, one that is
    wrong clearly more often than chance has learnt something that holds the other way round: harm, and no
    collapse."""
    p = outcome.probabilities[test][max(outcome.probabilities[test])]
    if not torch.isfinite(p).all():
        return "probabilities that are not finite at the last evaluation"
    n, classes = p.shape
    predicted = p.argmax(1)
    share = float(torch.bincount(predicted, minlength=classes).max()) / n
    largest = float(torch.bincount(labels, minlength=classes).max()) / n
    if share >= CONSTANT_SHARE and share > largest:
        return f"{CONSTANT}: one class for {share:.0%} of the test items"
    chance = 1 / classes
    accuracy = float((predicted == labels).float().mean())
    band = 2 * (chance * (1 - chance) / n) ** 0.5
    is_reversed = classes == 2 and accuracy < chance - band
    if accuracy <= chance + band and largest < 2 * chance and not is_reversed:
        return f"{CHANCE_LEVEL}: test accuracy {accuracy:.3f} with {classes} classes"
    return ""


def arrays(outcome: FitResult, evaluated: dict[str, EvaluationSet]) -> dict[str, np.ndarray]:
    """The members of evaluations.npz."""
    members: dict[str, np.ndarray] = {}
    for name, items in evaluated.items():
        members |= {
            f"{name}/ids": items.ids,
            f"{name}/labels": items.labels.numpy(),
            f"{name}/classes": np.asarray(items.classes),
        }
        if items.groups is not None:
            members[f"{name}/groups"] = items.groups
        members |= {f"{name}/metadata/{column}": values for column, values in items.metadata.items()}
        members |= {
            f"{name}/probabilities/{step:06d}": p.numpy() for step, p in outcome.probabilities[name].items()
        }
    return members
