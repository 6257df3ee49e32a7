"""Texts as rows of tokens, int32 [N, width]: each text's tokens from the left, PAD behind them.

A row is as wide as the longest text may be, so that rows of any texts are one tensor; what a network computes
is as wide as the longest text of a batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from transferscope.data.on_disk import OnDisk

PAD = -1
NUMBER = 2**24 - 1  # the bits of a token that hold its number in the vocabulary
CONTINUES = 2**28  # set in a token that goes on with the word of the token before it
SECOND = 2**29  # in a token of the second of two texts
SPECIAL = 2**30  # in a token that stands for nothing in a text, such as [CLS]
STEP = 8  # widths of passes are multiples of it
# tokens in a pass of a frozen network, by device: many passes are filled up, which costs half of one each
FROZEN_TOKENS = {"cpu": 2**10, "cuda": 2**14}
MOST_TOKENS = 2**14  # tokens in a pass that nobody keeps, for its memory


@dataclass(frozen=True)
class Tokens:
    """The tokens of n texts one after another, int32 [T], and where each begins, int64 [n + 1]. width: of a
    row. cut: bool [n], which texts were longer."""

    values: np.ndarray
    starts: np.ndarray
    width: int
    cut: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Sequence[int] | np.ndarray], width: int) -> "Tokens":
        """Rows of any length; what is longer than `width` is cut."""
        lengths = np.array([min(len(row), width) for row in rows], dtype=np.int64)
        parts = [np.asarray(row[:width], dtype=np.int32) for row in rows]
        values = np.concatenate(parts) if parts else np.empty(0, np.int32)
        return cls(values, np.r_[0, lengths.cumsum()], width, np.array([len(row) > width for row in rows]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (self.width,)

    dtype = torch.int32

    def rows(self, numbers: np.ndarray) -> Tensor:
        """int32 [n, width]"""
        rows = np.full((len(numbers), self.width), PAD, dtype=np.int32)
        lengths = self.starts[numbers + 1] - self.starts[numbers]
        within = np.arange(self.width) < lengths[:, None]
        places = self.starts[numbers][:, None] + np.arange(self.width)
        rows[within] = self.values[places[within]]
        return torch.from_numpy(rows)


def is_tokens(inputs: "Tensor | OnDisk") -> bool:
    return inputs.dtype == torch.int32 and inputs.ndim == 2


def trimmed(rows: Tensor) -> Tensor:
    """Less the columns that no text of the batch reaches, but for a width that is a multiple of STEP."""
    longest = int((rows != PAD).sum(1).max())
    return rows[:, : max(1, -(-longest // STEP)) * STEP]


def lengths(inputs: "Tensor | OnDisk") -> np.ndarray:
    """int64 [N]"""
    return torch.cat([(rows != PAD).sum(1) for rows in inputs.split(4096)]).numpy(force=True)


def passes(length: np.ndarray, tokens: int) -> Iterator[tuple[np.ndarray, int]]:
    """(items, width) of passes that hold texts of nearly one length, at most `tokens` tokens but at least one
    text each: length [N], of each text. The longest come first, so that memory is asked for once."""
    widths = np.maximum(STEP, -(-length // STEP) * STEP)
    for width in np.unique(widths)[::-1].tolist():
        items, most = np.flatnonzero(widths == width), max(1, tokens // width)
        for start in range(0, len(items), most):
            yield items[start : start + most], width


@torch.no_grad()
def frozen(
    network: Callable[[Tensor], Tensor], inputs: "Tensor | OnDisk", device: torch.device | str
) -> Tensor:
    """float32 [N, d] of rows of tokens. A pass has as many tokens as any other of its width, the last one its
    last text several times, so that a text's features are the same bits whatever they are computed with."""
    whole: Tensor | None = None
    tokens = FROZEN_TOKENS[torch.device(device).type]
    for items, width in passes(lengths(inputs), tokens):
        size = max(1, tokens // width)
        filled = np.r_[items, np.full(size - len(items), items[-1])]
        features = network(inputs[torch.from_numpy(filled)].to(device))[: len(items)].float().cpu()
        whole = features.new_empty(len(inputs), *features.shape[1:]) if whole is None else whole
        whole[torch.from_numpy(items)] = features
    if whole is None:
        raise ValueError("there is no input")
    return whole


def by_length(
    function: Callable[[Tensor], Tensor], inputs: "Tensor | OnDisk", device: torch.device | str
) -> Tensor:
    """function of rows of tokens, of texts of nearly one length at a time, on the CPU: [N, ...]."""
    whole: Tensor | None = None
    length, start = lengths(inputs), 0
    order = np.argsort(-length, kind="stable")
    while start < len(order):
        items = torch.from_numpy(
            order[start : start + max(1, MOST_TOKENS // max(1, int(length[order[start]])))]
        )
        part = function(inputs[items].to(device)).float().cpu()
        whole = part.new_empty(len(inputs), *part.shape[1:]) if whole is None else whole
        whole[items] = part
        start += len(items)
    if whole is None:
        raise ValueError("there is no input")
    return whole
