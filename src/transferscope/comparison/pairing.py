"""Two arms side by side: seeds present in both, test items matched by id, one score each."""

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from transferscope.comparison import naive, scores, stored_validators
from transferscope.comparison.arms import FOLDS, Arm
from transferscope.comparison.paired_scores import Evidence, ScoreReader
from transferscope.comparison.plateau import UNKNOWN, Rises
from transferscope.comparison.scores import NotSelectable, Scores
from transferscope.errors import RequestError
from transferscope.statistics import influence, label_ranking, verdict
from transferscope.store.schema import Json, RunRecord
from transferscope.tasks.metrics import METRICS

COLLAPSED = ("collapsed", "diverged")


@dataclass(frozen=True, eq=False)
class _Side:
    """Of one arm what `Evidence` has of both."""

    scores: np.ndarray
    ece: np.ndarray
    named: np.ndarray
    collapsed: np.ndarray
    runs: list[Path]

    @classmethod
    def of(
        cls, arm: Arm, seeds: list[int], like: tuple[Scores, tuple[Path, RunRecord]], reader: ScoreReader
    ) -> "_Side":
        """like: the scores, with their run, whose items and order are those of all."""
        read = [reader.readable_row(arm.runs[seed]) for seed in seeds]
        collapsed = [
            not scores.finite or any(record["status"] in COLLAPSED for _, record in arm.runs[seed])
            for seed, scores in zip(seeds, read, strict=True)
        ]
        return cls(
            np.stack(
                [_aligned(*like, other, arm.runs[seed][0]) for seed, other in zip(seeds, read, strict=True)]
            ),
            np.array([np.nan if scores.ece is None else scores.ece for scores in read]),
            np.array([scores.fewest_named for scores in read]),
            np.array(collapsed),
            [folder for seed in seeds for folder, _ in arm.runs[seed]],
        )


def pair(arm: Arm, baseline: Arm, reader: ScoreReader, twin: Arm | None = None) -> Evidence:
    """Raises NotSelectable where there is nothing to pair, RequestError where the two were not tested on the
    same items."""
    if baseline.cell["strategy"] == naive.NAME and not baseline.is_imported:
        return _with_naive(arm, reader)
    arm, baseline = _for_every_seed(arm, baseline), _for_every_seed(baseline, arm)
    seeds = [
        seed
        for seed in sorted(arm.runs.keys() & baseline.runs.keys())
        if reader.row(arm.runs[seed]) is not None and reader.row(baseline.runs[seed]) is not None
    ]
    if not seeds:
        readable = {
            who: any(reader.row(runs) is not None for runs in it.runs.values())
            for who, it in (("cell", arm), ("baseline", baseline))
        }
        absent = [who for who, some in readable.items() if not some]
        if reader.tested_on and absent:
            raise NotSelectable(f"not tested on {reader.tested_on} (test_also=[{reader.tested_on}])")
        raise NotSelectable(
            f"no readable run of the {' and of the '.join(absent)}"
            if absent
            else "cell and baseline have no seed in common"
        )
    first, folds = reader.readable_row(arm.runs[seeds[0]]), len(arm.runs[seeds[0]])
    strategy, base = (_Side.of(it, seeds, (first, arm.runs[seeds[0]][0]), reader) for it in (arm, baseline))
    _check_subsets(arm, baseline, seeds)
    evidence = Evidence(
        seeds=seeds,
        ids=first.ids,
        labels=first.labels,
        classes=first.classes,
        groups=first.groups,
        errors=first.errors,
        score_range=first.score_range,
        strategy_scores=strategy.scores,
        baseline_scores=base.scores,
        strategy_ece=strategy.ece,
        baseline_ece=base.ece,
        strategy_collapsed=strategy.collapsed,
        baseline_collapsed=base.collapsed,
        strategy_runs=strategy.runs,
        baseline_runs=base.runs,
        baseline_variant=baseline.variant,
        strategy_named=strategy.named,
        baseline_named=base.named,
        twin_runs=[folder for seed in seeds if seed in twin.runs for folder, _ in twin.runs[seed]]
        if twin
        else [],
        records={
            folder: record for it in (arm, baseline) for seed in seeds for folder, record in it.runs[seed]
        },
        deterministic=folds == 1
        and all(
            record.get("deterministic")
            for it in (arm, baseline)
            for seed in seeds
            for _, record in it.runs[seed]
        )
        and all(
            np.array_equal(side.scores, np.broadcast_to(side.scores[0], side.scores.shape))
            for side in (strategy, base)
        ),
        notes=_notes(arm, baseline, seeds, reader),
        folds=folds,
        tuned=bool(arm.searches),
        tested_on=reader.tested_on,
        mixes_rules=any(_fell_back(it, seeds, reader) for it in (arm, baseline)),
    )
    return naive.standing_in(evidence, reader) if naive.learnt_nothing(evidence) else evidence


