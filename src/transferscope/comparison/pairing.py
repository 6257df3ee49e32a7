"""Two arms side by side: seeds present in both, test items matched by id, one score each."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from transferscope import verdict
from transferscope.comparison import scores
from transferscope.comparison.arms import Arm
from transferscope.comparison.scores import NotSelectable, Scores
from transferscope.errors import Refused
from transferscope.record import read_history
from transferscope.statistics import influence

COLLAPSED = ("collapsed", "diverged")


@dataclass(frozen=True, eq=False)
class Evidence:
    """The paired scores under a cell.

    seeds [K]; ids, labels (indices into classes), groups (or None) [n]; classes [C]; of both arms: scores [K, n] (influence values for
    metrics that are no mean over items), calibration errors [K] (nan where there is none), collapsed or diverged runs (bool) [K], run
    folders [K], in the order of seeds. twin_runs: of the baseline's A/A twin, those of these seeds, in their order. records by folder.
    deterministic: no seed changes either arm. notes: what a reader must know of the pairing.
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


@dataclass
class Reader:
    """Reads each run once. broken: reason by fingerprint, of runs whose evaluations cannot be read."""

    metric: str
    selection: str
    broken: dict[str, str] = field(default_factory=dict)
    cache: dict[Path, Scores | None] = field(default_factory=dict)
    curves: dict[Path, list[float]] = field(default_factory=dict)

    def read(self, folder: Path, record: dict) -> Scores | None:
        if folder not in self.cache:
            try:
                self.cache[folder] = scores.read_scores(folder, record, self.metric, self.selection)
            except Refused as refusal:
                self.cache[folder] = None
                self.broken[record["fingerprint"]] = str(refusal)
        return self.cache[folder]

    def curve(self, folder: Path, record: dict) -> list[float]:
        """Test accuracy of every evaluation; empty where the run has no history (a closed form, an old store)."""
        if folder not in self.curves:
            column = f"{record['cell']['target']}/test/accuracy"
            try:
                self.curves[folder] = [row[column] for row in read_history(folder) if column in row]
            except (OSError, ValueError, TypeError):
                self.curves[folder] = []
        return self.curves[folder]


def pair(arm: Arm, baseline: Arm, reader: Reader, twin: Arm | None = None) -> Evidence:
    """Raises NotSelectable where there is nothing to pair, Refused where the two were not tested on the same items."""
    arm, baseline = _for_every_seed(arm, baseline), _for_every_seed(baseline, arm)
    seeds = [
        seed
        for seed in sorted(arm.runs.keys() & baseline.runs.keys())
        if reader.read(*arm.runs[seed]) is not None and reader.read(*baseline.runs[seed]) is not None
    ]
    if not seeds:
        readable = {
            who: any(reader.read(*run) is not None for run in it.runs.values()) for who, it in (("cell", arm), ("baseline", baseline))
        }
        absent = [who for who, some in readable.items() if not some]
        raise NotSelectable(
            f"no readable run of the {' and of the '.join(absent)}" if absent else "cell and baseline have no seed in common"
        )
    first = reader.read(*arm.runs[seeds[0]])
    rows = {}
    for who, it in (("strategy", arm), ("baseline", baseline)):
        read = [reader.read(*it.runs[seed]) for seed in seeds]
        rows[who] = {
            "scores": np.stack(
                [_aligned(first, arm.runs[seeds[0]], other, it.runs[seed]) for seed, other in zip(seeds, read, strict=True)]
            ),
            "ece": np.array([np.nan if s.ece is None else s.ece for s in read]),
            "collapsed": np.array([it.runs[seed][1]["status"] in COLLAPSED or not s.finite for seed, s in zip(seeds, read, strict=True)]),
            "runs": [it.runs[seed][0] for seed in seeds],
        }
    _check_subsets(arm, baseline, seeds)
    return Evidence(
        seeds=seeds,
        ids=first.ids,
        labels=first.labels,
        classes=first.classes,
        groups=first.groups,
        **{f"{who}_{key}": value for who, row in rows.items() for key, value in row.items()},
        twin_runs=[twin.runs[seed][0] for seed in seeds if seed in twin.runs] if twin else [],
        records={it.runs[seed][0]: it.runs[seed][1] for it in (arm, baseline) for seed in seeds},
        deterministic=all(it.runs[seed][1].get("deterministic") for it in (arm, baseline) for seed in seeds)
        and all(np.array_equal(row["scores"], np.broadcast_to(row["scores"][0], row["scores"].shape)) for row in rows.values()),
        notes=_notes(arm, baseline, seeds, reader),
    )


