"""NCE: negative conditional entropy (Tran et al. 2019, arXiv 1908.08142)."""

import numpy as np

from transferscope.errors import RequestError

VERSION = "1eef69cd"  # part of the keys of kept rankings: change it when the numbers change


def nce(source_predictions: np.ndarray, labels: np.ndarray) -> float:
    """-H(Y | Z) = Σ_{y, z} P(y, z) log P(y | z), P from counts

    source_predictions Z [N], the source class a source model gives to each target item, labels Y [N] → nats,
    at most 0. Deviation: the paper has true source labels of the same items; a source model's most probable
    class stands in for them, as in Nguyen et al. 2020.

    >>> # half of the items see a fair coin: -log(2) / 2
    >>> round(nce(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])), 4)
    -0.3466
    """
    if labels.ndim != 1 or source_predictions.shape != labels.shape or len(labels) == 0:
        raise RequestError(
            f"nce: predictions {list(source_predictions.shape)} and labels {list(labels.shape)}; [N] and "
            "[N] are needed"
        )
    _, y = np.unique(labels, return_inverse=True)
    _, z = np.unique(source_predictions, return_inverse=True)
    joint = np.zeros((y.max() + 1, z.max() + 1))
    np.add.at(joint, (y, z), 1 / len(y))
    return float((np.log(joint[y, z]) - np.log(joint.sum(0)[z])).mean())
