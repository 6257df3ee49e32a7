"""Two arms side by side: seeds present in both, test items matched by id, one score each."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from transferscope.comparison import naive, scores, stored_validators
from transferscope.comparison.arms import FOLDS, Arm
from transferscope.comparison.plateau import UNKNOWN, Curve, Rises
from transferscope.comparison.scores import NotSelectable, Scores
from transferscope.errors import Refused
from transferscope.statistics import influence, verdict
from transferscope.store.record import read_history
from transferscope.tasks.metrics import METRICS

COLLAPSED = ("collapsed", "diverged")


@dataclass(frozen=True, eq=False)
class Evidence:
    """The paired scores under a cell.

    seeds [K]; ids, labels (indices into classes), groups (or None) [n]; classes [C]; of both arms: scores [K, n] (influence values for
    metrics that are no mean over items), calibration errors [K] (nan where there is none), collapsed or diverged runs (bool) [K], run
    folders [K · folds], seed by seed: none of the naive predictor. twin_runs: of the baseline's A/A twin, those of these seeds, in their
    order. records by folder. folds: runs that a seed is made of; `rows` cuts a list of runs into seeds. deterministic: no seed changes
    either arm. notes: what a reader must know of the pairing. naive_scores [K, n]: of the naive predictor, given where the baseline learnt
    nothing (`naive.learnt_nothing`). mixes_rules: an arm is judged by its last evaluation, as it sees nothing that the rule could choose by.
    tuned: the strategy's values come from a search.
    """

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
    twin_runs: list[Path]
    records: dict[Path, dict]
    deterministic: bool
    notes: list[str]
    folds: int = 1
    mixes_rules: bool = False
    naive_scores: np.ndarray | None = None
    tuned: bool = False

    @property
    def held_against(self) -> np.ndarray:
        """Scores [K, n] that Δ is taken to: the baseline's; where it learnt nothing, those of the naive predictor if their mean is higher."""
        both = [self.baseline_scores, *([] if self.naive_scores is None else [self.naive_scores])]
        return max(both, key=self.mean)

    def mean(self, scores: np.ndarray) -> float:
        """Of scores [K, n], groups counting once."""
        return float(verdict.group_means(scores, self.groups).mean())

    def rows(self, runs: list[Path]) -> list[list[Path]]:
        return [runs[k : k + self.folds] for k in range(0, len(runs), self.folds)]


@dataclass
class Reader:
    """Reads each run once. broken: reason by fingerprint, of runs whose evaluations cannot be read."""

    metric: str
    selection: str
    broken: dict[str, str] = field(default_factory=dict)
    cache: dict[Path, Scores | None] = field(default_factory=dict)
    curves: dict[tuple[Path, str], Curve] = field(default_factory=dict)

    def read(self, folder: Path, record: dict) -> Scores | None:
        if folder not in self.cache:
            try:
                self.cache[folder] = scores.read_scores(folder, record, self.metric, self.selection)
            except Refused as refusal:
                self.cache[folder] = None
                self.broken[record["fingerprint"]] = str(refusal)
        return self.cache[folder]

    def row(self, runs: list[tuple[Path, dict]]) -> Scores | None:
        """Of one seed, all folds together where it has folds; None where a run cannot be read."""
        read = [self.read(*run) for run in runs]
        return None if any(fold is None for fold in read) else scores.stacked(read, self.metric)

    def curve(self, runs: list[tuple[Path, dict]], metric: str) -> Curve:
        """Test scores of a seed's every evaluation, the mean of its folds; without any where these have none or not the same number."""
        curves = [self._curve(*run, metric) for run in runs]
        if len({len(curve.scores) for curve in curves}) > 1:
            return Curve([], [])
        return curves[0]._replace(scores=np.mean([curve.scores for curve in curves], axis=0).tolist())

    def _curve(self, folder: Path, record: dict, metric: str) -> Curve:
        """Accuracy is in the history, other metrics are made of the evaluations. Empty where the run has none of them (an old store)."""
        if (folder, metric) not in self.curves:
            column, trainer = f"{record['cell']['target']}/test/accuracy", record["consumed"].get("trainer", {})
            try:
                if metric == "accuracy":
                    by_step = {row["step"]: row[column] for row in read_history(folder) if column in row and row["step"] >= 0}
                else:
                    by_step = scores.read_curve(folder, record, metric)
            except (OSError, ValueError, TypeError, NotSelectable):
                by_step = {}
            steps = max([trainer.get("steps") or trainer.get("source_steps") or 1, *by_step])
            found = [(by_step[step], step / steps) for step in sorted(by_step)]
            self.curves[folder, metric] = Curve([score for score, _ in found], [at for _, at in found], str(trainer.get("schedule")))
        return self.curves[folder, metric]


