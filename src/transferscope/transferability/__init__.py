"""Transferability scores, higher = better transfer expected. Being public in this folder is being registered
(docs/how-to/adding-a-distance.md)."""

from transferscope.distances import Measure, public_functions


def available() -> dict[str, Measure]:
    """Every public function of every public module in this folder, by its name."""
    return public_functions(__name__)
