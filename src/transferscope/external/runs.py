"""Rows of items and runs -> run records with their evaluations, as a store has them."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from transferscope import __version__
from transferscope.errors import RequestError
from transferscope.external.items import aligned
from transferscope.external.options import Options
from transferscope.external.outcomes import OUTCOMES, Outcome
from transferscope.external.rows import Rows, of_test, runs_of
from transferscope.store.record import fingerprint
from transferscope.store.schema import Json
from transferscope.tasks.metrics import HEADLINES

TARGET, UNSTATED = "target", "unstated"  # where no column says it
STEP = 0  # of the one evaluation
# of a setting; a run of folds has all items of them here
_KEY = re.compile(r"(?!folds?$)[a-z]\w*(\.\w+)+|source_label_noise")


@dataclass(frozen=True)
class Run:
    """record, members: as `store.record.write_record` takes them."""

    record: Json
    members: Mapping[str, np.ndarray]


def of_rows(rows: Rows, options: Options) -> Iterator[Run]:
    """Every run of the rows. Raises RequestError for rows that contradict each other."""
    options.check(rows.form)
    judged, trained = of_test(rows)
    by_target: dict[str, list[np.ndarray]] = {}
    for run in runs_of(rows, judged, trained):
        by_target.setdefault(rows.text("target", int(run[0])) or TARGET, []).append(run)
    places: dict[str, int] = {}
    for target, runs in by_target.items():
        found = aligned(rows, runs, target, options.common_items)
        training = trained & rows.is_named("target", target) if "target" in rows.keys else trained
        outcomes = OUTCOMES[rows.form](rows, np.concatenate(found.runs), np.flatnonzero(training), options)
        shared = _shared(rows, found.runs[0])
        digest = ""
        for run in found.runs:
            outcome = outcomes.of_run(run)
            digest = digest or _digest(shared["ids"], outcome.truths)  # all runs have the same
            made = _run(rows, run, target, shared, outcome, left_out=found.left_out, digest=digest)
            row = places.setdefault(made.record["fingerprint"], int(run[0]))
            if row != int(run[0]):
                raise RequestError(
                    f"{rows.place(int(run[0]))}: its run is that of {rows.place(row)}, written in another "
                    "way (seed 0 and 00, an empty text and what it stands for): write it in one"
                )
            yield made


def _shared(rows: Rows, first: np.ndarray) -> dict[str, np.ndarray]:
    """What all runs of a target have, without {items}/."""
    found = {"ids": rows.keys["item"].of_rows(first)}
    if "group" in rows.keys:
        found["groups"] = rows.keys["group"].of_rows(first)
    return found | {f"metadata/{name}": column.of_rows(first) for name, column in rows.metadata.items()}


def _digest(ids: np.ndarray, truths: np.ndarray) -> str:
    """Of items and what is right of them, in whatever order."""
    said = sorted(zip(ids.tolist(), map(str, truths.tolist() or [""] * len(ids)), strict=True))
    return hashlib.blake2b(json.dumps(said).encode(), digest_size=16).hexdigest()


def _run(
    rows: Rows,
    run: np.ndarray,
    target: str,
    shared: dict[str, np.ndarray],
    outcome: Outcome,
    *,
    left_out: int,
    digest: str,
) -> Run:
    row, items = int(run[0]), f"{target}/test"
    members = {
        **shared, **outcome.members, "targets": outcome.targets, f"outputs/{STEP:06d}": outcome.outputs,
    }  # fmt: skip
    cell = _cell(rows, row, target)
    consumed: Json = {
        "imported": True,
        "target": {"name": target, "digest": digest},
        "sources": [{"name": name, "digest": UNSTATED} for name in (cell["source"] or "").split("+") if name],
        "strategy": {"name": cell["strategy"]},
        "backbone": {"name": cell["backbone"]},
        **{key: cell[key] for key in ("label_budget", "initialisation", "protocol")},
        **_variant(rows.text("variant", row)),
        "seed": int(rows.text("seed", row) or 0),
    }
    tables = [rows.tables[at] for at in dict.fromkeys(rows.file[run].tolist())]
    task = outcome.task or {"name": "classification"}
    record: Json = {
        "fingerprint": fingerprint(consumed),
        "status": "collapsed" if outcome.collapse else "done",
        "reason": outcome.collapse,
        "cell": cell,
        "seed": consumed["seed"],
        "role": "run",
        "sees": [],
        "consumed": consumed,
        "config": {},
        "result": {
            **({"task": outcome.task} if outcome.task else {}),
            "metrics": {f"{items}/{HEADLINES[task['name']]}": outcome.headline},
        },
        "timings": {},
        "calibrated": rows.form != "prediction",
        "imported": {
            "file": ", ".join(table.name for table in tables),
            "hash": tables[0].digest,
            "tool": f"transferscope {__version__}",
            "form": rows.form,
            "left_out": left_out,
            "is_capped_by_test": outcome.is_capped_by_test,
        },
    }
    return Run(record, {f"{items}/{name}": values for name, values in members.items()})


def _variant(text: str) -> Json:
    """What a run consumed beside its cell: `trainer.steps=300, trainer.optimizer.lr=0.1` key by key, another
    text as it is."""
    pairs = [part.partition("=") for part in text.split(", ")]
    if not all(_KEY.fullmatch(key) and value for key, _, value in pairs):
        return {"variant": text} if text else {}
    return {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _cell(rows: Rows, row: int, target: str) -> Json:
    strategy, budget = rows.text("strategy", row), rows.text("label_budget", row)
    return {
        "source": rows.text("source", row) or None,
        "target": target,
        "label_budget": int(budget) if budget.isdecimal() else budget or None,
        "backbone": rows.text("backbone", row) or UNSTATED,
        "initialisation": rows.text("initialisation", row)
        or ("random" if strategy == "scratch" else UNSTATED),
        "strategy": strategy,
        "protocol": rows.text("protocol", row) or "inductive",
    }
