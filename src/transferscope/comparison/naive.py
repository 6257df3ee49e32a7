"""The naive predictor: one answer for every test item, from the labels of the training items alone. It needs
no run."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transferscope.comparison import formatting, scores
from transferscope.comparison.scores import NotSelectable
from transferscope.statistics import influence
from transferscope.statistics.effect import clopper_pearson
from transferscope.store.printable import printable
from transferscope.store.record import AT_CHANCE
from transferscope.store.schema import RunRecord
from transferscope.tasks.metrics import METRICS

if TYPE_CHECKING:
    from transferscope.comparison.paired_scores import Evidence, ScoreReader

NAME = "naive"
# of a baseline at chance: one that fails in half of its runs fails in three of three in one experiment of
# eight
LEAST_RUNS = 5


def class_counts(record: RunRecord, classes: np.ndarray) -> list[int]:
    """Labelled items [C] that a run may learn from: the target's within its budget; where it sees none, the
    source's.

    Only their ratios count: k labels a class are one of each, and none of a class without items. Raises
    NotSelectable."""
    budget, domain = record["cell"]["label_budget"], _labels_of(record)
    counts = (record["result"].get("class_counts") or {}).get(domain)
    if domain == "target" and budget != "full":  # the same of each that it has items of
        return [int((counts or {}).get(printable(str(name)), budget) != 0) for name in classes]
    if counts is None:
        raise NotSelectable(
            f"{NAME}: not told: the record does not say the class shares (made by an earlier version)"
        )
    names = [printable(str(name)) for name in classes]
    if counts.keys() != set(names):
        raise NotSelectable(
            f"{NAME}: the {domain}'s classes are not those of the test items, of which its class shares say "
            "nothing"
        )
    if min(counts.values()) < 0 or not any(counts.values()):
        raise NotSelectable(f"{NAME}: the record's class counts are no counts of items")
    return [counts[name] for name in names]


def _labels_of(record: RunRecord) -> str:
    """Whose labels a run may learn from: the target's, or where it sees none the source's. Raises
    NotSelectable."""
    if "target_labels" in record["sees"] and record["cell"]["label_budget"] not in (None, 0):
        return "target"
    if "source_labels" in record["sees"]:
        return "source"
    raise NotSelectable(f"{NAME}: no label reaches the run, so there is nothing to answer by")


def answer(record: RunRecord, metric: str, quantities: int) -> np.ndarray:
    """The one answer [T] where there are no classes. Where numbers are predicted: of squared errors the mean,
    of absolute ones the median of the labels that a run may learn from; of several labels the share of items
    that has each, and where items are ranked by it, that all are alike. Raises NotSelectable."""
    if METRICS[metric].task == "multi_label" and METRICS[metric].kind != "items":
        return np.zeros(quantities)  # also over folds, whose shares would rank their items
    centers: Mapping[str, Any] = (record["result"].get("centers") or {}).get(_labels_of(record)) or {}
    found = np.asarray(centers.get("median" if metric == "mae" else "mean", []), dtype=float)
    if found.shape != (quantities,) or not np.isfinite(found).all():
        raise NotSelectable(f"{NAME}: the record does not say the labels' mean and median")
    return found


def item_scores(
    counts: list[list[int]],
    fold: np.ndarray,
    labels: np.ndarray,
    metric: str,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Class counts [C] of each fold, fold and label of each item [n] -> expected scores [n], as
    `scores.item_scores` has those of a run.

    Metrics of the probabilities take the class shares; the others the most frequent class, the mean over all
    where several are. AUROC is 1/2."""
    if metric == "auroc":
        return np.full(len(labels), 0.5)
    if metric in ("nll", "brier"):
        shares = np.array([[count / sum(of_fold) for count in of_fold] for of_fold in counts])
        return scores.item_scores(shares[fold], labels, metric)
    most = [[c for c, count in enumerate(of_fold) if count == max(of_fold)] for of_fold in counts]
    answers = [(weight, np.array(predicted)[fold]) for weight, predicted in _answers(most)]
    parts: list[np.ndarray] = [
        weight * _constant(predicted, labels, metric, groups) for weight, predicted in answers
    ]
    expected: np.ndarray = sum(parts[1:], start=parts[0])
    return expected


def _answers(most: list[list[int]]) -> Iterator[tuple[float, list[int]]]:
    """The tied classes of each fold -> (weight, the class named in each fold). One draw breaks the ties of
    all folds, so that folds with the same ties name the same class."""
    cuts = sorted({Fraction(k, len(tied)) for tied in most for k in range(len(tied) + 1)})
    for low, high in pairwise(cuts):
        yield float(high - low), [tied[int(low * len(tied))] for tied in most]


