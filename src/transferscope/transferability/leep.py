"""LEEP: log expected empirical prediction (Nguyen et al. 2020, arXiv 2002.12462)."""

import numpy as np

from transferscope.errors import RequestError

VERSION = "a38f549e"  # part of the keys of kept rankings: change it when the numbers change


def leep(source_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """(1/N) Σ_i log Σ_z P(y_i | z) θ(x_i)_z, with P(y, z) = (1/N) Σ_{i: y_i = y} θ(x_i)_z

    source_probabilities θ [N, C_S], what a source model says of the target's items, labels [N] → nats, at
    most 0. No features are read: a source model with few classes cannot say much. Raises RequestError where
    the probabilities are not finite or do not sum to 1.

    >>> leep(np.eye(2)[[0, 0, 1, 1]], np.array([5, 5, 7, 7]))
    0.0
    """
    if source_probabilities.ndim != 2 or labels.shape != (len(source_probabilities),) or len(labels) == 0:
        raise RequestError(
            f"leep: probabilities {list(source_probabilities.shape)} and labels {list(labels.shape)}; [N, "
            "C] and [N] are needed"
        )
    theta = source_probabilities.astype(np.float64)
    if not (np.isfinite(theta).all() and (theta >= 0).all() and np.allclose(theta.sum(1), 1, atol=1e-3)):
        raise RequestError("leep: each item's source probabilities must be numbers from 0 that sum to 1")
    _, index = np.unique(labels, return_inverse=True)
    joint = np.eye(index.max() + 1)[index].T @ theta / len(theta)  # [C, C_S]
    marginal = joint.sum(0)
    # P(y | z); a z that is never predicted has no weight
    conditional = joint / np.where(marginal > 0, marginal, 1)
    return float(np.log((conditional[index] * theta).sum(1)).mean())
