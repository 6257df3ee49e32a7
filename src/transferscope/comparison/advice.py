"""What to do about cells that want seeds."""

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell

FIRST_LOOK = 5  # seeds, at least


def advice(cells: Iterable["Cell"]) -> list[str]:
    """The better command first, then what it means to add seeds to these runs; nothing where no cell wants
    seeds."""
    wanted = [
        int(found[1]) for cell in cells if (found := re.match(r"more seeds: about (\d+) in all", cell.reason))
    ]
    if not wanted:
        return []
    first = max(FIRST_LOOK, math.ceil(max(wanted) / 4))
    looks = f"until_decided.looks=[{first},{2 * first},{4 * first}]"
    return [
        (
            f"more seeds, best: transferscope run -m ... --until-decided '{looks}' store=ANOTHER, its looks "
            "planned before any is taken"
        ),
        (
            "or added here, all at once: the next reading is judged at a fifth of this one's level, for "
            "which their number is computed"
        ),
    ]
