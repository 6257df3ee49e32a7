"""`run -m ... --settle`: a sweep after which arms go on training where the end of their training keeps a cell
from a claim.

What `compare` says is barred decides what is trained for longer, both arms of the cell at the same length. A
longer training is a run of its own from the first step: the learning rate's schedule goes by the length, and
a finished run keeps nothing to go on from. The plan on disk says of each such run which one it lengthens (key
`lengthens`), so that `compare` takes the lengths of an arm for one cell."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console

from transferscope import tracking
from transferscope.comparison import readings
from transferscope.comparison.compare import Cell, compare
from transferscope.errors import RequestError
from transferscope.store import record
from transferscope.sweeps import progress, sweep
from transferscope.sweeps.job import Job, Refused
from transferscope.sweeps.judging import SELECTION, Rules, check_given_once, increasing, rules
from transferscope.sweeps.planned_arms import cells, collect_arms, cost, own_words
from transferscope.training.finished import is_done

STEPS = ("steps", "source_steps")  # of the trainer: a source model is a part of the training


@dataclass(frozen=True)
class SettleSettings(Rules):
    """The keys settle.* of a sweep. lengths: times the planned steps, increasing."""

    lengths: tuple[int, ...]

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> "SettleSettings":
        """Raises RequestError."""
        return cls(
            lengths=increasing("settle.lengths", values["lengths"], "times the steps", "[2,4]"),
            **rules("settle", values),
        )

    def to_dict(self) -> dict:
        return {**vars(self), "lengths": list(self.lengths), "margin": self.margin.setting}


class Sweeper(sweep.Sweeper):
    """The sweep of `--settle`; options as in `sweep.Sweeper`."""

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        settings = SettleSettings.from_config(OmegaConf.to_container(self.config.settle, resolve=True))
        points = self.expand(arguments)
        check_given_once("settle", points, "[2,4]")
        planned, refused = self.jobs(points)
        longer = {times: self.lengthened(planned, times) for times in settings.lengths}
        course = Course(settings, planned, longer, Path(self.config.store), self.sweep_name(planned))
        if self.dry_run:
            progress.say_plan(
                course.store, planned, [job for job in planned if not is_done(job.request)], refused
            )
            course.say_ahead()
            return planned
        record.check_writable(course.store)
        readings.begin(course.store)
        tracking.effective_mode(planned[0].request.asked.tracking.mode)
        sweep.write_plan(course.store, course.name, planned, refused)
        course.write_settings()
        returns = self.launch(course, planned, refused, "the sweep")
        for times in settings.lengths:
            if jobs := course.jobs(course.barred(times), times):
                sweep.write_plan(course.store, course.name, jobs, [], course.lengthens(times))
                returns += self.launch(course, jobs, [], f"{times} times the steps")
        tracking.track_sweep(course.store, course.name, planned[0].request.config["tracking"])
        course.say_result()
        return returns

    def lengthened(self, planned: list[Job], times: int) -> dict[str, Job]:
        """By the fingerprint of a job, the same with all of its training so many times as long."""
        words = [
            [word for word in job.overrides if not word.startswith(tuple(f"trainer.{key}=" for key in STEPS))]
            + [f"trainer.{key}={times * getattr(job.request.asked.trainer, key)}" for key in STEPS]
            for job in planned
        ]
        found = sweep.applying(sweep.check(self.hydra_context.config_loader, self.config, words))
        return {job.request.fingerprint: longer for job, longer in zip(planned, found, strict=True)}

    def launch(self, course: "Course", jobs: list[Job], refused: list[Refused], what: str) -> list[Any]:
        """Ends the command where something is left without a result."""
        returns, failed = self.train(course.store, course.name, jobs, refused)
        if failed:
            print(f"{what}: some runs have no result; the same command tries them again", file=sys.stderr)
            sys.exit(1)
        return list(returns)


class Course:
    """The planned jobs, what lengthens them (`longer`: by times the steps, by fingerprint), and what compare
    says of them so far."""

    def __init__(
        self,
        settings: SettleSettings,
        planned: list[Job],
        longer: dict[int, dict[str, Job]],
        store: Path,
        name: str,
    ):
        self.settings = settings
        self.planned = planned
        self.longer = longer
        self.store = store
        self.name = name
        # refused without its baseline
        cells(collect_arms(planned), settings.baseline, settings.metric, "settle")
        names = {job.request.fingerprint for job in planned}
        for times, jobs in longer.items():
            if clash := next((job for job in jobs.values() if job.request.fingerprint in names), None):
                steps = clash.request.asked.trainer.steps
                raise RequestError(
                    f"trainer.steps={steps}: {times} times that of another run of the grid; give one "
                    "length, --settle makes the others"
                )
        for plan in record.read_plans(store):
            if "sequential" in plan and names & {job["fingerprint"] for job in plan["jobs"]}:
                raise RequestError(
                    f"--settle: sweep {plan['name']} looked at runs of this grid until they were decided, "
                    "which is final"
                )
        self.check_settings()

    # --- the plan

    def check_settings(self) -> None:
        """Raises RequestError where the sweep was settled with other ones."""
        path = record.plan_path(self.store, self.name)
        stored: Mapping[str, Any] | None = (
            record.read_json(path, "sweep plan").get("settle") if path.exists() else None
        )
        for key, value in self.settings.to_dict().items():
            if stored and stored[key] != value:
                raise RequestError(
                    f"sweep={self.name}: settled with {key} {json.dumps(stored[key])}; give the same, or "
                    "another name"
                )

    def write_settings(self) -> None:
        plan = record.read_json(record.plan_path(self.store, self.name), "sweep plan")
        record.write_plan(self.store, {**plan, "settle": self.settings.to_dict()})

    def lengthens(self, times: int) -> dict[str, dict]:
        return {
            longer.request.fingerprint: {"run": name, "times": times}
            for name, longer in self.longer[times].items()
        }

    # --- what is trained for longer

    def compared(self) -> list[Cell]:
        s = self.settings
        with own_words("settle"):
            runs = record.plan_path(self.store, self.name).parent
            return list(
                compare(
                    runs,
                    baseline=s.baseline,
                    metric=s.metric,
                    selection=SELECTION,
                    margin=s.margin.setting,
                    alpha=s.alpha,
                    protocol="both",
                )
            )

    def barred(self, times: int) -> list[Cell]:
        """Those that a training of this length may free."""
        return [cell for cell in self.compared() if cell.barred and cell.times_steps < times]

    def jobs(self, barred: list[Cell], times: int) -> list[Job]:
        """Both arms of these cells at this length."""
        planned = {
            longer.request.fingerprint: name for jobs in self.longer.values() for name, longer in jobs.items()
        }
        found = {}
        for cell in barred:
            for folder in (*cell.evidence.strategy_runs, *cell.evidence.baseline_runs):
                name = planned.get(folder.name, folder.name)
                if name not in self.longer[times]:
                    label = progress.label(cell.to_dict())
                    raise RequestError(
                        f"--settle: {label}: run {name} is not of this grid; give the whole grid of sweep "
                        f"{self.name}"
                    )
                found[name] = self.longer[times][name]
        return list(found.values())

    # --- what is said

    def say_ahead(self) -> None:
        """The dry run: the most that the longer trainings can cost."""
        console, s = Console(highlight=False, soft_wrap=True), self.settings
        is_known = record.plan_path(self.store, self.name).exists() and all(
            is_done(job.request) for job in self.planned
        )
        barred = self.barred(s.lengths[-1]) if is_known else []
        what = (
            f"{len(barred)} cells are barred by training that had not finished"
            if is_known
            else "which cells are barred is known after the sweep"
        )
        console.print(
            f"settle against {s.baseline}, {s.metric}, margin {s.margin.setting}, alpha {s.alpha}: {what}",
            markup=False,
        )
        seconds = 0.0
        for times in s.lengths:
            jobs = (
                self.jobs([cell for cell in barred if cell.times_steps < times], times)
                if is_known
                else list(self.longer[times].values())
            )
            left = [job for job in jobs if not is_done(job.request)]
            seconds += times * (progress.estimate(self.store, len(left), 1) or 0.0)
            console.print(f"{times} times the steps: at most {cost(jobs)}; {len(jobs) - len(left)} runs done")
        if seconds:
            console.print(f"at most about {progress.duration(seconds)}, one after another")

    def say_result(self) -> None:
        console = Console(highlight=False, soft_wrap=True)
        settled = [cell for cell in self.compared() if cell.barred or cell.times_steps > 1]
        for cell in settled:
            length = f"{cell.times_steps} times the steps" if cell.times_steps > 1 else "the planned steps"
            why = f" ({cell.reason})" if cell.reason else ""
            low, high = cell.ci_simultaneous
            interval = f"Δ {cell.delta:+.3f} [{low:+.3f}, {high:+.3f}]"
            console.print(
                f"{progress.label(cell.to_dict())}: {cell.verdict} at {length}{why}; {interval}", markup=False
            )
        if not settled:
            console.print("no cell is barred by training that had not finished")
        folder, s = record.plan_path(self.store, self.name).parent, self.settings
        rules = f"--baseline {s.baseline} --metric {s.metric} --margin {s.margin.setting} --alpha {s.alpha:g}"
        console.print(f"verdicts: transferscope compare {folder} {rules}", markup=False)
