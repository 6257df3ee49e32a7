"""Importance-weighted validation (Sugiyama, Krauledat & Müller 2007, Covariate shift adaptation, JMLR 8)."""

import numpy as np

from transferscope.errors import RequestError
from transferscope.validators._inputs import require_pairs


def iwcv(losses: np.ndarray, weights: np.ndarray) -> float:
    """- 1/n Σ_i w_i l_i, the target risk under covariate shift, with its sign flipped; on one held-out part
    instead of folds

    losses [n] of source items that were not trained on; weights [n] = p_target(x) / p_source(x) at these
    items, see `importance_weights`. In the losses' unit; higher is better. NaN where an input is.

    >>> round(iwcv(np.array([1.0, 0.0, 2.0]), np.array([0.5, 2.0, 1.0])), 6)  # -(0.5 + 0 + 2) / 3
    -0.833333
    """
    losses, weights = require_pairs("iwcv", losses, weights)
    return -float((losses * weights).mean())


def importance_weights(source: np.ndarray, target: np.ndarray, at: np.ndarray) -> np.ndarray:
    """p_target(x) / p_source(x) at each row of `at`, from a classifier of the two domains (Bickel, Brückner &
    Scheffer 2007, ICML)

    source [n, d], target [m, d]: features of training items; at [v, d]: features of the source items whose
    losses are to be weighted, none of which should be among `source` → [v]. A logistic regression on
    standardised features, its domains balanced, so that n and m do not matter. Where the domains can be told
    apart the ratio is close to 0 for every source item, and what is weighted by it says little. Raises
    RequestError where a value is not finite.

    >>> same = np.array([[0.0], [1.0]])
    >>> importance_weights(same, same, at=same).round(6).tolist()
    [1.0, 1.0]
    """
    # here: whoever compares records should not wait for it
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = {"source": source, "target": target, "at": at}
    for name, part in parts.items():
        if (
            part.ndim != 2
            or len(part) == 0
            or part.shape[1] != source.shape[-1]
            or not np.isfinite(part).all()
        ):
            raise RequestError(
                f"importance_weights: {name} of shape {list(part.shape)}; finite features [n, d] of one "
                "width d are needed"
            )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    classifier.fit(
        np.concatenate([source, target]).astype(np.float64), np.repeat([0, 1], [len(source), len(target)])
    )
    # of balanced domains the logit is the logarithm of the ratio
    logits: np.ndarray = classifier.decision_function(at.astype(np.float64))
    weights: np.ndarray = np.exp(logits)
    return weights
