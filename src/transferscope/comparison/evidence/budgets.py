"""Δ along the label budgets of one strategy: a band that holds at all budgets at once, and where it changes
sides."""

from collections.abc import Sequence
from dataclasses import dataclass

from transferscope.comparison import pairing
from transferscope.comparison.cells import Cell


@dataclass(frozen=True)
class Band:
    """In the order of `budgets`. ci: at alpha divided by their number, None with a single seed. sides: of
    zero, 1 or −1 where the cell may claim that at this level, else 0."""

    budgets: list[int | str | None]
    ci: list[tuple[float, float] | None]
    sides: list[int]

    def crossovers(self) -> list[tuple[int | str | None, int | str | None, str]]:
        """(last budget on one side of zero, first one on the other, `loss` or `gain`: what it turns into), as
        far as the cells may claim it."""
        found, before = [], None
        for budget, side in zip(self.budgets, self.sides, strict=True):
            if side and before and side != before[1]:
                found.append((before[0], budget, "gain" if side > 0 else "loss"))
            before = (budget, side) if side else before
        return found


def band(cells: Sequence[Cell], alpha: float, items: str = "random") -> Band:
    """cells: one strategy at several label budgets, in ascending order. items: as for the verdicts, `random`
    or `fixed`."""
    level = alpha / len(cells)
    effects = [pairing.tested(cell.evidence, cell.metric, items).effect() for cell in cells]
    sides = [cell.side(level, items) for cell in cells]
    return Band(
        [cell.label_budget for cell in cells],
        [effect.interval(level) if effect else None for effect in effects],
        sides,
    )
