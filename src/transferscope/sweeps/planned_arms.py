"""The grid of a sweep before anything is run: its arms, which of them are compared with which, and what they
cost."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from transferscope.comparison import baselines
from transferscope.comparison.arms import CELL_KEYS, Arm, flat
from transferscope.errors import RequestError
from transferscope.store import record
from transferscope.sweeps import progress
from transferscope.sweeps.job import Job
from transferscope.tasks.metrics import METRICS, judged_metrics
from transferscope.training.checks import REACHED_BY_START
from transferscope.training.request import Request
from transferscope.training.source_models import source_model_consumes

_LABELLED = ("source", "target", "label_budget", "strategy", "seed")  # what `progress.label` tells


@dataclass(eq=False)
class PlannedArm:
    """An arm of the grid: its jobs by seed; the arm's runs are those planned."""

    arm: Arm
    words: str
    jobs: dict[int, Job] = field(default_factory=dict)

    def prints(self, seeds: Sequence[int]) -> list[str]:
        return [self.jobs[seed].request.fingerprint for seed in seeds]

    def with_runs(self, store: Path, seeds: Sequence[int]) -> Arm:
        """The arm with the records of these seeds alone, whatever else the store holds."""
        folders = dict(zip(seeds, (store / name for name in self.prints(seeds)), strict=True))
        return replace(
            self.arm, runs={seed: [(folder, record.read_record(folder))] for seed, folder in folders.items()}
        )


@dataclass(eq=False)
class PlannedCell:
    """A branch against its baseline at a label budget. looks: what each look so far has found,
    `sequential.Finding` as plain values. readings: how often it had been read, with fewer seeds than the last
    look will have, when its looks were planned."""

    planned_arm: PlannedArm
    baseline: PlannedArm
    budget: int | str | None
    family: str
    looks: list[dict] = field(default_factory=list)
    readings: int = 0

    @property
    def cell(self) -> dict:
        return {**self.planned_arm.arm.cell, "label_budget": self.budget}

    @property
    def label(self) -> str:
        return "  ".join(filter(None, (progress.label(self.cell), self.planned_arm.words)))

    @property
    def is_open(self) -> bool:
        return not self.looks or self.looks[-1]["state"] == "open"


def collect_arms(planned: list[Job]) -> list[PlannedArm]:
    """The arms of the grid: jobs that differ in nothing but the seed."""
    same = set.intersection(*(set(job.overrides) for job in planned))
    found: dict[str, PlannedArm] = {}
    seeds = dict.fromkeys(job.request.asked.seed for job in planned)
    for job in planned:
        request = job.request
        consumed = {key: value for key, value in request.consumed.items() if key not in ("seed", "role")}
        key = json.dumps([request.cell, consumed], sort_keys=True)
        if key not in found:
            differing = [
                word for word in job.overrides if word not in same and word.partition("=")[0] not in _LABELLED
            ]
            found[key] = PlannedArm(
                Arm({key: request.cell[key] for key in CELL_KEYS}, flat(consumed)), " ".join(differing)
            )
        seed = request.asked.seed
        found[key].jobs[seed] = job
        found[key].arm.runs[seed] = [(request.store / request.fingerprint, {})]
    for planned_arm in found.values():
        first = next(iter(planned_arm.jobs))
        if planned_arm.jobs[first].request.deterministic:  # one run stands for every seed
            planned_arm.jobs = dict.fromkeys(seeds, planned_arm.jobs[first])
            planned_arm.arm.runs = dict.fromkeys(seeds, planned_arm.arm.runs[first])
    return list(found.values())


def cells(
    grid: list[PlannedArm], baseline: str, metric: str, section: str = "until_decided"
) -> list[PlannedCell]:
    """Raises RequestError, in the words of a section of the config, where the grid holds no baseline for a
    cell, or several."""
    if section != "search":  # which judges nothing
        _refuse_other_task(grid, metric, section)
    with own_words(section):
        name, pinned = baselines.parse(baseline)
        if name == baselines.NAIVE:
            raise RequestError(
                f"--baseline {name}: it has no runs; give one that the grid holds, and {name} to `compare` "
                "afterwards"
            )
        by_arm = {planned_arm.arm: planned_arm for planned_arm in grid if not planned_arm.arm.is_twin}
        found = []
        for arm, planned_arm in by_arm.items():
            if not baselines.is_row(arm, name, pinned):
                continue
            held_against = baselines.find(arm, list(by_arm), name, pinned)
            if not held_against:
                raise RequestError(
                    f"--baseline {baseline}: the grid holds none for {progress.label(arm.cell)}; add it, or "
                    "choose another"
                )
            control = "/controls" if arm.noise else ""
            called = baselines.called(name, pinned)
            family = f"{arm.cell['target']}/{called}/{metric}/{arm.cell['protocol']}{control}"
            found += [PlannedCell(planned_arm, by_arm[base], budget, family) for base, budget in held_against]
        if not found:
            raise RequestError(
                f"--baseline {baseline}: the grid holds nothing to compare with it; add a strategy"
            )
    return found


def _refuse_other_task(grid: list[PlannedArm], metric: str, section: str) -> None:
    for target in {job.request.target for arm in grid for job in arm.jobs.values()}:
        if METRICS[metric].task != target.task.name:
            allowed = ", ".join(judged_metrics(target.task.name))
            raise RequestError(
                f"{section}.metric={metric}: target {target.name} is a {target.task.name}; allowed: {allowed}"
            )


@contextmanager
def own_words(section: str = "until_decided") -> Iterator[None]:
    """What `compare` calls --baseline and --margin are keys here."""
    try:
        yield
    except RequestError as refusal:
        text = str(refusal)
        for name in ("baseline", "margin"):
            text = text.replace(f"--{name} ", f"{section}.{name}=")
        raise RequestError(text) from refusal


class Cost(NamedTuple):
    """Runs, and the source models that are trained beside them."""

    runs: int
    source_models: int

    @property
    def total(self) -> int:
        return self.runs + self.source_models

    def __str__(self) -> str:
        return f"{self.runs} runs" + (
            f" and {self.source_models} source trainings" if self.source_models else ""
        )


def cost(jobs: list[Job]) -> Cost:
    """From an empty store. A run of source_only is the training of a source model itself."""
    requests = [job.request for job in jobs]
    needed = {_source_model(request) for request in requests if request.initialisation in REACHED_BY_START}
    return Cost(
        len(requests),
        len(needed - {_source_model(request) for request in requests if request.trains_source_model}),
    )


def _source_model(request: Request) -> str:
    """Equal where `source_models.source_model_key` is, known without preparing the data."""
    return record.fingerprint(source_model_consumes(request))
