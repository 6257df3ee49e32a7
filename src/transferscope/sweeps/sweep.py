"""A sweep: its jobs expanded, checked and planned before the first one starts; what is left of them run by
Hydra's launcher."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from transferscope import tracking
from transferscope.comparison import readings
from transferscope.comparison.arms import IMPORTED, LENGTHENS, UNNAMED
from transferscope.data import copies
from transferscope.errors import NotApplicable, ProcessDied, RequestError
from transferscope.store import lease, record
from transferscope.sweeps.clusters import is_submitit, lost_jobs_are_outcomes
from transferscope.sweeps.composition import Composer
from transferscope.sweeps.groups import concurrent_override, groups, one_of_each_first
from transferscope.sweeps.job import Job, Refused
from transferscope.sweeps.progress import Progress, say_plan
from transferscope.training import paths
from transferscope.training.finished import is_done
from transferscope.training.request import resolve


class Sweeper(BasicSweeper):
    """Hydra's basic sweeper with unions of grids, checks before the start, each distinct run once, and a
    display.

    params: key -> values, a product, as in Hydra's own. grids: several such products, run one after another;
    what the command line gives holds in each of them. dry_run: say what would run and stop. verdicts: show
    those so far while the sweep grows; None: on a terminal."""

    def __init__(
        self,
        params: dict[str, str] | None = None,
        grids: list[dict[str, str]] | None = None,
        dry_run: bool = False,
        verdicts: bool | None = None,
    ):
        super().__init__(max_batch_size=None, params=params)
        self.grids, self.dry_run, self.verdicts = grids or [{}], dry_run, verdicts

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        planned, refused = self.jobs(self.expand(arguments))
        store = Path(self.config.store)
        if self.dry_run:
            say_plan(store, planned, [job for job in planned if not is_done(job.request)], refused)
            return planned
        record.check_writable(store)
        readings.begin(store)
        tracking.effective_mode(planned[0].request.asked.tracking.mode)
        name = write_plan(store, self.sweep_name(planned), planned, refused)
        returns, failed = self.train(store, name, planned, refused, self.verdicts)
        if not returns:  # no run carried the plan to W&B
            tracking.track_sweep(store, name, planned[0].request.config["tracking"])
        if failed:
            sys.exit(1)
        return returns

    def jobs(self, points: list[list[str]]) -> tuple[list[Job], list[Refused]]:
        """Every point checked: the distinct jobs, and those that do not apply. Raises RequestError where none
        does."""
        # as in a job: where a user's own config groups are is read from there
        HydraConfig.instance().set_config(self.config)
        jobs = check(self.hydra_context.config_loader, self.config, points)
        planned = list({job.request.fingerprint: job for job in jobs if isinstance(job, Job)}.values())
        refused = [job for job in jobs if isinstance(job, Refused)]
        if not planned:
            raise RequestError(refused[0].reason)
        copies.say(job.request.tested for job in planned)
        return planned, refused

    def train(
        self,
        store: Path,
        name: str,
        planned: list[Job],
        refused: list[Refused],
        verdicts: bool | None = False,
    ) -> tuple[Sequence[Any], bool]:
        """Launch what has no answer yet, with a display; whether something is left without one."""
        to_do = [job for job in planned if not is_done(job.request)]
        with (
            Progress(store, name, planned, refused, verdicts) as progress,
            lost_jobs_are_outcomes() if is_submitit(self.launcher) else nullcontext(),
        ):
            outcomes = self.launched(one_of_each_first(groups(to_do)), name)
            for job, outcome in outcomes:
                if isinstance(outcome._return_value, ProcessDied):
                    lease.note_death(store, job.request.fingerprint, str(outcome._return_value))
                if isinstance(outcome._return_value, BaseException):
                    progress.error(job, outcome._return_value)
        lease.clear_finished(store)
        return [outcome for _, outcome in outcomes], progress.failed

    def launched(self, together: list[list[Job]], name: str) -> list[tuple[Job, JobReturn]]:
        """Every job and what became of it. Where a group of several broke, what it has not finished is run
        one by one."""
        returns = (
            self.launcher.launch([as_launched(group, name) for group in together], initial_job_idx=0)
            if together
            else []
        )
        outcomes, left = [], []
        for group, outcome in zip(together, returns, strict=False):
            if len(group) > 1 and isinstance(outcome._return_value, BaseException):
                print(
                    f"{len(group)} runs side by side: {outcome._return_value}; each is run by itself",
                    file=sys.stderr,
                )
                left += [[job] for job in group if not is_done(job.request)]
            else:
                outcomes += [(job, outcome) for job in group]
        return outcomes + (self.launched(left, name) if left else [])

    def expand(self, arguments: list[str]) -> list[list[str]]:
        """The override lists of all points of all grids, in order, without repetition."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        points = []
        for grid in self.grids:
            params = [f"{key}={value}" for key, value in chain(self.params.items(), grid.items())]
            given = parser.parse_overrides([*params, *arguments])
            if interval := next((one for one in given if one.is_interval_sweep()), None):
                raise RequestError(
                    f"{interval.input_line}: only --search draws from an interval; add --search, or give "
                    "values, such as 0.001,0.01"
                )
            [batch] = self.split_arguments(given, None)
            points += batch
        return [list(point) for point in dict.fromkeys(map(tuple, points))]

    def sweep_name(self, planned: list[Job]) -> str:
        """The key `sweep`, else the experiment's name, else a hash of what is planned: the same command is
        the same sweep."""
        experiment = self.config.hydra.runtime.choices.get("experiment")
        sweep = self.config.sweep
        if sweep is not None and Path(str(sweep)).name != str(sweep):
            raise RequestError(f"sweep={sweep}: the name of a folder is needed, without /")
        if sweep in (IMPORTED, UNNAMED):
            raise RequestError(f"sweep={sweep}: what runs without a plan are called; give another name")
        return (
            sweep
            or experiment
            or f"sweep-{record.fingerprint(sorted(job.request.fingerprint for job in planned))[:8]}"
        )