def pair(arm: Arm, baseline: Arm, reader: Reader, twin: Arm | None = None) -> Evidence:
    """Raises NotSelectable where there is nothing to pair, Refused where the two were not tested on the same items."""
    if baseline.cell["strategy"] == naive.NAME:
        return _with_naive(arm, reader)
    arm, baseline = _for_every_seed(arm, baseline), _for_every_seed(baseline, arm)
    seeds = [
        seed
        for seed in sorted(arm.runs.keys() & baseline.runs.keys())
        if reader.row(arm.runs[seed]) is not None and reader.row(baseline.runs[seed]) is not None
    ]
    if not seeds:
        readable = {who: any(reader.row(runs) is not None for runs in it.runs.values()) for who, it in (("cell", arm), ("baseline", baseline))}
        absent = [who for who, some in readable.items() if not some]
        raise NotSelectable(f"no readable run of the {' and of the '.join(absent)}" if absent else "cell and baseline have no seed in common")
    first, folds = reader.row(arm.runs[seeds[0]]), len(arm.runs[seeds[0]])
    rows = {}
    for who, it in (("strategy", arm), ("baseline", baseline)):
        read = [reader.row(it.runs[seed]) for seed in seeds]
        rows[who] = {
            "scores": np.stack([_aligned(first, arm.runs[seeds[0]][0], other, it.runs[seed][0]) for seed, other in zip(seeds, read, strict=True)]),
            "ece": np.array([np.nan if s.ece is None else s.ece for s in read]),
            "collapsed": np.array(
                [not s.finite or any(record["status"] in COLLAPSED for _, record in it.runs[seed]) for seed, s in zip(seeds, read, strict=True)]
            ),
            "runs": [folder for seed in seeds for folder, _ in it.runs[seed]],
        }
    _check_subsets(arm, baseline, seeds)
    evidence = Evidence(
        seeds=seeds,
        ids=first.ids,
        labels=first.labels,
        classes=first.classes,
        groups=first.groups,
        **{f"{who}_{key}": value for who, row in rows.items() for key, value in row.items()},
        twin_runs=[folder for seed in seeds if seed in twin.runs for folder, _ in twin.runs[seed]] if twin else [],
        records={folder: record for it in (arm, baseline) for seed in seeds for folder, record in it.runs[seed]},
        deterministic=folds == 1
        and all(record.get("deterministic") for it in (arm, baseline) for seed in seeds for _, record in it.runs[seed])
        and all(np.array_equal(row["scores"], np.broadcast_to(row["scores"][0], row["scores"].shape)) for row in rows.values()),
        notes=_notes(arm, baseline, seeds, reader),
        folds=folds,
        tuned=bool(arm.searches),
        mixes_rules=any(_fell_back(it, seeds, reader) for it in (arm, baseline)),
    )
    return naive.standing_in(evidence, reader) if naive.learnt_nothing(evidence) else evidence


def _with_naive(arm: Arm, reader: Reader) -> Evidence:
    """The arm beside one constant answer from the labels it may learn from."""
    if all(reader.row(runs) is None for runs in arm.runs.values()):
        raise NotSelectable("no readable run of the cell")
    itself = pair(arm, arm, reader)
    none = np.zeros(len(itself.seeds), bool)
    return replace(
        itself,
        baseline_scores=naive.of_runs(itself, itself.strategy_runs, reader, reader.metric),
        baseline_ece=np.full(len(none), np.nan),
        baseline_collapsed=none,
        baseline_runs=[],
        notes=_notes(arm, None, itself.seeds, reader),
    )


def tested(evidence: Evidence, metric: str, items: str, ends: Rises = UNKNOWN) -> verdict.Pair:
    """What a verdict is made of. items: `random`, or `fixed` where these very test items are meant. ends: of both arms' training."""
    chance = "seeds" if items == "fixed" else "items" if evidence.deterministic else "both"
    rows = slice(1) if chance == "items" else slice(None)
    return verdict.Pair(
        d=verdict.group_means(evidence.strategy_scores - evidence.held_against, evidence.groups)[rows],
        strategy_collapsed=evidence.strategy_collapsed[rows],
        baseline_collapsed=evidence.baseline_collapsed[rows],
        smallest_class=verdict.smallest_class(evidence.labels, evidence.groups),
        chance=chance,
        **scale(metric, evidence.labels),
        strategy_remaining=ends.strategy.remaining,
        baseline_remaining=ends.baseline.remaining,
        rising=tuple(end.is_rising for end in ends),
        baseline_learnt_nothing=evidence.naive_scores is not None,
    )


def scale(metric: str, labels: np.ndarray) -> dict:
    """How large differences of a metric can be: what `verdict.Pair` is told of it."""
    judged = METRICS[metric]
    if judged.kind == "items":
        return {"unit": judged.unit, "span": judged.span}
    return {influence.SCALES[metric]: influence.of_one_change(labels), "span": judged.span}


def common_seeds(arm: Arm, baseline: Arm) -> set[int]:
    """Those that the two can be paired by."""
    return _for_every_seed(arm, baseline).runs.keys() & _for_every_seed(baseline, arm).runs.keys()


