"""Synthetic: Gaussian classes and the same classes moved by a known distance. For tests and documents, never
evidence about a method."""

import numpy as np
import torch

from transferscope.data.domain import Domain

MEANS_SEED = 0  # the class means are the same in every domain of this family


def load(
    name: str,
    *,
    features: int = 4,
    classes: int = 3,
    per_class: int = 100,
    shift: float = 0.0,
    draw: int = 0,
    test_fraction: float = 0.5,
) -> Domain:
    """inputs float32 [classes · per_class, features]; classes "blob-0" …; unit variance in every direction.

    features: 2 to 8. The class means are drawn with standard deviation 2 in each feature.
    shift: Euclidean distance by which every class is moved, along the diagonal (1, 1, …).
    draw: which sample; two domains with another `draw` share no item.
    """
    means = np.random.default_rng(MEANS_SEED).normal(scale=2.0, size=(classes, 8))[:, :features]  # [C, d]
    labels = np.repeat(np.arange(classes), per_class)
    noise = np.random.default_rng([MEANS_SEED, 1 + draw]).normal(size=(len(labels), features))
    inputs = means[labels] + noise + shift / np.sqrt(features)
    return Domain.build(
        name,
        torch.from_numpy(inputs.astype(np.float32)),
        [f"blob-{label}" for label in labels],
        [f"draw-{draw}-{i:04d}" for i in range(len(labels))],
        test_fraction=test_fraction,
    )