def _with_naive(arm: Arm, reader: ScoreReader) -> Evidence:
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
        baseline_named=None,
        notes=_notes(arm, None, itself.seeds, reader),
    )


def tested(evidence: Evidence, metric: str, items: str, ends: Rises = UNKNOWN) -> verdict.Pair:
    """What a verdict is made of. items: `random`, or `fixed` where these very test items are meant. ends: of
    both arms' training."""
    chance = "seeds" if items == "fixed" else "items" if evidence.is_of_items else "both"
    rows = slice(1) if chance == "items" else slice(None)
    return verdict.Pair(
        d=verdict.group_means(evidence.strategy_scores - evidence.held_against, evidence.groups)[rows],
        strategy_collapsed=evidence.strategy_collapsed[rows],
        baseline_collapsed=evidence.baseline_collapsed[rows],
        smallest_class=smallest_class(evidence, metric),
        chance=chance,
        **scale(metric, evidence),
        strategy_remaining=ends.strategy.remaining,
        baseline_remaining=ends.baseline.remaining,
        rising=(ends.strategy.is_rising, ends.baseline.is_rising),
        baseline_learnt_nothing=evidence.naive_scores is not None,
    )


def smallest_class(evidence: Evidence, metric: str) -> int:
    """Items (groups where given) of the class that has fewest; where there are no classes, of all. Of a
    ranking by several labels: the fewest that have one, or have it not."""
    if evidence.has_classes:
        return verdict.smallest_class(evidence.labels, evidence.groups)
    if evidence.errors is None and METRICS[metric].kind != "items":
        return label_ranking.smallest(evidence.labels == 1, evidence.groups)
    return units(evidence)


def units(evidence: Evidence) -> int:
    """Items (groups where given)."""
    return len(evidence.ids if evidence.groups is None else np.unique(evidence.groups))


def scale(metric: str, evidence: Evidence, named: list[np.ndarray] | None = None) -> Json:
    """How large differences of a metric can be: what `verdict.Pair` is told of it. named: `fewest_named` [K]
    of each arm, where these are not the arms of the evidence."""
    judged = evidence.metric(metric)
    if judged.kind == "items":
        return {"unit": judged.unit, "span": judged.span}
    if judged.task == "multi_label":
        return {"unit": label_ranking.of_one_item(evidence.labels == 1), "span": judged.span}
    if judged.kind == "jackknife":
        least = min(-evidence.mean(scores) for scores in (evidence.strategy_scores, evidence.held_against))
        return {"unit": of_one_error(judged.span, least, units(evidence)), "span": judged.span}
    named = (named or evidence.named) if metric in influence.OF_NAMED else []
    of_one_change = influence.of_one_change(evidence.labels, named)
    return {influence.SCALES[metric]: of_one_change, "span": judged.span}


def of_one_error(cap: float, rmse: np.ndarray | float, items: int) -> np.ndarray | float:
    """Half of what the pseudo-value of a root mean squared error changes by where the error of an item (or
    group) becomes the cap: n times what one such error adds to the root, of the arm whose errors are smaller,
    that it is no more than the items' errors can make of it. Not its slope there, cap² / 2 rmse, which has no
    bound as errors become small."""
    added: np.ndarray | float = np.sqrt(rmse**2 + cap**2 / items) - rmse
    return items * added / 2


