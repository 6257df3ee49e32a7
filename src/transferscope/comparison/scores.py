"""From one run's evaluations to one score an item: which evaluation is taken, and by which metric."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from transferscope.comparison import stored_validators
from transferscope.comparison.evaluated import Dropped, Run
from transferscope.comparison.evaluated import NotSelectable as NotSelectable
from transferscope.errors import RequestError
from transferscope.statistics import influence
from transferscope.statistics.effect import group_means
from transferscope.store import evaluations
from transferscope.store.evaluations import Evaluations
from transferscope.store.record import read_history
from transferscope.store.schema import RunRecord
from transferscope.tasks.item_scores import item_scores as item_scores
from transferscope.tasks.metrics import (
    METRICS,
    Errors,
    ScoreRange,
    WrongScores,
    headline_of,
    headline_score,
    judged_metrics,
)
from transferscope.validators import label_free

T = TypeVar("T")
PROBABILISTIC = ("nll", "brier", "auroc")  # metrics that need more than the class that is named
HALVES = 10  # ways to halve the test items for a regret
FOLD = "fold"  # consumed by a run whose test items are one fold of the target
SEES: dict[str, tuple[Literal["source", "target"], str]] = {
    "source_val": ("source", "source_labels"),
    "target_val": ("target", "target_labels"),
}


def selections() -> tuple[str, ...]:
    """Every rule. Of the label-free validators training left the values in history.csv."""
    return ("last", "source_val", "target_val", "oracle", *label_free(), *stored_validators.VALIDATORS)


@dataclass(frozen=True, eq=False)
class Scores:
    """One run on its test items: ids, labels, groups (or None) and scores, all [n]; classes [C]. Where
    numbers are predicted, labels are these, [n, T], errors says what they are judged in, and there are no
    classes; where an item may have several labels, labels say which, [n, L].

    step: of the evaluation taken, None where none is finite and the scores are those of chance. finite:
    whether the last evaluation is.
    fewest_named: `influence.fewest_named` of it; of chance, which names each class equally often, its share.
    selection: the rule that was applied; `last` where an arm does not see what would choose. ece: expected
    calibration error, None where no evaluation is finite, or where its outputs were dropped. probabilities
    [n, C]: of a fold alone, where an evaluation is finite and its outputs were not dropped."""

    ids: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    groups: np.ndarray | None
    scores: np.ndarray
    ece: float | None
    step: int | None
    finite: bool
    fewest_named: int
    selection: str
    probabilities: np.ndarray | None = None
    errors: Errors | None = None
    score_range: ScoreRange | None = None

    @property
    def named_labels(self) -> np.ndarray:
        """Names of classes [n], or numbers or which labels an item has, [n, T]."""
        return self.classes[self.labels] if len(self.classes) else self.labels


def stacked(folds: list[Scores], metric: str) -> Scores:
    """The folds of one seed as one run on all their items; metrics that are no mean over items are those of
    all items together.

    Raises RequestError where the folds are not of one state of the data, NotSelectable where such a metric
    needs outputs that a fold has dropped. Where a fold has no finite evaluation, step is None."""
    if len(folds) == 1:
        return folds[0]
    first = folds[0]
    ids, labels, scores = (
        np.concatenate([getattr(fold, part) for fold in folds]) for part in ("ids", "labels", "scores")
    )
    groups = None if first.groups is None else np.concatenate([fold.groups for fold in folds])
    if len(np.unique(ids)) != len(ids) or any(
        not np.array_equal(fold.classes, first.classes) for fold in folds
    ):
        raise RequestError(
            "folds of one seed share test items or differ in their classes; compare runs of one state of "
            "the data"
        )
    found = [fold.probabilities for fold in folds if fold.probabilities is not None]
    is_finite, has_outputs = all(fold.step is not None for fold in folds), len(found) == len(folds)
    eces = [fold.ece for fold in folds if fold.ece is not None]
    ece = float(np.mean(eces)) if eces and (has_outputs or not is_finite) else None
    fewest_named = min(fold.fewest_named for fold in folds)
    if is_finite and not has_outputs and METRICS[metric].kind != "items":
        raise Dropped(
            f"{metric}: it is made of all folds together, and a fold has dropped its outputs; run them again "
            "with outputs=all"
        )
    if is_finite and has_outputs:
        p = np.concatenate(found)
        scores = item_scores(p, labels, metric, groups, first.errors)
        if len(first.classes):
            ece, fewest_named = calibration_error(p, labels), influence.fewest_named(p, labels)
    step = first.step if is_finite else None
    selection = next((fold.selection for fold in folds if fold.selection != first.selection), first.selection)
    finite = all(fold.finite for fold in folds)
    one = Scores(ids, labels, first.classes, groups, scores, ece, step, finite, fewest_named, selection)
    return replace(one, errors=first.errors)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): mean |accuracy − confidence| over bins of equal
    width, weighed by their items.

    Biased upwards and no mean over items: shown, never judged.
    """
    confidence = probabilities.max(1).astype(float)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(place, confidence - (probabilities.argmax(1) == labels), minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def tested_in(record: RunRecord, tested_on: str | None) -> str:
    """Prefix of the evaluated items: of the target's, or of a further domain's."""
    return f"{tested_on or record['cell']['target']}/test"


def is_tested_on(record: RunRecord, tested_on: str | None) -> bool:
    """tested_on: None for the target's own items."""
    return (
        tested_on is None
        or tested_on == record["cell"]["target"]
        or any(domain["name"] == tested_on for domain in record.get("test_also", []))
    )


def read_scores(
    folder: Path, record: RunRecord, metric: str, selection: str, tested_on: str | None = None
) -> Scores:
    """Reads only the members of evaluations.npz that the selection needs. tested_on: a domain of `test_also`
    in place of the target.

    Raises RequestError where the file is absent or broken, NotSelectable where the selection has nothing to
    choose by, or the metric no value."""
    _refuse_other_task(record, metric)
    if metric in ("nll", "brier") and not record.get("calibrated", True) and has_probabilities(record):
        raise NotSelectable(
            f"{metric}: the probabilities of {record['cell']['strategy']} only rank the classes"
        )
    if metric in PROBABILISTIC and not has_probabilities(record):
        raise NotSelectable(
            f"{metric}: needs probabilities, and {record['imported']['file']} names classes alone"
        )
    samples = record["result"].get("samples", {})
    if selection in stored_validators.VALIDATORS and not samples.get("source", 1):
        selection = "last"  # the strategy was handed no source items, so there is no risk on them to weigh
    validated = (
        _validated(Path(folder), record, selection)
        if selection in (*label_free(), *stored_validators.VALIDATORS)
        else {}
    )
    return _read(folder, validated, lambda run: _select(run, record, metric, selection, tested_on))


def has_probabilities(record: RunRecord) -> bool:
    """Not of results made elsewhere that name classes alone."""
    return "imported" not in record or record["imported"]["form"] != "prediction"


def _refuse_other_task(record: RunRecord, metric: str) -> None:
    told = record["result"].get("task")
    task = told["name"] if told else "classification"
    if METRICS[metric].task != task:
        raise NotSelectable(
            f"{metric}: is for {METRICS[metric].task}, and {record['cell']['target']} is a {task} (--metric "
            f"{', '.join(judged_metrics(task))})"
        )


def read_curve(
    folder: Path, record: RunRecord, metric: str, tested_on: str | None = None
) -> dict[int, float]:
    """The metric on the test items by step, of every finite evaluation; groups count once. Reads them all.
    Raises as `read_scores`."""
    by_step = _item_curve(folder, record, metric, tested_on)
    return {step: float(items.mean()) for step, items in by_step.items()}


def read_outputs(folder: Path, record: RunRecord, step: int, tested_on: str | None = None) -> np.ndarray:
    """[n, ...] of the test items at that evaluation. Raises as `read_scores`."""

    def outputs(run: Run) -> np.ndarray:
        found = run.evaluations.outputs(tested_in(record, tested_on), step)
        if found is None:
            raise Dropped(
                f"run {folder.name} dropped its outputs at step {step}; run it again with outputs=all"
            )
        return found

    return _read(folder, {}, outputs)


def _item_curve(folder: Path, record: RunRecord, metric: str, tested_on: str | None) -> dict[int, np.ndarray]:
    """Scores [n] (or of the groups) by step."""
    test = tested_in(record, tested_on)

    def curve(run: Run) -> dict[int, np.ndarray]:
        groups = run.part(f"{test}/groups")
        found = ((step, run.evaluation(test, step, metric)) for step in run.evaluations.steps(test))
        return {step: group_means(one.scores[None], groups)[0] for step, one in found if one is not None}

    return _read(folder, {}, curve)


def _read(folder: Path, validated: dict[int, float], what: Callable[[Run], T]) -> T:
    """`what` of a run's evaluations; whatever is wrong with the file is a RequestError, or NotSelectable."""
    path = Path(folder) / evaluations.NAME
    try:
        with Evaluations(path) as members:
            return what(Run(Path(folder), members, validated))
    except influence.Undefined as error:
        raise NotSelectable(str(error)) from error
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (NotSelectable, WrongScores):
        raise
    except Exception as error:  # a damaged archive fails in many ways
        raise RequestError(
            f"{path}: not a file of evaluations: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error


def regret(
    folder: Path, record: RunRecord, metric: str, selection: str, tested_on: str | None = None
) -> float:
    """What the best evaluation of a run scores more than the selected one; see `cross_fitted`."""
    selected = read_scores(folder, record, metric, selection, tested_on)
    curve = np.stack(
        list(_item_curve(folder, record, metric, tested_on).values()) or [selected.scores]
    )  # [evaluations, n]
    return cross_fitted(curve, group_means(selected.scores[None], selected.groups)[0])


def cross_fitted(curve: np.ndarray, taken: np.ndarray) -> float:
    """Scores of every evaluation [e, n] and of the one that was taken [n] -> what the best of them scores
    more, chosen on one half of the items and scored on the other, over HALVES ways to halve them.

    Chosen and scored on the same items, evaluations that are equally good seem to cost 2.8 points with 200
    items, 0.5 with 5,000. Below 0 by chance where the one that was taken is as good as any."""
    draws, found = np.random.default_rng(0), []
    for _ in range(HALVES):
        chooses = draws.permutation(len(taken)) < len(taken) // 2
        for half in (chooses, ~chooses):
            best = curve[:, half].mean(axis=1).argmax() if half.any() else 0
            found.append((curve[best] - taken)[~half].mean() if not half.all() else 0.0)
    return float(np.mean(found))


def _validated(folder: Path, record: RunRecord, validator: str) -> dict[int, float]:
    """A validator's finite values by step. Step 0, of the untrained network, counts only where there is no
    other."""
    value = (
        _of_features(folder, record, validator)
        if validator in stored_validators.VALIDATORS
        else _of_history(folder, validator)
    )
    value = {step: number for step, number in value.items() if np.isfinite(number)}
    return {step: number for step, number in value.items() if step > 0} or value


def _of_features(folder: Path, record: RunRecord, validator: str) -> dict[int, float]:
    if (value := stored_validators.values(folder, validator)) is not None:
        return value
    result = record["result"]
    sources = (record["cell"]["source"] or "").split("+")
    if result.get("metrics") and all(headline_score(result, f"{name}/val") is None for name in sources):
        raise NotSelectable(
            f"{validator}: the source's classes are not the target's, so there is no risk on its items to "
            "weigh"
        )
    raise NotSelectable(
        f"{validator}: run {folder.name} stored no features; run it again with keep_features=true"
    )


def _of_history(folder: Path, validator: str) -> dict[int, float]:
    try:
        return {int(row["step"]): row.get(f"validator/{validator}", np.nan) for row in read_history(folder)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError) as error:
        raise RequestError(f"{folder / 'history.csv'}: cannot be read: {error}") from error


def _select(run: Run, record: RunRecord, metric: str, selection: str, tested_on: str | None) -> Scores:
    test = tested_in(record, tested_on)
    ids, targets, classes = run.evaluations[f"{test}/ids"], run.targets(test), run.part(f"{test}/classes")
    steps = run.evaluations.steps(test)
    if ids.dtype.kind != "U":
        raise ValueError(f"{test}: ids are needed")
    if classes is not None:
        _check_classes(test, targets, classes)
    if len(ids) == 0 or len(np.unique(ids)) != len(ids) or len(targets) != len(ids) or not steps:
        raise ValueError(f"{test}: unique ids, targets and at least one evaluation are needed")
    validation = _validation_sets(run, record, selection) if selection in SEES else []
    if selection in SEES and not validation:
        selection = "last"
    names, errors = np.empty(0, "U1") if classes is None else classes, run.errors(test)
    if errors is None:
        scores = np.full(len(ids), METRICS[metric].chance(targets, len(names)))
    else:  # what the median of the domain's training items scores
        answers = np.broadcast_to(errors.median, targets.shape)
        scores = item_scores(answers, targets, metric, run.part(f"{test}/groups"), errors)
    fewest_named = len(ids) // max(len(names), 1)
    ece = None
    step = None
    kept = None
    headline = headline_of(record["result"]).name
    by_sets = [(test, metric)] if selection == "oracle" else [(name, headline) for name in validation]
    ordered = _best_first(run, by_sets, test, steps, selection)
    for candidate in ordered:
        taken = run.evaluation(test, candidate, metric)
        if taken is not None:
            scores, p, step = taken.scores, taken.outputs, candidate
            fewest_named = run.fewest_named(test, candidate, p)
            if p is not None and classes is not None and has_probabilities(record):
                ece = calibration_error(p, targets)
            kept = p if FOLD in record["consumed"] else None
            break
    finite = step == steps[-1] or run.is_finite(test, steps[-1])
    groups = run.part(f"{test}/groups")
    one = Scores(ids, targets, names, groups, scores, ece, step, finite, fewest_named, selection, kept)
    return replace(one, errors=errors, score_range=run.score_range(test))


def _check_classes(items: str, targets: np.ndarray, classes: np.ndarray) -> None:
    if (
        targets.dtype.kind not in "iu"
        or targets.ndim != 1
        or classes.dtype.kind != "U"
        or classes.ndim != 1
        or not set(targets.tolist()) <= set(range(len(classes)))
    ):
        raise ValueError(f"{items}: names of classes, and labels that count these, are needed")


def _validation_sets(run: Run, record: RunRecord, selection: str) -> list[str]:
    """Prefixes of the sets that choose; none where the run does not see that domain's labels, so that nothing
    of it could be set aside."""
    side, labels = SEES[selection]
    sets = [
        f"{name}/val"
        for name in (record["cell"][side] or "").split("+")
        if f"{name}/val/targets" in run.evaluations
    ]
    if sets or labels not in record["sees"]:
        return sets
    if side == "target":
        raise NotSelectable("target_val: nothing set aside below 5 labels a class")
    raise NotSelectable(
        "source_val: the source's classes are not the target's, so there is no accuracy on its items"
    )


def _best_first(
    run: Run, by_sets: list[tuple[str, str]], test: str, steps: list[int], selection: str
) -> list[int]:
    """Steps in the order of the selection's preference; the earliest of equals comes first, those that are
    not finite are left out. by_sets: sets that choose, with the metric; with several the mean over them."""
    if selection == "last":
        return steps[::-1]
    if selection in label_free() or selection in stored_validators.VALIDATORS:
        if not run.validated and any(run.is_finite(test, step) for step in steps):
            why = "history.csv has no value of it; a run of an earlier transferscope has none"
            raise NotSelectable(
                f"{selection}: {why if selection in label_free() else 'no finite value at any evaluation'}"
            )
        return _descending(run.validated)
    value = {}
    for step in steps:
        by_set = [run.evaluation(name, step, metric) for name, metric in by_sets]
        if all(one is not None for one in by_set):
            means = [one.scores.mean() for one in by_set if one is not None]
            value[step] = round(float(np.mean(means)), 12)
    return _descending(value)


def _descending(value: dict[int, float]) -> list[int]:
    return sorted(value, key=lambda step: (-value[step], step))
