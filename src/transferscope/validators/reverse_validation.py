"""Reverse validation (Zhong et al. 2010, Cross validation framework to choose amongst models and datasets for transfer learning, ECML; the
procedure of Ganin et al. 2016, JMLR 17, arXiv 1505.07818)."""

from collections.abc import Callable

import numpy as np

from transferscope.errors import Refused

Predict = Callable[[np.ndarray], np.ndarray]  # inputs [n, ...] → labels [n]


def reverse_validation(
    fit: Callable[[np.ndarray, np.ndarray, np.ndarray], Predict],
    source_inputs: np.ndarray,
    source_labels: np.ndarray,
    target_inputs: np.ndarray,
    generator: np.random.Generator,
    held_out: float = 0.1,
) -> float:
    """Accuracy on held-out source items of the method run backwards: from the target, labelled by the method run forwards, to the source

    fit(labelled inputs, labels, unlabelled inputs of the other domain) → a predictor; called twice. source_inputs [n, ...], source_labels [n],
    target_inputs [m, ...] without labels → 0 to 1, that is 1 - the reverse validation risk; higher is better.
    generator: draws the share `held_out` of the source. A forward run that gives every target item one label leaves nothing to learn from:
    the reverse predictor is then that label. Deviation: no part of the target is held out, Ganin et al. stop the reverse training early on it.

    >>> def nearest(inputs, labels, unlabelled):
    ...     return lambda items: labels[np.abs(items[:, None] - inputs).argmin(1)]
    >>> source, labels = np.arange(20.0), np.arange(20) // 10
    >>> reverse_validation(nearest, source, labels, source + 0.1, np.random.default_rng(0))
    1.0
    """
    if len(source_inputs) != len(source_labels) or len(target_inputs) == 0:
        raise Refused(f"reverse_validation: {len(source_inputs)} source inputs, {len(source_labels)} labels, {len(target_inputs)} target inputs")
    aside = round(held_out * len(source_labels))
    if not 0 < aside < len(source_labels):
        raise Refused(f"reverse_validation: held_out={held_out} of {len(source_labels)} source items leaves {aside} to validate on")
    order = generator.permutation(len(source_labels))
    val, train = order[:aside], order[aside:]
    guessed = fit(source_inputs[train], source_labels[train], target_inputs)(target_inputs)
    if (guessed == guessed[0]).all():
        return float((source_labels[val] == guessed[0]).mean())
    backwards = fit(target_inputs, guessed, source_inputs[train])
    return float((backwards(source_inputs[val]) == source_labels[val]).mean())
