"""Learning curves compared as Taylor & Stone (2009) do: jumpstart, asymptote, area under the curve, time to
threshold.

Every measure is a difference to the baseline run of the same seed. Its interval is a t over seeds: these test
items, other seeds."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy.special import stdtrit

from transferscope.comparison.cells import Cell
from transferscope.errors import RequestError
from transferscope.store import record
from transferscope.store.schema import RunRecord
from transferscope.tasks.metrics import headline_of


@dataclass(frozen=True)
class Measure:
    """Mean over seeds of strategy − baseline; ci None with a single seed."""

    delta: float
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class Time:
    """Until an arm first reaches the score that the baseline's *other* seeds end with, in the mean: the same
    threshold for both arms, and none of either's own luck in it. A run that never does counts its end and one
    interval more. The strategy's source training is counted, also where another run made the model. saved:
    baseline − strategy; the interval allows for the distance between evaluations as well. reached,
    baseline_reached: seeds that do."""

    strategy: float
    baseline: float
    saved: Measure
    reached: int
    baseline_reached: int


@dataclass(frozen=True)
class Learning:
    """Differences in test accuracy. jumpstart: before the first step. early: at the first evaluation after
    it. asymptote: at the last. area: mean height of the curve. steps, seconds: time to threshold, None with a
    single seed; seconds also where nobody timed the source training. first, last: steps of the evaluations.
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
class Run:
    """One learning curve: steps, seconds and test accuracy at each evaluation, source training not counted.
    source_seconds: nan where nobody timed it."""

    steps: np.ndarray
    seconds: np.ndarray
    values: np.ndarray
    source_steps: int
    source_seconds: float


def compare_curves(
    cell: Cell, alpha: float, costs: Mapping[str, float] = MappingProxyType({})
) -> Learning | None:
    """None where a run has no curve: a history of fewer than 3 evaluations at steps it shares with its
    baseline; or that has no runs. costs: of `source_costs`."""
    seen = cell.evidence
    if not seen.baseline_runs:
        return None
    rows = zip(seen.rows(seen.strategy_runs), seen.rows(seen.baseline_runs), strict=True)
    runs = [(_row(cell, s, costs), _row(cell, b, costs)) for s, b in rows]
    shared = set.intersection(*(set(run.steps) for pair in runs for run in pair))
    if len(shared) < 3 or min(shared) > 0:
        return None
    steps = np.array(sorted(shared))
    curves = np.array(
        [[run.values[np.isin(run.steps, steps)] for run in pair] for pair in runs]
    )  # [K, arm, evaluation]
    d = curves[:, 0] - curves[:, 1]
    ends = np.array([strategy.values[-1] - baseline.values[-1] for strategy, baseline in runs])
    return Learning(
        jumpstart=_measure(d[:, 0], alpha),
        early=_measure(d[:, 1], alpha),
        asymptote=_measure(ends, alpha),
        area=_measure(np.trapezoid(d, steps, axis=1) / (steps[-1] - steps[0]), alpha),
        steps=time_to_threshold(runs, "steps", alpha),
        seconds=time_to_threshold(runs, "seconds", alpha),
        first=int(steps[1]),
        last=int(steps[-1]),
        source_steps=runs[0][0].source_steps,
        seeds=len(runs),
    )


def source_costs(records: Iterable[RunRecord]) -> dict[str, float]:
    """Seconds that each source model took to train, by its key, from the records of the runs that trained
    them."""
    found = {}
    for run in records:
        model, timings = run.get("source_model"), run.get("timings") or {}
        # `source_only`: its own steps are those of the source
        is_the_model = not ((run.get("result") or {}).get("steps") or {}).get("target")
        if (
            model
            and model["made"]
            and (seconds := timings.get("source_seconds") or (is_the_model and timings.get("fit_seconds")))
        ):
            found[model["key"]] = float(seconds)
    return found


def _row(cell: Cell, folders: list[Path], costs: Mapping[str, float]) -> Run:
    """Of one seed: its run, or the mean curve of its folds, at the evaluations they share."""
    runs = [_read(cell, folder, costs) for folder in folders]
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    seconds, values = (
        np.mean([getattr(run, part)[np.isin(run.steps, steps)] for run in runs], axis=0)
        for part in ("seconds", "values")
    )
    return Run(
        np.array(steps),
        seconds,
        values,
        runs[0].source_steps,
        float(np.mean([run.source_seconds for run in runs])),
    )


def _read(cell: Cell, folder: Path, costs: Mapping[str, float]) -> Run:
    run = cell.evidence.records[folder]
    headline = headline_of(run.get("result") or {})
    column, sign = f"{cell.tested_on}/test/{headline.name}", -1 if headline.is_loss else 1
    try:
        rows = [row for row in record.read_history(folder) if column in row]
    except (OSError, ValueError, RequestError):  # closed form, or an old store
        rows = []
    steps = (run.get("result") or {}).get("steps") or {}
    begins_at_source = bool(steps.get("target"))  # else the curve's own steps are those of source training
    source_steps = int(steps.get("source", 0)) if begins_at_source else 0
    model = run.get("source_model")
    seconds = (run.get("timings") or {}).get("source_seconds") or (
        costs.get(model["key"], math.nan) if model else math.nan
    )
    at, times, values = (np.array([row[key] for row in rows]) for key in ("step", "seconds", column))
    return Run(
        at,
        times,
        sign * values,
        source_steps=source_steps,
        source_seconds=float(seconds) if source_steps else 0.0,
    )


def time_to_threshold(runs: list[tuple[Run, Run]], unit: str, alpha: float) -> Time | None:
    before = np.array([[getattr(run, f"source_{unit}") for run in pair] for pair in runs])
    if len(runs) < 2 or np.isnan(before).any():
        return None
    ends = np.array([baseline.values[-1] for _, baseline in runs])
    thresholds = (ends.sum() - ends) / (len(ends) - 1)
    found = np.array(
        [[_reached(run, at, unit) for run in pair] for pair, at in zip(runs, thresholds, strict=True)]
    )  # [K, arm, (time, reached)]
    times = found[..., 0] + before
    between = np.mean([np.diff(getattr(run, unit)).mean() for pair in runs for run in pair])
    saved = _measure(times[:, 1] - times[:, 0], alpha, between**2 / 12)
    strategy, baseline = times.mean(axis=0).tolist()
    reached, baseline_reached = found[..., 1].sum(axis=0).astype(int).tolist()
    return Time(strategy, baseline, saved, reached, baseline_reached)


def _reached(run: Run, threshold: float, unit: str) -> tuple[float, bool]:
    """Time of the first evaluation at or above the threshold; the end and one interval more where there is
    none."""
    times = getattr(run, unit)
    at = np.flatnonzero(run.values >= threshold)
    return (float(times[at[0]]), True) if len(at) else (float(2 * times[-1] - times[-2]), False)


def _measure(values: np.ndarray, alpha: float, rounding: float = 0.0) -> Measure:
    """values [K], one a seed. rounding: variance that rounding has taken from each."""
    mean, seeds = float(values.mean()), len(values)
    if seeds < 2:
        return Measure(mean, None)
    half = (
        -stdtrit(seeds - 1, alpha / 2)
        * math.hypot(values.std(ddof=1), math.sqrt(rounding))
        / math.sqrt(seeds)
    )
    return Measure(mean, (float(mean - half), float(mean + half)))