def _for_every_seed(arm: Arm, other: Arm) -> Arm:
    """One run of a deterministic arm is enough: where its training set is the same for every seed, it stands beside every run of the other."""
    if len(arm.runs) == 1 and arm.cell["label_budget"] in (None, 0, "full") and FOLDS not in arm.consumed:
        ([run],) = arm.runs.values()
        if run[1].get("deterministic"):
            return replace(arm, runs=dict.fromkeys([*arm.runs, *other.runs], [run]))
    return arm


def _check_subsets(arm: Arm, baseline: Arm, seeds: list[int]) -> None:
    """What pairs two runs of a seed is their labelled subset. A run that stands for other seeds has its own."""
    if arm.cell["label_budget"] != baseline.cell["label_budget"]:
        return
    pairs = [(seed, runs) for seed in seeds for runs in zip(arm.runs[seed], baseline.runs[seed], strict=True)]
    own = [(seed, {record.get("subset") for _, record in runs if record["seed"] == seed} - {None}) for seed, runs in pairs]
    if differing := list(dict.fromkeys(seed for seed, subsets in own if len(subsets) > 1)):
        raise NotSelectable(f"cell and baseline saw different labelled subsets: {seeds_named(differing)}; compare runs of one state of the data")


def _aligned(first: Scores, run: tuple[Path, dict], other: Scores, other_run: tuple[Path, dict]) -> np.ndarray:
    """Scores of `other` [n] in the item order of `first`."""
    if np.array_equal(first.ids, other.ids):
        order = slice(None)
    elif np.array_equal(np.sort(first.ids), np.sort(other.ids)):
        position = np.argsort(other.ids)
        order = position[np.searchsorted(other.ids, first.ids, sorter=position)]
    else:
        only = [len(np.setdiff1d(a, b)) for a, b in ((first.ids, other.ids), (other.ids, first.ids))]
        raise Refused(
            f"{_named(run)} and {_named(other_run)} were not tested on the same items: {only[0]} only in the first, {only[1]} only in the "
            "second; compare runs of one split_seed and one state of the data"
        )
    if not np.array_equal(first.classes[first.labels], other.classes[other.labels[order]]):
        raise Refused(f"{_named(run)} and {_named(other_run)}: the same test items bear different labels; the data has changed between them")
    return other.scores[order]


def _named(run: tuple[Path, dict]) -> str:
    folder, record = run
    cell = record["cell"]
    where = f"{cell['strategy']}, {' → '.join(filter(None, (cell['source'], cell['target'])))}, labels {cell['label_budget']}"
    return f"run {folder.name} ({where}, seed {record['seed']})"


def _fell_back(arm: Arm, seeds: list[int], reader: Reader) -> bool:
    """Whether another rule than the one asked for had to select a run's evaluation."""
    return any(reader.row(arm.runs[seed]).selection != reader.selection for seed in seeds)


def _notes(arm: Arm, baseline: Arm | None, seeds: list[int], reader: Reader) -> list[str]:
    """baseline: None where it needs no run."""
    notes, arms = [], {"strategy": arm} | ({"baseline": baseline} if baseline else {})
    if (folds := len(arm.runs[seeds[0]])) > 1:
        notes.append(f"{folds} folds: every item is tested once a seed; a seed counts as collapsed where one of its folds did")
    for who, it in arms.items():
        if absent := sorted(it.planned - it.runs.keys()):
            notes.append(f"interim: planned {seeds_named(absent)}{' of the baseline' if who == 'baseline' else ''} without a result")
    if baseline and (alone := sorted(arm.runs.keys() - set(seeds))):
        notes.append(f"{seeds_named(alone)} left out: no run of the baseline to pair with")
    if arm.planned and (added := sorted(set(seeds) - arm.planned)):
        notes.append(f"{seeds_named(added)} came after the plan")
    if reader.selection == "oracle":
        notes.append("oracle: chosen on test labels")
    for who, it in arms.items():
        if _fell_back(it, seeds, reader):
            what = "source items" if reader.selection in stored_validators.VALIDATORS else "labels"
            notes.append(f"{who}: last evaluation, it sees no {what} that {reader.selection} could choose by")
        if any(reader.row(it.runs[seed]).step is None for seed in seeds):
            notes.append(f"{who}: a run without a finite evaluation scores chance")
    if mixed := mixed_versions([record for it in arms.values() for seed in seeds for _, record in it.runs[seed]]):
        notes.append(f"made by several versions: {mixed}")
    return notes


def mixed_versions(records: list[dict]) -> str:
    """The packages of which the records name more than one version, with these; empty where there is none."""
    versions = defaultdict(set)
    for record in records:
        for package, number in (record.get("versions") or {}).items():
            versions[package].add(str(number))
    return "; ".join(f"{package} {', '.join(sorted(numbers))}" for package, numbers in sorted(versions.items()) if len(numbers) > 1)


def seeds_named(seeds: list[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
