"""What the closed-form methods are made of: moments, principal axes, a kernel."""

import numpy as np
import torch
from torch import Tensor


def moments(items: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature; a constant one keeps its scale."""
    scale = items.std(0, correction=0)
    return items.mean(0), torch.where(scale > 0, scale, torch.ones_like(scale))


def principal_axes(items: np.ndarray, dimensions: int) -> np.ndarray:
    """The directions of largest variance, [d, k], k = `dimensions` or as many as there are, orthonormal."""
    _, vectors = np.linalg.eigh(np.cov(items, rowvar=False, bias=True))
    rank = min(dimensions, len(items) - 1, items.shape[1])
    return vectors[:, ::-1][:, :rank]


def gaussian_kernel(items: np.ndarray, bandwidth: float) -> tuple[np.ndarray, float]:
    """exp(-|x - y|² / b) of all pairs, [N, d] -> [N, N], and b: `bandwidth` times the median squared distance
    of distinct pairs; times their mean where more than half of them coincide."""
    items = items - items.mean(0)  # |x|² + |y|² - 2 x·y loses digits far from the origin
    norms = (items**2).sum(1)
    squared = (norms[:, None] + norms - 2 * (items @ items.T)).clip(0)
    np.fill_diagonal(squared, 0)
    pairs = squared[np.triu_indices(len(items), 1)]
    bandwidth *= float(np.median(pairs) or pairs.mean() or 1.0)
    return np.exp(-squared / bandwidth), bandwidth
