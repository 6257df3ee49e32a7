"""Nuclear norm of the predictions (batch nuclear-norm maximisation: Cui et al. 2020, arXiv 2003.12237; as a
validator: Musgrave et al. 2022, arXiv 2208.07360)."""

import numpy as np

from transferscope.validators._inputs import require_probabilities


def bnm(probabilities: np.ndarray) -> float:
    """1/n ‖P‖_* , the sum of the singular values of P [n, C]; their loss is its negative

    probabilities [n, C] → from 1/√(n C) (every row uniform) to √(min(n, C) / n), reached by certain
    predictions in equal classes; higher is better. NaN where a probability is. Values over different numbers
    of items do not compare.

    >>> bnm(np.eye(4)), round(bnm(np.full((4, 4), 0.25)), 6)
    (1.0, 0.25)
    """
    p = require_probabilities("bnm", probabilities)
    if not np.isfinite(p).all():
        return float("nan")
    return float(np.linalg.svd(p, compute_uv=False).sum() / len(p))
