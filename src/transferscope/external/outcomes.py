"""What a row says of its item, as evaluations have it: outputs, targets, and what a metric must know of
them."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from transferscope.errors import RequestError
from transferscope.external.options import Options
from transferscope.external.rows import Rows
from transferscope.store.printable import printable
from transferscope.store.schema import Json
from transferscope.tasks import collapse
from transferscope.tasks.item_scores import item_scores
from transferscope.tasks.metrics import Errors, ScoreRange


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one run: outputs [n, ...], targets [n, ...], further members of evaluations.npz. truths [n]: what is
    right, by name. headline: the task's headline metric. task: as a record has it, None of classes. collapse:
    why the run counts as collapsed, or ''. is_capped_by_test: whether the largest error that counts comes
    from the truths of the test items, for want of others."""

    outputs: np.ndarray
    targets: np.ndarray
    truths: np.ndarray
    members: Mapping[str, np.ndarray]
    headline: float
    task: Json | None = None
    collapse: str = ""
    is_capped_by_test: bool = False


@dataclass(frozen=True)
class Outcomes:
    """Of the runs of one target. every: their rows. trained: rows of its training items."""

    rows: Rows
    every: np.ndarray
    trained: np.ndarray
    options: Options

    def of_run(self, run: np.ndarray) -> Outcome:
        """Of these rows [n]."""
        raise NotImplementedError


class Scores(Outcomes):
    """Between 0 and 1, or in the range that was given; of losses with their sign flipped."""

    def of_run(self, run: np.ndarray) -> Outcome:
        assert self.rows.values is not None
        told, sign = self.range, -1.0 if self.options.lower_is_better else 1.0
        scores = sign * self.rows.values[run]
        is_share = (told.lowest, told.highest) == (0.0, 1.0)
        return Outcome(
            outputs=scores[:, None],
            targets=np.zeros(len(run), np.int8),
            truths=np.empty(0),
            members={f"range/{key}": value for key, value in told.members().items()},
            task={"name": "score" if is_share else "ranged_score"},
            headline=float(scores.mean()),
        )

    @cached_property
    def range(self) -> ScoreRange:
        assert self.rows.values is not None
        scores = self.rows.values[self.every]
        low, high = self.options.score_range or (0.0, 1.0)
        outside = (scores < low) | (scores > high)
        if outside.any():
            at = int(outside.argmax())
            fault = (
                f"is outside of --score-range {low:g},{high:g}"
                if self.options.score_range
                else "is outside of 0 to 1; say the lowest and the highest score that an item can have with "
                "--score-range LOW,HIGH"
            )
            raise RequestError(f"{self.rows.place(int(self.every[at]))}: score {scores[at]:g} {fault}")
        is_binary = bool(np.isin(scores, (low, high)).all())
        if self.options.lower_is_better:
            low, high = -high, -low
        return ScoreRange(low, high, is_binary)


class Predictions(Outcomes):
    """The class that is named, without probabilities. Classes are those of the labels, sorted, then those
    that are only predicted: a class has one place whatever the runs beside it name."""

    def of_run(self, run: np.ndarray) -> Outcome:
        rows, classes = self.rows, self.classes
        assert rows.labels is not None and rows.predictions is not None
        place = {name: at for at, name in enumerate(classes.tolist())}
        targets, named = (
            np.array([place.get(name, -1) for name in column.names.tolist()])[column.codes[run]]
            for column in (rows.labels, rows.predictions)
        )
        if not np.isin(named, targets).any():
            row = int(run[0])
            raise RequestError(
                f"{rows.place(row)}: none of the {len(run)} predictions of {rows.text('strategy', row)}, "
                f"seed {rows.text('seed', row) or 0}, is a label of any item: "
                f"'{rows.predictions[row]}' where the label is '{rows.labels[row]}'"
            )
        outputs = np.zeros((len(run), len(classes)), np.float32)
        outputs[np.arange(len(run)), named] = 1.0
        return _of_classes(outputs, named, targets, classes)

    @cached_property
    def classes(self) -> np.ndarray:
        assert self.rows.labels is not None and self.rows.predictions is not None
        right, named = (
            np.unique(column.names[np.unique(column.codes[self.every])])
            for column in (self.rows.labels, self.rows.predictions)
        )
        self._refuse_spellings(right, np.setdiff1d(named, right))
        return np.concatenate([right, np.setdiff1d(named, right)])

    def _refuse_spellings(self, right: np.ndarray, others: np.ndarray) -> None:
        """Of one class in two ways, as in `1` and `1.0`: all such predictions would be wrong."""
        labels = {plain(name): name for name in right.tolist()}
        for name in others.tolist():
            if (label := labels.get(plain(name))) is not None:
                column = self.rows.predictions
                assert column is not None
                at = self.every[column.names[column.codes[self.every]] == name]
                raise RequestError(
                    f"{self.rows.place(int(at[0]))}: prediction '{printable(name)}', and label "
                    f"'{printable(label)}' elsewhere: one class is written in one way"
                )


