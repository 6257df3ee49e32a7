"""From stored probabilities to scores. The only place before `compare` that reads a test label, after
training has ended."""

import numpy as np
import torch
from torch import Tensor

from transferscope.data.splits import EvaluationSet
from transferscope.tasks.base import Task
from transferscope.training.settings import FitResult


def last_finite(by_step: dict[int, Tensor]) -> Tensor | None:
    finite = [step for step, p in by_step.items() if torch.isfinite(p).all()]
    return by_step[max(finite)] if finite else None


def metrics(outcome: FitResult, evaluated: dict[str, EvaluationSet], task: Task) -> dict[str, float]:
    """`{domain}/{split}/{metric}` at the last evaluation that is finite; the headline metric of every
    evaluation goes into the history."""
    result: dict[str, float] = {}
    for name, items in evaluated.items():
        by_step = outcome.predictions[name]
        for row in outcome.history:
            scores = task.item_scores(by_step[int(row["step"])], items.labels)
            row[f"{name}/{task.headline}"] = float(scores.mean())
        if (last := last_finite(by_step)) is not None:
            result |= {f"{name}/{metric}": value for metric, value in task.scores(last, items.labels).items()}
    return result


def collapse(outcome: FitResult, test: str, labels: Tensor, task: Task) -> str:
    """Why a finished run's last predictor counts as collapsed, or ''."""
    predicted = outcome.predictions[test][max(outcome.predictions[test])]
    if not torch.isfinite(predicted).all():
        return "probabilities that are not finite at the last evaluation"
    return task.degenerate(predicted, labels)


def arrays(outcome: FitResult, evaluated: dict[str, EvaluationSet]) -> dict[str, np.ndarray]:
    """The members of evaluations.npz."""
    members: dict[str, np.ndarray] = {}
    for name, items in evaluated.items():
        members |= {
            f"{name}/ids": items.ids,
            f"{name}/targets": items.labels.numpy(),
            f"{name}/classes": np.asarray(items.classes),
        }
        if items.groups is not None:
            members[f"{name}/groups"] = items.groups
        members |= {f"{name}/metadata/{column}": values for column, values in items.metadata.items()}
        members |= {
            f"{name}/outputs/{step:06d}": p.numpy() for step, p in outcome.predictions[name].items()
        }
    return members
