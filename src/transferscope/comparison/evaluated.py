"""The evaluations of one run as scores: made of its outputs, or read where these were dropped."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from transferscope.statistics import influence
from transferscope.store.evaluations import Evaluations
from transferscope.tasks.item_scores import is_finite, item_scores
from transferscope.tasks.metrics import Errors, ScoreRange


class NotSelectable(Exception):
    """The run has no evaluation that this selection could choose by, or the metric no value on its items."""


class Dropped(NotSelectable):
    """It would need outputs that the run has not kept."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation of some items. scores [n]; outputs [n, ...], None where they were dropped."""

    scores: np.ndarray
    outputs: np.ndarray | None


@dataclass
class Run:
    """folder: for what is said. validated: the values, by step, that a validator chooses by."""

    folder: Path
    evaluations: Evaluations
    validated: dict[int, float] = field(default_factory=dict)
    parts: dict[str, np.ndarray | None] = field(default_factory=dict)
    told: dict[str, Errors | None] = field(default_factory=dict)

    def part(self, name: str) -> np.ndarray | None:
        """A member that is asked for again and again, None where there is none."""
        if name not in self.parts:
            self.parts[name] = self.evaluations.get(name)
        return self.parts[name]

    def targets(self, items: str) -> np.ndarray:
        found = self.part(f"{items}/targets")
        if found is None:
            raise KeyError(f"{items}/targets")
        return found

    def errors(self, items: str) -> Errors | None:
        """Of predicted numbers, what they are judged in."""
        if items not in self.told:
            start = f"{items}/errors/"
            found = {
                name.removeprefix(start): self.evaluations[name]
                for name in self.evaluations
                if name.startswith(start)
            }
            self.told[items] = Errors.from_members(found) if found else None
        return self.told[items]

    def score_range(self, items: str) -> ScoreRange | None:
        """Of scores that were made elsewhere."""
        start = f"{items}/range/"
        found = {
            name.removeprefix(start): self.evaluations[name]
            for name in self.evaluations
            if name.startswith(start)
        }
        return ScoreRange.from_members(found) if found else None

    def is_finite(self, items: str, step: int) -> bool:
        outputs = self.evaluations.outputs(items, step)
        return self.evaluations.was_finite(items, step) if outputs is None else is_finite(outputs)

    def evaluation(self, items: str, step: int, metric: str) -> Evaluation | None:
        """None where the outputs were not finite. Raises Dropped where they were, and no score by
        this metric was stored."""
        outputs = self.evaluations.outputs(items, step)
        if outputs is None:
            return self._dropped(items, step, metric)
        if not is_finite(outputs):
            return None
        n, classes = len(self.targets(items)), self.part(f"{items}/classes")
        if len(outputs) != n or classes is not None and outputs.shape[1:] != classes.shape:
            named = "" if classes is None else f" and {len(classes)} classes"
            raise ValueError(f"{items}: outputs of shape {outputs.shape} for {n} items{named}")
        groups = self.part(f"{items}/groups")
        scores = item_scores(outputs, self.targets(items), metric, groups, self.errors(items))
        return Evaluation(scores, outputs)

    def right(self, items: str, step: int) -> np.ndarray:
        """[n], 1.0 where the class that is named is the item's."""
        outputs = self.evaluations.outputs(items, step)
        if outputs is None:
            taken = self._dropped(items, step, "accuracy")
            return np.zeros(len(self.targets(items))) if taken is None else taken.scores
        found: np.ndarray = outputs.argmax(1) == self.targets(items)
        return found.astype(float)

    def fewest_named(self, items: str, step: int, outputs: np.ndarray | None) -> int:
        """`influence.fewest_named`; 0 where the targets are no classes."""
        if f"{items}/classes" not in self.evaluations:
            return 0
        if outputs is None:
            return self.evaluations.fewest_named(items, step)
        return influence.fewest_named(outputs, self.targets(items))

    def _dropped(self, items: str, step: int, metric: str) -> Evaluation | None:
        if not self.evaluations.was_finite(items, step):
            return None
        scores = self.evaluations.scores(items, step, metric)
        if scores is None:
            raise Dropped(
                f"{metric}: run {self.folder.name} dropped its outputs at step {step} and stored no such "
                "score; run it again with outputs=all"
            )
        if scores.shape != self.targets(items).shape[:1] or scores.dtype.kind != "f":
            raise ValueError(f"{items}: scores of shape {scores.shape} and type {scores.dtype}")
        if not np.isfinite(scores).all():
            raise ValueError(f"{items}: scores by {metric} that are not finite")
        return Evaluation(scores.astype(float), None)
