"""What validators ask of their arrays."""

import numpy as np

from transferscope.errors import RequestError


def require_probabilities(validator: str, probabilities: np.ndarray) -> np.ndarray:
    """[n, C] as float64. Raises RequestError unless rows are probabilities; a row that holds NaN is let
    through, for the value to be NaN."""
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise RequestError(
            f"{validator}: probabilities of shape {list(probabilities.shape)}; [n, C] with at least one "
            "item is needed"
        )
    p = probabilities.astype(np.float64)
    whole = p[np.isfinite(p).all(1)]
    if (whole < 0).any() or (np.abs(whole.sum(1) - 1) > 1e-2).any():
        raise RequestError(
            f"{validator}: rows of probabilities of at least 0 that sum to 1 are needed; logits go through "
            "a softmax first"
        )
    return p


def require_pairs(validator: str, losses: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """losses [n] and weights [n] as float64. Raises RequestError where the shapes differ, there is no item,
    or a weight is negative."""
    if losses.ndim != 1 or losses.shape != weights.shape or len(losses) == 0:
        raise RequestError(
            f"{validator}: losses {list(losses.shape)} and weights {list(weights.shape)}; one of each an "
            "item is needed"
        )
    if (weights < 0).any():
        raise RequestError(
            f"{validator}: a weight of {weights.min():.3g}; density ratios of at least 0 are needed"
        )
    return losses.astype(np.float64), weights.astype(np.float64)


def plogp(p: np.ndarray) -> np.ndarray:
    """p log p, 0 at p = 0, NaN at NaN."""
    return p * np.log(np.where(p == 0, 1, p))
