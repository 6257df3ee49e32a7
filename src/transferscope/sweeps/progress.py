"""Watching a sweep: what runs, what is done, what is left, ETA. It reads the store alone, so it works with
every launcher."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from transferscope.errors import RequestError
from transferscope.store import lease, record

if TYPE_CHECKING:
    from transferscope.sweeps.job import Job, Refused
    from transferscope.sweeps.verdicts_so_far import VerdictsSoFar

# cells that fewer seeds can still decide; beyond them t(2) at alpha/36 is 27
SMALL_FAMILY, SEEDS_FOR_A_FAMILY = (3, 5)
ROOM = 12  # lines of a terminal for what runs and what has failed
Likeness = tuple[object, ...]
FINISHED = (*record.ANSWERS, "failed")
STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "crashed": "red",
    "diverged": "yellow",
    "collapsed": "yellow",
}


def label(cell: Mapping[str, Any], seed: int | None = None) -> str:
    """`fine_tuning  printed_digits → usps  10 labels  seed 3`"""
    budget = cell.get("label_budget")
    parts = [
        cell["strategy"],
        f"{cell['source']} → {cell['target']}" if cell.get("source") else cell["target"],
        "" if budget is None else f"{budget} labels" if budget != "full" else "all labels",
        "" if seed is None else f"seed {seed}",
    ]
    return "  ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def states(store: Path, fingerprints: list[str]) -> dict[str, tuple[str, str]]:
    return {name: lease.state(store, name) for name in fingerprints}


def estimate(store: Path, left: int, workers: int) -> float | None:
    """Seconds for `left` runs, from the median time of the records of this store; None where there is none
    yet."""
    times = []
    for folder in record.run_folders(store)[-200:]:
        with suppress(RequestError, KeyError):
            times.append(record.read_record(folder)["timings"]["wall_seconds"])
    return left * sorted(times)[len(times) // 2] / workers if times else None


def say_plan(store: Path, planned: list["Job"], to_do: list["Job"], refused: list["Refused"]) -> None:
    """The dry run's table."""
    console = Console()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("run", "strategy", "source → target", "labels", "seed", "state"):
        table.add_column(column, no_wrap=column in ("run", "seed"))
    for job in planned:
        request, cell = job.request, job.request.cell
        status, detail = lease.state(store, request.fingerprint)
        state = (
            "would run" if status == "missing" else f"would run again ({status})" if job in to_do else status
        )
        arrow = f"{cell['source']} → {cell['target']}" if cell["source"] else cell["target"]
        table.add_row(
            request.fingerprint[:8], cell["strategy"], arrow,
            str(cell["label_budget"] if cell["label_budget"] is not None else "–"),
            str(request.asked.seed), Text(state, style=STYLES.get(status, "")),
        )  # fmt: skip
    console.print(table)
    for reason, number in Counter(job.reason for job in refused).items():
        console.print(
            f"not applicable ({number}): {reason}",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    for warning in _too_few_seeds(planned):
        console.print(warning, style="yellow", highlight=False, markup=False, soft_wrap=True)
    eta = estimate(store, len(to_do), 1)
    when = f", about {duration(eta)} one after another" if eta else ""
    console.print(
        f"{len(planned)} runs: {len(planned) - len(to_do)} done, {len(to_do)} to run{when}; {len(refused)} "
        "not applicable"
    )


def _too_few_seeds(planned: list["Job"]) -> list[str]:
    """A line a target whose family could not be decided by so few seeds, whatever comes out."""
    seeds: dict[str, dict[Any, set[int]]] = defaultdict(lambda: defaultdict(set))
    for job in planned:
        if job.request.cell["strategy"] == "scratch":  # a baseline, no cell
            continue
        words = frozenset(word for word in job.overrides if not word.startswith(("seed=", "fold=")))
        seeds[job.request.cell["target"]][job.request.cell["strategy"], words].add(job.request.asked.seed)
    return [
        f"{target}: {most} seeds for a family of some {len(arms)} cells decide next to nothing, "
        f"as t has {most - 1} degrees of freedom; give {SEEDS_FOR_A_FAMILY} seeds or more"
        for target, arms in seeds.items()
        if len(arms) > SMALL_FAMILY and 1 < (most := max(map(len, arms.values()))) < SEEDS_FOR_A_FAMILY
    ]


def likeness(cell: Mapping[str, Any]) -> Likeness:
    """What a run's pace depends on, most of all first."""
    return tuple(cell.get(key) for key in ("strategy", "target", "source", "label_budget"))


@dataclass(frozen=True)
class Unfinished:
    """A run without an answer. share: of its steps that are done, in `seconds`."""

    like: Likeness
    steps: int
    share: float = 0.0
    seconds: float = 0.0

    @classmethod
    def read(
        cls, store: Path, name: str, cell: Mapping[str, Any], steps: int, is_running: bool
    ) -> "Unfinished":
        """How far it is by what it claims."""
        with suppress(TypeError, ValueError, KeyError):  # a claim that is gone by now
            if is_running and (claim := lease.claim(store, name)) and claim["step"]:
                seconds = time.time() - datetime.fromisoformat(claim["since"]).timestamp()
                return cls(likeness(cell), steps, claim["step"] / claim["steps"], seconds)
        return cls(likeness(cell), steps)


class Pace:
    """How long runs take: a step is as long as those of the runs that are most alike. worked: the seconds of
    the finished ones."""

    def __init__(self) -> None:
        self.worked = 0.0
        # seconds and steps, of every beginning of a likeness
        self.known: dict[Likeness, tuple[float, int]] = {}

    def add(self, like: Likeness, steps: int, seconds: float) -> None:
        self.worked += seconds
        _add(self.known, like, seconds, steps)

    def rest(self, runs: Sequence[Unfinished]) -> list[float]:
        """Seconds of work that each still needs; none where there is nothing to go by."""
        known, begun = dict(self.known), {}
        for run in runs:
            if run.share:
                begun[run] = run.seconds / run.share
                _add(known, run.like, begun[run], run.steps)
        if not known:
            return []
        rest = []
        for run in runs:
            alike = next(run.like[:n] for n in range(len(run.like), -1, -1) if run.like[:n] in known)
            seconds, steps = known[alike]
            rest.append(begun.get(run, run.steps * seconds / max(steps, 1)) * (1 - run.share))
        return rest

    def left(self, runs: Sequence[Unfinished], elapsed: float) -> float | None:
        """Seconds until these are done as well, with as many side by side as in the `elapsed` seconds in
        which all that is done was done; None where there is nothing to go by, or nothing left."""
        worked = self.worked + sum(run.seconds for run in runs)
        if not (rest := self.rest(runs)) or not worked:
            return None
        return max(sum(rest) * elapsed / worked, *rest)


def _add(known: dict[Likeness, tuple[float, int]], like: Likeness, seconds: float, steps: int) -> None:
    for n in range(len(like) + 1):
        before = known.get(like[:n], (0.0, 0))
        known[like[:n]] = before[0] + seconds, before[1] + steps


def _verdicts_so_far(store: Path, name: str, runs: int) -> "VerdictsSoFar":
    """Imports before workers are forked, which must not happen in the middle of an import."""
    from transferscope.sweeps.verdicts_so_far import VerdictsSoFar

    return VerdictsSoFar(store, name, runs)


class Progress:
    """`with Progress(...)`: a live display on a terminal, a line a finished run elsewhere; a summary at the
    end. verdicts: whether the verdicts so far are shown with it; None: on a terminal."""

    def __init__(
        self,
        store: Path,
        name: str,
        planned: list["Job"],
        refused: list["Refused"],
        verdicts: bool | None = False,
    ):
        self.store, self.name, self.refused = store, name, refused
        self.jobs = {job.request.fingerprint: job.request for job in planned}
        self.console = Console(stderr=True)
        self.stopped = threading.Event()
        self.errors: list[str] = []
        self.pace = Pace()
        self.began = time.monotonic()
        wanted = self.console.is_terminal if verdicts is None else verdicts
        self.verdicts = _verdicts_so_far(store, name, len(self.jobs)) if wanted else None

    def __enter__(self) -> "Progress":
        self.states = states(self.store, list(self.jobs))
        self.finished_before = self._finished()
        self.live = (
            Live(console=self.console, auto_refresh=False, transient=True)
            if self.console.is_terminal
            else None
        )
        if self.live:
            self.live.start()
        else:
            self.console.print(
                f"sweep {self.name}: {len(self.jobs)} runs, {self.finished_before} done",
                highlight=False,
                markup=False,
            )
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def error(self, job: "Job", error: BaseException) -> None:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        self.errors.append(f"{label(job.request.cell, job.request.asked.seed)}: {first}")

    @property
    def failed(self) -> bool:
        return any(status not in record.ANSWERS for status, _ in self.states.values())

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.stopped.set()
        self.thread.join()
        self._update()
        if self.live:
            self.live.stop()
        if self.verdicts and (table := self.verdicts.compare(self._finished(), self.console.width)):
            self.console.print(table)
        counted = Counter(status for status, _ in self.states.values())
        summary = ", ".join(f"{number} {status}" for status, number in counted.most_common())
        more = f"; {len(self.refused)} not applicable" if self.refused else ""
        self.console.print(
            f"sweep {self.name}: {summary}{more} in {duration(time.monotonic() - self.began)}",
            highlight=False,
            markup=False,
        )
        for name, (status, reason) in self.states.items():
            if status in ("failed", "crashed", "diverged", "collapsed"):
                request = self.jobs[name]
                line = f"  {status}: {label(request.cell, request.asked.seed)}: {reason}"
                self.console.print(line, style=STYLES[status], highlight=False, markup=False, soft_wrap=True)
        for line in self.errors:
            self.console.print(f"  {line}", style="red", highlight=False, markup=False, soft_wrap=True)
        for reason, number in Counter(job.reason for job in self.refused).items():
            self.console.print(
                f"  not applicable ({number}): {reason}",
                style="yellow",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        if kind is KeyboardInterrupt:
            self.console.print(
                "interrupted: what is finished is kept; the same command goes on from here", style="yellow"
            )

    def _finished(self) -> int:
        return sum(status in FINISHED for status, _ in self.states.values())

    def _watch(self) -> None:
        took = 0.0
        while not self.stopped.wait(
            max(0.5, 50 * took)
        ):  # a large sweep is looked at less often: watching takes 2 % of a core at most
            began = time.thread_time()
            self._update()
            took = time.thread_time() - began
            if self.live:
                self.live.update(self._view(), refresh=True)

    def _update(self) -> None:
        before, new = self._finished(), []
        for name, (status, _) in list(self.states.items()):
            if status in record.ANSWERS:
                continue
            self.states[name] = lease.state(self.store, name)
            if self.states[name][0] == status or self.states[name][0] not in FINISHED:
                continue
            new.append(name)
            request = self.jobs[name]
            with suppress(RequestError, KeyError, OSError):
                seconds = record.read_record(self.store / name)["timings"]["wall_seconds"]
                self.pace.add(likeness(request.cell), request.steps, seconds)
        if new and not self.live:
            eta = self._eta()
            for number, name in enumerate(new, before + 1):
                request = self.jobs[name]
                line = (
                    f"[{number}/{len(self.jobs)}] {self.states[name][0]}: "
                    f"{label(request.cell, request.asked.seed)}{eta}"
                )
                self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        if self.verdicts and self.live:
            self.verdicts.update(self._finished(), self.console.width, self.console.height - ROOM)
        elif self.verdicts and (table := self.verdicts.for_a_log(self._finished(), self.console.width)):
            self.console.print(table)

    def _eta(self) -> str:
        left = [
            Unfinished.read(self.store, name, request.cell, request.steps, self.states[name][0] == "running")
            for name, request in self.jobs.items()
            if self.states[name][0] not in FINISHED
        ]
        seconds = self.pace.left(left, time.monotonic() - self.began)
        return "" if seconds is None else f"  ETA {duration(seconds)}"

    def _view(self) -> Group:
        counted = Counter(status for status, _ in self.states.values())
        finished = self._finished()
        head = Table.grid(padding=(0, 1))
        left = len(self.jobs) - finished - counted["running"]
        told = f"{finished}/{len(self.jobs)}  {counted['running']} running  {left} left{self._eta()}"
        room = min(30, self.console.width - len(f"sweep {self.name}") - len(told) - 3)
        head.add_row(
            Text(f"sweep {self.name}", style="bold", no_wrap=True, overflow="ellipsis"),
            ProgressBar(total=len(self.jobs), completed=finished, width=max(5, room)),
            Text(told),
        )
        rows: list[Text | Group] = []
        for name, (status, detail) in self.states.items():
            if status == "running":
                request = self.jobs[name]
                line = f"  {label(request.cell, request.asked.seed)}  {detail.split(', ')[-1]}"
                rows.append(Text(line, style="cyan", no_wrap=True, overflow="ellipsis"))
        odd = {s: n for s, n in counted.items() if s in ("failed", "crashed", "diverged", "collapsed")}
        rows += [Text(f"  {number} {status}", style=STYLES[status]) for status, number in odd.items()]
        if self.verdicts and self.verdicts.view:
            rows.append(self.verdicts.view)
        return Group(head, *rows)
