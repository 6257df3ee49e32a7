"""Synthetic: labels of which an item may have any number, and the same under a rule that differs by a known
amount. For tests and documents, never evidence about a method."""

import numpy as np
import torch

from transferscope.data.domain import Domain

RULE_SEED = 0  # two domains of one `shift` have one rule
FEATURES = 4
SHARES = {"common": 0.5, "frequent": 0.35, "rare": 0.2, "scarce": 0.12}  # of the items, nearly
SHARPNESS = 4.0


def load(
    name: str,
    *,
    items: int = 400,
    shift: float = 0.0,
    draw: int = 0,
    test_fraction: float = 0.5,
) -> Domain:
    """P(y_l = 1 | x) = sigmoid(4 (w_lᵀ x − c_l)), w_l of length 1, each label by itself; c_l is what gives it
    its share of SHARES.

    inputs float32 [items, 4], standard normal. shift: w_l is moved by so much in a direction of its own and
    brought back to length 1. draw: which sample; two domains with another `draw` share no item."""
    rule = np.random.default_rng(RULE_SEED)
    directions = rule.normal(size=(2, len(SHARES), FEATURES))
    weights, away = directions / np.linalg.norm(directions, axis=2, keepdims=True)
    weights = weights + shift * away
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    cuts = np.quantile(rule.normal(size=10_000), [1 - share for share in SHARES.values()])
    sample = np.random.default_rng([RULE_SEED, 1 + draw])
    x = sample.normal(size=(items, FEATURES))
    p = 1 / (1 + np.exp(-SHARPNESS * (x @ weights.T - cuts)))
    return Domain.of_tags(
        name,
        torch.from_numpy(x.astype(np.float32)),
        sample.random(p.shape) < p,
        [f"draw-{draw}-{i:04d}" for i in range(items)],
        tags=list(SHARES),
        test_fraction=test_fraction,
    )
