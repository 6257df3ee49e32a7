"""Distances between two domains. Being public in this folder is being registered;
docs/how-to/adding-a-distance.md says how to add one."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

Measure = Callable[..., Any]  # a number, or (estimate, (lo, hi)); arguments by name


ASKS_FOR = {
    "source", "target", "generator", "source_labels", "target_labels", "source_values", "target_values",
}  # fmt: skip
_own: dict[str, Measure] = {}


def available() -> dict[str, Measure]:
    """Every public function of every public module in this folder, and those that were registered, by
    name."""
    return public_functions(__name__) | _own


def register(functions: dict[str, Measure]) -> None:
    """Add distances of a user's own."""
    _own.update(functions)


def public_functions(package: str) -> dict[str, Measure]:
    """The functions that the modules of a package define and whose names, like their modules', start with no
    underscore."""
    found: dict[str, Measure] = {}
    for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not entry.name.startswith("_"):
            module = importlib.import_module(f"{package}.{entry.name}")
            functions = inspect.getmembers(module, inspect.isfunction)
            found |= {
                name: f
                for name, f in functions
                if f.__module__ == module.__name__ and not name.startswith("_")
            }
    return dict(sorted(found.items()))