def common_seeds(arm: Arm, baseline: Arm) -> set[int]:
    """Those that the two can be paired by."""
    return _for_every_seed(arm, baseline).runs.keys() & _for_every_seed(baseline, arm).runs.keys()


def _for_every_seed(arm: Arm, other: Arm) -> Arm:
    """One run of a deterministic arm is enough: where its training set is the same for every seed, it stands
    beside every run of the other."""
    if len(arm.runs) == 1 and arm.cell["label_budget"] in (None, 0, "full") and FOLDS not in arm.consumed:
        ([run],) = arm.runs.values()
        if run[1].get("deterministic"):
            return replace(arm, runs=dict.fromkeys([*arm.runs, *other.runs], [run]))
    return arm


def _check_subsets(arm: Arm, baseline: Arm, seeds: list[int]) -> None:
    """What pairs two runs of a seed is their labelled subset. A run that stands for other seeds has its
    own."""
    if arm.cell["label_budget"] != baseline.cell["label_budget"]:
        return
    pairs = [(seed, runs) for seed in seeds for runs in zip(arm.runs[seed], baseline.runs[seed], strict=True)]
    own = [
        (seed, {record.get("subset") for _, record in runs if record["seed"] == seed} - {None})
        for seed, runs in pairs
    ]
    if differing := list(dict.fromkeys(seed for seed, subsets in own if len(subsets) > 1)):
        raise NotSelectable(
            f"cell and baseline saw different labelled subsets: {seeds_named(differing)}; compare runs of "
            "one state of the data"
        )


def _aligned(
    first: Scores, run: tuple[Path, RunRecord], other: Scores, other_run: tuple[Path, RunRecord]
) -> np.ndarray:
    """Scores of `other` [n] in the item order of `first`."""
    if np.array_equal(first.ids, other.ids):
        order: slice | np.ndarray = slice(None)
    elif np.array_equal(np.sort(first.ids), np.sort(other.ids)):
        position = np.argsort(other.ids)
        order = position[np.searchsorted(other.ids, first.ids, sorter=position)]
    else:
        only = [len(np.setdiff1d(a, b)) for a, b in ((first.ids, other.ids), (other.ids, first.ids))]
        raise RequestError(
            f"{_named(run)} and {_named(other_run)} were not tested on the same items: {only[0]} only in "
            f"the first, {only[1]} only in the "
            "second; compare runs of one split_seed and one state of the data"
        )
    if differing := _told_otherwise(first, other, order):
        raise RequestError(
            f"{_named(run)} and {_named(other_run)}: {differing} of the same test items differ; import them "
            "in one command"
        )
    if not np.array_equal(first.named_labels, other.named_labels[order]):
        raise RequestError(
            f"{_named(run)} and {_named(other_run)}: the same test items bear different labels; the data "
            "has changed between them"
        )
    return other.scores[order]


def _told_otherwise(first: Scores, other: Scores, order: slice | np.ndarray) -> str:
    """What makes scores that were made elsewhere others; nothing where they are alike."""
    if first.score_range != other.score_range:
        return "the lowest or the highest score"
    caps = [None if one.errors is None else one.errors.cap for one in (first, other)]
    if caps[0] != caps[1]:
        return "the largest errors that count"
    groups = [one.groups is None for one in (first, other)]
    if groups[0] != groups[1] or (
        first.groups is not None
        and other.groups is not None
        and not np.array_equal(first.groups, other.groups[order])
    ):
        return "the groups"
    return ""


def _named(run: tuple[Path, RunRecord]) -> str:
    folder, record = run
    cell = record["cell"]
    where = (
        f"{cell['strategy']}, {' → '.join(filter(None, (cell['source'], cell['target'])))}, labels "
        f"{cell['label_budget']}"
    )
    return f"run {folder.name} ({where}, seed {record['seed']})"


