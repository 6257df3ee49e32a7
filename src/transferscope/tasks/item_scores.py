"""Scores of items by a metric of ours, of outputs that may be as large as memory is to be. numpy alone."""

import numpy as np

from transferscope.statistics import influence
from transferscope.tasks.metrics import METRICS, Errors, ScoreRange, judged_metrics

OURS = frozenset(judged_metrics())  # before a user's own are registered
VALUES_AT_ONCE = 2**18  # of outputs: two megabytes as float64
# of classes or labels: above it AUROC, which sorts the items once a class, would take longer than a training
# (50,000 items of 1,000 classes: 8 s an evaluation)
MOST_CLASSES = {"auroc": 100, "macro_auroc": 100, "map": 100}


def item_scores(
    outputs: np.ndarray,
    targets: np.ndarray,
    metric: str,
    groups: np.ndarray | None = None,
    errors: Errors | ScoreRange | None = None,
) -> np.ndarray:
    """Outputs [n, ...], targets [n, ...], groups [n] or None -> scores [n] of a judged metric, higher is
    better (`metrics.Metric`). errors: of predicted numbers.

    A score of ours that is of one item depends on no other: these are made of some items at a time, and are
    the same."""
    per_item = METRICS[metric].within(errors).per_item
    assert per_item is not None  # those that are judged have one
    step = _rows_at_once(outputs)
    if metric not in OURS or METRICS[metric].kind != "items" or len(outputs) <= step:
        return per_item(outputs, targets, groups)
    found = np.empty(len(outputs))  # in one piece: small ones would settle in the holes that large ones leave
    for first in range(0, len(outputs), step):
        found[first : first + step] = per_item(
            outputs[first : first + step], targets[first : first + step], None
        )
    return found


def stored(
    outputs: np.ndarray, targets: np.ndarray, groups: np.ndarray | None, task: str, errors: Errors | None
) -> dict[str, np.ndarray]:
    """What stays of outputs [n, ...] that are dropped, by name: `scores/METRIC` [n] of every judged metric of
    ours that the task has and that has a value on these items, nan where the outputs are not finite; of
    classes `fewest_named`, an int."""
    finite, found = is_finite(outputs), {}
    for metric in judged_metrics(task):
        if metric not in OURS or outputs[:1].size > MOST_CLASSES.get(metric, outputs[:1].size):
            continue
        try:
            scores = item_scores(outputs, targets, metric, groups, errors) if finite else None
        except influence.Undefined:
            continue
        found[f"scores/{metric}"] = np.full(len(outputs), np.nan) if scores is None else scores
    if task == "classification":
        found["fewest_named"] = np.asarray(influence.fewest_named(outputs, targets))
    return found


def is_finite(outputs: np.ndarray) -> bool:
    step = _rows_at_once(outputs)
    return all(np.isfinite(outputs[first : first + step]).all() for first in range(0, len(outputs), step))


def _rows_at_once(outputs: np.ndarray) -> int:
    return max(1, VALUES_AT_ONCE * max(1, len(outputs)) // max(1, outputs.size))
