"""One strategy's share of a search: the values it is offered, what its trials scored, the best of them.
Optuna is imported here alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.override_parser.types import IntervalSweep, Override

from transferscope.errors import RequestError
from transferscope.store import record
from transferscope.sweeps import progress
from transferscope.tasks.metrics import headline_score
from transferscope.training.config import selections

if TYPE_CHECKING:
    from transferscope.sweeps.job import Job

SAMPLERS = {"random": "RandomSampler", "tpe": "TPESampler"}
# trials that tpe proposes at once: not the number of processes, on which the values would then depend
TOGETHER = 4


def optuna() -> ModuleType:
    """Raises RequestError where the extra is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise RequestError(
            "--search: needs optuna, which is not installed; pip install 'transferscope[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distribution(override: Override) -> Any:
    """Optuna's distribution of a swept key, by the words of Hydra's grammar: interval, tag(log, …), tag(int,
    …), choice and range.

    Raises RequestError.
    """
    at = optuna().distributions
    values = override.value()
    if not isinstance(values, IntervalSweep):
        return at.CategoricalDistribution(list(override.sweep_string_iterator()))
    low, high, tags = values.start, values.end, values.tags
    if unknown := sorted(tags - {"log", "int"}):
        raise RequestError(f"{override.input_line}: tag {unknown[0]} is not one of log, int")
    if low >= high or ("log" in tags and low <= 0):
        raise RequestError(
            f"{override.input_line}: an interval from low to high is "
            f"needed{', above 0 with tag log' if 'log' in tags else ''}"
        )
    if "int" in tags or isinstance(low, int):
        return at.IntDistribution(int(low), int(high), log="log" in tags)
    return at.FloatDistribution(float(low), float(high), log="log" in tags)


@dataclass
class Trial:
    """values: as they stand in overrides. jobs: one a seed. score: their mean, None while they run or where
    no run has one."""

    values: dict[str, str]
    jobs: list["Job"] = field(default_factory=list)
    score: float | None = None

    def overrides(self) -> list[str]:
        return [f"{key}={value}" for key, value in self.values.items()]


class Study:
    """A cell of the grid and its trials. base: the cell without any searched value. space: key -> (as given,
    Optuna's distribution)."""

    def __init__(self, base: "Job", point: list[str], space: dict[str, tuple[str, Any]], sampler: str):
        self.base, self.point, self.space, self.sampler = base, point, space, sampler
        self.trials: list[Trial] = []
        self.winners: list[Job] = []
        # drawn from the space alone: strategies that share it are offered the same values, and more trials
        # begin with the same ones
        seed = int(record.fingerprint({key: text for key, (text, _) in space.items()}), 16) % 2**32
        self.study = optuna().create_study(
            direction="maximize", sampler=getattr(optuna().samplers, SAMPLERS[sampler])(seed=seed)
        )

    @property
    def cell(self) -> dict:
        return self.base.request.cell

    @property
    def label(self) -> str:
        return progress.label(self.cell)

    def ask(self, number: int) -> list[Trial]:
        """The next trials, at most `number`: all of them where what is found has no say in what is tried."""
        together = number if self.sampler == "random" else min(TOGETHER, number)
        distributions = {key: found for key, (_, found) in self.space.items()}
        asked = [self.study.ask(distributions) for _ in range(together)]
        new = [Trial({key: written(trial.params[key]) for key in self.space}) for trial in asked]
        self.trials += new
        return new

    def tell(self, trial: Trial, score: float | None) -> None:
        number = self.trials.index(trial)
        trial.score = score
        if score is None:
            self.study.tell(number, state=optuna().trial.TrialState.FAIL)
        else:
            self.study.tell(number, score)

    @property
    def best(self) -> int | None:
        """The number of the trial that is selected: the best score, of equals the earliest."""
        scored = [number for number, trial in enumerate(self.trials) if trial.score is not None]
        return max(scored, key=lambda number: (self.trials[number].score, -number), default=None)


def written(value: Any) -> str:
    """As an override: a float with six digits, so that the plan, the record and the yaml hold the same
    number."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def score(store: Path, jobs: Sequence["Job"], rule: str) -> float | None:
    """What a selection rule says of runs at their last evaluation: the mean, None where one of them has no
    finite value."""
    values = [score_of(store / job.request.fingerprint, rule) for job in jobs]
    return None if None in values else float(np.mean(values))


def scoring_rules() -> tuple[str, ...]:
    """What may score a run at its last evaluation; all but the first two serve every strategy."""
    last, source_val, target_val, *label_free = selections()
    return (target_val, source_val, *label_free)


def score_of(folder: Path, rule: str) -> float | None:
    """What a selection rule says of one run at its last evaluation, higher is better; None where it has no
    finite value."""
    entry = record.read_record(folder)
    if rule in ("target_val", "source_val"):
        domains = entry["cell"][rule.removesuffix("_val")].split("+")
        found = [headline_score(entry["result"], f"{name}/val") for name in domains]
        scores = [score for score in found if score is not None]
        return float(np.mean(scores)) if len(scores) == len(found) else None
    value = {row["step"]: row.get(f"validator/{rule}", np.nan) for row in record.read_history(folder)}
    finite = [step for step in value if np.isfinite(value[step])]
    return value[max(finite)] if finite else None
