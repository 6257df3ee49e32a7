"""Verdicts and counts in words, shared by every part of the page."""

from transferscope.comparison.baselines import TARGET_ONLY
from transferscope.evidence.learning import Measure

VERDICTS = ("positive", "negative", "equivalent", "undecided")
NEGATIVE_TRANSFER = "negative transfer"

_AGAINST = {
    "scratch": "Against training from scratch, transfer",
    "target_only": "Against the same model without the source domain, transfer",
    "target_ssl": "Against self-training on the same target data, the source",
    "target_only_long": "Against target-only training of equal compute, the source",
    "source_only": "Against the source model left as it is, adapting",
    "source_nearest_neighbour": "Against one nearest neighbour on the same features, adapting",
    "source_svm": "Against a linear support vector machine on the same features, adapting",
    "target_full": "Against training on every target label, transfer",
    "shuffled_source": "Against the same source with shuffled labels, true source labels",
}
_PLURAL = ("shuffled_source",)


def amount(value: float, unit: str) -> str:
    """Steps as a whole number, seconds with one decimal."""
    return f"{value:.0f}" if unit == "steps" else f"{value:.1f} s"


def saving(measure: Measure, unit: str) -> str:
    """What a strategy saves, with its interval; below zero it costs."""
    values = [measure.delta, *(measure.ci or ())]
    told = [("−" if value < 0 else "") + amount(abs(value), unit) for value in values]
    return told[0] + (f" [{told[1]}, {told[2]}]" if measure.ci else "")


def budget(value: int | str | None) -> str:
    """The label budget as a column heading."""
    if value is None:
        return "no labels"
    if value == "full":
        return "all labels"
    return count(value, "label")


def count(n: int, noun: str, plural: str | None = None) -> str:
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def against(baselines: list[str]) -> tuple[str, bool]:
    """The headline's opening, and whether its subject is plural."""
    if len(baselines) == 1 and baselines[0] in _AGAINST:
        return _AGAINST[baselines[0]], baselines[0] in _PLURAL
    return f"Against {' and '.join(baselines) or 'the baseline'}, transfer", False


def harm(baselines: list[str]) -> str:
    """What a `negative` verdict is called: negative transfer against target-only baselines alone."""
    return NEGATIVE_TRANSFER if baselines and all(name in TARGET_ONLY for name in baselines) else "a loss"


def hidden(baselines: list[str]) -> str:
    """What it is called that most runs of the baseline get an item right and most of the strategy wrong."""
    return f"hidden {harm(baselines).removeprefix('a ')}"


def explanations(baselines: list[str], margin: str) -> list[tuple[str, str]]:
    """(verdict, plain meaning), in the order of VERDICTS."""
    named = f": {NEGATIVE_TRANSFER}" if harm(baselines) == NEGATIVE_TRANSFER else ""
    return [
        ("positive", "The strategy scores higher than the baseline, beyond what seeds and test items could produce by chance."),
        ("negative", f"The strategy scores lower than the baseline, beyond chance{named}."),
        ("equivalent", f"The difference is shown to be smaller than the margin ({margin}), in either direction."),
        ("undecided", "These runs cannot tell. It does not mean “no effect”; the reason says what would decide it."),
    ]
