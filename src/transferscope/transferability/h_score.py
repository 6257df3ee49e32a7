"""H-score (Bao et al. 2019, arXiv 2212.10082) in the regularised form of Ibrahim et al. 2021 (arXiv
2110.06893)."""

import numpy as np
from sklearn.covariance import ledoit_wolf

from transferscope.errors import RequestError
from transferscope.transferability._inputs import require_features

VERSION = "3c956858"  # part of the keys of kept rankings: change it when the numbers change


def h_score(features: np.ndarray, labels: np.ndarray, shrinkage: float | None = None) -> float:
    """tr(Σ_a⁻¹ (1 - a) Σ_z), Σ_a = (1 - a) Σ + a (tr Σ / d) I; Σ the covariance of the features, Σ_z that of
    their class means

    features [N, d], labels [N] → from 0 to C - 1, covariances over N. Raises RequestError where a feature is
    not finite. shrinkage a: None takes Ledoit and Wolf's, as Ibrahim et al. do, without which d of the order
    of N gives the highest score to any features.
        0 is Bao et al.'s own score, with the pseudo-inverse. Where Σ is itself near a multiple of I, a is
        near 1 and with it the score near 0 whatever the classes: so their formula has it. Constant features
        score 0.

    >>> x = np.array([[-3.0], [-1.0], [1.0], [3.0]])
    >>> round(h_score(x, np.array([0, 0, 1, 1]), shrinkage=0), 6)  # between 4, total 5
    0.8
    """
    features, index = require_features("h_score", features, labels)
    if shrinkage is not None and not 0 <= shrinkage <= 1:
        raise RequestError(f"shrinkage={shrinkage}: None or a number from 0 to 1 is needed")
    deviations = features - features.mean(0)
    covariance = deviations.T @ deviations / len(features)  # [d, d]
    scale = np.trace(covariance) / len(covariance)
    if scale == 0:
        return 0.0
    a = ledoit_wolf(deviations, assume_centered=True)[1] if shrinkage is None else shrinkage
    members = np.eye(index.max() + 1)[index]  # [N, C]
    means = members.T @ deviations / members.sum(0)[:, None]  # [C, d]
    between = (means * members.mean(0)[:, None]).T @ means  # [d, d]
    shrunk = (1 - a) * covariance + a * scale * np.eye(len(covariance))
    return float((1 - a) * np.trace(np.linalg.pinv(shrunk, hermitian=True) @ between))
