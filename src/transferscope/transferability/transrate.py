"""TransRate (Huang et al. 2022, Frustratingly easy transferability estimation, arXiv 2106.09362)."""

import numpy as np

from transferscope.transferability._inputs import require_features

VERSION = "94e696c2"  # part of the keys of kept rankings: change it when the numbers change

PRECISION = 1e-4  # ε of the paper


def transrate(features: np.ndarray, labels: np.ndarray) -> float:
    """R(Z) - Σ_c (n_c / N) R(Z_c), with the coding rate R(Z) = ½ log det(I + ZᵀZ / (n ε)), ε = 1e-4: a mutual
    information of features and labels

    features [N, d], labels [N] → nats. Z are the features less their mean, Z_c the rows of class c. As in the
    paper's listing a class is not centred on its own: classes are told apart by direction from the mean, two
    on opposite sides of it are not. Raises RequestError where a feature is not finite. Deviations: the
    features are scaled to a mean squared length of 1, since ε is a length and every source model has a scale
    of its own; classes weigh by their share n_c / N, where the paper's code has 1 / C (the same for equal
    classes). Constant features score 0.

    >>> # a class an axis: R(Z) = log(1 + 1e4 / 2), R(Z_c) = log(1 + 1e4) / 2
    >>> x = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
    >>> round(transrate(x, np.array([0, 0, 1, 1])), 2), round(transrate(x, np.array([0, 1, 0, 1])), 2)
    (3.91, 0.0)
    """
    features, index = require_features("transrate", features, labels)
    centred = features - features.mean(0)
    length = np.sqrt((centred**2).sum(1).mean())
    if length == 0:
        return 0.0
    centred /= length
    within = sum(np.mean(index == c) * _rate(centred[index == c]) for c in range(index.max() + 1))
    return float(_rate(centred) - within)


def _rate(rows: np.ndarray) -> float:
    """Of [n, d], on whichever side is smaller: the determinant is the same."""
    gram = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    return float(np.linalg.slogdet(np.eye(len(gram)) + gram / (len(rows) * PRECISION))[1] / 2)
