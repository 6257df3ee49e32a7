"""The predictions under a comparison as a table, a row an item and run: what `transferscope compare FILE`
reads. Numbers are written with all of their digits, so that the scores that come back have the same bits."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transferscope.comparison import scores
from transferscope.comparison.evaluated import Dropped
from transferscope.comparison.scores import NotSelectable
from transferscope.errors import RequestError
from transferscope.store.schema import Json, RunRecord

if TYPE_CHECKING:
    from transferscope.comparison.findings import Findings
    from transferscope.comparison.paired_scores import Evidence

KEYS = ("strategy", "source", "target", "label_budget", "backbone", "initialisation", "protocol", "variant")


def to_csv(comparison: "Findings") -> str:
    """Of every run of the cells and of their baselines, by the evaluation that the selection takes. Raises
    RequestError for several labels or several numbers an item, and for outputs that were dropped."""
    runs = list(_runs(comparison))
    columns = list(dict.fromkeys(name for head, _ in runs for name in head))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for head, made in runs:
        place = [head.index(name) if name in head else None for name in columns]
        writer.writerows(["" if at is None else row[at] for at in place] for row in made)
    return text.getvalue()


def _runs(comparison: "Findings") -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    """(columns, rows) of each run."""
    settings = comparison.settings
    done = set()
    for cell in comparison:
        seen = cell.evidence
        arms = [(cell.variant, seen.strategy_runs), (seen.baseline_variant, seen.baseline_runs)]
        for variant, folders in arms:
            for seed, folds in zip(seen.seeds, seen.rows(folders), strict=folders != []):
                if (seed, *folds) in done:
                    continue
                done.add((seed, *folds))
                for folder in folds:
                    record = seen.records[folder]
                    known = {"seed": seed, **record["cell"], "variant": variant or _variant(record)}
                    yield _run(folder, record, known, seen, settings)


def _variant(record: RunRecord) -> str:
    return str(record["consumed"].get("variant", ""))


def _run(
    folder: Path, record: RunRecord, known: Json, seen: "Evidence", settings: Json
) -> tuple[list[str], list[tuple[Any, ...]]]:
    try:
        found = scores.read_scores(
            folder, record, settings["metric"], settings["selection"].partition(",")[0], seen.tested_on
        )
        if found.step is None:
            raise NotSelectable(f"run {folder.name} has no finite evaluation, and so no predictions")
        outputs = scores.read_outputs(folder, record, found.step, seen.tested_on)
    except (NotSelectable, Dropped) as why:
        raise RequestError(f"--format predictions: {why}") from why
    outcome = _outcome(found, outputs, record)
    n = len(found.ids)
    columns: dict[str, list[Any]] = {"item": found.ids.tolist(), "seed": [known["seed"]] * n}
    columns |= {key: ["" if known[key] is None else known[key]] * n for key in KEYS}
    if found.groups is not None:
        columns["group"] = found.groups.tolist()
    columns |= outcome
    return list(columns), list(zip(*columns.values(), strict=True))


def _outcome(found: scores.Scores, outputs: np.ndarray, record: RunRecord) -> dict[str, list[Any]]:
    if len(found.classes):
        label = {"label": found.named_labels.tolist()}
        if not scores.has_probabilities(record):
            return {**label, "prediction": found.classes[outputs.argmax(1)].tolist()}
        names = found.classes.tolist()
        return {**label, **{f"p_{name}": _digits(outputs[:, at]) for at, name in enumerate(names)}}
    if found.score_range is not None:
        return {"score": outputs[:, 0].tolist()}
    if found.errors is None or outputs.shape[1] > 1:
        raise RequestError("--format predictions: is for classes, scores, or one number an item")
    cap = [found.errors.cap] * len(outputs)
    truth, prediction = (values[:, 0].astype(float).tolist() for values in (found.labels, outputs))
    return {"truth": truth, "prediction": prediction, "cap": cap}


def _digits(values: np.ndarray) -> list[str]:
    """The fewest that give the same float32."""
    return [str(value) for value in values]
