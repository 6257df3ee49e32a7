"""Δ along the label budgets of one strategy: a band that holds at all budgets at once, and where it changes sides."""

from collections.abc import Sequence
from dataclasses import dataclass

from transferscope.comparison import pairing
from transferscope.comparison.cells import Cell


@dataclass(frozen=True)
class Band:
    """ci: at alpha divided by the number of budgets, in the order of `budgets`; None for one with a single seed."""

    budgets: list[int | str]
    ci: list[tuple[float, float] | None]

    def crossovers(self) -> list[tuple[int | str, int | str, str]]:
        """(last budget on one side of zero, first one on the other, `loss` or `gain`: what it turns into), as far as the band says so."""
        found, before = [], None
        for budget, ci in zip(self.budgets, self.ci, strict=True):
            side = "gain" if ci and ci[0] > 0 else "loss" if ci and ci[1] < 0 else None
            if side and before and side != before[1]:
                found.append((before[0], budget, side))
            before = (budget, side) if side else before
        return found


def of(cells: Sequence[Cell], alpha: float, items: str = "random") -> Band:
    """cells: one strategy at several label budgets, in ascending order. items: as for the verdicts, `random` or `fixed`."""
    effects = [pairing.tested(cell.evidence, cell.metric, items).effect() for cell in cells]
    return Band([cell.label_budget for cell in cells], [effect and effect.interval(alpha / len(cells)) for effect in effects])
