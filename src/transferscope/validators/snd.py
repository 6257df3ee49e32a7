"""Soft neighbourhood density (Saito et al. 2021, Tune it the right way, arXiv 2108.10860)."""

import numpy as np

from transferscope.validators._inputs import require_probabilities

ROWS = 256  # similarities of so many items are held at once


def snd(probabilities: np.ndarray, temperature: float = 0.05) -> float:
    """Mean entropy of the neighbour distributions  P_ij = exp(s_ij / τ) / Σ_{k ≠ i} exp(s_ik / τ),  j ≠ i

    s is the cosine of two rows of softmax outputs, as in the paper. probabilities [n, C] → nats, from 0 to
    log(n - 1); higher is better: many close neighbours. NaN where a probability is, and for one item, which
    has no neighbour. Blind to collapse: predictions that are all alike, an untrained network's too, have the
    best value there is.

    >>> round(snd(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])), 6)  # two neighbours, equally near: log 2
    0.693147
    """
    p = require_probabilities("snd", probabilities)
    n = len(p)
    if n == 1:
        return float("nan")
    unit = p / np.linalg.norm(p, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, n, ROWS):
        s = unit[start : start + ROWS] @ unit.T / temperature  # [r, n]
        rows = np.arange(len(s))
        s[rows, start + rows] = -np.inf
        s -= s.max(1, keepdims=True)
        weight = np.exp(s)
        s[rows, start + rows] = 0.0  # of weight 0
        mass = weight.sum(1)
        # entropy of a softmax: log Σ e^s - E[s]
        total += float((np.log(mass) - (weight * s).sum(1) / mass).sum())
    return total / n
