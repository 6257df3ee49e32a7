"""The largest evidence of a linear model with Gaussian weights and noise (You et al. 2021, arXiv 2102.11005,
algorithm 1)."""

import numpy as np

STARTS = (0.01, 1.0, 100.0)  # α / β in units of the mean eigenvalue: the evidence may have several maxima
TOLERANCE = 1e-9  # of the evidence of an item, in nats
MOST_STEPS = 10_000
# least share of a column that counts as noise: an exact fit by fewer features than items has an infinite
# evidence
EXACT = 1e-12


def log_evidence(features: np.ndarray, columns: np.ndarray) -> float:
    """features [N, d], columns [C, N] -> the mean over columns of the largest log evidence, an item."""
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    keep = singular > singular.max(initial=0) * max(features.shape) * np.finfo(float).eps
    left, sigma = left[:, keep], singular[keep] ** 2  # [N, r], [r]
    return float(
        np.mean([_evidence(sigma, (left.T @ y) ** 2, y @ y, len(y)) for y in columns]) / len(features)
    )


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
