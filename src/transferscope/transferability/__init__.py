"""Transferability scores, higher = better transfer expected. Being public in this folder is being registered
(docs/how-to/adding-a-distance.md)."""

from transferscope.distances import Measure, public_functions

ASKS_FOR = {
    "features", "labels", "source_probabilities", "source_predictions", "values", "source_values",
}  # fmt: skip
_own: dict[str, Measure] = {}


def available() -> dict[str, Measure]:
    """Every public function of every public module in this folder, and those that were registered, by
    name."""
    return public_functions(__name__) | _own


def register(functions: dict[str, Measure]) -> None:
    """Add scores of a user's own."""
    _own.update(functions)
