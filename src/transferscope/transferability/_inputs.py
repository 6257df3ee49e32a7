"""What every score asks of its features and labels."""

import numpy as np

from transferscope.errors import RequestError


def require_features(
    score: str, features: np.ndarray, labels: np.ndarray, least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """features [N, d] as float64 and labels [N] numbered 0 … C - 1 by the classes that occur.

    Raises RequestError unless every value is finite and there are at least two classes with at least `least`
    items each."""
    if features.ndim != 2 or labels.shape != (len(features),):
        raise RequestError(
            f"{score}: features {list(features.shape)} and labels {list(labels.shape)}; [N, d] and [N] are "
            "needed"
        )
    if not np.isfinite(features).all():
        raise RequestError(
            f"{score}: the features hold values that are not finite; only numbers can be scored"
        )
    classes, index = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise RequestError(
            f"{score}: {len(classes)} class among {len(labels)} labels; at least two are needed"
        )
    counts = np.bincount(index)
    if counts.min() < least:
        raise RequestError(
            f"{score}: class {classes[counts.argmin()]} has {counts.min()} labelled item; at least {least} "
            "a class are needed"
        )
    return features.astype(np.float64), index
