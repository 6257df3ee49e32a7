"""What a strategy makes of a toy: a short fit from random weights, and what it gets right afterwards."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from transferscope.backbones.base import Backbone
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Strategy
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

SETTINGS = FitSettings(200, 32, 1, partial(torch.optim.AdamW, lr=0.005), "cosine", "cpu", "32-true")


def items(inputs: np.ndarray, labels: np.ndarray, domain: int = 0) -> LabelledData:
    return LabelledData(
        torch.from_numpy(inputs), torch.from_numpy(labels), torch.full((len(labels),), domain)
    )


def circle(which: np.ndarray, of: int = 3) -> np.ndarray:
    """[N] → points on the unit circle [N, 2], `of` of them apart from each other."""
    return np.stack([np.cos(2 * np.pi * which / of), np.sin(2 * np.pi * which / of)], axis=1)


def hits(
    strategy: Callable[[Classifier], Strategy],
    backbone: Callable[[], Backbone],
    pools: Pools,
    test: LabelledData,
    seed: int,
    steps: int = 200,
) -> np.ndarray:
    """Of each test item after training, whether it is right [n]; of the pools only what the strategy sees.
    Weights and batches are drawn by `seed`."""
    torch.manual_seed(seed)
    classes = tuple("abcdef"[: int(test.labels.max()) + 1])
    trained = strategy(Classifier(backbone(), len(classes)))
    seen = Pools(
        source=pools.source if "source_inputs" in trained.sees else None,
        target=pools.target if "target_labels" in trained.sees else None,
    )
    evaluated = {
        "toy/test": EvaluationSet(
            test.inputs, test.labels, np.arange(len(test.labels)).astype(str), classes, None
        )
    }
    outcome = fit(trained, seen, evaluated, SETTINGS._replace(steps=steps), (seed, "test"))
    return (outcome.predictions["toy/test"][steps].argmax(1) == test.labels).numpy().astype(float)
