"""Synthetic: numbers that follow Friedman's function of five features, and the same under a rule that differs
by a known amount. For tests and documents, never evidence about a method."""

import numpy as np
import torch

from transferscope.data.domain import Domain

RULE_SEED = 0  # two domains of one `shift` have one rule


def load(
    name: str,
    *,
    items: int = 400,
    shift: float = 0.0,
    noise: float = 1.0,
    draw: int = 0,
    test_fraction: float = 0.5,
) -> Domain:
    """y = a₁ 10 sin(π (b₁x₁ + c₁)(b₂x₂ + c₂)) + a₂ 20 (b₃x₃ + c₃ − ½)² + a₃ 10 (b₄x₄ + c₄) + a₄ 5 (b₅x₅ + c₅)
    + noise (Friedman 1991), its coefficients moved as by Pardoe & Stone 2010: a and b are drawn from N(1, 0.1
    shift), c from N(0, 0.05 shift).

    inputs float32 [items, 5], uniform on [0, 1]. noise: standard deviation. draw: which sample; two domains
    with another `draw` share no item."""
    rule = np.random.default_rng([RULE_SEED, round(1000 * shift)])
    a, b = rule.normal(1, 0.1 * shift, 4), rule.normal(1, 0.1 * shift, 5)
    c = rule.normal(0, 0.05 * shift, 5)
    sample = np.random.default_rng([RULE_SEED, 1 + draw, 1])
    x = sample.random((items, 5))
    z = b * x + c
    y = (
        a[0] * 10 * np.sin(np.pi * z[:, 0] * z[:, 1])
        + a[1] * 20 * (z[:, 2] - 0.5) ** 2
        + a[2] * 10 * z[:, 3]
        + a[3] * 5 * z[:, 4]
        + sample.normal(0, noise, items)
    )
    return Domain.of_numbers(
        name,
        torch.from_numpy(x.astype(np.float32)),
        y[:, None],
        [f"draw-{draw}-{i:04d}" for i in range(items)],
        quantities=["y"],
        test_fraction=test_fraction,
    )
