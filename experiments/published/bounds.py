"""What the test items would say of two models whose scores are known and whose answers are not.

Between two cases: `paired`, the two disagree on the fewest items that explain the difference, all of them
lost or all won; `independent`, they disagree as often as models do whose errors have nothing to do with each
other. Models of the same weights or data mostly lie between."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from transferscope.statistics.effect import Effect, estimate_over_items
from transferscope.statistics.verdict import holm

FOLDER = Path(__file__).parent
ALPHA, MARGIN = 0.05, 0.01
CASES = ("paired", "independent")
Line = dict[str, object]


def of_items(ours: int, theirs: int, items: int, case: str) -> Effect:
    """Of two models with so many of the items right."""
    won = 0 if case == "paired" else round(ours * (items - theirs) / items)
    return disagreeing(max(won, ours - theirs), ours - theirs, items)


def disagreeing(won: int, net: int, items: int) -> Effect:
    """Δ where `won` items are right in place of wrong, and won − net wrong in place of right."""
    d = np.zeros(items)
    d[:won], d[won : 2 * won - net] = 1.0, -1.0
    return estimate_over_items(d)


def most_disagreement(net: int, items: int, level: float) -> float:
    """The share of the items on which two models may disagree that differ by `net` ≤ 0 of them, if that is to
    be told at this level; 0 where it cannot be."""
    low, high = -1, (items + net) // 2
    while low < high:
        won = (low + high + 1) // 2
        low, high = (won, high) if disagreeing(won, net, items).p_value() <= level else (low, won - 1)
    return (2 * low - net) / items if low >= 0 else 0.0


def told(effects: Sequence[Effect]) -> list[str]:
    """Of one family, by the two procedures of a verdict."""
    different = holm([effect.p_value() for effect in effects], len(effects)) <= ALPHA
    same = holm([effect.p_equivalence(MARGIN) for effect in effects], len(effects)) <= ALPHA
    return [
        "negative" if d and e.delta < 0 else "positive" if d else "equivalent" if s else "undecided"
        for e, d, s in zip(effects, different, same, strict=True)
    ]
