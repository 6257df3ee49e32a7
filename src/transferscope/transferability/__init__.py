"""Transferability scores, higher = better transfer expected. Being public in this folder is being registered
(docs/how-to/adding-a-distance.md)."""

from collections.abc import Callable

from transferscope.distances import public_functions


def available() -> dict[str, Callable]:
    """Every public function of every public module in this folder, by its name."""
    return public_functions(__name__)
