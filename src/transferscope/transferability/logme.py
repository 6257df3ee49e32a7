"""LogME: logarithm of maximum evidence (You et al. 2021, arXiv 2102.11005)."""

import numpy as np

from transferscope.transferability._inputs import require_features

VERSION = "1f7b745d"  # part of the keys of kept rankings: change it when the numbers change

STARTS = (0.01, 1.0, 100.0)  # α / β in units of the mean eigenvalue: the evidence may have several maxima
TOLERANCE = 1e-9  # of the evidence of an item, in nats
MOST_STEPS = 10_000
# least share of a column that counts as noise: an exact fit by fewer features than items has an infinite
# evidence
EXACT = 1e-12


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
    columns = np.eye(index.max() + 1)[index].T  # [C, N]
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    keep = singular > singular.max(initial=0) * max(features.shape) * np.finfo(float).eps
    left, sigma = left[:, keep], singular[keep] ** 2  # [N, r], [r]
    return float(np.mean([_evidence(sigma, (left.T @ y) ** 2, y @ y, len(y)) for y in columns]) / len(index))


def _evidence(sigma: np.ndarray, z2: np.ndarray, y2: float, n: int) -> float:
    """Largest log evidence; z2 [r] squared coordinates of y along the left singular vectors, y2 its squared
    length."""
    noise_alone = float(-n / 2 * (np.log(2 * np.pi * y2 / n) + 1))  # α → ∞
    if z2.sum() <= np.finfo(float).eps * y2:
        return noise_alone
    outside = max(y2 - z2.sum(), EXACT * y2) if len(sigma) < n else 0.0
    return max(noise_alone, *(_fixed_point(ratio * sigma.mean(), sigma, z2, outside, n) for ratio in STARTS))


def _fixed_point(alpha: float, sigma: np.ndarray, z2: np.ndarray, outside: float, n: int) -> float:
    """Log evidence where the iteration from (alpha, β = 1) comes to rest; `outside` is the squared length of
    y that no feature reaches."""
    beta, last = 1.0, -np.inf
    for _ in range(MOST_STEPS):
        shrunk = alpha / (alpha + beta * sigma)  # [r]; γ = Σ (1 - shrunk)
        weights2 = (z2 * (1 - shrunk) ** 2 / sigma).sum()
        residual2 = (z2 * shrunk**2).sum() + outside
        evidence = (
            n * np.log(beta / (2 * np.pi)) + np.log(shrunk).sum() - beta * residual2 - alpha * weights2
        ) / 2
        if abs(evidence - last) < TOLERANCE * n:
            break
        last = evidence
        alpha, beta = (1 - shrunk).sum() / weights2, (n - len(sigma) + shrunk.sum()) / residual2
    return float(evidence)
