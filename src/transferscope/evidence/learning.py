"""Learning curves compared as Taylor & Stone (2009) do: jumpstart, asymptote, area under the curve, time to threshold.

Every measure is a difference to the baseline run of the same seed. Its interval is a t over seeds: these test items, other seeds.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from transferscope import record
from transferscope.comparison.cells import Cell
from transferscope.errors import Refused


@dataclass(frozen=True)
class Measure:
    """Mean over seeds of strategy − baseline; ci None with a single seed."""

    delta: float
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class Time:
    """Until the score that the baseline ends with is first reached. reached: of how many seeds the strategy does; the means are over
    these, and `saved` (baseline − strategy) is told only where all do. The strategy's source training is counted.

    shared: seeds whose source model another run had trained, so that its seconds are not in.
    """

    strategy: float
    baseline: float
    saved: Measure | None
    reached: int
    shared: int = 0


@dataclass(frozen=True)
class Learning:
    """Differences in test accuracy. jumpstart: before the first step. early: at the first evaluation after it. asymptote: at the last.
    area: mean height of the curve. steps, seconds: time to threshold. interval: steps between evaluations, the resolution of `steps`.
    source_steps: of the strategy, counted in `steps`."""

    jumpstart: Measure
    early: Measure
    asymptote: Measure
    area: Measure
    steps: Time | None
    seconds: Time | None
    first: int
    last: int
    source_steps: int
    seeds: int


@dataclass(frozen=True, eq=False)
class _Run:
    """One learning curve: steps, seconds and test accuracy at each evaluation, source training not counted."""

    steps: np.ndarray
    seconds: np.ndarray
    values: np.ndarray
    source_steps: int
    source_seconds: float


def of(cell: Cell, alpha: float) -> Learning | None:
    """None where a run has no curve: a history of fewer than 3 evaluations at steps it shares with its baseline; or that has no runs."""
    seen = cell.evidence
    if not seen.baseline_runs:
        return None
    rows = zip(seen.rows(seen.strategy_runs), seen.rows(seen.baseline_runs), strict=True)
    runs = [(_row(cell, s), _row(cell, b)) for s, b in rows]
    shared = set.intersection(*(set(run.steps) for pair in runs for run in pair))
    if len(shared) < 3 or min(shared) > 0:
        return None
    steps = np.array(sorted(shared))
    curves = np.array([[run.values[np.isin(run.steps, steps)] for run in pair] for pair in runs])  # [K, arm, evaluation]
    d = curves[:, 0] - curves[:, 1]
    ends = np.array([strategy.values[-1] - baseline.values[-1] for strategy, baseline in runs])
    return Learning(
        jumpstart=_measure(d[:, 0], alpha),
        early=_measure(d[:, 1], alpha),
        asymptote=_measure(ends, alpha),
        area=_measure(np.trapezoid(d, steps, axis=1) / (steps[-1] - steps[0]), alpha),
        steps=_time(runs, "steps", alpha),
        seconds=_time(runs, "seconds", alpha),
        first=int(steps[1]),
        last=int(steps[-1]),
        source_steps=runs[0][0].source_steps,
        seeds=len(runs),
    )


def _row(cell: Cell, folders: list[Path]) -> _Run:
    """Of one seed: its run, or the mean curve of its folds, at the evaluations they share."""
    runs = [_read(cell, folder) for folder in folders]
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    seconds, values = (np.mean([getattr(run, part)[np.isin(run.steps, steps)] for run in runs], axis=0) for part in ("seconds", "values"))
    return _Run(np.array(steps), seconds, values, runs[0].source_steps, float(np.mean([run.source_seconds for run in runs])))


def _read(cell: Cell, folder: Path) -> _Run:
    column = f"{cell.target}/test/accuracy"
    try:
        rows = [row for row in record.read_history(folder) if column in row]
    except (OSError, ValueError, Refused):  # closed form, or an old store
        rows = []
    run = cell.evidence.records[folder]
    steps = (run.get("result") or {}).get("steps") or {}
    begins_at_source = bool(steps.get("target"))  # else the curve's own steps are those of source training
    return _Run(
        *(np.array([row[key] for row in rows]) for key in ("step", "seconds", column)),
        source_steps=int(steps.get("source", 0)) if begins_at_source else 0,
        source_seconds=float((run.get("timings") or {}).get("source_seconds") or 0.0) if begins_at_source else 0.0,
    )


def _time(runs: list[tuple[_Run, _Run]], unit: str, alpha: float) -> Time | None:
    """None where the strategy never reaches the baseline's last score."""
    taken = []
    for strategy, baseline in runs:
        threshold = baseline.values[-1]
        taken.append([_reached(run, threshold, unit) for run in (strategy, baseline)])
    times = np.array(taken)
    reached = np.isfinite(times[:, 0])
    if not reached.any():
        return None
    strategy, baseline = times[reached].mean(axis=0)
    saved = _measure(times[:, 1] - times[:, 0], alpha) if reached.all() else None
    shared = sum(run.source_steps > 0 and run.source_seconds == 0 for run, _ in runs)
    return Time(float(strategy), float(baseline), saved, int(reached.sum()), shared)


def _reached(run: _Run, threshold: float, unit: str) -> float:
    """Time of the first evaluation at or above the threshold, with the source training before it; inf where there is none."""
    at = np.flatnonzero(run.values >= threshold)
    if len(at) == 0:
        return math.inf
    return getattr(run, unit)[at[0]] + getattr(run, f"source_{unit}")


def _measure(values: np.ndarray, alpha: float) -> Measure:
    """values [K], one a seed."""
    mean, seeds = float(values.mean()), len(values)
    if seeds < 2:
        return Measure(mean, None)
    half = -stdtrit(seeds - 1, alpha / 2) * values.std(ddof=1) / math.sqrt(seeds)
    return Measure(mean, (float(mean - half), float(mean + half)))
