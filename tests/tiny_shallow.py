"""Two small domains of arrays, and a shallow method fitted to them."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform

from transferscope.backbones.identity import Identity
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.shallow import Items, ShallowAdaptation
from transferscope.strategies.source_classifier import SourceClassifier

# items, draw, is it the target → inputs [n, d], labels [n]
Shift = Callable[[int, int, bool], tuple[np.ndarray, np.ndarray]]


def labelled(inputs: np.ndarray, labels: np.ndarray, domain: int = 0) -> LabelledData:
    return LabelledData(
        torch.from_numpy(inputs.astype(np.float32)),
        torch.from_numpy(labels),
        torch.full((len(labels),), domain),
    )


def fitted(
    make: type[ShallowAdaptation], source: tuple, target: np.ndarray, known: tuple | None = None, **keys
) -> ShallowAdaptation:
    """source, known: (inputs [n, d], labels [n])."""
    network = Classifier(Identity((target.shape[1],)), int(source[1].max()) + 1)
    strategy = make(network, **keys)
    unlabelled = torch.from_numpy(target.astype(np.float32))
    strategy.fit_features(Pools(labelled(*source), None if known is None else labelled(*known), unlabelled))
    return strategy


def predicted(strategy: ShallowAdaptation, inputs: np.ndarray) -> np.ndarray:
    """Probabilities [n, C]"""
    with torch.no_grad():
        return strategy.predictions(torch.from_numpy(inputs.astype(np.float32))).numpy()


def accuracy(make: type[ShallowAdaptation], shift: Shift, seeds: int = 3, **keys) -> float:
    """On target items that were not there when it was fitted, the mean over draws."""
    hits = []
    for draw in range(seeds):
        source = shift(150, 3 * draw, False)
        (target, _) = shift(150, 3 * draw + 1, True)
        (test, labels) = shift(150, 3 * draw + 2, True)
        hits.append((predicted(fitted(make, source, target, **keys), test).argmax(1) == labels).mean())
    return float(np.mean(hits))


def gain(
    make: type[ShallowAdaptation],
    shift: Shift,
    classifier: str = "nearest_neighbour",
    scaling: str = "domain",
    **keys,
) -> tuple[float, float]:
    """(without adaptation, with it): the same classifier on the features as they are, scaled alike."""
    alike = {"classifier": classifier, "scaling": scaling}
    return accuracy(SourceClassifier, shift, **alike), accuracy(make, shift, **alike, **keys)


def items(n: int = 24, m: int = 18, width: int = 6, classes: int = 3) -> Items:
    """Correlated features in double precision, other ones in the target."""
    draw = np.random.default_rng(0)
    labels = np.arange(n) % classes
    source = draw.normal(size=(n, width)) @ draw.normal(size=(width, width)) + labels[:, None]
    target = draw.normal(size=(m, width)) @ draw.normal(size=(width, width)) + 1
    return Items(source, labels, target, target[:0], labels[:0])


def kernel_of(items: np.ndarray) -> np.ndarray:
    """exp(-|x - y|² / median of the distinct pairs), by scipy's distances."""
    squared = pdist(items, "sqeuclidean")
    return np.exp(-squareform(squared) / np.median(squared))


def circle(
    size: int, draw: int, radius: float = 3.0, noise: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Three classes on a circle of two features."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    angles = 2 * np.pi * labels / 3
    return (
        radius * np.stack([np.cos(angles), np.sin(angles)], 1) + noise * random.normal(size=(size, 2)),
        labels,
        random,
    )