def as_launched(group: list[Job], name: str) -> list[str]:
    """The overrides of a group's first job with what sets the others apart, and the device they were planned
    for: where they run there may be another. The store is told as the plan has it: a yaml may say ~, which
    Hydra would make a folder of."""
    accelerator = "gpu" if group[0].request.consumed["device"] == "cuda" else "cpu"
    store = paths.quoted(group[0].request.asked.store)
    return [
        *group[0].overrides,
        f"store={store}",
        f"trainer.accelerator={accelerator}",
        f"sweep={name}",
        *concurrent_override(group),
    ]


def check(loader: ConfigLoaderImpl, config: DictConfig, points: list[list[str]]) -> list[Job | Refused]:
    """Compose and resolve every point. A combination that cannot be served is kept with its reason; anything
    else wrong is a RequestError."""
    composer = Composer(loader, config)
    jobs: list[Job | Refused] = []
    for point in points:
        try:
            jobs.append(Job(point, resolve(composer.task_config(point))))
        except NotApplicable as reason:
            jobs.append(Refused(point, str(reason)))
    return jobs


def applying(jobs: list[Job | Refused]) -> list[Job]:
    """All of them. Raises RequestError where one is refused."""
    if refused := next((job for job in jobs if isinstance(job, Refused)), None):
        raise RequestError(f"{' '.join(refused.overrides)}: {refused.reason}")
    return [job for job in jobs if isinstance(job, Job)]


def write_plan(
    store: Path,
    name: str,
    planned: list[Job],
    refused: list[Refused],
    lengthens: dict[str, dict] | None = None,
) -> str:
    """The family of the verdicts, on disk before the first run. A sweep of the same name is added to, never
    shortened. lengthens: of jobs that are longer trainings of others, by fingerprint, which `run` that is and
    how many `times` its steps."""
    entries = [
        {
            "fingerprint": job.request.fingerprint,
            "cell": job.request.cell,
            "seed": job.request.asked.seed,
            "role": job.request.asked.role,
            "variant": {
                key: value
                for key in ("source_label_noise", "twin", "folds")
                if (value := job.request.consumed.get(key))
            },
            "status": "planned",
            "reason": "",
            "overrides": " ".join(job.overrides),
            **({LENGTHENS: lengthens[job.request.fingerprint]} if lengthens else {}),
        }
        for job in planned
    ]
    entries += [not_applicable(job) for job in refused]
    path = record.plan_path(store, name)
    before = (
        record.read_json(path, "sweep plan")
        if path.exists()
        else {"name": name, "created": record.now(), "jobs": []}
    )
    new = {_identity(entry) for entry in entries}
    kept = [entry for entry in before["jobs"] if _identity(entry) not in new]
    record.write_plan(store, {**before, "jobs": kept + entries})
    return name


def not_applicable(job: Refused) -> dict:
    asked = {key: value for key, _, value in (text.partition("=") for text in job.overrides)}
    return {
        "fingerprint": None,
        "cell": {key: asked.get(key) for key in ("source", "target", "label_budget", "strategy")},
        "seed": int(asked.get("seed", 0)),
        "role": "run",
        "variant": {},
        "status": "not_applicable",
        "reason": job.reason,
        "overrides": " ".join(job.overrides),
    }


def _identity(entry: dict) -> tuple[str, bool]:
    """A run may be planned by itself and as a longer training of another."""
    return entry["fingerprint"] or entry["overrides"], LENGTHENS in entry
