"""What a search with equal budgets found: the expected best score against the number of trials, a strategy
each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transferscope.report import figures, words
from transferscope.statistics.expected_best import band, best_so_far, expected_best

HEIGHT = 110
NOMINAL = 0.05  # of the band, which is one of 90 %
LINES = {
    "random": (
        "expected best of so many trials; band: 90 % for each number by itself, up to a quarter of the trials"
    )
}
AT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # trials that the table tells
MEANS = {
    "target_val": "accuracy on the part of the label budget that is set aside",
    "source_val": "accuracy on held-out source items",
}


def views(searches: Sequence[Mapping[str, Any]]) -> list[dict]:
    """One a planned search (`plan["search"]`) of which some trial has a score."""
    return [
        _view(plan["name"], plan["search"])
        for plan in searches
        if any(map(_scores, plan["search"]["studies"]))
    ]


def _view(name: str, search: dict) -> dict:
    found = [(study, _curve(study, search["sampler"])) for study in search["studies"] if _scores(study)]
    _, heights = figures.curve_axes(curve for _, curve in found)
    last = max(len(curve) for _, curve in found)
    trials = figures.Axis(1.0, float(max(last, 2)), ())
    rule, baseline = search["selection"], search["baseline"].partition(":")[0]
    return {
        "title": f"{name}: {words.count(search['trials'], 'trial')} a strategy",
        "aside": f"{search['sampler']} search, {words.count(search['seeds'], 'seed')} a trial",
        "score": f"{rule}, {MEANS.get(rule, 'a value made from unlabelled target inputs, no accuracy')}",
        "line": LINES.get(search["sampler"], "best of the trials so far, in their order"),
        "heights": heights,
        "last": last,
        "baseline": baseline,
        "panels": [
            _panel(study, curve, found, baseline, trials, heights) for study, curve in found if last > 1
        ],
        "at": [number for number in AT if number < last] + [last],
        "rows": [_row(study, curve) for study, curve in found],
        "lacking": sum(score is None for study, _ in found for score in _shown_scores(study)),
    }


def _shown_scores(study: dict) -> list[float | None]:
    """Of the trials that are over; while none is selected, those without a score may still be running."""
    scores = [trial["score"] for trial in study.get("trials", [])]
    return scores if study.get("selected") is not None else [score for score in scores if score is not None]


def _scores(study: dict) -> list[float]:
    """A trial without a value counts as the worst."""
    shown = _shown_scores(study)
    worst = min((score for score in shown if score is not None), default=None)
    return [] if worst is None else [worst if score is None else score for score in shown]


def _curve(study: dict, sampler: str) -> list[tuple[float, float, float, float]]:
    """As `figures.curve` has them: (trials, value, lower bound, upper bound), the bounds being the value
    where there is no band."""
    scores = _scores(study)
    best = expected_best(scores) if sampler == "random" else best_so_far(scores)
    bounds = np.stack([best, best])
    if sampler == "random" and len(scores) > 1:
        bounds[:, : len(scores) // 4] = band(scores, NOMINAL)
    return [
        (float(number), *map(float, row))
        for number, row in enumerate(zip(best, *bounds, strict=True), start=1)
    ]


def _panel(
    study: dict,
    curve: list,
    found: list[tuple[dict, list]],
    baseline: str,
    trials: figures.Axis,
    heights: figures.Axis,
) -> dict:
    cell = study["cell"]
    held = next(
        (line for other, line in found if other is not study and _is_baseline(other["cell"], cell, baseline)),
        None,
    )
    lines = {"tuned": curve, **({"baseline": held} if held else {})}
    return {
        "strategy": cell["strategy"],
        "where": " · ".join(filter(None, [cell["source"], words.budget(cell["label_budget"])])),
        "lines": {name: figures.curve_shape(trials, heights, line) for name, line in lines.items()},
        "best": curve[-1][1],
    }


def _is_baseline(candidate: dict, cell: dict, name: str) -> bool:
    budgets = candidate["label_budget"], cell["label_budget"]
    alike = all(candidate[key] == cell[key] for key in ("target", "backbone"))
    return candidate["strategy"] == name and alike and (None in budgets or budgets[0] == budgets[1])


def _row(study: dict, curve: list) -> dict:
    chosen = study.get("selected")
    values = study["trials"][chosen]["values"] if chosen is not None else {}
    return {
        "cell": study["cell"],
        "trials": len(curve),
        "number": None if chosen is None else chosen + 1,
        "values": ", ".join(f"{key}={value}" for key, value in values.items()) or "not yet",
        "best": {int(number): f"{value:.3f}".replace("-", "−") for number, value, _, _ in curve},
    }
