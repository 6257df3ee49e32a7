"""Which evaluations of a run keep their outputs: the key `outputs`."""

import math

import numpy as np

from transferscope.data.splits import RunData
from transferscope.store import record
from transferscope.store.schema import Kept, KeptOutputs
from transferscope.tasks.item_scores import is_finite, item_scores
from transferscope.tasks.metrics import HEADLINES
from transferscope.training.evaluate import last_finite_step
from transferscope.training.request import Request
from transferscope.training.settings import FitResult

AUTOMATIC_BYTES = 64_000_000  # of a run's outputs, up to which all are kept unless the key says otherwise


def asked(request: Request, outcome: FitResult, task: str) -> Kept:
    """`all`, `last` or `none`. Unless the key says which, all where they are small, or where this run takes
    the place of one that kept all. Of a task that no metric of ours judges nothing would stay: all."""
    if task not in HEADLINES:
        return "all"
    if request.asked.outputs is not None:
        return request.asked.outputs
    octets = 4 * sum(
        outputs.numel() for by_step in outcome.predictions.values() for outputs in by_step.values()
    )
    folder = request.store / request.fingerprint
    kept_all = record.is_answer(folder) and record.keeps_outputs(
        record.read_record(folder), {"outputs": "all"}
    )
    return "all" if octets <= AUTOMATIC_BYTES or kept_all else "last"


def kept(
    request: Request, run_data: RunData, outcome: FitResult
) -> tuple[KeptOutputs, dict[str, frozenset[int]]]:
    """What the record says of it, and of each evaluated set the steps whose outputs stay."""
    which, found = asked(request, outcome, run_data.task.name), {}
    chosen = selected(request, run_data, outcome) if which == "last" else None
    for name, by_step in outcome.predictions.items():
        wanted: set[int | None] = set(by_step) if which == "all" else set()
        if which == "last":
            wanted = {max(by_step), last_finite_step(by_step), chosen}
        found[name] = frozenset(step for step in by_step if step in wanted)
    if all(len(found[name]) == len(by_step) for name, by_step in outcome.predictions.items()):
        which = "all"
    selection = request.asked.selection if which == "last" else None
    return {"kept": which, "selection": selection}, found


def selected(request: Request, run_data: RunData, outcome: FitResult) -> int | None:
    """The step that `compare` takes by the run's `selection` (comparison/scores.py), None for the last."""
    test = f"{run_data.target.name}/test"
    value = _values(request, run_data, outcome)
    for step in sorted(value, key=lambda step: (-value[step], step)):
        if is_finite(outcome.predictions[test][step].numpy()):
            return step
    return None


def _values(request: Request, run_data: RunData, outcome: FitResult) -> dict[int, float]:
    """What the rule says of each step; empty where it is the last one that counts."""
    rule = request.asked.selection
    if rule == "last":
        return {}
    if rule not in ("source_val", "target_val"):
        column = f"validator/{rule}"
        found = {int(row["step"]): row.get(column, math.nan) for row in outcome.history}
        found = {step: value for step, value in found.items() if math.isfinite(value)}
        return {step: value for step, value in found.items() if step > 0} or found
    domains = [run_data.target] if rule == "target_val" else run_data.sources
    names = [f"{domain.name}/val" for domain in domains if f"{domain.name}/val" in run_data.evaluated]
    value = {}
    for step in outcome.predictions[names[0]] if names else ():
        means = []
        for name in names:
            items, outputs = run_data.evaluated[name], outcome.predictions[name][step].numpy()
            if is_finite(outputs):
                labels, headline = items.labels.numpy(), HEADLINES[run_data.task.name]
                scores = item_scores(outputs, labels, headline, items.groups, items.errors)
                means.append(scores.mean())
        if len(means) == len(names):
            value[step] = round(float(np.mean(means)), 12)
    return value
