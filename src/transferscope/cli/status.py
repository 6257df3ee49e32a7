"""transferscope status: where a store's sweeps and runs stand, from plans, records and claims alone."""

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from transferscope.cli.parser import Parser
from transferscope.errors import RequestError, nearest
from transferscope.store import lease, record, schema

FORMATS = ("table", "json")
REFRESH_SECONDS = 2.0
MOST_LINES = 20  # of one state in the table; all are in json
TROUBLE = ("failed", "unreadable", "crashed", "diverged", "collapsed")
OVER = (*record.ANSWERS, "failed", "unreadable")  # what waiting does not change
HELP = """
usage: transferscope status [STORE] [--watch] [--format table|json]

Where the sweeps of a store (default: runs) and the runs outside them stand:
done, running (where, since when, which step), failed with the first line why,
crashed, diverged, collapsed, missing, not applicable with the reasons; and the
time left, by the pace of the runs so far. Failed and crashed runs are tried
again by the command that planned them; the other states are answers.

  --watch          refresh until everything is finished, or Ctrl-C
  --format json    {"sweeps": [{"name", "created", "counts", "eta_seconds",
                    "jobs": [{"fingerprint", "cell", "seed", "status",
                    "detail", "seconds"}]}], "unreadable": [...]}
                   where the runs outside sweeps have the name null
"""


@dataclass(frozen=True)
class JobState:
    """One run. cell: None where only a claim is known of it. seconds: what it took, where it is an answer."""

    fingerprint: str | None
    cell: dict | None
    seed: int | None
    status: str
    detail: str
    seconds: float | None = None


@dataclass(frozen=True)
class Sweep:
    name: str | None
    created: str | None
    jobs: list[JobState]
    eta_seconds: float | None

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(job.status for job in self.jobs).most_common())

    @property
    def is_over(self) -> bool:
        """A crashed run is waited for where it is planned: its sweep comes back to it."""
        return all(job.status in OVER or (job.status == "crashed" and self.name is None) for job in self.jobs)


def main(argv: list[str]) -> int:
    parser = Parser("status")
    parser.add_argument("store", nargs="?", default="runs", type=Path)
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--format", default="table")
    arguments = parser.parse_args(argv)
    if arguments.format not in FORMATS:
        raise RequestError(
            f"--format {arguments.format}: not one of "
            f"{', '.join(FORMATS)}{nearest(arguments.format, FORMATS)}"
        )
    if arguments.watch and arguments.format == "json":
        raise RequestError("--watch: shows the table; call status --format json again instead")
    if not arguments.store.is_dir():
        raise RequestError(f"{arguments.store}: no such store; give the folder of a `store=` key")
    view = Store(arguments.store)
    if arguments.format == "json":
        sweeps = [
            {
                "name": s.name,
                "created": s.created,
                "counts": s.counts,
                "eta_seconds": s.eta_seconds,
                "jobs": [vars(job) for job in s.jobs],
            }
            for s in view.sweeps()
        ]
        print(json.dumps({"sweeps": sweeps, "unreadable": view.unreadable}, indent=1))
        return 0

    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not arguments.watch:
        console.print(table(view), soft_wrap=not sys.stdout.isatty())
        return 0
    with Live(table(view), console=console, auto_refresh=False) as live:
        while not all(sweep.is_over for sweep in view.seen):
            time.sleep(REFRESH_SECONDS)
            live.update(table(view), refresh=True)
    return 0


