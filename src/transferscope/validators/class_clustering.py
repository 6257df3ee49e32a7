"""How well the predicted classes cluster the features (Caliński & Harabasz 1974, Communications in Statistics
3).

Musgrave et al. 2022 (arXiv 2208.07360) validate by clusters and predicted classes too, with adjusted mutual
information and the silhouette; this index is the one that costs no more than a pass over the features."""

import numpy as np

from transferscope.errors import RequestError
from transferscope.validators._inputs import require_probabilities


def class_clustering(probabilities: np.ndarray, features: np.ndarray) -> float:
    """(B / (k - 1)) / (W / (n - k)): B = Σ_c n_c |m_c - m|², W = Σ_i |x_i - m_c(i)|² around the means m_c of
    the k classes predicted

    probabilities [n, C], features [n, d] → from 0 up; higher is better. 0 where one class is predicted:
    nothing is told apart. NaN where an input is, and with no more items than predicted classes; infinite
    where every item lies on its class's mean.

    >>> x = np.array([[0.0], [2.0], [10.0], [12.0]])
    >>> class_clustering(np.eye(2)[[0, 0, 1, 1]], x)  # B = 100, W = 4
    50.0
    """
    p = require_probabilities("class_clustering", probabilities)
    if features.ndim != 2 or len(features) != len(p):
        raise RequestError(
            f"class_clustering: probabilities {list(p.shape)} and features {list(features.shape)}; [n, C] "
            "and [n, d] are needed"
        )
    x = features.astype(np.float64)
    if not (np.isfinite(p).all() and np.isfinite(x).all()):
        return float("nan")
    _, label, size = np.unique(p.argmax(1), return_inverse=True, return_counts=True)
    n, k = len(x), len(size)
    if n <= k:
        return float("nan")
    if k == 1:
        return 0.0
    x -= x.mean(0)
    means = (np.eye(k)[label].T @ x) / size[:, None]  # [k, d]
    total, between = np.vdot(x, x), (size * (means**2).sum(1)).sum()
    within = total - between
    if within < 1e-6 * total:  # too few digits are left of a small difference
        within = ((x - means[label]) ** 2).sum()
    return float(between / (k - 1) / (within / (n - k))) if within > 0 else float("inf")
