"""LogME: logarithm of maximum evidence (You et al. 2021, arXiv 2102.11005)."""

import numpy as np

from transferscope.transferability._evidence import log_evidence
from transferscope.transferability._inputs import require_features

VERSION = "1f7b745d"  # part of the keys of kept rankings: change it when the numbers change


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of max_{α, β} log p(y | F, α, β) / N, y the 0/1 column of a class, y = F w + noise, w
    ~ N(0, I / α), noise ~ N(0, I / β)

    features [N, d], labels [N] → nats an item (they are densities: any sign, any size). d may exceed N. The
    scale of the features does not matter. Features that say nothing give the evidence of noise alone, which
    is finite. Raises RequestError where a feature is not finite. Algorithm 1 of the paper: m = β (α I + β
    FᵀF)⁻¹ Fᵀ y, γ = Σ β σ / (α + β σ) over the eigenvalues σ of FᵀF, then α = γ / mᵀm and β = (N - γ) / |F m
    - y|² until the evidence stands still. Deviations: the stop is by evidence, not by α / β, which has no
    limit where the features fit the labels exactly; the best of three starts counts. For d > N the authors'
    published code gives other values, up to another sign; those here are what a direct maximisation of the
    density gives.

    >>> x = np.array([[-1.0], [-1.1], [1.0], [1.1]])
    >>> logme(x, np.array([0, 0, 1, 1])) > logme(x, np.array([0, 1, 0, 1]))
    True
    """
    features, index = require_features("logme", features, labels)
    return log_evidence(features, np.eye(index.max() + 1)[index].T)
