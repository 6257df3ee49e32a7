"""Verdicts and counts in words, shared by every part of the page."""

from dataclasses import dataclass

from transferscope.comparison import baseline_words
from transferscope.comparison.evidence.learning import Measure
from transferscope.tasks.metrics import METRICS


@dataclass(frozen=True)
class TaskWords:
    """What a page calls what it shows of a task. headline: the metric that curves are told in, `unit` its
    unit; labels: what a label budget counts; parts: title, what one of them and what all are called, by what
    they are judged and in which unit."""

    headline: str
    unit: str
    labels: str
    score: str
    parts_title: str
    parts_nav: str
    part: str
    parts: str
    part_score: str
    part_unit: str


def of_task(metric: str, unit: str) -> TaskWords:
    """unit: of the comparison."""
    if METRICS[metric].task == "multi_label":
        return TaskWords(
            "item_f1", "points", "labelled items", "F1 of an item’s labels", "Which labels pay", "Labels",
            "label", "labels", "accuracy", "hundredths of accuracy",
        )  # fmt: skip
    if METRICS[metric].task == "classification":
        return TaskWords(
            "accuracy", "hundredths of accuracy", "labels a class", "accuracy", "Which classes pay",
            "Classes", "class", "classes", "accuracy", "hundredths of accuracy",
        )  # fmt: skip
    return TaskWords(
        "mae", unit, "labelled items", "mean absolute error", "Where along the range", "Range",
        "quarter of the true values", "quarters", "mean absolute error", f"{unit}, of mean absolute error",
    )  # fmt: skip


VERDICTS = ("positive", "negative", "equivalent", "undecided")


def amount(value: float, unit: str) -> str:
    """Steps as a whole number, seconds with one decimal."""
    return f"{value:.0f}" if unit == "steps" else f"{value:.1f} s"


def saving(measure: Measure, unit: str) -> str:
    """What a strategy saves, with its interval; below zero it costs."""
    values = [measure.delta, *(measure.ci or ())]
    numbers = [("−" if value < 0 else "") + amount(abs(value), unit) for value in values]
    return numbers[0] + (f" [{numbers[1]}, {numbers[2]}]" if measure.ci else "")


def budget(value: int | str | None, is_stated: bool = True) -> str:
    """The label budget as a column heading. is_stated: False of results made elsewhere, which need not say
    it."""
    if value is None:
        return "no labels" if is_stated else "labels not stated"
    if value == "full":
        return "all labels"
    return count(value, "label")


def count(n: int, noun: str, plural: str | None = None) -> str:
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def hidden(baselines: list[str]) -> str:
    """What it is called that most runs of the baseline get an item right and most of the strategy wrong."""
    return f"hidden {baseline_words.words_of(baselines).harm.removeprefix('a ')}"


def explanations(baselines: list[str], margin: str) -> list[tuple[str, str]]:
    """(verdict, plain meaning), in the order of VERDICTS."""
    said = baseline_words.words_of(baselines)
    named = f": {said.harm}" if said.negative_transfer else ""
    return [
        (
            "positive",
            (
                "The strategy scores higher than the baseline, beyond what seeds and test items could "
                "produce by chance."
            ),
        ),
        ("negative", f"The strategy scores lower than the baseline, beyond chance{named}."),
        (
            "equivalent",
            f"The difference is shown to be smaller than the margin ({margin}), in either direction.",
        ),
        (
            "undecided",
            "These runs cannot tell. It does not mean “no effect”; the reason says what would decide it.",
        ),
    ]
