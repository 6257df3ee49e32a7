"""`run -m ... --search`: every strategy of a grid tuned with the same number of trials by the same rule, the
winners run on fresh seeds.

The plan on disk holds the spaces, the trials and what they scored (key `search`). Trials are records (`role:
trial`), and what is proposed depends on nothing but the command and the records, so a killed search goes on
where it stood."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import OmegaConf
from rich.console import Console

from transferscope import tracking
from transferscope.comparison import baselines, readings
from transferscope.errors import NotApplicable, RequestError, nearest
from transferscope.store import lease, record
from transferscope.sweeps import progress, studies, sweep, tuned
from transferscope.sweeps.composition import Composer
from transferscope.sweeps.job import Job, Refused
from transferscope.sweeps.planned_arms import Cost, cells, collect_arms, cost, own_words
from transferscope.sweeps.studies import Study, Trial
from transferscope.training.checks import check_keys
from transferscope.training.compatibility import check_selection
from transferscope.training.finished import is_done
from transferscope.training.request import Request

GRID = (
    "target",
    "source",
    "strategy",
    "label_budget",
    "backbone",
    "initialisation",
    "protocol",
    "source_label_noise",
)
SEARCHED = ("trainer.", "strategy.", "backbone.")
OWN = ("seed", "role", "twin", "fold", "folds")  # set here, or of no use in a search
FIRST_TRIAL_SEED = 1000  # the seeds of trials are never those of the verdict, which begin at 0


@dataclass(frozen=True)
class SearchSettings:
    """The keys search.* of a sweep."""

    trials: int
    seeds: int
    selection: str
    sampler: str
    runs: int
    baseline: str

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> "SearchSettings":
        """Raises RequestError."""
        check_keys("search", values)
        for key in ("trials", "seeds", "runs"):
            if type(values[key]) is not int or not 1 <= values[key] <= FIRST_TRIAL_SEED:
                raise RequestError(
                    f"search.{key}={values[key]}: an integer from 1 to {FIRST_TRIAL_SEED} is needed"
                )
        for key, allowed in (
            ("selection", studies.scoring_rules()),
            ("sampler", tuple(studies.SAMPLERS)),
        ):
            if values[key] not in allowed:
                raise RequestError(
                    f"search.{key}={values[key]}: not one of "
                    f"{', '.join(allowed)}{nearest(values[key], allowed)}"
                )
        with own_words("search"):
            baselines.parse(str(values["baseline"]))
        return cls(**values)


class Sweeper(sweep.Sweeper):
    """The sweep of `--search`; options as in `sweep.Sweeper`."""

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        settings = SearchSettings.from_config(OmegaConf.to_container(self.config.search, resolve=True))
        found, refused = self.studies(arguments, settings)
        search = Search(settings, found)
        store = Path(self.config.store)
        experiment = self.config.hydra.runtime.choices.get("experiment") or "search"
        hashed = f"{experiment}-{record.fingerprint(search.fixed())[:8]}"
        search.take_up(store, self.config.sweep or hashed)
        asked = self.next_trials(search)
        if self.dry_run:
            search.say_ahead(refused)
            return []
        record.check_writable(store)
        readings.begin(store)
        tracking.effective_mode(found[0].base.request.asked.tracking.mode)
        returns: list[Any] = []
        while asked:
            jobs = [job for _, trial in asked for job in trial.jobs]
            returns += self.launch(search, jobs, refused)
            search.tell(asked)
            search.write()
            asked = self.next_trials(search)
        winners = self.winners(search)
        tuned.write(
            store,
            search.name,
            found,
            Composer(self.hydra_context.config_loader, self.config),
            search.provenance,
        )
        returns += self.launch(search, winners, refused)
        tracking.track_sweep(store, search.name, winners[0].request.config["tracking"])
        search.say_result()
        return returns

    def studies(self, arguments: list[str], settings: SearchSettings) -> tuple[list[Study], list[Refused]]:
        """One a distinct cell of the grid, and the combinations that do not apply. Raises RequestError."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        found: dict[str, Study] = {}
        refused, unknown = [], {}
        for grid in self.grids:
            params = [f"{key}={value}" for key, value in chain(self.params.items(), grid.items())]
            given = parser.parse_overrides([*params, *arguments])
            space = {override.key_or_group: override for override in given if is_searched(override)}
            [points] = self.split_arguments(
                [override for override in given if override.key_or_group not in space], None
            )
            bases = self.checked([[*point, *trial_words(0)] for point in points])
            for point, base in zip(points, bases, strict=True):
                if isinstance(base, Refused):
                    refused.append(base)
                    continue
                own = {key: override for key, override in space.items() if has(base.request.config, key)}
                unknown |= {key: override for key, override in space.items() if key not in own}
                offered = {
                    key: (override.input_line.partition("=")[2], studies.distribution(override))
                    for key, override in own.items()
                }
                found.setdefault(
                    base.request.fingerprint, Study(base, list(point), offered, settings.sampler)
                )
        if not found:
            raise RequestError(refused[0].reason)
        for key in unknown:
            if not any(key in study.space for study in found.values()):
                raise RequestError(f"{unknown[key].input_line}: no strategy of the grid has the key {key}")
        for study in found.values():
            if not study.space:
                what = "trainer.optimizer.lr=tag(log, interval(1e-4, 1e-1))"
                raise RequestError(
                    f"--search: no key to search for {study.label}; give an interval, choice or range, such "
                    f"as '{what}'"
                )
            if why := unserved(study.base.request, settings.selection):
                raise RequestError(
                    f"search.selection={settings.selection}: {study.label}: {why}; "
                    f"{', '.join(studies.scoring_rules()[2:])} serve every strategy"
                )
        # refused without its baseline
        cells(collect_arms([study.base for study in found.values()]), settings.baseline, "accuracy", "search")
        return list(found.values()), refused

    def checked(self, points: list[list[str]]) -> list[Job | Refused]:
        # as in a job: where a user's own config groups are is read from there
        HydraConfig.instance().set_config(self.config)
        return sweep.check(self.hydra_context.config_loader, self.config, points)

    def next_trials(self, search: "Search") -> list[tuple[Study, Trial]]:
        """Those that can be run side by side, with their jobs, one a seed; none where all are told. Raises
        RequestError where a value cannot be served."""
        asked, seeds = search.ask(), search.settings.seeds
        jobs = self.all_apply(
            [
                [*study.point, *trial.overrides(), *trial_words(seed)]
                for study, trial in asked
                for seed in range(seeds)
            ]
        )
        for place, (_, trial) in enumerate(asked):
            trial.jobs = jobs[place * seeds : (place + 1) * seeds]
        return asked

    def winners(self, search: "Search") -> list[Job]:
        """Of the selected values, on the seeds of the verdict."""
        seeds = range(search.settings.runs)
        for study in search.studies:
            words = [[*study.point, *study.trials[study.best].overrides(), f"seed={seed}"] for seed in seeds]
            study.winners = self.all_apply(words)
        return [job for study in search.studies for job in study.winners]

    def all_apply(self, points: list[list[str]]) -> list[Job]:
        return sweep.applying(self.checked(points))

    def launch(self, search: "Search", jobs: list[Job], refused: list[Refused]) -> Sequence[Any]:
        """Plan, then run what has no answer. Ends the command where something is left without one."""
        distinct = list({job.request.fingerprint: job for job in jobs}.values())
        sweep.write_plan(search.store, search.name, distinct, refused)
        search.write()
        if all(is_done(job.request) for job in distinct):
            return []
        returns, failed = self.train(search.store, search.name, distinct, refused)
        if failed:
            print(
                "the search waits: some of its runs have no result; the same command tries them again",
                file=sys.stderr,
            )
            sys.exit(1)
        return returns


