"""How probable harm and gain are in each cell of a family: beside the verdict, never in place of it
(statistics/probabilities.py)."""

from collections.abc import Sequence

import numpy as np

from transferscope.comparison.paired_scores import Evidence
from transferscope.statistics.probabilities import LARGEST_DF, Probabilities, mean_covariance, probabilities
from transferscope.statistics.verdict import Pair


def of_family(
    pairs: Sequence[Pair], evidence: Sequence[Evidence], margins: Sequence[float]
) -> list[Probabilities | None]:
    """One a cell, None where its family or it tells too little."""
    effects = [pair.effect() if pair.chance != "items" else None for pair in pairs]
    known = [at for at, effect in enumerate(effects) if effect]
    covariance = mean_covariance(
        [pairs[at].d for at in known],
        [evidence[at].seeds for at in known],
        None if pairs and pairs[0].chance == "seeds" else [_units(evidence[at]) for at in known],
    )
    columns = ("delta", "seed_variance", "item_variance", "seeds", "item_df")
    arguments = [
        [np.nan_to_num(getattr(effect, name, np.nan), nan=np.nan, posinf=LARGEST_DF) for effect in effects]
        for name in columns
    ]
    delta, seed_variance, item_variance, seeds, item_df = arguments
    return probabilities(delta, seed_variance, item_variance, seeds, item_df, margins, covariance=covariance)


def _units(evidence: Evidence) -> np.ndarray:
    """Names of the columns of d: items, or groups in the order of `group_means`."""
    return evidence.ids if evidence.groups is None else np.unique(evidence.groups)
