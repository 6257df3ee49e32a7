"""Samples that lm-eval (EleutherAI's lm-evaluation-harness) leaves with --log_samples:
MODEL/samples_TASK_TIME.jsonl, a line a document and filter. Read as release 0.4.13 writes them."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from transferscope.errors import RequestError, nearest
from transferscope.external.columns import Choice
from transferscope.store.printable import printable

_FILE = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d\d-\d\dT[\d.:+-]+)?\.jsonl(\.gz)?")
_SEED = re.compile(r"(?P<strategy>.+?)[-_.=]*seed[-_=]?(?P<seed>\d+)")
_HAS = {"doc_id", "doc_hash", "filter", "metrics"}
DEFAULT = "acc"


def is_samples(path: Path, begin: bytes) -> bool:
    """begin: of the file's text, which may end inside its first line."""
    return _FILE.fullmatch(path.name) is not None and begin.lstrip().startswith(b'{"doc_id"')


def read(path: Path, name: str, choice: Choice) -> pa.Table:
    """Columns item (number and hash of the document: another document is another item), strategy (the model's
    folder; of `tuned-seed1` tuned), seed (0 where the folder names none), target (the task) and a score: acc
    where nothing is said, else the one that is mapped, METRIC or METRIC,FILTER. Where they are asked for also
    model, task, and `doc.FIELD`. Raises RequestError."""
    task, model = _FILE.fullmatch(path.name), path.absolute().parent.name
    assert task is not None
    seed = _SEED.fullmatch(model)
    fixed = {
        "strategy": seed["strategy"] if seed else model, "seed": seed["seed"] if seed else "0",
        "target": task["task"], "model": model, "task": task["task"],
    }  # fmt: skip
    scores: dict[str, dict[str, float]] = {}  # by metric and filter, by item
    documents: dict[str, dict[str, Any]] = {}
    for number, line in _lines(path, name):
        item = f"{line['doc_id']}:{str(line['doc_hash'])[:12]}"
        documents[item] = line["doc"] if isinstance(line.get("doc"), dict) else {}
        for metric in line["metrics"]:
            if not isinstance(line.get(metric), (int, float)):
                continue  # a perplexity is a sum over words, a list
            of_filter = scores.setdefault(f"{metric},{line['filter']}", {})
            if item in of_filter:
                raise RequestError(f"{name}, line {number}: document {item} is there twice")
            of_filter[item] = float(line[metric])
    chosen = scores[_chosen(name, scores, choice.columns.get("score"))]
    columns: dict[str, list[Any]] = {"item": list(documents)}
    columns |= {key: [value] * len(documents) for key, value in fixed.items()}
    for key in (theirs for theirs in choice.asked if theirs.startswith("doc.")):
        values = [document.get(key.removeprefix("doc.")) for document in documents.values()]
        columns[key] = [value if value is None else str(value) for value in values]
    columns[choice.columns.get("score", "score")] = [chosen.get(item) for item in documents]
    told = {"item", "strategy", "seed", "target", "score"} - choice.columns.keys() | choice.asked
    return pa.table({key: values for key, values in columns.items() if key in told})


def _lines(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(its number, the sample) of each line that is not empty."""
    with pa.input_stream(str(path), compression="detect") as stream:
        for number, text in enumerate(io.BufferedReader(stream), 1):
            try:
                line = json.loads(text) if text.strip() else None
            except ValueError as error:
                raise RequestError(f"{name}, line {number}: no JSON: {error}") from error
            if line is None:
                continue
            is_sample = isinstance(line, dict) and line.keys() >= _HAS and isinstance(line["metrics"], list)
            if not is_sample:
                raise RequestError(f"{name}, line {number}: no sample of lm-eval ({', '.join(sorted(_HAS))})")
            yield number, line


def _chosen(name: str, scores: dict[str, Any], wanted: str | None) -> str:
    """Raises RequestError where that is not one of them."""
    if not scores:
        raise RequestError(f"{name}: tells no score of its documents that is a number")
    asked = DEFAULT if wanted is None else wanted
    found = [key for key in scores if asked in (key, key.rpartition(",")[0])]
    if wanted is None and not found:
        found = list(scores)
    named = ", ".join(f"'{printable(key)}'" for key in (found or scores))
    if not found:
        short = [key.rpartition(",")[0] for key in scores]
        raise RequestError(f"--map score={asked}: {name} has no such score{nearest(asked, short)} ({named})")
    if len(found) > 1:
        raise RequestError(f"{name}: tells several scores ({named}); say which with --map 'score={found[0]}'")
    return found[0]