class Search:
    """How far the studies have come, and the part of the plan that holds it."""

    def __init__(self, settings: SearchSettings, found: list[Study]):
        self.settings, self.studies = settings, found

    # --- the plan

    def fixed(self) -> dict:
        """What is settled before the first trial."""
        described = [
            {
                "cell": study.cell,
                "run": study.base.request.fingerprint,
                "space": {key: text for key, (text, _) in study.space.items()},
            }
            for study in self.studies
        ]
        return {**asdict(self.settings), "studies": described}

    def take_up(self, store: Path, name: str) -> None:
        """Raises RequestError where the store holds another plan under this name."""
        self.store, self.name, self.planned, self.created = store, name, [], record.now()
        path = record.plan_path(store, name)
        if not path.exists():
            return
        plan = record.read_json(path, "sweep plan")
        self.planned, self.created = plan["jobs"], plan["created"]
        if (stored := plan.get("search")) is None:
            raise RequestError(f"sweep={name}: planned before without a search; give another name")
        fixed = self.fixed()
        if changed := [key for key in fixed if key != "studies" and stored[key] != fixed[key]]:
            raise RequestError(
                f"sweep={name}: planned with {changed[0]} {json.dumps(stored[changed[0]])}; give the same, "
                "or another name"
            )
        if [{key: study[key] for key in ("cell", "run", "space")} for study in stored["studies"]] != fixed[
            "studies"
        ]:
            raise RequestError(
                f"sweep={name}: planned with other strategies, spaces, values or data; give another name"
            )

    def write(self) -> None:
        plan = record.read_json(record.plan_path(self.store, self.name), "sweep plan")
        fixed = self.fixed()
        for described, study in zip(fixed["studies"], self.studies, strict=True):
            described["trials"] = [
                {
                    "values": trial.values,
                    "score": trial.score,
                    "runs": [job.request.fingerprint for job in trial.jobs],
                }
                for trial in study.trials
            ]
            described["selected"] = study.best if len(study.trials) == self.settings.trials else None
            described["winners"] = [job.request.fingerprint for job in study.winners]
        record.write_plan(self.store, {**plan, "search": fixed})

    # --- the trials

    def ask(self) -> list[tuple[Study, Trial]]:
        """The next trials of every study."""
        return [
            (study, trial)
            for study in self.studies
            for trial in study.ask(self.settings.trials - len(study.trials))
        ]

    def tell(self, asked: list[tuple[Study, Trial]]) -> None:
        """Read the scores back. Raises RequestError where a study is over and no trial of it has one."""
        for study, trial in asked:
            study.tell(trial, studies.score(self.store, trial.jobs, self.settings.selection))
        for study in self.studies:
            if len(study.trials) == self.settings.trials and study.best is None:
                raise RequestError(
                    f"search.selection={self.settings.selection}: no trial of {study.label} has a value of "
                    "it; give another rule"
                )

    # --- what is said

    @property
    def provenance(self) -> str:
        s = self.settings
        seeds = f"{s.seeds} seed{'s' * (s.seeds > 1)} a trial, from {FIRST_TRIAL_SEED} on"
        return (
            f"search {self.name} of {self.created[:10]}: {s.sampler}, {seeds}, selected by {s.selection} "
            "at the last evaluation"
        )

    def say_ahead(self, refused: list[Refused]) -> None:
        """The dry run."""
        console, s = Console(highlight=False, soft_wrap=True), self.settings
        for line in (
            f"search {self.name}: {len(self.studies)} strategies, {s.trials} trials of {s.seeds} "
            f"seed{'s' * (s.seeds > 1)} each ({s.sampler}) by "
            f"{s.selection}, then {s.runs} runs each with its best values; baseline {s.baseline}",
            *(
                f"{study.label}: {', '.join(f'{key}={text}' for key, (text, _) in study.space.items())}"
                for study in self.studies
            ),
        ):
            console.print(line, markup=False)
        number = s.trials * s.seeds + s.runs
        runs, models = (number * part for part in cost([study.base for study in self.studies]))
        done = sum(
            lease.state(self.store, job["fingerprint"])[0] in record.ANSWERS
            for job in self.planned
            if job["status"] == "planned"
        )
        eta = progress.estimate(self.store, runs - done, 1)
        console.print(
            f"at most {Cost(runs, models)}; {done} runs done"
            + (f", the others about {progress.duration(eta)} one after another" if eta else "")
        )
        for reason, times in Counter(job.reason for job in refused).items():
            console.print(f"not applicable ({times}): {reason}", style="yellow", markup=False)

    def say_result(self) -> None:
        console, s = Console(highlight=False, soft_wrap=True), self.settings
        for study in self.studies:
            best = study.trials[study.best]
            described = (
                f"{s.selection} {best.score:.3f}, trial {study.best + 1} of {s.trials}: "
                f"{' '.join(best.overrides())}"
            )
            console.print(f"{study.label}: {described}", markup=False)
        folder = record.plan_path(self.store, self.name).parent
        console.print(f"tuned values: {tuned.folder(self.store, self.name)}", markup=False)
        console.print(
            f"verdict on fresh seeds: transferscope compare {folder} --baseline {s.baseline}", markup=False
        )


