"""P9: transfer component analysis, 1000 + 1000 items of 800 dimensions, beside skada's and beside the
eigenproblem as it is written."""

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
from scipy.linalg import eigh, subspace_angles

from benchmarks.bars import Bar, ratio, rounds
from transferscope.strategies.tca import contrast, transfer_components, weighted_axes

ITEMS, DIMENSIONS, COMPONENTS, PENALTY, ROUNDS = 1000, 800, 10, 1.0, 3


def bars() -> Iterator[Bar]:
    draw = np.random.default_rng(0)
    source, target = draw.normal(size=(ITEMS, DIMENSIONS)), draw.normal(0.3, 1.2, size=(ITEMS, DIMENSIONS))
    pooled = np.concatenate([source, target])

    def ours() -> np.ndarray:
        return transfer_components(
            pooled @ weighted_axes(pooled), contrast(ITEMS, ITEMS)[:, None], PENALTY, COMPONENTS
        )

    if find_spec("skada") is None:
        print("P9a skipped: skada is not installed (pip install skada)")
    else:
        from skada import TransferComponentAnalysisAdapter

        labels = np.r_[np.ones(ITEMS), -np.ones(ITEMS)]

        def theirs() -> None:
            TransferComponentAnalysisAdapter(kernel="linear", n_components=COMPONENTS, mu=PENALTY).fit(
                pooled, sample_domain=labels
            )

        yield ratio(
            "P9a",
            ">=",
            5,
            rounds({"skada": theirs, "ours": ours}, ROUNDS),
            "skada",
            "ours",
            "TCA, linear kernel: skada / ours",
        )
    small = np.concatenate([source[:150], target[:150]])
    kernel, e = small @ small.T, contrast(150, 150)[:, None]
    centring = np.eye(300) - 1 / 300
    _, vectors = eigh(kernel @ centring @ kernel, kernel @ e @ e.T @ kernel + PENALTY * np.eye(300))
    angle = subspace_angles(
        transfer_components(kernel, e, PENALTY, COMPONENTS), vectors[:, -COMPONENTS:]
    ).max()
    yield Bar(
        "P9b",
        float(angle),
        "<=",
        1e-6,
        note="radians between our subspace and scipy's generalised eigh(A, B), 300 items",
    )
