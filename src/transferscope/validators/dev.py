"""Deep embedded validation (You et al. 2019, Towards accurate model selection in deep unsupervised domain
adaptation, ICML, PMLR 97)."""

import numpy as np

from transferscope.validators._inputs import require_pairs


def dev(losses: np.ndarray, weights: np.ndarray) -> float:
    """- (mean(w l) + η mean(w) - η),  η = - Cov(w l, w) / Var(w): `iwcv` with the weights, whose mean is 1,
    as control variate

    losses [n] of source items that were not trained on; weights [n] = p_target / p_source at the *features*
    of these items (`transferscope.validators.iwcv.importance_weights`). In the losses' unit; higher is
    better. NaN where an input is; where all weights are equal η is 0. The ratio there is a logistic
    regression's on standardised features, where the paper trains a network. The estimate of a risk may be
    negative: a few large weights decide it.

    >>> # w l = 1, 0, 6: η = -2.5, risk = 7/3 - 5 + 2.5
    >>> round(dev(np.array([1.0, 0.0, 2.0]), np.array([1.0, 2.0, 3.0])), 6)
    0.166667
    """
    losses, weights = require_pairs("dev", losses, weights)
    weighted, spread = losses * weights, weights - weights.mean()
    equal = np.abs(spread).max() <= 1e-9 * weights.mean()  # rounding is no variance
    eta = 0.0 if equal else -(weighted * spread).sum() / (spread**2).sum()
    return -float(weighted.mean() + eta * (weights.mean() - 1))
