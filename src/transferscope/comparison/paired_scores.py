"""The scores of two arms, item by item and seed by seed, and what reads them from a store."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from transferscope.comparison import scores
from transferscope.comparison.evaluated import Dropped
from transferscope.comparison.plateau import Curve
from transferscope.comparison.scores import NotSelectable, Scores
from transferscope.errors import RequestError
from transferscope.statistics import verdict
from transferscope.store.record import read_history
from transferscope.store.schema import RunRecord
from transferscope.tasks.metrics import HEADLINES, METRICS, Errors, Metric, ScoreRange, WrongScores


@dataclass(frozen=True, eq=False)
class Evidence:
    """The paired scores under a cell.

    seeds [K]; ids, labels (indices into classes, numbers [n, T], or which of several labels an item has, [n,
    L]), groups (or None) [n]; classes [C], none where numbers, of which errors tells the unit, or several
    labels are predicted; of both arms: scores [K, n] (influence values for metrics that are no mean over
    items), calibration errors [K] (nan where there is none), collapsed or diverged runs (bool) [K], run
    folders [K · folds], seed by seed: none of the naive predictor. twin_runs: of the baseline's A/A twin,
    those of these seeds, in their order. records by folder.
    folds: runs that a seed is made of; `rows` cuts a list of runs into seeds. deterministic: no seed changes
    either arm. notes: what a reader must know of the pairing. naive_scores [K, n]: of the naive predictor,
    given where the baseline learnt nothing (`naive.learnt_nothing`). strategy_named, baseline_named [K]:
    `Scores.fewest_named`; None of the naive predictor, which has but one answer. mixes_rules: an arm is
    judged by its last evaluation, as it sees nothing that the rule could choose by. tuned: the strategy's
    values come from a search. tested_on: a domain of `test_also` whose items these are, None for the target's
    own."""

    seeds: list[int]
    ids: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    groups: np.ndarray | None
    strategy_scores: np.ndarray
    baseline_scores: np.ndarray
    strategy_ece: np.ndarray
    baseline_ece: np.ndarray
    strategy_collapsed: np.ndarray
    baseline_collapsed: np.ndarray
    strategy_runs: list[Path]
    baseline_runs: list[Path]
    baseline_variant: str
    twin_runs: list[Path]
    records: dict[Path, RunRecord]
    deterministic: bool
    notes: list[str]
    strategy_named: np.ndarray
    baseline_named: np.ndarray | None
    folds: int = 1
    mixes_rules: bool = False
    naive_scores: np.ndarray | None = None
    tuned: bool = False
    tested_on: str | None = None
    errors: Errors | None = None
    score_range: ScoreRange | None = None

    def metric(self, name: str) -> Metric:
        """With what its domain tells of it."""
        return METRICS[name].within(self.errors or self.score_range)

    @property
    def has_classes(self) -> bool:
        """Whether one class of several is predicted."""
        return len(self.classes) > 0

    @property
    def tags(self) -> list[str]:
        """Names of the labels of which an item may have several; [] where something else is predicted."""
        told = self.records[self.strategy_runs[0]]["result"].get("task")
        return told["labels"] if told is not None and told["name"] == "multi_label" else []

    @property
    def is_imported(self) -> bool:
        """Whether these are results that were made elsewhere."""
        return all("imported" in record for record in self.records.values())

    @property
    def of_one_seed(self) -> bool:
        """Whether these are results made elsewhere with one seed: then the claim is about these very models,
        on other items."""
        return len(self.seeds) == 1 and self.is_imported

    @property
    def is_of_items(self) -> bool:
        """Whether chance is that of the items alone: another seed would change nothing, or is not claimed."""
        return self.deterministic or self.of_one_seed

    @property
    def held_against(self) -> np.ndarray:
        """Scores [K, n] that Δ is taken to: the baseline's; where it learnt nothing, those of the naive
        predictor if their mean is higher."""
        both = [self.baseline_scores, *([] if self.naive_scores is None else [self.naive_scores])]
        return max(both, key=self.mean)

    @property
    def named(self) -> list[np.ndarray]:
        """`fewest_named` [K] of the arms that Δ is between."""
        if self.baseline_named is None or self.held_against is not self.baseline_scores:
            return [self.strategy_named]
        return [self.strategy_named, self.baseline_named]

    def mean(self, scores: np.ndarray) -> float:
        """Of scores [K, n], groups counting once."""
        return float(verdict.group_means(scores, self.groups).mean())

    def rows(self, runs: list[Path]) -> list[list[Path]]:
        return [runs[k : k + self.folds] for k in range(0, len(runs), self.folds)]


@dataclass
class ScoreReader:
    """Reads each run once. broken: reason by fingerprint, of runs whose evaluations cannot be read.
    curveless: why a run has no curve that has dropped the outputs for it."""

    metric: str
    selection: str
    tested_on: str | None = None
    broken: dict[str, str] = field(default_factory=dict)
    cache: dict[Path, Scores | None] = field(default_factory=dict)
    curves: dict[tuple[Path, str], Curve] = field(default_factory=dict)
    curveless: dict[Path, str] = field(default_factory=dict)

    def read(self, folder: Path, record: RunRecord) -> Scores | None:
        """None where a run cannot be read, or was not tested there."""
        if not scores.is_tested_on(record, self.tested_on):
            return None
        if folder not in self.cache:
            try:
                self.cache[folder] = scores.read_scores(
                    folder, record, self.metric, self.selection, self.tested_on
                )
            except WrongScores:
                raise
            except RequestError as refusal:
                self.cache[folder] = None
                self.broken[record["fingerprint"]] = str(refusal)
        return self.cache[folder]

    def row(self, runs: list[tuple[Path, RunRecord]]) -> Scores | None:
        """Of one seed, all folds together where it has folds; None where a run cannot be read."""
        read = [fold for run in runs if (fold := self.read(*run)) is not None]
        return scores.stacked(read, self.metric) if len(read) == len(runs) else None

    def readable_row(self, runs: list[tuple[Path, RunRecord]]) -> Scores:
        """The same of a seed that is known to be readable."""
        found = self.row(runs)
        assert found is not None
        return found

    def untold(self, evidence: Evidence) -> list[str]:
        """What a reader must know of an arm whose curves cannot be made."""
        runs = (*evidence.strategy_runs, *evidence.baseline_runs)
        reasons = [self.curveless[run] for run in runs if run in self.curveless]
        return [f"whether training had finished is not told: {reasons[0]}"] if reasons else []

    def curve(self, runs: list[tuple[Path, RunRecord]], metric: str) -> Curve:
        """Test scores of a seed's every evaluation, the mean of its folds; without any where these have none
        or not the same number."""
        curves = [self._curve(*run, metric) for run in runs]
        if len({len(curve.scores) for curve in curves}) > 1:
            return Curve([], [])
        return curves[0]._replace(scores=np.mean([curve.scores for curve in curves], axis=0).tolist())

    def _curve(self, folder: Path, record: RunRecord, metric: str) -> Curve:
        """The headline metric of a task is in the history, others are made of the evaluations. Empty where
        the run has none of them (an old store)."""
        if (folder, metric) not in self.curves:
            column = f"{scores.tested_in(record, self.tested_on)}/{metric}"
            sign = -1 if METRICS[metric].is_loss else 1
            trainer = record["consumed"].get("trainer", {})
            by_step: dict[float, float] = {}
            try:
                if metric in HEADLINES.values():
                    by_step = {
                        row["step"]: sign * row[column]
                        for row in read_history(folder)
                        if column in row and row["step"] >= 0
                    }
                else:
                    by_step.update(scores.read_curve(folder, record, metric, self.tested_on).items())
            except Dropped as why:
                self.curveless[folder] = str(why)
            except (OSError, ValueError, TypeError, NotSelectable):
                by_step = {}
            steps = max([trainer.get("steps") or trainer.get("source_steps") or 1, *by_step])
            found = [(by_step[step], step / steps) for step in sorted(by_step)]
            self.curves[folder, metric] = Curve(
                [score for score, _ in found], [at for _, at in found], str(trainer.get("schedule"))
            )
        return self.curves[folder, metric]
