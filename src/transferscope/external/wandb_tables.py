"""Tables that runs of a W&B project logged, a row an item, as tables of results: a run each."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from transferscope.errors import RequestError, nearest
from transferscope.external.columns import Choice
from transferscope.external.files import Table
from transferscope.store.printable import printable

if TYPE_CHECKING:
    from transferscope.tracking.tables import RunTable

CONFIG, NAME, GROUP = "config.", "run.name", "run.group"


def read(runs: str, choice: Choice) -> list[Table]:
    """Columns are those of the tables, and of each run what is asked for: `config.KEY`, also of nested keys
    (`config.model.name`), `run.name` and `run.group`. Raises RequestError."""
    from transferscope.tracking.tables import run_tables

    return [_table(runs, found, choice) for found in run_tables(runs)]


def _table(runs: str, found: "RunTable", choice: Choice) -> Table:
    name = printable(f"{runs}, run {found.run}")
    columns = {
        column: _array([row[place] for row in found.rows]) for place, column in enumerate(found.columns)
    }
    for asked in sorted(choice.asked - columns.keys()):
        if asked.startswith(CONFIG):
            value = _setting(found.config, asked.removeprefix(CONFIG), name)
        elif asked in (NAME, GROUP):
            value = found.run if asked == NAME else found.group or ""
        else:
            continue
        columns[asked] = pa.array([value] * len(found.rows), pa.string())
    content = json.dumps([found.columns, found.rows, found.config], default=str).encode()
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Table(name, digest, list(columns), pa.table(columns))


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # of several kinds
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _setting(config: Mapping[str, Any], key: str, name: str) -> str:
    """As text. Raises RequestError where the run has no such key, or several values under it."""
    value: Any = config
    for part in [key] if key in config else key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise RequestError(f"{name}: its config has no '{printable(key)}'{nearest(key, config)}")
        value = value[part]
    if isinstance(value, (Mapping, list)):
        raise RequestError(f"{name}: its config has several values under '{printable(key)}'")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
