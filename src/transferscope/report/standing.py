"""Which strategy to take, and what its gain is made of: the best set, contrasts, learning rates."""

from collections.abc import Sequence

from transferscope.comparison import formatting
from transferscope.comparison.best import Best
from transferscope.comparison.cells import Cell
from transferscope.comparison.comparison import Comparison
from transferscope.comparison.contrasts import Contrast
from transferscope.report import layout, words
from transferscope.report.layout import View


def standing(comparison: Comparison, views: Sequence[View]) -> dict:
    """{best, contrasts, rates}: rows of the section, each empty where there is nothing to tell."""
    by_cell = {id(view.cell): view for view in views}
    several = len({cell.target for cell in comparison.cells}) > 1
    return {
        "best": [_best(one, by_cell) for one in comparison.best if one.among > 1],
        "contrasts": [_contrast(row, several) for row in sorted(comparison.contrasts, key=_place)],
        "rates": _rates(comparison.cells, several),
    }


def _best(one: Best, by_cell: dict[int, View]) -> dict:
    leader, *others = (by_cell[id(cell)] for cell in one.cells)
    is_stated = not leader.cell.evidence.is_imported
    apart = filter(None, [one.protocol if one.protocol != "inductive" else "", one.arm])
    return {
        "where": ", ".join([one.target, words.budget(one.label_budget, is_stated), *apart]),
        "leader": leader,
        "others": others,
        "among": one.among,
        "gains": one.gains,
        "baseline": one.baseline,
        "corrected": None if one.corrected is None else formatting.signed(one.corrected, one.metric),
        "interval": formatting.interval(one.ci_simultaneous, one.metric),
    }


def _contrast(row: Contrast, several: bool) -> dict:
    return {"where": _where(row, several), "contrast": row.contrast.replace("_", " "), "row": row}


def _where(row: Cell | Contrast, several: bool) -> str:
    """several: whether the page has more than one target."""
    target = f" to {row.target}" if several else ""
    return f"{row.strategy} {layout.source_name(row.source)}{target}, {words.budget(row.label_budget)}"


def _place(row: Contrast) -> tuple:
    return (
        row.target,
        row.source or "",
        row.strategy,
        row.variant,
        layout.budget_order(row.label_budget),
        row.contrast,
    )


def _rates(cells: Sequence[Cell], several: bool) -> list[dict]:
    """One row for the cells that differ in their learning rate alone: Δ at each rate, and whether its sign
    holds."""
    rows = {}
    for cell in cells:
        if cell.rates:
            where = _where(cell, several)
            rates = [(rate, formatting.signed(delta, cell.metric)) for rate, delta in cell.rates.items()]
            rows[where, str(cell.rates)] = {
                "where": where,
                "rates": rates,
                "sign": cell.rates_sign.removeprefix("sign "),
            }
    return list(rows.values())
