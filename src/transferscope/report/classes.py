"""Δ per class, each class with its own interval at alpha divided by the number of classes."""

import numpy as np

from transferscope import verdict


def class_differences(d: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, names: list[str], alpha: float) -> list[dict]:
    """d [K, n] with K >= 2, labels [n], groups [n] or None -> one row a class: name, n (items or groups), delta, ci, excludes_zero.

    A class without test items is left out.
    """
    present = [c for c in range(len(names)) if np.any(labels == c)]
    rows = []
    for c in present:
        here = labels == c
        units = verdict.group_means(d[:, here], None if groups is None else groups[here])  # [K, items of the class]
        ci = verdict.interval(units, alpha / len(present))
        excludes_zero = ci[0] > 0 or ci[1] < 0
        rows.append({"name": names[c], "n": units.shape[1], "delta": float(units.mean()), "ci": ci, "excludes_zero": excludes_zero})
    return rows


def worst_class(rows: list[dict]) -> dict | None:
    """The class that loses most, only where its interval lies below zero."""
    losing = [row for row in rows if row["excludes_zero"] and row["delta"] < 0]
    return min(losing, key=lambda row: row["delta"], default=None)
