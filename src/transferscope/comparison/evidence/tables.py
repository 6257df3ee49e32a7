"""What stands beside the mean as flat rows, for trackers."""

from transferscope.comparison.cells import Cell
from transferscope.comparison.comparison import Comparison
from transferscope.comparison.evidence import flips, parts
from transferscope.comparison.evidence.predictions import PredictionReader
from transferscope.store.schema import Json

KEYS = (
    "target",
    "source",
    "label_budget",
    "backbone",
    "initialisation",
    "strategy",
    "variant",
    "baseline",
    "protocol",
)


def evidence_tables(comparison: Comparison) -> dict[str, list[Json]]:
    """Every table, by name."""
    reader = PredictionReader()
    return {"classes": class_rows(comparison, reader), "flips": flip_rows(comparison, reader)}


def class_rows(comparison: Comparison, reader: PredictionReader) -> list[Json]:
    """One a cell and class: items, Δ in accuracy, its simultaneous interval and adjusted p."""
    found = parts.judge_parts(comparison.cells, comparison.settings["alpha"], reader)
    return [
        {**_place(cell), "class": part.name, "items": part.n, "delta": part.delta}
        | {**_bounds("ci_simultaneous", part.ci), "p_adjusted": part.p_adjusted}
        for cell, one in zip(comparison, found, strict=True)
        for part in one.classes
    ]


def flip_rows(comparison: Comparison, reader: PredictionReader) -> list[Json]:
    """One a cell: shares of the items lost and won, what two runs of the baseline lose and win, the
    difference and its interval."""
    rows = []
    for cell in comparison:
        if found := flips.count_flips(cell, comparison.settings["alpha"], reader):
            row = {
                **_place(cell),
                "hidden": found.hidden,
                "items_lost": len(found.items_lost),
                "items_won": len(found.items_won),
            }
            for name in ("lost", "won"):
                one = getattr(found, name)
                row |= {name: one.value, f"{name}_by_baseline": one.reference, f"{name}_excess": one.delta}
                row |= _bounds(f"{name}_excess_ci", one.ci)
            rows.append(row)
    return rows


def _place(cell: Cell) -> Json:
    return {key: getattr(cell, key) for key in KEYS}


def _bounds(name: str, ci: tuple[float, float] | None) -> Json:
    low, high = ci or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}
