"""GBC: Gaussian Bhattacharyya coefficient (Pándy et al. 2022, arXiv 2111.12780)."""

import numpy as np

from transferscope.transferability._inputs import require_features

VERSION = "95907529"  # part of the keys of kept rankings: change it when the numbers change

COMPONENTS = 64
FLOOR = 1e-3  # of a variance, in units of the mean variance of all components


def gbc(features: np.ndarray, labels: np.ndarray) -> float:
    """-Σ_{a ≠ b} exp(-D(a, b)) over ordered pairs of classes: the negative overlap of the classes, each a
    Gaussian with diagonal covariance

    D(a, b) = ⅛ Σ (μ_a - μ_b)² / v + ½ Σ log(v / √(v_a v_b)), v = (v_a + v_b) / 2   (Bhattacharyya distance)

    features [N, d], labels [N] → from -C (C - 1), no class can be told, to 0. Variances over n_c - 1: two
    items a class are needed, and with few the distances come out too large for every source. As in the paper
    the features are first projected on at most 64 principal components. Deviation: no variance is taken below
    0.001 of the mean one, since a component that is constant within a class would part it from all others.
    Constant features score -C (C - 1). Raises RequestError where a feature is not finite.

    >>> x = np.array([[-9.0], [-8.0], [8.0], [9.0]])
    >>> round(gbc(x, np.array([0, 0, 1, 1])), 6), gbc(x[[0, 2, 0, 2]], np.array([0, 0, 1, 1]))
    (-0.0, -2.0)
    """
    features, index = require_features("gbc", features, labels, least=2)
    centred = features - features.mean(0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    projected = left[:, :COMPONENTS] * singular[:COMPONENTS]  # [N, at most 64]
    scale = projected.var(0).mean()
    groups = [projected[index == c] for c in range(index.max() + 1)]
    means = np.stack([group.mean(0) for group in groups])  # [C, d]
    variances = np.stack([group.var(0, ddof=1) for group in groups])
    variances = np.maximum(variances, FLOOR * scale if scale > 0 else 1.0)
    mean_variance = (variances[:, None] + variances[None]) / 2  # [C, C, d]
    distance = ((means[:, None] - means[None]) ** 2 / mean_variance).sum(-1) / 8
    logs = np.log(variances)
    distance += (np.log(mean_variance) - (logs[:, None] + logs[None]) / 2).sum(-1) / 2
    return -float(np.exp(-distance)[~np.eye(len(groups), dtype=bool)].sum())
