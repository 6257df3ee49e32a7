"""Families of truly equal cells on a large test set, where a procedure that lets equivalences pay for
differences tells false ones."""

import numpy as np

from transferscope.calibration.null_families import NULL
from transferscope.statistics.verdict import Pair, judge

CELLS, SEEDS, ITEMS, FAMILIES = 12, 10, 5000, 100


def test_equal_cells_are_told_equivalent_and_hardly_ever_different():
    """One Holm over the smaller of two p-values told a false difference in 28 of these 100 families; 5 are
    promised."""
    rng, none, different, equivalent = np.random.default_rng(5000), np.zeros(SEEDS, bool), 0, 0
    for _ in range(FAMILIES):
        expected = [
            cell.verdict
            for cell in judge(
                [Pair(null_cell(rng), none, none, 100) for _ in range(CELLS)], 0.01, 0.05, CELLS
            )
        ]
        different += any(verdict in ("positive", "negative") for verdict in expected)
        equivalent += expected.count("equivalent")
    assert different <= 0.05 * FAMILIES + 3 * (0.05 * 0.95 * FAMILIES) ** 0.5
    assert equivalent >= 0.97 * CELLS * FAMILIES


def null_cell(rng: np.random.Generator) -> np.ndarray:
    """int8 [K, n]: 1 % of the items differ in every seed, 2 % of the other places by chance, either way
    alike."""
    (gain, loss), (noise, _) = NULL.lasting, NULL.noise
    lasting, chance = rng.random(ITEMS, dtype=np.float32), rng.random((SEEDS, ITEMS), dtype=np.float32)
    noise = (chance < noise).astype(np.int8) - (chance > 1 - noise)
    return np.where(lasting < gain, np.int8(1), np.where(lasting > 1 - loss, np.int8(-1), noise))
