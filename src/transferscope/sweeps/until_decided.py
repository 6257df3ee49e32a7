"""`run -m ... --until-decided`: a sweep that brings seeds to the cells that still need them. What the looks
decide is in sequential.py.

The plan on disk holds the cells, the looks and all that was decided at them (key `sequential`), so that a
killed sweep goes on where it stood and a decision is never made twice."""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console

from transferscope import tracking
from transferscope.comparison import pairing, readings, scores, trained
from transferscope.comparison.history import identity
from transferscope.comparison.paired_scores import ScoreReader
from transferscope.errors import RequestError
from transferscope.statistics import sequential, verdict
from transferscope.store import record
from transferscope.sweeps import progress, sweep
from transferscope.sweeps.job import Job, Refused
from transferscope.sweeps.judging import SELECTION, Rules, check_given_once, increasing, rules
from transferscope.sweeps.planned_arms import PlannedArm, PlannedCell, cells, collect_arms, cost
from transferscope.training.finished import is_done

COURSE = ("looks", "readings")  # of a cell in the plan, beside what it is


@dataclass(frozen=True)
class UntilDecidedSettings(Rules):
    """The keys until_decided.* of a sweep. looks: seeds at each, increasing."""

    looks: tuple[int, ...]

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> "UntilDecidedSettings":
        """Raises RequestError."""
        looks = increasing("until_decided.looks", values["looks"], "numbers of seeds", "[5,7,10]")
        return cls(looks=looks, **rules("until_decided", values))

    @property
    def design(self) -> sequential.Design:
        return sequential.Design(self.looks, self.alpha)


class Sweeper(sweep.Sweeper):
    """The sweep of `--until-decided`; options as in `sweep.Sweeper`."""

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        settings = UntilDecidedSettings.from_config(
            OmegaConf.to_container(self.config.until_decided, resolve=True)
        )
        points = self.expand(arguments)
        check_given_once("until_decided", points, "[5,7,10]")
        if not any(word.startswith("seed=") for point in points for word in point):
            points = self.expand([*arguments, f"seed=range(0,{settings.looks[-1]})"])
        planned, refused = self.jobs(points)
        store = Path(self.config.store)
        course = Course(settings, planned)
        experiment = self.config.hydra.runtime.choices.get("experiment") or "sweep"
        hashed = f"{experiment}-{record.fingerprint(course.fixed())[:8]}"
        course.read(store, self.config.sweep or hashed)
        if self.dry_run:
            course.say_ahead(refused)
            return []
        record.check_writable(store)
        readings.begin(store)
        tracking.effective_mode(planned[0].request.asked.tracking.mode)
        course.write()
        returns: list[Any] = []
        while jobs := course.next_jobs():
            sweep.write_plan(store, course.name, jobs, refused)
            outcomes, failed = self.train(store, course.name, jobs, refused)
            returns += outcomes
            if failed:
                print(
                    (
                        f"look {course.taken + 1} waits: some of its runs have no result; the same command "
                        "tries them again"
                    ),
                    file=sys.stderr,
                )
                sys.exit(1)
            course.look()
        tracking.track_sweep(store, course.name, planned[0].request.config["tracking"])
        course.say_result()
        return returns