def _fell_back(arm: Arm, seeds: list[int], reader: ScoreReader) -> bool:
    """Whether another rule than the one asked for had to select a run's evaluation."""
    return any(reader.readable_row(arm.runs[seed]).selection != reader.selection for seed in seeds)


def _notes(arm: Arm, baseline: Arm | None, seeds: list[int], reader: ScoreReader) -> list[str]:
    """baseline: None where it needs no run."""
    notes, arms = [], {"strategy": arm} | ({"baseline": baseline} if baseline else {})
    if (folds := len(arm.runs[seeds[0]])) > 1:
        notes.append(
            f"{folds} folds: every item is tested once a seed; a seed counts as collapsed where one of its "
            "folds did"
        )
    for who, it in arms.items():
        if absent := sorted(it.planned - it.runs.keys()):
            notes.append(
                f"interim: planned {seeds_named(absent)}{' of the baseline' if who == 'baseline' else ''} "
                "without a result"
            )
    if baseline and bool(arm.searches) != bool(baseline.searches):
        one, other = ("strategy", "baseline") if arm.searches else ("baseline", "strategy")
        notes.append(
            f"searched: the {one}'s values; not the {other}'s: Δ may tell of tuning (--search tunes both)"
        )
    if baseline and (alone := sorted(arm.runs.keys() - set(seeds))):
        notes.append(f"{seeds_named(alone)} left out: no run of the baseline to pair with")
    if away := sorted(
        seed
        for seed, runs in arm.runs.items()
        if not all(scores.is_tested_on(record, reader.tested_on) for _, record in runs)
    ):
        notes.append(f"{seeds_named(away)} left out: not tested on {reader.tested_on}")
    notes += sorted({note for it in arms.values() for note in _of_import(it, seeds)})
    stands_for_all = len({folder for runs in arm.runs.values() for folder, _ in runs}) == 1 < len(arm.runs)
    if arm.planned and not stands_for_all and (added := sorted(set(seeds) - arm.planned)):
        notes.append(f"{seeds_named(added)} came after the plan")
    if reader.selection == "oracle":
        notes.append("oracle: chosen on test labels")
    for who, it in arms.items():
        if _fell_back(it, seeds, reader):
            what = "source items" if reader.selection in stored_validators.VALIDATORS else "labels"
            notes.append(f"{who}: last evaluation, it sees no {what} that {reader.selection} could choose by")
        if any(reader.readable_row(it.runs[seed]).step is None for seed in seeds):
            notes.append(f"{who}: a run without a finite evaluation scores chance")
    if mixed := mixed_versions(
        [record for it in arms.values() for seed in seeds for _, record in it.runs[seed]]
    ):
        notes.append(f"made by several versions: {mixed}")
    return notes


def _of_import(arm: Arm, seeds: list[int]) -> list[str]:
    """What must be known of results that were made elsewhere."""
    records = [record for seed in seeds for _, record in arm.runs[seed] if "imported" in record]
    files = sorted({record["imported"]["file"] for record in records})
    notes = [f"imported from {', '.join(files)}: how training ended is not known"] if files else []
    if left_out := max((record["imported"]["left_out"] for record in records), default=0):
        what = "item that only some runs have is" if left_out == 1 else "items that only some runs have are"
        notes.append(f"{left_out} {what} left out (--common-items)")
    if any(record["imported"]["is_capped_by_test"] for record in records):
        notes.append(
            "the largest error that counts comes from the test items' own truths: give --cap, or rows of "
            "split train"
        )
    return notes


def mixed_versions(records: list[RunRecord]) -> str:
    """The packages of which the records name more than one version, with these; empty where there is none."""
    versions = defaultdict(set)
    for record in records:
        for package, number in (record.get("versions") or {}).items():
            versions[package].add(str(number))
    return "; ".join(
        f"{package} {', '.join(sorted(numbers))}"
        for package, numbers in sorted(versions.items())
        if len(numbers) > 1
    )


def seeds_named(seeds: list[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
