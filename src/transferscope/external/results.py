"""Results that were made elsewhere, as a store of run records: a temporary one to be compared, or one that
they join."""

import atexit
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transferscope.errors import RequestError
from transferscope.external.columns import Choice
from transferscope.external.formats import PROJECT, suffix_of
from transferscope.external.options import Options
from transferscope.store import evaluations
from transferscope.store.record import check_writable, is_answer, read_record, write_record

if TYPE_CHECKING:
    from transferscope.external.files import Frame, Table
    from transferscope.external.runs import Run


class Results:
    """A row an item and run: files (CSV, JSON lines, Parquet, samples of lm-eval), tables in memory (pandas,
    pyarrow, a dict of columns), or `wandb:ENTITY/PROJECT[/TABLE]`, the tables that runs logged there.

    columns: by our name theirs, such as {"strategy": "model", "prediction": "pred_{seed}"}. metadata: columns
    that describe items. ignore: columns to leave out, "*" for all others. common_items: judge the items that
    all runs of a target have. lower_is_better: of scores. score_range: the lowest and the highest score that
    an item can have, 0 and 1 where it is None. cap: the largest error of a predicted number that counts.
    matrix: they are transfer matrices instead, a row a source and a column a target (`external.matrix`).

    Nothing is read before it is asked for. Raises RequestError."""

    def __init__(
        self,
        *tables: "str | Path | Frame",
        columns: Mapping[str, str] | None = None,
        metadata: Sequence[str] = (),
        ignore: Sequence[str] = (),
        common_items: bool = False,
        lower_is_better: bool = False,
        score_range: tuple[float, float] | None = None,
        cap: float | None = None,
        matrix: bool = False,
    ):
        if not tables:
            raise RequestError("Results(): a file or a table is needed")
        self.tables = tables
        self.choice = Choice.checked(columns or {}, metadata, ignore)
        self.options = Options(common_items, lower_is_better, score_range, cap)
        self.is_matrix = matrix

    def __str__(self) -> str:
        names = [str(table) if isinstance(table, (str, Path)) else "a table" for table in self.tables]
        return ", ".join(names)

    @property
    def arguments(self) -> str:
        """Of a command that reads them."""
        choice, options = self.choice, self.options
        words = [str(table) for table in self.tables if isinstance(table, (str, Path))] or ["FILE"]
        for ours, theirs in choice.columns.items():
            words += ["--map", f"{ours}={theirs}"]
        for option, names in (("--metadata", choice.metadata), ("--ignore", choice.ignored)):
            words += [option, ",".join(names)] if names else []
        words += ["--matrix"] * self.is_matrix
        words += ["--common-items"] * options.common_items + ["--lower-is-better"] * options.lower_is_better
        if options.score_range:
            words += ["--score-range", "{:g},{:g}".format(*options.score_range)]
        words += ["--cap", f"{options.cap:g}"] if options.cap is not None else []
        return shlex.join(words)

    @cached_property
    def store(self) -> Path:
        """Of their run records, gone when this process ends."""
        folder = Path(tempfile.mkdtemp(prefix="transferscope-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for run in self.runs():
            write_record(folder, run.record, run.members, [])
        return folder

    def runs(self) -> "list[Run]":
        from transferscope.external import matrix, rows, runs

        read = [one for table in self.tables for one in self._read(table)]
        if self.is_matrix:
            read = [matrix.rows(table) for table in read]
        return list(runs.of_rows(rows.read(read, self.choice), self.options))

    def _read(self, table: "str | Path | Frame") -> "list[Table]":
        from transferscope.external import files

        if not isinstance(table, (str, Path)):
            return [files.from_frame(table)]
        if str(table).startswith(PROJECT):
            from transferscope.external import wandb_tables

            return wandb_tables.read(str(table), self.choice)
        return [files.from_file(Path(table), self.choice)]

    def join(self, store: Path) -> tuple[int, int]:
        """Runs that were added to a store, and that it had already. Where this is refused, it is as it was:
        for rows that are no results, and where the store has other results of one of the runs."""
        runs = self.runs()
        check_writable(store)
        new = [run for run in runs if not _is_there(store / run.record["fingerprint"], run)]
        for run in new:
            write_record(store, run.record, run.members, [])
        return len(new), len(runs) - len(new)


def foreign(runs: object) -> Results | None:
    """What a RUNS argument means that is a file of results, or a table in memory; None for a store."""
    if isinstance(runs, Results):
        return runs
    if isinstance(runs, (str, Path)) and (suffix_of(Path(runs)) is None or Path(runs).is_dir()):
        return None
    return Results(runs)


def _said(members: Mapping[str, np.ndarray], run: "Run") -> dict[str, np.ndarray]:
    """Classes by their names: which of them there are, and in which order, hangs on the runs beside it."""
    found = {name: members[name] for name in members}
    for name in [name for name in found if name.endswith("/classes")]:
        items, classes = name.removesuffix("/classes"), found.pop(name)
        found[f"{items}/targets"] = classes[found[f"{items}/targets"]]
        for outputs in [key for key in found if key.startswith(f"{items}/outputs/")]:
            if run.record["imported"]["form"] == "prediction":
                found[outputs] = classes[found[outputs].argmax(1)]
            else:
                order = np.argsort(classes)
                found |= {outputs: found[outputs][:, order], name: classes[order]}
    return found


def _is_there(folder: Path, run: "Run") -> bool:
    """Raises RequestError where the run is there with other results."""
    if not is_answer(folder):
        return False
    record = read_record(folder)
    try:
        with evaluations.Evaluations(folder / evaluations.NAME) as stored:
            ours, theirs = (_said(members, run) for members in (run.members, stored))
    except Exception as error:  # a damaged archive fails in many ways
        raise RequestError(
            f"{folder / evaluations.NAME}: damaged ({type(error).__name__}); remove the folder and import "
            "again"
        ) from error
    if ours.keys() != theirs.keys() or not all(np.array_equal(ours[name], theirs[name]) for name in ours):
        earlier = record["imported"]["file"] if "imported" in record else "elsewhere"
        raise RequestError(
            f"{run.record['imported']['file']}: {folder.parent} has other results of "
            f"{run.record['cell']['strategy']}, seed {run.record['seed']}, on these items, from {earlier}; "
            f"give another --store, or remove {folder}"
        )
    return True