def is_searched(override: Override) -> bool:
    """Whether a key is given as values to search; those of a grid key are the grid. Raises RequestError for
    what a search cannot take."""
    key, text = override.key_or_group, override.input_line
    if key in OWN:
        raise RequestError(
            f"{text}: no key of a search, leave it out; search.seeds and search.runs say how many seeds a "
            "trial and a winner get"
        )
    if not override.is_sweep_override():
        return False
    if key.startswith(SEARCHED):
        return True
    if key not in GRID:
        raise RequestError(
            f"{text}: several values; a search takes those of {', '.join(GRID)} as its grid, and keys of "
            f"{' '.join(SEARCHED)} as its space"
        )
    if isinstance(override.value(), IntervalSweep):
        raise RequestError(f"{text}: the grid needs single values, such as {key}=a,b")
    return False


def trial_words(seed: int) -> list[str]:
    return [f"seed={FIRST_TRIAL_SEED + seed}", "role=trial"]


def has(config: dict[str, Any], key: str) -> bool:
    """Whether a composed config has a key, given with dots."""
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            return False
        config = config[part]
    return True


def unserved(request: Request, rule: str) -> str:
    """Why a selection rule has no value for a run, or ''."""
    if rule == "target_val" and "target_labels" not in request.sees:
        return "it sees no target label"
    try:
        check_selection(
            request.asked.model_copy(update={"selection": rule, "keep": "selected"}),
            request.sees,
            request.target,
            request.sources,
            False,
        )
    except NotApplicable as reason:
        return str(reason).partition(": ")[2]
    return ""
