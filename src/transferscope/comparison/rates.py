"""Whether the sign of Δ holds at every learning rate that was tried."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from transferscope.comparison.arms import flat

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell

RATE = "trainer.optimizer.lr"


def with_rates(cells: Sequence["Cell"]) -> list["Cell"]:
    """The cells, those that differ in their learning rate alone with `rates` (rate -> Δ) and a flag."""
    siblings = defaultdict(dict)
    for cell in cells:
        rate, rest = _consumed(cell)
        if rate is not None:
            siblings[rest][rate] = cell.delta
    told = []
    for cell in cells:
        deltas = siblings[_consumed(cell)[1]]
        if len(deltas) > 1:
            rates = {f"{rate:g}": deltas[rate] for rate in sorted(deltas)}
            cell = replace(cell, rates=rates, flags=[*cell.flags, _said(rates)])
        told.append(cell)
    return told


def _consumed(cell: "Cell") -> tuple[float | None, str]:
    record = cell.evidence.records[cell.evidence.strategy_runs[0]]
    consumed = flat({key: value for key, value in record["consumed"].items() if key not in ("seed", "role")})
    rate = consumed.pop(RATE, None)
    rest = json.dumps([record["cell"], cell.label_budget, consumed], sort_keys=True)
    return (float(rate) if isinstance(rate, (int, float)) else None), rest


def _said(rates: dict[str, float]) -> str:
    at = defaultdict(list)
    for rate, delta in rates.items():
        at[_sign(delta)].append(rate)
    if len(at) == 1 and "0" not in at:
        return f"sign holds at all {len(rates)} rates"
    return "sign changes with the learning rate: " + "; ".join(f"{sign} at {', '.join(found)}" for sign, found in at.items())


def _sign(delta: float) -> str:
    return "+" if delta > 0 else "−" if delta < 0 else "0"
