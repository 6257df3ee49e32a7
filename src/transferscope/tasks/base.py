"""What is predicted of an item: the width of a head, a loss, what is stored and how it is scored. All that
training knows of labels and outputs it asks here."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from torch import Tensor

Reduction = Literal["mean", "none"]


class Strata(NamedTuple):
    """of: stratum of each item, int [n], −1 where it has no target. names: of the strata, by which their
    items are drawn."""

    of: np.ndarray
    names: tuple[str, ...]


class Task(ABC):
    """gives: what of its outputs a strategy can build on: `classes`, one of which an item is of, or
    `values`. headline: the metric that the history has of every evaluation, and that a selection by labels
    goes by."""

    name: ClassVar[str]
    losses: ClassVar[tuple[str, ...]]  # of `trainer.loss`; the first is the task's own
    gives: ClassVar[frozenset[str]]
    headline: ClassVar[str]

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many numbers a head gives for an item."""

    @abstractmethod
    def joined(self, others: Sequence["Task"]) -> "Task":
        """One task for this one and others of its kind: of all sources together."""

    @abstractmethod
    def translated(self, targets: Tensor, task: "Task") -> Tensor:
        """Targets [n] of a task that was joined into this one, as they are here."""

    @abstractmethod
    def difference(self, other: "Task") -> str:
        """What another task has and this one has not, and the other way round; '' where a head of one is a
        head of the other."""

    def has_outputs_of(self, other: "Task") -> bool:
        """Whether a head of one is a head of the other, so that it comes along with a source model."""
        return not self.difference(other)

    def fitted(self, labels: Sequence[Tensor]) -> "Task":
        """The task as a run has it that learns from these labels, those of a domain together: where outputs
        have a center and a scale, these are learnt here."""
        return self

    def adopted(self, weight: Tensor, bias: Tensor, other: "Task") -> tuple[Tensor, Tensor]:
        """A linear head that was trained on `other`, as it is here."""
        return weight, bias

    @abstractmethod
    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        reduction: Reduction = "mean",
        *,
        weights: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """What training minimises of outputs [n, outputs] and targets [n]: a scalar, or [n] for `none`."""

    @abstractmethod
    def risk(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """A proper score of each item [n], lower is better, by which a strategy may choose between models."""

    @abstractmethod
    def loss_matrix(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss [N, M] of each of M outputs where each of N targets stood for it."""

    @abstractmethod
    def embedded(self, outputs: Tensor) -> Tensor:
        """Outputs [n, outputs] -> [n, outputs], where distances between two predictions are taken."""

    @abstractmethod
    def validation_loss(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """What validators weigh of each held-out item, [n], from what was predicted of it."""

    @abstractmethod
    def predict(self, outputs: Tensor) -> Tensor:
        """Outputs [n, outputs] -> what is stored of each item, [n, ...]."""

    @abstractmethod
    def item_scores(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """[n], higher is better; their mean is the headline metric."""

    @abstractmethod
    def headline_value(self, predicted: Tensor, targets: Tensor) -> float:
        """The headline metric as it is told: of a loss without the flipped sign."""

    @abstractmethod
    def scores(self, predicted: Tensor, targets: Tensor) -> dict[str, float]:
        """The metrics of a record, by name."""

    @abstractmethod
    def degenerate(self, predicted: Tensor, targets: Tensor) -> str:
        """Why a finished run's last predictor counts as collapsed, or ''."""

    @abstractmethod
    def strata(self, targets: np.ndarray) -> Strata:
        """By which splits, folds and label budgets are drawn."""

    def told(self) -> dict[str, Any]:
        """What a record says of it; nothing of classification, of which it is silent."""
        return {}