class Probabilities(Outcomes):
    """Classes are in the order of their columns; those of another target alone are none of this one."""

    def of_run(self, run: np.ndarray) -> Outcome:
        rows, there = self.rows, self.there
        assert rows.labels is not None and rows.probabilities is not None
        classes = np.array(rows.classes, dtype=str)[there]
        place = {name: at for at, name in enumerate(classes.tolist())}
        targets = np.array([place.get(name, -1) for name in rows.labels.names.tolist()])[
            rows.labels.codes[run]
        ]
        if (targets < 0).any():
            row = int(run[(targets < 0).argmax()])
            raise RequestError(
                f"{rows.place(row)}: label '{rows.labels[row]}' has no probability: its column is empty for "
                "all items of this target"
            )
        outputs = rows.probabilities[run][:, there].astype(np.float32)
        return _of_classes(outputs, outputs.argmax(1), targets, classes)

    @cached_property
    def there(self) -> np.ndarray:
        """bool [C]. Raises RequestError where a class has a probability in some rows alone."""
        assert self.rows.probabilities is not None
        has = ~np.isnan(self.rows.probabilities[self.every])
        some = has.any(0) & ~has.all(0)
        if some.any():
            at = int(some.argmax())
            row = int(self.every[(~has[:, at]).argmax()])
            raise RequestError(f"{self.rows.place(row)}: p_{printable(self.rows.classes[at])} is empty")
        found: np.ndarray = has.any(0)
        return found


class Numbers(Outcomes):
    def of_run(self, run: np.ndarray) -> Outcome:
        rows, errors = self.rows, self.errors
        assert rows.values is not None and rows.truths is not None
        predicted, truths = rows.values[run][:, None], rows.truths[run][:, None]
        ones = [1.0] * len(errors.quantities)
        return Outcome(
            outputs=predicted,
            targets=truths,
            truths=truths,
            members={f"errors/{key}": value for key, value in errors.members().items()},
            task={
                "name": "regression", "quantities": list(errors.quantities), "unit": errors.unit,
                "error": "unstated", "spread": ones, "center": [0.0] * len(ones), "scale": ones,
            },
            headline=-float(item_scores(predicted, truths, "mae", errors=errors).mean()),
            is_capped_by_test=self.options.cap is None and rows.cap is None and not len(self.trained),
            collapse=collapse.of_numbers(predicted, truths),
        )  # fmt: skip

    @cached_property
    def errors(self) -> Errors:
        """The cap is the option's or the column's; else it comes from the truths of the training items where
        the tables have such rows, and else from those of the test items."""
        rows, options = self.rows, self.options
        assert rows.truths is not None
        truths = rows.truths[self.trained if len(self.trained) else self.every]
        errors = Errors.of((printable(rows.quantity),), "", truths[:, None])
        if options.cap is not None:
            return replace(errors, cap=options.cap)
        if rows.cap is None:
            return errors
        caps = np.unique(rows.cap[self.every])
        if len(caps) > 1 or caps[0] <= 0:
            raise RequestError(
                f"{rows.place(int(self.every[0]))}: cap: one number above 0 is needed for all rows of a "
                "target"
            )
        return replace(errors, cap=float(caps[0]))


def plain(name: str) -> str:
    """Equal for names that a reader takes for one: other spaces or case, `1.0` for 1, `True` for 1."""
    name = "".join(letter for letter in unicodedata.normalize("NFKC", name) if letter.isprintable())
    name = name.strip().casefold()
    name = {"true": "1", "false": "0"}.get(name, name)
    try:
        return f"{float(name):g}"
    except ValueError:
        return name


OUTCOMES = {"score": Scores, "prediction": Predictions, "probabilities": Probabilities, "number": Numbers}


def _of_classes(outputs: np.ndarray, named: np.ndarray, targets: np.ndarray, classes: np.ndarray) -> Outcome:
    return Outcome(
        outputs=outputs,
        targets=targets,
        truths=classes[targets],
        members={"classes": classes},
        headline=float((named == targets).mean()),
        collapse=collapse.of_classes(named, targets, len(classes)) if len(classes) > 1 else "",
    )
