"""Reverse validation (Zhong et al. 2010, Cross validation framework to choose amongst models and datasets for
transfer learning, ECML; the procedure of Ganin et al. 2016, JMLR 17, arXiv 1505.07818)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from transferscope.errors import RequestError

Inputs = Any  # [n, ...], an array or what else `fit` takes: they are handed on, and counted
Predict = Callable[[Inputs], np.ndarray]  # inputs [n, ...] → labels [n]


def reverse_validation(
    fit: Callable[[Inputs, np.ndarray, Inputs], Predict],
    target_inputs: Inputs,
    guessed: np.ndarray,
    source_inputs: Inputs,
    val_inputs: Inputs,
    val_labels: np.ndarray,
) -> float:
    """Accuracy on held-out source items of the method run backwards: from the target, labelled by the method
    run forwards, to the source

    fit(labelled inputs, labels, unlabelled inputs of the other domain) → a predictor; called once, on
    target_inputs [m, ...] with the labels guessed [m] by the trained method and on source_inputs [n, ...]
    without labels. val_inputs [v, ...], val_labels [v]: source items that neither direction was trained on →
    0 to 1, that is 1 - the reverse validation risk; higher is better. Inputs may be tensors. A method that
    gives every target item one label leaves nothing to learn from: the reverse predictor is then that label.
    Deviation: no part of the target is held out, Ganin et al. stop the reverse training early on it.

    >>> def nearest(inputs, labels, unlabelled):
    ...     return lambda items: labels[np.abs(items[:, None] - inputs).argmin(1)]
    >>> source, labels = np.arange(20.0), np.arange(20) // 10
    >>> reverse_validation(nearest, source[::2] + 0.1, labels[::2], source[1::2], source[1::2], labels[1::2])
    1.0
    """
    if (
        len(target_inputs) != len(guessed)
        or 0 in (len(guessed), len(val_labels))
        or len(val_inputs) != len(val_labels)
    ):
        sizes = (
            f"{len(target_inputs)} target inputs, {len(guessed)} guessed labels, {len(val_inputs)} "
            f"held-out inputs, {len(val_labels)} labels"
        )
        raise RequestError(
            f"reverse_validation: {sizes}; one label an input, and at least one of each, is needed"
        )
    if (guessed == guessed[0]).all():
        return float((val_labels == guessed[0]).mean())
    return float((fit(target_inputs, guessed, source_inputs)(val_inputs) == val_labels).mean())
