"""What a search may be expected to find with fewer trials than were made."""

from collections.abc import Sequence

import numpy as np


def expected_best(scores: Sequence[float]) -> np.ndarray:
    """Scores of n independent trials -> E[best of k] for k = 1 … n, each [n].

    Dodge et al. 2019 (Show Your Work, EMNLP), eq. 5: with P the empirical distribution of the scores V, E[max of k] =
    Σ_v v · (P(V ≤ v)^k − P(V < v)^k), so that sorted v_1 ≤ … ≤ v_n have the weights (i / n)^k − ((i − 1) / n)^k. Trials are drawn with
    replacement, so it falls short of the truth as k nears n (Tang et al. 2020, arXiv:2004.13705). For trials that do not depend on one
    another: random search.
    """
    v = np.sort(np.asarray(scores, dtype=float))
    n = len(v)
    share = np.arange(n + 1)[None, :] / n  # P at and below each v
    return np.diff(share ** np.arange(1, n + 1)[:, None], axis=1) @ v


def best_so_far(scores: Sequence[float]) -> np.ndarray:
    """Scores in the order of their trials -> the best of the first k, [n]: what a search that learns from its trials did find."""
    return np.maximum.accumulate(np.asarray(scores, dtype=float))
