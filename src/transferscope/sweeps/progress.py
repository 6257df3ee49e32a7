"""Watching a sweep: what runs, what is done, what is left, ETA. It reads the store alone, so it works with
every launcher."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from transferscope.errors import RequestError
from transferscope.store import lease, record

if TYPE_CHECKING:
    from transferscope.training.request import Request

# cells that fewer seeds can still decide; beyond them t(2) at alpha/36 is 27
SMALL_FAMILY, SEEDS_FOR_A_FAMILY = (3, 5)
FINISHED = (*record.ANSWERS, "failed")
STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "crashed": "red",
    "diverged": "yellow",
    "collapsed": "yellow",
}


def label(cell: dict, seed: int | None = None) -> str:
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


def say_plan(store: Path, planned: list, to_do: list, refused: list) -> None:
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


def _too_few_seeds(planned: list) -> list[str]:
    """A line a target whose family could not be decided by so few seeds, whatever comes out."""
    seeds = defaultdict(lambda: defaultdict(set))
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


class Pace:
    """How long runs take that are like those that are done: of the same strategy, or else by their steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.steps = 0

    def add(self, request: "Request", seconds: float) -> None:
        self.seconds[request.cell["strategy"]].append(seconds)
        self.steps += request.steps

    def left(self, requests: Sequence["Request"], elapsed: float) -> float | None:
        """Seconds until these are done as well, with as many side by side as so far; None where none is done
        or left. elapsed: seconds in which those that were added were done."""
        worked = sum(sum(each) for each in self.seconds.values())
        if not worked or not requests:
            return None
        expected = [
            fmean(self.seconds[name])
            if (name := request.cell["strategy"]) in self.seconds
            else worked * request.steps / max(self.steps, 1)
            for request in requests
        ]
        return sum(expected) * elapsed / worked


class Progress:
    """`with Progress(...)`: a live display on a terminal, a line a finished run elsewhere; a summary at the
    end."""

    def __init__(self, store: Path, name: str, planned: list, refused: list):
        self.store, self.name, self.refused = store, name, refused
        self.jobs = {job.request.fingerprint: job.request for job in planned}
        self.console = Console(stderr=True)
        self.stopped = threading.Event()
        self.errors: list[str] = []
        self.pace = Pace()
        self.began = time.monotonic()

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

    def error(self, job, error: BaseException) -> None:
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
        for name, (status, _) in list(self.states.items()):
            if status in record.ANSWERS:
                continue
            self.states[name] = new = lease.state(self.store, name)
            if new[0] == status or new[0] not in FINISHED:
                continue
            request = self.jobs[name]
            with suppress(RequestError, KeyError, OSError):
                self.pace.add(request, record.read_record(self.store / name)["timings"]["wall_seconds"])
            if not self.live:
                line = (
                    f"[{self._finished()}/{len(self.jobs)}] {new[0]}: "
                    f"{label(request.cell, request.asked.seed)}{self._eta()}"
                )
                self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _eta(self) -> str:
        left = [self.jobs[name] for name, (status, _) in self.states.items() if status not in FINISHED]
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
        rows = [Text(f"  {label(self.jobs[n].cell, self.jobs[n].asked.seed)}  {detail.split(', ')[-1]}",
            style="cyan", no_wrap=True, overflow="ellipsis")
                for n, (status, detail) in self.states.items() if status == "running"]  # fmt: skip
        odd = {s: n for s, n in counted.items() if s in ("failed", "crashed", "diverged", "collapsed")}
        rows += [Text(f"  {number} {status}", style=STYLES[status]) for status, number in odd.items()]
        return Group(head, *rows)
