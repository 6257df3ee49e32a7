"""Whether the sign of Δ holds at every learning rate that was tried."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from transferscope.comparison.arms import BACKBONE_RATE, consumed_of

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell
    from transferscope.store.schema import RunRecord

RATE, RANGE_TEST = "trainer.optimizer.lr", "trainer.lr_range_test"


class Rate(NamedTuple):
    """A learning rate, and what of it a transferred backbone has."""

    of_all: float
    backbone: float


def with_rates(cells: Sequence["Cell"], alpha: float, items: str) -> list["Cell"]:
    """The cells, those that differ in their learning rate alone with `rates` (rate -> Δ) and what they tell
    of the sign, also as a flag; a harm seen at one rate alone is flagged as that."""
    siblings: dict[str, dict[Rate, Cell]] = defaultdict(dict)
    for cell in cells:
        rate, rest = _consumed(cell)
        # a rate at which nothing was learnt tells of no sign
        if rate is not None and max(cell.collapsed, cell.baseline_collapsed) < cell.seeds:
            siblings[rest][rate] = cell
    named = []
    for cell in cells:
        rate, rest = _consumed(cell)
        found = siblings[rest]
        if len(found) > 1 and rate in found:
            rates = {_named(rate, found): found[rate] for rate in sorted(found)}
            sign = _sign({rate: one.side(alpha / len(rates), items) for rate, one in rates.items()})
            flags = [*cell.flags, f"{sign} (intervals at alpha / {len(rates)})"]
            cell = replace(
                cell, rates={rate: one.delta for rate, one in rates.items()}, rates_sign=sign, flags=flags
            )
        elif (
            rate is not None
            and cell.verdict == "negative"
            and not (cell.evidence.tuned or RANGE_TEST in consumed_of(_record(cell)))
        ):
            three = ",".join(f"{rate.of_all * share:.1g}" for share in (0.1, 0.3)) + f",{rate.of_all:g}"
            cell = replace(
                cell,
                flags=[
                    *cell.flags,
                    f"one rate tried: add '{RATE}={three}' to the command, for both arms, or --search",
                ],
            )
        named.append(cell)
    return named


def _consumed(cell: "Cell") -> tuple[Rate | None, str]:
    record = _record(cell)
    consumed = consumed_of(record)
    rate, backbone = consumed.pop(RATE, None), consumed.pop(BACKBONE_RATE, 1.0)
    rest = json.dumps([record["cell"], cell.label_budget, consumed], sort_keys=True)
    return (Rate(float(rate), float(backbone)) if isinstance(rate, (int, float)) else None), rest


def _record(cell: "Cell") -> "RunRecord":
    return cell.evidence.records[cell.evidence.strategy_runs[0]]


def _named(rate: Rate, among: Iterable[Rate]) -> str:
    """By what tells it from the others."""
    named = [f"{rate.of_all:g}"] if len({one.of_all for one in among}) > 1 else []
    return ", ".join(
        named + ([f"backbone × {rate.backbone:g}"] if len({one.backbone for one in among}) > 1 else [])
    )


def _sign(sides: dict[str, int]) -> str:
    """sides: of zero on which each rate's interval lies, 0 where it holds zero."""
    at = {side: [rate for rate, found in sides.items() if found == side] for side in (1, -1, 0)}
    if at[1] and at[-1]:
        return f"sign changes with the learning rate: + at {', '.join(at[1])}; − at {', '.join(at[-1])}"
    if not at[0]:
        return f"sign holds at all {len(sides)} learning rates"
    return f"sign not told apart from 0 at {len(at[0])} of {len(sides)} learning rates"
