"""Whether the probabilities become more or less honest: negative log-likelihood, and calibration error, which
is printed and not judged."""

from dataclasses import dataclass

import numpy as np

from transferscope.comparison.cells import Cell
from transferscope.comparison.evidence.predictions import PredictionReader
from transferscope.statistics import effect
from transferscope.tasks.metrics import METRICS


@dataclass(frozen=True)
class Calibration:
    """Means over seeds of both arms. nll in nats, change = strategy − baseline (below 0: better), its
    interval over seeds and items, None with a single seed. ece: 15 bins, biased upwards with few items, hence
    without an interval."""

    strategy_nll: float
    baseline_nll: float
    nll_change: float
    ci: tuple[float, float] | None
    strategy_ece: float
    baseline_ece: float


def measure(cell: Cell, alpha: float, reader: PredictionReader) -> Calibration:
    seen = cell.evidence
    arms = reader.arm(cell, seen.strategy_runs), reader.baseline(cell)
    strategy, baseline = (effect.group_means(np.stack([run.nll for run in arm]), seen.groups) for arm in arms)
    d = strategy - baseline
    ci = effect.interval(d, alpha, METRICS["nll"].unit) if len(d) > 1 else None
    ece = [float(np.mean(values)) for values in (seen.strategy_ece, seen.baseline_ece)]
    return Calibration(float(strategy.mean()), float(baseline.mean()), float(d.mean()), ci, *ece)
