"""How well a source's model suits numbers that are to be predicted: LogME's form for regression, and the
error of the model as it is."""

import numpy as np

from transferscope.errors import RequestError
from transferscope.transferability._evidence import log_evidence

VERSION = "1"  # part of the keys of kept rankings: change it when the numbers change


def logme_regression(features: np.ndarray, values: np.ndarray) -> float:
    """Mean over quantities of max_{α, β} log p(y | F, α, β) / N, y the standardised values of a quantity, y =
    F w + noise, w ~ N(0, I / α), noise ~ N(0, I / β)   (You et al. 2021, arXiv 2102.11005)

    features [N, d], values [N, T] → nats an item (they are densities: any sign). Values are standardised, so
    that their unit does not matter; LogME of classes keeps the 0/1 columns as they are. Raises RequestError
    for a value or feature that is not finite, and for values that do not vary.

    >>> x = np.array([[-1.0], [-0.4], [0.3], [1.1]])
    >>> logme_regression(x, 5 * x + 2) > logme_regression(x, x[[2, 0, 3, 1]])
    True
    """
    features, z = _required("logme_regression", features, values)
    return log_evidence(features, z.T)


def source_error(values: np.ndarray, source_values: np.ndarray) -> float:
    """-mean |ŷ - y| / sd(y), ŷ what the source's model predicts: 0 at best

    values, source_values [N, T]; the mean over items and quantities. It is what `source_only` would err by on
    the labelled items. Raises RequestError as `logme_regression`.

    >>> source_error(np.array([[0.0], [2.0]]), np.array([[1.0], [2.0]]))
    -0.5
    """
    _required("source_error", source_values, values)
    return -float((np.abs(source_values - values) / values.std(0)).mean())


def _required(score: str, features: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 features, and values standardised."""
    if features.ndim != 2 or values.ndim != 2 or len(features) != len(values):
        raise RequestError(
            f"{score}: {list(features.shape)} and values {list(values.shape)}; [N, d] and [N, T] are needed"
        )
    if not (np.isfinite(features).all() and np.isfinite(values).all()):
        raise RequestError(f"{score}: some values are not finite; only numbers can be scored")
    spread = values.std(0)
    if len(values) < 2 or not (spread > 0).all():
        raise RequestError(f"{score}: all {len(values)} labelled items have one value; two are needed")
    return features.astype(np.float64), (values - values.mean(0)) / spread