class Course:
    """How far the looks have come: cells, what was found, and the part of the plan that holds it."""

    def __init__(self, settings: UntilDecidedSettings, planned: list[Job]):
        self.settings = settings
        if any(job.request.asked.fold is not None for job in planned):
            raise RequestError(
                "fold: --until-decided takes one run a seed; leave fold out, or --until-decided"
            )
        self.arms = collect_arms(planned)
        self.seeds = list(self.arms[0].jobs)
        if (
            any(set(planned_arm.jobs) != set(self.seeds) for planned_arm in self.arms)
            or len(self.seeds) != settings.looks[-1]
        ):
            number = " or ".join(str(n) for n in sorted({len(planned_arm.jobs) for planned_arm in self.arms}))
            looks = json.dumps(settings.looks)
            raise RequestError(
                f"seed: {number} seeds for looks at {looks}; leave seed out, or give the "
                f"{settings.looks[-1]} of the last look"
            )
        self.cells = cells(self.arms, settings.baseline, settings.metric)
        self.taken = 0

    # --- the plan

    def fixed(self) -> dict:
        """What is settled before the first run."""
        return {
            "baseline": self.settings.baseline,
            "metric": self.settings.metric,
            "selection": SELECTION,
            "margin": self.settings.margin.setting,
            "alpha": self.settings.alpha,
            "looks": list(self.settings.looks),
            "cells": [
                {
                    "cell": cell.cell,
                    "variant": cell.planned_arm.words,
                    "family": cell.family,
                    "runs": cell.planned_arm.prints(self.seeds),
                    "baseline_runs": cell.baseline.prints(self.seeds),
                }
                for cell in self.cells
            ],
        }

    def read(self, store: Path, name: str) -> None:
        """Take up what the store holds under this name. Raises RequestError where that is another plan."""
        self.store, self.name = store, name
        path = record.plan_path(store, name)
        if not path.exists():
            return
        stored: Mapping[str, Any] | None = record.read_json(path, "sweep plan").get("sequential")
        if stored is None:
            raise RequestError(f"sweep={name}: planned before without looks; give another name")
        fixed = self.fixed()
        if changed := [key for key in fixed if key != "cells" and stored[key] != fixed[key]]:
            raise RequestError(
                f"sweep={name}: planned with {changed[0]} {json.dumps(stored[changed[0]])}; give the same, "
                "or another name"
            )
        if [{key: cell[key] for key in cell if key not in COURSE} for cell in stored["cells"]] != fixed[
            "cells"
        ]:
            raise RequestError(f"sweep={name}: planned with other cells or other data; give another name")
        self.taken = stored["taken"]
        for cell, entry in zip(self.cells, stored["cells"], strict=True):
            cell.looks, cell.readings = entry["looks"], entry.get("readings", 0)

    def write(self) -> None:
        path = record.plan_path(self.store, self.name)
        if path.exists():
            plan = record.read_json(path, "sweep plan")
            for cell, entry in zip(
                self.cells, plan["sequential"]["cells"], strict=True
            ):  # counted by whoever made the plan
                cell.readings = entry.get("readings", 0)
        else:
            plan = {"name": self.name, "created": record.now(), "jobs": []}
            self._count_readings()
        fixed = self.fixed()
        found = [
            {**entry, "readings": cell.readings, "looks": cell.looks}
            for entry, cell in zip(fixed["cells"], self.cells, strict=True)
        ]
        record.write_plan(self.store, {**plan, "sequential": {**fixed, "taken": self.taken, "cells": found}})

    def _count_readings(self) -> None:
        """What was read of the cells before there was this plan: they pay for it at every look."""
        log = readings.open_log(self.store)
        if log.trouble:
            print(f"warning: {log.trouble}", file=sys.stderr)
        for cell in self.cells:
            cell.readings = log.before(identity(cell.planned_arm.arm, cell.baseline.arm), self.seeds)
        if number := sum(cell.readings > 0 for cell in self.cells):
            print(
                (
                    f"{number} cells were read before their looks were planned: each look is at a fifth of "
                    "its level a reading"
                ),
                file=sys.stderr,
            )

    def _note(self, seeds: list[int]) -> None:
        """A look is a reading to whoever judges these cells by another plan."""
        lines = [
            {
                "read": identity(cell.planned_arm.arm, cell.baseline.arm),
                "family": f"{self.name}/{cell.family}",
                "seeds": seeds,
                "planned": [],
            }
            for cell in self.cells
            if cell.is_open
        ]
        readings.open_log(self.store).note(lines)

    # --- the looks

    def next_jobs(self) -> list[Job]:
        """Of the next look: the runs of the open cells and of their baselines; none where there is no next
        look."""
        return self.jobs_at(self.settings.looks[self.taken]) if self.taken < len(self.settings.looks) else []

    def jobs_at(self, seeds: int) -> list[Job]:
        needed = {
            planned_arm
            for cell in self.cells
            if cell.is_open
            for planned_arm in (cell.planned_arm, cell.baseline)
        }
        jobs = [
            planned_arm.jobs[seed]
            for seed in self.seeds[:seeds]
            for planned_arm in self.arms
            if planned_arm in needed
        ]
        # a deterministic run is that of every seed
        return list({job.request.fingerprint: job for job in jobs}.values())

    def look(self) -> None:
        """Look at the open cells and write down what was found, once: another process may have been
        quicker."""
        families = defaultdict(list)
        for cell in self.cells:
            families[cell.family].append(cell)
        reader = ScoreReader(self.settings.metric, SELECTION)
        self._note(self.seeds[: self.settings.looks[self.taken]])
        found = {
            cell: finding for family in families.values() for cell, finding in self._look(family, reader)
        }
        if reader.broken:
            raise RequestError(
                f"{self.store / next(iter(reader.broken))}: its evaluations cannot be read; remove the "
                "folder to run it again"
            )
        taken = self.taken
        self.read(self.store, self.name)
        if self.taken == taken:
            self.taken += 1
            for cell, finding in found.items():
                cell.looks.append({"look": self.taken, **finding})
            self.write()
        states = Counter(cell.looks[-1]["state"] for cell in self.cells)
        counts = ", ".join(f"{number} {state}" for state, number in states.items())
        print(
            (
                f"look {self.taken} of {len(self.settings.looks)}, {self.settings.looks[self.taken - 1]} "
                f"seeds: {counts}"
            ),
            file=sys.stderr,
        )

    def _look(self, family: list[PlannedCell], reader: ScoreReader) -> list[tuple[PlannedCell, dict]]:
        seeds = self.seeds[: self.settings.looks[self.taken]]
        counts = Counter(cell.looks[-1]["verdict"] for cell in family if cell.looks)
        untold = len(family) - counts["positive"] - counts["negative"], len(family) - counts["equivalent"]
        found, pairs = [], []
        for cell in family:
            if cell.is_open:
                try:
                    pairs.append((cell, *self._pair(cell, seeds, reader)))
                except scores.NotSelectable as why:
                    empty = sequential.Outcome(
                        "stopped", "undecided", "cannot be compared", str(why), None, None, None, 0
                    )
                    found.append((cell, asdict(empty)))
        findings = sequential.look(
            [pair for _, pair, _ in pairs],
            [margin for *_, margin in pairs],
            self.taken + 1,
            untold,
            len(family),
            self.settings.design,
        )
        return found + [(cell, asdict(finding)) for (cell, *_), finding in zip(pairs, findings, strict=True)]

    def _pair(self, cell: PlannedCell, seeds: list[int], reader: ScoreReader) -> tuple[verdict.Pair, float]:
        """The evidence so far and the margin on the metric's scale."""
        arm, base = (
            planned_arm.with_runs(self.store, seeds) for planned_arm in (cell.planned_arm, cell.baseline)
        )
        evidence = pairing.pair(arm, base, reader)
        judged = evidence.metric(self.settings.metric)
        margin = self.settings.margin.value_at(evidence.mean(evidence.held_against), judged)
        pair = pairing.tested(evidence, self.settings.metric, "random", trained.rises(evidence, reader))
        return replace(pair, readings=cell.readings), margin

    # --- what is said

    def say_ahead(self, refused: list[Refused]) -> None:
        """The dry run: the looks, and the most they can cost."""
        console = Console(highlight=False, soft_wrap=True)
        s = self.settings
        console.print(
            f"sweep {self.name}: {len(self.cells)} cells against {s.baseline}, {s.metric}, margin "
            f"{s.margin.setting}, alpha {s.alpha}"
        )
        for number, seeds in enumerate(s.looks, start=1):
            if number <= self.taken:
                console.print(f"look {number}, {seeds} seeds: taken")
                continue
            jobs = self.jobs_at(seeds)
            done = sum(is_done(job.request) for job in jobs)
            console.print(f"look {number}, {seeds} seeds: at most {cost(jobs)}; {done} runs done")
        eta = progress.estimate(
            self.store, sum(not is_done(job.request) for job in self.jobs_at(s.looks[-1])), 1
        )
        if eta:
            console.print(f"at most about {progress.duration(eta)}, one after another")
        self._say_rest(console, refused)

    def say_result(self) -> None:
        console = Console(highlight=False, soft_wrap=True)
        for cell in self.cells:
            console.print(f"{cell.label}: {describe(cell.looks[-1], self.settings)}", markup=False)
        asked = self.jobs_asked()
        everything = [planned_arm.jobs[seed] for planned_arm in self._in_play() for seed in self.seeds]
        share = 1 - cost(asked).total / cost(everything).total
        console.print(f"{cost(asked)} instead of {cost(everything)}, baselines counted: {share:.0%} saved")
        self._say_rest(console, [])

    def jobs_asked(self) -> list[Job]:
        """All that the looks so far have asked for."""
        reached: dict[PlannedArm, int] = defaultdict(int)
        for cell in self.cells:
            for planned_arm in (cell.planned_arm, cell.baseline):
                reached[planned_arm] = max(reached[planned_arm], self.settings.looks[len(cell.looks) - 1])
        return [
            planned_arm.jobs[seed] for planned_arm in self.arms for seed in self.seeds[: reached[planned_arm]]
        ]

    def _in_play(self) -> list[PlannedArm]:
        used = {planned_arm for cell in self.cells for planned_arm in (cell.planned_arm, cell.baseline)}
        return [planned_arm for planned_arm in self.arms if planned_arm in used]

    def _say_rest(self, console: Console, refused: list[Refused]) -> None:
        for planned_arm in self.arms:
            if planned_arm not in self._in_play():
                console.print(
                    (
                        f"not run, neither compared nor a baseline: {progress.label(planned_arm.arm.cell)}  "
                        f"{planned_arm.words}"
                    ),
                    markup=False,
                )
        for reason, number in Counter(job.reason for job in refused).items():
            console.print(f"not applicable ({number}): {reason}", style="yellow", markup=False)


def describe(finding: dict, settings: UntilDecidedSettings) -> str:
    """`negative, decided at look 1 with 5 seeds; Δ -0.052 [-0.081, -0.023]`"""
    seeds = f"with {settings.looks[finding['look'] - 1]} seeds"
    why = f" ({finding['limit']}; {finding['reason']})"
    what = {
        "decided": f"{finding['verdict']}, decided at look {finding['look']} {seeds}",
        "stopped": f"undecided, stopped at look {finding['look']} {seeds}{why}",
        "undecided": f"undecided at the end {seeds}{why}",
    }[finding["state"]]
    if finding["ci_simultaneous"] is None:
        return what
    low, high = finding["ci_simultaneous"]
    return f"{what}; Δ {finding['delta']:+.3f} [{low:+.3f}, {high:+.3f}]"