def _constant(
    predicted: np.ndarray, labels: np.ndarray, metric: str, groups: np.ndarray | None
) -> np.ndarray:
    """Scores [n] of the classes told [n], of which there are few. All others stand as one, for they add
    nothing but to the number of classes."""
    if metric == "accuracy":
        right: np.ndarray = predicted == labels
        return right.astype(float)
    named, predicted = np.unique(predicted, return_inverse=True)
    merged = np.where(np.isin(labels, named), np.searchsorted(named, labels), len(named))
    number = len(np.unique(merged)) / len(np.unique(labels))
    psi = influence.values(np.eye(len(named) + 1)[predicted], merged, metric, groups)
    return psi * number


# --- from runs


def of_runs(evidence: "Evidence", runs: list[Path], reader: "ScoreReader", metric: str) -> np.ndarray:
    """Scores [K, n] with the labels of these runs, which are of one arm of the evidence. reader: of any
    metric, tells their items.

    Raises NotSelectable where a record does not tell its class shares.
    """
    rows = []
    for folders in evidence.rows(runs):
        row = [(folder, evidence.records[folder]) for folder in folders]
        items = reader.readable_row(row)
        fold = np.repeat(np.arange(len(row)), [len(reader.readable_row([run]).ids) for run in row])
        order = np.argsort(items.ids)
        place = order[np.searchsorted(items.ids, evidence.ids, sorter=order)]
        if not evidence.has_classes:
            answers = np.stack([answer(record, metric, items.labels.shape[1]) for _, record in row])
            found = scores.item_scores(answers[fold], items.labels, metric, items.groups, items.errors)
        else:
            counts = [class_counts(record, items.classes) for _, record in row]
            found = item_scores(counts, fold, items.labels, metric, items.groups)
        rows.append(found[place])
    return np.stack(rows)


def percent(evidence: "Evidence", delta: float, reader: "ScoreReader") -> float | None:
    """Δ in percent of what the naive predictor errs by that has the baseline's labels, or the strategy's
    where the baseline has no runs. None where classes are predicted, or no label reaches the run."""
    if evidence.errors is None:
        return None
    try:
        runs = evidence.baseline_runs or evidence.strategy_runs
        error = -evidence.mean(of_runs(evidence, runs, reader, reader.metric))
    except NotSelectable:
        return None
    return 100 * delta / error if error > 0 else None


# --- in place of a baseline that learnt nothing


def learnt_nothing(evidence: "Evidence") -> bool:
    """Whether all runs of the baseline, at least five different ones, are at chance, and the strategy scores
    more without a collapse."""
    runs = set(evidence.baseline_runs)
    records = [evidence.records[run] for run in runs]
    return bool(
        all(record["status"] == "collapsed" and record["reason"].startswith(AT_CHANCE) for record in records)
        and len(runs) >= LEAST_RUNS * evidence.folds
        and not np.any(evidence.strategy_collapsed)
        and evidence.mean(evidence.strategy_scores) > evidence.mean(evidence.baseline_scores)
    )


def standing_in(evidence: "Evidence", reader: "ScoreReader") -> "Evidence":
    """With the scores of the naive predictor that has the baseline's labels, or a note why there are none."""
    try:
        return replace(
            evidence, naive_scores=of_runs(evidence, evidence.baseline_runs, reader, reader.metric)
        )
    except NotSelectable as why:
        return replace(
            evidence,
            notes=[
                *evidence.notes,
                f"the baseline learnt nothing; whether the strategy did is not judged: {why}",
            ],
        )


def flags(evidence: "Evidence", metric: str, alpha: float) -> list[str]:
    """What a reader must know where the baseline learnt nothing, with the failure rate that its runs do not
    exclude (Clopper-Pearson)."""
    if evidence.naive_scores is None:
        return []
    runs = len(evidence.seeds)
    rate, _ = clopper_pearson(runs, runs, alpha)
    flag = f"the baseline learnt nothing in these steps (failure rate ≥ {100 * rate:.0f} %, {runs} of {runs})"
    if evidence.held_against is evidence.baseline_scores:
        return [flag]
    predicted, own = (
        formatting.score(evidence.mean(scores), metric)
        for scores in (evidence.naive_scores, evidence.baseline_scores)
    )
    return [f"{flag}; held against the naive predictor, whose {predicted} are more than its {own}"]
