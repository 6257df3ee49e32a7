"""What became of each verdict on domains that nothing was trained for."""

from collections.abc import Mapping
from typing import NamedTuple

from transferscope.comparison.cells import Cell
from transferscope.comparison.comparison import Comparison

KEYS = ("target", "label_budget", "source", "strategy", "backbone", "initialisation", "protocol", "variant")


class Row(NamedTuple):
    """away: by domain; None where the cell could not be judged there. turns: domains where a gain is a loss,
    or a loss a gain."""

    home: Cell
    away: dict[str, Cell | None]
    turns: list[str]


def rows(home: Comparison, away: Mapping[str, Comparison]) -> list[Row]:
    """A row a cell that was judged on one of the domains, in the order of the table."""
    found = {name: {_key(cell): cell for cell in comparison} for name, comparison in away.items()}
    made = []
    for cell in home:
        there = {name: cells.get(_key(cell)) for name, cells in found.items()}
        turns = [
            name
            for name, other in there.items()
            if other and {cell.verdict, other.verdict} == {"positive", "negative"}
        ]
        if any(there.values()):
            made.append(Row(cell, there, turns))
    return made


def _key(cell: Cell) -> tuple[object, ...]:
    return tuple(getattr(cell, key) for key in KEYS)
