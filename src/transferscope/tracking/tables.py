"""Tables that runs of a W&B project logged, whoever made them: run.log({"predictions": wandb.Table(…)})."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transferscope.errors import RequestError, nearest
from transferscope.store.printable import printable
from transferscope.tracking.project import PROJECT, Project, asking

GRAMMAR = f"{PROJECT}ENTITY/PROJECT or {PROJECT}ENTITY/PROJECT/TABLE"
KIND, END = "run_table", ".table.json"  # of the artifact that holds a table, and of its file
LARGEST = 2**30  # bytes of a file
AT_ONCE = 8  # tables


@dataclass(frozen=True)
class RunTable:
    """What one run logged last under a name. run: its name, `group`: its group, or None."""

    run: str
    group: str | None
    config: Mapping[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class _Logged:
    """Before it is fetched. inner: the file in the artifact."""

    run: Any
    artifact: Any
    inner: str

    @property
    def key(self) -> str:
        return self.inner.removesuffix(END)


def run_tables(runs: str) -> list[RunTable]:
    """Those of one name, a run each. Raises RequestError, and never prompts."""
    with tempfile.TemporaryDirectory() as folder, asking(runs, GRAMMAR, Path(folder)) as project:
        logged = _logged(project)
        named = sorted({one.key for one in logged})
        shown = ", ".join(printable(name) for name in named[:10])
        if not named:
            raise RequestError(f"RUNS={runs}: no run of {project.path} has logged a table")
        if project.part is None and len(named) > 1:
            raise RequestError(
                f"RUNS={runs}: its runs logged several tables ({shown}); name one: "
                f"{PROJECT}{project.path}/{printable(named[0])}"
            )
        if project.part is not None and project.part not in named:
            raise RequestError(
                f"RUNS={runs}: no run of {project.path} has logged such a table"
                f"{nearest(project.part, named)} ({shown})"
            )
        chosen = [one for one in logged if project.part in (None, one.key)]
        places = [Path(folder) / f"{number}" for number in range(len(chosen))]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(_fetched, chosen, places))


def _logged(project: Project) -> list[_Logged]:
    """The last version of each table of each run."""
    found = []
    try:
        for run in project.api.runs(project.path, lazy=False):
            last = {}
            for artifact in run.logged_artifacts():
                if artifact.type == KIND:
                    last[artifact.source_name.partition(":")[0]] = artifact
            for artifact in last.values():
                found += [
                    _Logged(run, artifact, inner)
                    for inner in artifact.manifest.entries
                    if inner.endswith(END)
                ]
    except ValueError as error:  # how W&B says that it has no such project
        raise project.absent() from error
    return found


def _fetched(logged: _Logged, folder: Path) -> RunTable:
    entry = logged.artifact.manifest.entries[logged.inner]
    name = printable(f"{logged.run.name}: {logged.inner}")[:200]
    if entry.ref is not None or entry.size is None or entry.size > LARGEST:
        raise RequestError(f"{name}: a file of its own of at most {LARGEST} bytes is needed")
    # beside it lie the images and sounds that it shows
    logged.artifact.download(root=str(folder), path_prefix=logged.inner)
    try:
        content = json.loads((folder / logged.inner).read_bytes())
        columns, rows = [str(column) for column in content["columns"]], content["data"]
        is_table = all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{name}: no table of W&B") from error
    if not is_table:
        raise RequestError(f"{name}: no table of W&B: a row has not a value a column")
    return RunTable(logged.run.name, logged.run.group, dict(logged.run.config), columns, rows)