class Store:
    """Reads a store again and again; a record that is an answer is read once."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.answers: dict[str, JobState] = {}
        self.unreadable: list[str] = []  # plans and records of another schema version, or broken
        self.seen: list[Sweep] = []

    def sweeps(self) -> list[Sweep]:
        """The planned sweeps, oldest first, then the runs outside them."""
        self.unreadable, plans = [], []
        for path in sorted(self.folder.glob("sweeps/*/plan.json")):
            try:
                plans.append(record.read_json(path, "sweep plan"))
            except RequestError as refusal:
                self.unreadable.append(str(refusal))
        plans.sort(key=lambda plan: (plan["created"], plan["name"]))
        self.seen = [
            self._sweep(plan["name"], plan["created"], [self._planned(job) for job in plan["jobs"]])
            for plan in plans
        ]
        planned = {job["fingerprint"] for plan in plans for job in plan["jobs"]}
        names = {folder.name for folder in record.run_folders(self.folder)}
        names |= {path.parent.name for path in record.running(self.folder).glob("*/claim.json")}
        if others := [self._job(name) for name in sorted(names - planned)]:
            self.seen.append(self._sweep(None, None, others))
        return self.seen

    def _planned(self, job: dict) -> JobState:
        if job["status"] == "not_applicable":
            return JobState(None, job["cell"], job["seed"], "not_applicable", job["reason"])
        return self._job(job["fingerprint"], job["cell"], job["seed"])

    def _job(self, name: str, cell: dict | None = None, seed: int | None = None) -> JobState:
        if name in self.answers:
            return self.answers[name]
        status, detail = lease.state(self.folder, name)
        path, seconds = self.folder / name, None
        if (path / "record.json").exists():
            try:
                entry = record.read_record(path)
                cell, seed, seconds = entry["cell"], entry["seed"], entry["timings"].get("wall_seconds")
            except RequestError as refusal:
                self.unreadable.append(str(refusal))
                return JobState(name, cell, seed, "unreadable", str(refusal))
        if cell is None and (claim := lease.claim(self.folder, name)):
            cell, seed = (
                (claim.get("cell"), claim.get("seed"))
                if schema.mismatch(claim.get("cell"), schema.Cell) is None
                else (None, None)
            )
        if status not in record.ANSWERS:
            return JobState(name, cell, seed, status, detail)
        self.answers[name] = JobState(name, cell, seed, status, detail, seconds)
        return self.answers[name]

    def _sweep(self, name: str | None, created: str | None, jobs: list[JobState]) -> Sweep:
        return Sweep(name, created, jobs, self._seconds_left(jobs))

    def _seconds_left(self, jobs: list[JobState]) -> float | None:
        """By the pace of this sweep's own runs, finished or at work; before there is one by that of the
        store's other runs."""
        from transferscope.sweeps.progress import Pace, Unfinished, estimate, likeness

        pace, running = Pace(), [job for job in jobs if job.status == "running"]
        for job in jobs:
            if job.seconds and job.cell:
                pace.add(likeness(job.cell), 1, job.seconds)
        left = [
            Unfinished.read(self.folder, job.fingerprint, job.cell, 1, job.status == "running")
            for job in jobs
            if job.status in ("running", "missing", "crashed") and job.fingerprint and job.cell
        ]
        if not left:
            return None
        at_work = max(1, len(running))
        rest = pace.rest(left)
        return max(sum(rest) / at_work, *rest) if rest else estimate(self.folder, len(left), at_work)


def table(store: Store):
    """Every sweep: a line of counts, then what is not simply done."""
    from rich.text import Text

    text = Text()
    for sweep in store.sweeps():
        _describe(text, sweep)
    if not store.seen:
        text.append(f"{store.folder}: no runs yet\n")
    by_reason = Counter(message.rpartition("/")[2].partition(": ")[2] for message in store.unreadable)
    for reason, number in by_reason.items():
        first = next(message.partition(": ")[0] for message in store.unreadable if message.endswith(reason))
        text.append(f"left out: {first}{f' and {number - 1} more' if number > 1 else ''}: {reason}\n", "red")
    text.rstrip()
    return text


def _describe(text, sweep: Sweep) -> None:
    from transferscope.sweeps.progress import STYLES, duration

    counts = dict(sweep.counts)
    applicable = len(sweep.jobs) - counts.pop("not_applicable", 0)
    text.append(f"sweep {sweep.name}" if sweep.name else "outside sweeps", "bold")
    text.append(f"  {counts.pop('done', 0)} of {applicable} done")
    for status, number in counts.items():
        text.append(f", {number} {status}", STYLES.get(status, ""))
    if sweep.eta_seconds:
        time_left = duration(sweep.eta_seconds)
        text.append(f"; ETA {time_left}" if "running" in counts else f"; {time_left} to go, none is running")
    text.append("\n")
    for status in ("running", *TROUBLE):
        lines = [f"{_label(job)}: {job.detail}" for job in sweep.jobs if job.status == status]
        _lines(text, status, lines, STYLES.get(status, "red"))
    _lines(text, "missing", _by_cell([job for job in sweep.jobs if job.status == "missing"]), "")
    reasons = Counter(job.detail for job in sweep.jobs if job.status == "not_applicable")
    _lines(text, "not applicable", [f"({number}) {reason}" for reason, number in reasons.items()], "yellow")


def _lines(text, status: str, lines: list[str], style: str) -> None:
    for line in lines[:MOST_LINES]:
        text.append(f"  {status}: {line}\n", style)
    if len(lines) > MOST_LINES:
        text.append(f"  {status}: {len(lines) - MOST_LINES} lines more (--format json has them all)\n", style)


def _label(job: JobState) -> str:
    from transferscope.sweeps.progress import label

    return label(job.cell, job.seed) if job.cell else job.fingerprint


def _by_cell(jobs: list[JobState]) -> list[str]:
    """One line a cell, with its seeds."""
    from transferscope.sweeps.progress import label

    seeds: dict[str, list[str]] = {}
    for job in jobs:
        seeds.setdefault(label(job.cell) if job.cell else job.fingerprint, []).append(str(job.seed))
    return [f"{cell}  seed {', '.join(numbers)}" for cell, numbers in seeds.items()]
