"""Scores of items by a metric of ours, of outputs that may be larger than what memory is to hold twice. numpy
alone."""

import numpy as np

from transferscope.tasks.metrics import METRICS, judged_metrics

OURS = frozenset(judged_metrics())  # before a user's own are registered
VALUES_AT_ONCE = 2**20  # of outputs: eight megabytes as float64


def item_scores(
    outputs: np.ndarray, targets: np.ndarray, metric: str, groups: np.ndarray | None = None
) -> np.ndarray:
    """Outputs [n, ...], targets [n, ...], groups [n] or None -> scores [n] of a judged metric, higher is
    better (`metrics.Metric`). Scores of items by a metric of ours depend on no other item: they are made of
    some items at a time, and are the same."""
    per_item = METRICS[metric].per_item
    assert per_item is not None  # those that are judged have one
    step = rows_at_once(outputs)
    if metric not in OURS or METRICS[metric].kind != "items" or len(outputs) <= step:
        return per_item(outputs, targets, groups)
    parts = [
        per_item(outputs[first : first + step], targets[first : first + step], None)
        for first in range(0, len(outputs), step)
    ]
    return np.concatenate(parts)


def is_finite(outputs: np.ndarray) -> bool:
    step = rows_at_once(outputs)
    return all(np.isfinite(outputs[first : first + step]).all() for first in range(0, len(outputs), step))


def rows_at_once(outputs: np.ndarray) -> int:
    return max(1, VALUES_AT_ONCE * max(1, len(outputs)) // max(1, outputs.size))
