"""One class of several for each item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, one_hot, softmax
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
    multiclass_precision,
)

from transferscope.errors import NotApplicable
from transferscope.tasks import collapse, metrics
from transferscope.tasks.base import Reduction, Strata, Task

VALUES_AT_ONCE = 2**18


@dataclass(frozen=True)
class Classification(Task):
    """classes: names, of which targets int64 [n] are indices. Predicted are class probabilities [n, C]."""

    classes: tuple[str, ...]

    name = "classification"
    losses = ("cross_entropy",)
    gives = frozenset({"classes"})
    headline = "accuracy"

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def joined(self, others: Sequence[Task]) -> "Classification":
        """Of all classes that one of them has, sorted."""
        return type(self)(tuple(sorted({c for task in (self, *others) for c in class_names(task)})))

    def translated(self, targets: Tensor, task: Task) -> Tensor:
        return torch.tensor([self.classes.index(c) for c in class_names(task)])[targets]

    def difference(self, other: Task) -> str:
        if not isinstance(other, Classification):
            return f"{self.name} against {other.name}"
        only = {
            "source": sorted(set(self.classes) - set(other.classes)),
            "target": sorted(set(other.classes) - set(self.classes)),
        }
        what = [
            f"{', '.join(names[:5])}{'…' if len(names) > 5 else ''} only in the {where}"
            for where, names in only.items()
            if names
        ]
        if not what and type(self) is not type(other):
            return f"{type(self).__name__} against {type(other).__name__}"
        return "; ".join(what) or ("" if self == other else "the same classes in another order")

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        reduction: Reduction = "mean",
        *,
        weights: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Cross-entropy. weights: [C], of the classes."""
        return cross_entropy(outputs, targets, weights, reduction=reduction, label_smoothing=smoothing)

    def risk(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Brier score."""
        return (softmax(outputs, dim=1) - one_hot(targets, outputs.shape[1])).square().sum(1)

    def loss_matrix(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -log_softmax(outputs, dim=1)[:, targets].T

    def embedded(self, outputs: Tensor) -> Tensor:
        return softmax(outputs, dim=1)

    def validation_loss(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy."""
        return -predicted.gather(1, targets[:, None])[:, 0].clamp_min(1e-12).log()

    def predict(self, outputs: Tensor) -> Tensor:
        return softmax(outputs, dim=1)

    def item_scores(self, predicted: Tensor, targets: Tensor) -> Tensor:
        return (predicted.argmax(1) == targets).float()

    def headline_value(self, predicted: Tensor, targets: Tensor) -> float:
        return float(self.item_scores(predicted, targets).mean())

    def scores(self, predicted: Tensor, targets: Tensor) -> dict[str, float]:
        """All fractions but nll (nats, of clipped probabilities). Means over classes are over those that have
        an item, as in scikit-learn's balanced_accuracy_score, which is macro recall, and in `compare`."""
        classes, present = predicted.shape[1], torch.unique(targets)
        return {
            "accuracy": float(self.item_scores(predicted, targets).mean()),
            "balanced_accuracy": float(
                multiclass_accuracy(predicted, targets, classes, average="none")[present].mean()
            ),
            "macro_precision": float(
                multiclass_precision(predicted, targets, classes, average="none")[present].mean()
            ),
            "macro_f1": float(
                multiclass_f1_score(predicted, targets, classes, average="none")[present].mean()
            ),
            "nll": -float(metrics.log_likelihood(predicted.numpy(), targets.numpy()).mean()),
            "brier": float(_squared_errors(predicted, targets).mean()),
            "ece": float(multiclass_calibration_error(predicted, targets, classes, n_bins=15)),
        }

    def degenerate(self, predicted: Tensor, targets: Tensor) -> str:
        """By the class that is named (`collapse.of_classes`)."""
        return collapse.of_classes(predicted.argmax(1).numpy(), targets.numpy(), predicted.shape[1])

    def strata(self, targets: np.ndarray) -> Strata:
        return Strata(targets, self.classes)


def _squared_errors(predicted: Tensor, targets: Tensor) -> Tensor:
    """[n, C], [n] -> [n], the sum over classes; of some items at a time, for all would be copied thrice."""
    n, classes = predicted.shape
    size, found = max(1, VALUES_AT_ONCE // classes), predicted.new_empty(n)
    for first in range(0, n, size):
        part, truth = predicted[first : first + size], targets[first : first + size]
        found[first : first + size] = (part - one_hot(truth, classes)).square().sum(1)
    return found


def class_names(task: Task) -> tuple[str, ...]:
    """The classes of a task. Raises NotApplicable for one that has none."""
    if not isinstance(task, Classification):
        raise NotApplicable(f"a task of classes is needed, not {task.name}")
    return task.classes


def by_class(predicted: Tensor, targets: Tensor) -> dict[str, list[Any]]:
    """Precision, recall, F1 (fractions) and support (items) of each class, as scikit-learn's
    precision_recall_fscore_support: a class that is never predicted has a precision of 0. Recall and F1 are
    None where a class has no item."""
    classes = predicted.shape[1]
    found = metrics.by_class(predicted.argmax(1).numpy(), targets.numpy(), classes)
    scored = {name: values.tolist() for name, values in found.items()}
    for name in ("recall", "f1"):
        of_items = zip(scored[name], scored["support"], strict=True)
        scored[name] = [value if items else None for value, items in of_items]
    return scored
