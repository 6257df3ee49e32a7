"""Experiments drawn from a pool of real runs, whose Δ is known: the pool's own mean."""

from collections.abc import Iterator

import numpy as np

CHUNK = 4_000_000  # places of [draws, K, n] at a time


def chunks(draws: int, places: int) -> Iterator[int]:
    """Sizes of chunks that make `draws` experiments of `places` places each."""
    size = max(1, CHUNK // places)
    for start in range(0, draws, size):
        yield min(size, draws - start)


def resampled(
    pool: np.ndarray, seeds: int, items: int, draws: int, rng: np.random.Generator
) -> Iterator[Iterator[np.ndarray]]:
    """Chunk by chunk, the cells of pool [cells, S, N] in turn, each [draws of the chunk, seeds, items].

    Seeds and items are drawn with replacement, the same for all cells: they share a baseline. The pool is
    then the whole population, and its mean the truth."""
    for size in chunks(draws, seeds * items):
        row = rng.integers(pool.shape[1], size=(size, seeds, 1))
        column = rng.integers(pool.shape[2], size=(size, 1, items))
        yield (cell[row, column] for cell in pool)
