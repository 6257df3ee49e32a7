"""From stored outputs to scores. The only place before `compare` that reads a test label, after training has
ended."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
from torch import Tensor

from transferscope.data.splits import EvaluationSet
from transferscope.tasks.base import Task
from transferscope.tasks.item_scores import is_finite, stored
from transferscope.training.settings import ByStep, FitResult


def last_finite(by_step: ByStep) -> Tensor | None:
    step = last_finite_step(by_step)
    return None if step is None else by_step[step]


def last_finite_step(by_step: ByStep) -> int | None:
    return next((step for step in sorted(by_step, reverse=True) if is_finite(by_step[step].numpy())), None)


def metrics(outcome: FitResult, evaluated: dict[str, EvaluationSet], task: Task) -> dict[str, float]:
    """`{domain}/{split}/{metric}` at the last evaluation that is finite; the headline metric of every
    evaluation goes into the history."""
    result: dict[str, float] = {}
    for name, items in evaluated.items():
        by_step = outcome.predictions[name]
        for row in outcome.history:
            row[f"{name}/{task.headline}"] = task.headline_value(by_step[int(row["step"])], items.labels)
        if (step := last_finite_step(by_step)) is not None:
            scores = task.scores(by_step[step], items.labels)
            result |= {f"{name}/{metric}": value for metric, value in scores.items()}
    return result


def collapse(outcome: FitResult, test: str, labels: Tensor, task: Task) -> str:
    """Why a finished run's last predictor counts as collapsed, or ''."""
    predicted = outcome.predictions[test][max(outcome.predictions[test])]
    if not is_finite(predicted.numpy()):
        return "probabilities that are not finite at the last evaluation"
    return task.degenerate(predicted, labels)


class Members(Mapping[str, np.ndarray]):
    """Arrays by name. Outputs are read from where they lie when they are asked for, so that those of one
    evaluation are in memory at a time."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray | partial[Tensor]] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        found = self.arrays[name]
        return found().numpy() if isinstance(found, partial) else found

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


def arrays(
    outcome: FitResult,
    evaluated: dict[str, EvaluationSet],
    task: Task,
    kept: Mapping[str, frozenset[int]] | None = None,
) -> Members:
    """The members of evaluations.npz (store/evaluations.py). kept: of each set the steps whose outputs stay,
    None for all; of the others their scores do."""
    members = Members()
    for name, items in evaluated.items():
        by_step, targets = outcome.predictions[name], items.labels.numpy()
        found: dict[str, np.ndarray] = {"ids": items.ids, "targets": targets}
        if items.classes:
            found["classes"] = np.asarray(items.classes)
        if items.errors is not None:
            found |= {f"errors/{key}": value for key, value in items.errors.members().items()}
        if items.groups is not None:
            found["groups"] = items.groups
        found |= {f"metadata/{column}": values for column, values in items.metadata.items()}
        members.arrays |= {f"{name}/{part}": values for part, values in found.items()}
        for step in by_step:
            if kept is None or step in kept[name]:
                members.arrays[f"{name}/outputs/{step:06d}"] = partial(by_step.__getitem__, step)
                continue
            outputs = by_step[step].numpy()
            stays = stored(outputs, targets, items.groups, task.name, items.errors)
            members.arrays |= {f"{name}/{part}/{step:06d}": values for part, values in stays.items()}
    return members
