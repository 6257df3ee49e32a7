"""Mutual information of item and predicted class, "IM" (Shi & Sha 2012, Information-theoretical learning,
arXiv 1206.6438)."""

import numpy as np

from transferscope.validators._inputs import plogp, require_probabilities


def mutual_information(probabilities: np.ndarray) -> float:
    """H(mean_i p_i) - mean_i H(p_i): certain of each item, yet all classes in use

    probabilities [n, C] → nats, from 0 (every item alike) to log C; higher is better. NaN where a probability
    is. It takes equal classes for right: a target whose classes are of very unequal size is read as less good
    than it is.

    >>> unsure = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> round(mutual_information(np.eye(2)), 6), mutual_information(unsure)  # log 2
    (0.693147, 0.0)
    """
    p = require_probabilities("mutual_information", probabilities)
    return float(plogp(p).sum(1).mean() - plogp(p.mean(0)).sum())