def tested(evidence: Evidence, metric: str, items: str, baseline_improving: bool = False) -> verdict.Pair:
    """What a verdict is made of. items: `random`, or `fixed` where these very test items are meant."""
    chance = "seeds" if items == "fixed" else "items" if evidence.deterministic else "both"
    rows = slice(1) if chance == "items" else slice(None)
    return verdict.Pair(
        verdict.group_means(evidence.strategy_scores - evidence.baseline_scores, evidence.groups)[rows],
        evidence.strategy_collapsed[rows],
        evidence.baseline_collapsed[rows],
        verdict.smallest_class(evidence.labels, evidence.groups),
        chance,
        influence.of_one_change(evidence.labels, metric) if metric in influence.METRICS else None,
        baseline_improving,
    )


def _for_every_seed(arm: Arm, other: Arm) -> Arm:
    """One run of a deterministic arm is enough: where its training set is the same for every seed, it stands beside every run of the other."""
    if len(arm.runs) == 1 and arm.cell["label_budget"] in (None, "full"):
        (run,) = arm.runs.values()
        if run[1].get("deterministic"):
            return replace(arm, runs=dict.fromkeys([*arm.runs, *other.runs], run))
    return arm


def _check_subsets(arm: Arm, baseline: Arm, seeds: list[int]) -> None:
    """What pairs two runs of a seed is their labelled subset. A run that stands for other seeds has its own."""
    if arm.cell["label_budget"] != baseline.cell["label_budget"]:
        return
    pairs = {seed: [it.runs[seed][1] for it in (arm, baseline)] for seed in seeds}
    own = {seed: {record.get("subset") for record in records if record["seed"] == seed} - {None} for seed, records in pairs.items()}
    if differing := [seed for seed in seeds if len(own[seed]) > 1]:
        raise NotSelectable(f"cell and baseline saw different labelled subsets: {_seeds(differing)}; compare runs of one state of the data")


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
        raise Refused(
            f"{_named(run)} and {_named(other_run)}: the same test items bear different labels; the data has changed between them"
        )
    return other.scores[order]


def _named(run: tuple[Path, dict]) -> str:
    folder, record = run
    cell = record["cell"]
    where = f"{cell['strategy']}, {' → '.join(filter(None, (cell['source'], cell['target'])))}, labels {cell['label_budget']}"
    return f"run {folder.name} ({where}, seed {record['seed']})"


def _notes(arm: Arm, baseline: Arm, seeds: list[int], reader: Reader) -> list[str]:
    notes = []
    for who, it in (("", arm), (" of the baseline", baseline)):
        if absent := sorted(it.planned - it.runs.keys()):
            notes.append(f"interim: planned {_seeds(absent)}{who} without a result")
    if alone := sorted(arm.runs.keys() - set(seeds)):
        notes.append(f"{_seeds(alone)} left out: no run of the baseline to pair with")
    if arm.planned and (added := sorted(set(seeds) - arm.planned)):
        notes.append(f"{_seeds(added)} came after the plan: error rates hold where their number was not chosen by looking at the result")
    if reader.selection == "oracle":
        notes.append("oracle: chosen on test labels")
    for who, it in (("strategy", arm), ("baseline", baseline)):
        if any(reader.read(*it.runs[seed]).selection != reader.selection for seed in seeds):
            notes.append(f"{who}: last evaluation, it sees no labels that {reader.selection} could choose by")
        if any(reader.read(*it.runs[seed]).step is None for seed in seeds):
            notes.append(f"{who}: a run without a finite evaluation scores chance")
    return notes


def _seeds(seeds: list[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
