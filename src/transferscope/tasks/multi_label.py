"""Any number of labels of several for each item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, logsigmoid

from transferscope.statistics import label_ranking
from transferscope.statistics.influence import Undefined
from transferscope.store.record import CHANCE_LEVEL, CONSTANT
from transferscope.tasks.base import Reduction, Strata, Task
from transferscope.tasks.metrics import METRICS, has_labels

CONSTANT_SHARE = 0.99  # a predictor that gives one set of labels to this share of the items is constant


@dataclass(frozen=True)
class MultiLabel(Task):
    """labels: names, sorted. Targets are float32 [n, L], 1 where an item has a label and 0 where it has it
    not; an item of which that is not known is NaN throughout. A head gives log-odds [n, L]; predicted are
    the probabilities of the labels, each by itself."""

    labels: tuple[str, ...]

    name = "multi_label"
    losses = ("binary_cross_entropy",)
    gives = frozenset({"labels"})
    headline = "item_f1"

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def joined(self, others: Sequence[Task]) -> "MultiLabel":
        """The same: sources of other labels are refused (`compatibility.check_task`), for what one of them
        lacks is not known of its items."""
        return self

    def translated(self, targets: Tensor, task: Task) -> Tensor:
        return targets

    def difference(self, other: Task) -> str:
        if not isinstance(other, MultiLabel):
            return f"{self.name} against {other.name}"
        only = {
            "source": sorted(set(self.labels) - set(other.labels)),
            "target": sorted(set(other.labels) - set(self.labels)),
        }
        return "; ".join(
            f"{', '.join(names[:5])}{'…' if len(names) > 5 else ''} only in the {where}"
            for where, names in only.items()
            if names
        )

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        reduction: Reduction = "mean",
        *,
        weights: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Binary cross-entropy, the mean over labels. There are no classes to weigh or to smooth."""
        losses = binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(1)
        return losses if reduction == "none" else losses.mean()

    def loss_matrix(self, outputs: Tensor, targets: Tensor) -> Tensor:
        has = targets.to(outputs)
        return -(has @ logsigmoid(outputs).T + (1 - has) @ logsigmoid(-outputs).T) / self.outputs

    def risk(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Brier score, the mean over labels."""
        return (outputs.sigmoid() - targets).square().mean(1)

    def validation_loss(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy, the mean over labels."""
        return binary_cross_entropy(predicted, targets, reduction="none").mean(1)

    def embedded(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def item_scores(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """F1 of an item's labels, those of more than one half against its own; 1 where it has none and none
        is predicted."""
        per_item = METRICS["item_f1"].per_item
        assert per_item is not None
        return torch.from_numpy(per_item(predicted.numpy(), targets.numpy(), None))

    def headline_value(self, predicted: Tensor, targets: Tensor) -> float:
        return float(self.item_scores(predicted, targets).mean())

    def scores(self, predicted: Tensor, targets: Tensor) -> dict[str, float]:
        """All fractions. Means over labels are over those that some test items have and others have not;
        macro_auroc and map are not there where all items have the same labels."""
        ranked = _ranking(predicted.numpy(), targets.numpy() == 1)
        return {"item_f1": self.headline_value(predicted, targets), **ranked}

    def degenerate(self, predicted: Tensor, targets: Tensor) -> str:
        """One set of labels for all items while theirs differ, or no skill: a mean AUROC of the labels within
        two of its standard errors of ½, either way. One that is below has learnt something that holds the
        other way round."""
        said, has = has_labels(predicted.numpy()), targets.numpy() == 1
        share = _most_frequent(said)
        if share >= CONSTANT_SHARE and share > _most_frequent(has):
            return f"{CONSTANT}: one set of labels for {share:.0%} of the test items"
        try:
            psi = label_ranking.macro_auroc(predicted.numpy(), has)
        except Undefined:
            return ""
        if abs(psi.mean() - 0.5) <= 2 * psi.std() / len(psi) ** 0.5:
            return f"{CHANCE_LEVEL}: mean AUROC {psi.mean():.3f} of {len(self.labels)} labels"
        return ""

    def strata(self, targets: np.ndarray) -> Strata:
        """The rarest label that an item has, of equals the first; those without any are one stratum. By
        their number of labels, all items of a rare one might be drawn to one side: it is the first step of
        iterative stratification (Sechidis et al. 2011)."""
        is_known = np.isfinite(targets).all(axis=1)
        has = is_known[:, None] & (targets == 1)
        place = np.argsort(np.argsort(has.sum(0), kind="stable"))  # of each label, the rarest first
        rarest = np.where(has, place, self.outputs).argmin(1)
        of = np.where(has.any(1), rarest, self.outputs)
        return Strata(np.where(is_known, of, -1), (*self.labels, ""))

    def told(self) -> dict[str, Any]:
        return {"name": self.name, "labels": list(self.labels)}


def _ranking(predicted: np.ndarray, has: np.ndarray) -> dict[str, float]:
    """macro_auroc and map of probabilities [n, L] and which labels each item has [n, L]; nothing where no
    label varies."""
    varies = np.flatnonzero(has.any(0) & ~has.all(0))
    if not len(varies):
        return {}
    precisions = [label_ranking.average_precision(predicted[:, k], has[:, k]) for k in varies]
    return {
        "macro_auroc": float(label_ranking.macro_auroc(predicted, has).mean()),
        "map": float(np.mean(precisions)),
    }


def _most_frequent(has: np.ndarray) -> float:
    """Share of the items [n, L] that have the set of labels that most have."""
    return float(np.unique(has, axis=0, return_counts=True)[1].max()) / len(has)
