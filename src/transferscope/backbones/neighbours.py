"""The words that are nearest to a word among vectors."""

import numpy as np
import torch
from torch import Tensor

NEAREST = 10
# words whose neighbours are found together: always the same ones, so that they are the same bits whoever asks
BLOCK = 128


class Neighbours:
    """The NEAREST nearest known words of each of n, by cosine; of fewer words all the others, and of a single
    one itself. They are found when first asked for: all of 30,000 words of 100 numbers take 7 s on one core,
    a block of 400,000 words half a second.

    values: float32 [n, d]. known: int64 [m], which of them are words."""

    def __init__(self, values: np.ndarray, known: np.ndarray):
        self.values, self.known = torch.from_numpy(values), torch.from_numpy(np.sort(known))
        self.number = min(NEAREST, len(known) - 1)
        self.directions = self.found = torch.empty(0)  # [m, d], of length 1; int32 [m, K]
        self.blocks: set[int] = set()  # of words whose neighbours are in `found`

    def of(self, words: Tensor) -> Tensor:
        """Known words int64 [M] → int64 [M, K], the nearest first."""
        if self.number == 0:
            return words[:, None]
        if not self.blocks:
            self.directions = torch.nn.functional.normalize(self.values[self.known])
            self.found = torch.empty((len(self.known), self.number), dtype=torch.int32)
        places = torch.searchsorted(self.known, words)
        for block in np.unique(places.numpy() // BLOCK).tolist():
            if block not in self.blocks:
                self._find(block * BLOCK)
                self.blocks.add(block)
        return self.found[places].long()

    def _find(self, start: int) -> None:
        asked = self.directions[start : start + BLOCK]
        with torch.autocast("cpu", enabled=False):
            likeness = asked @ self.directions.T
        places = torch.arange(len(asked))
        likeness[places, start + places] = -torch.inf
        self.found[start : start + BLOCK] = self.known[likeness.topk(self.number).indices].int()
