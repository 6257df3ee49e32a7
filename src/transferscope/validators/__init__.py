"""Validators: estimates of how good a model is on the target, higher = better, made without its labels
(docs/how-to/selection.md).

One file an idea; the public function that is named as its file is registered by being there. What its
arguments are called says what it sees."""

import inspect
from functools import cache

import numpy as np

from transferscope.distances import Measure, public_functions

ASKS_FOR = {"probabilities", "features"}  # of unlabelled items: what is label-free
_own: dict[str, Measure] = {}


def available() -> dict[str, Measure]:
    """Every validator of this folder, and those that were registered, by name."""
    found = public_functions(__name__).items()
    return {name: f for name, f in found if f.__module__ == f"{__name__}.{name}"} | _own


def register(functions: dict[str, Measure]) -> None:
    """Add label-free validators of a user's own."""
    _own.update(functions)
    label_free.cache_clear()


@cache
def label_free() -> dict[str, Measure]:
    """Those that need no more than `probabilities` and `features` of unlabelled items: training reads them at
    every evaluation."""
    return {name: f for name, f in available().items() if set(needs(f)) <= ASKS_FOR}


@cache
def from_source_losses() -> dict[str, Measure]:
    """Those that weight the losses of held-out source items: `compare` reads them of runs that stored their
    features."""
    return {name: f for name, f in available().items() if set(needs(f)) == {"losses", "weights"}}


@cache
def needs(validator: Measure) -> list[str]:
    """The names of the arguments that a validator cannot do without."""
    return [name for name, p in inspect.signature(validator).parameters.items() if p.default is p.empty]


def read(probabilities: np.ndarray, features: np.ndarray) -> dict[str, float]:
    """Every label-free validator's value on class probabilities [n, C] and features [n, d] of the same items;
    nan where it has none."""
    given = {"probabilities": probabilities, "features": features}
    return {
        name: validator(**{need: given[need] for need in needs(validator)})
        for name, validator in label_free().items()
    }
