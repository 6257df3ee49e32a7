"""Negative entropy of the predictions (Morerio et al. 2018, Minimal-entropy correlation alignment, arXiv
1711.10288)."""

import numpy as np

from transferscope.validators._inputs import plogp, require_probabilities


def entropy(probabilities: np.ndarray) -> float:
    """1/n Σ_i Σ_c p_ic log p_ic

    probabilities [n, C] → nats, from -log C (uniform) to 0 (certain of every item); higher is better. NaN
    where a probability is. Blind to collapse: one class for every item with certainty has the best value
    there is.

    >>> round(entropy(np.array([[1.0, 0.0], [0.5, 0.5]])), 6)  # -log(2) / 2
    -0.346574
    """
    return float(plogp(require_probabilities("entropy", probabilities)).sum(1).mean())
