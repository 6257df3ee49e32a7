"""Random changes of rows of tokens, on the device where they lie: three of the four operations of EDA (Wei &
Zou 2019, EMNLP, arXiv:1901.11196), with its rate of 0.1.

Random insertion is left out: rows have a fixed width, and many are full. Deviations: EDA takes synonyms from
WordNet, here a word's neighbours among word vectors stand for them, and words are drawn each for itself
rather than a fixed number of them; no word is swapped twice; stop words are words like others; each time an
item is drawn it is changed anew, where EDA adds a few changed texts to the data once.

On one core a batch of 32 rows of 256 tokens takes 0.5 ms (delete), 1 ms (swap), 0.8 ms (neighbours)."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from transferscope.backbones.neighbours import Neighbours
from transferscope.networks.tokens import CONTINUES, NUMBER, PAD, SECOND, SPECIAL

OF_TEXTS = ("delete", "swap", "neighbours")
RATE = 0.1


class Words(NamedTuple):
    """Where the words of rows [N, L] are. A word is a token and those behind it that go on with it; what is
    SPECIAL is no word.

    in_word: bool [N, L]; starts: bool [N, L], the first tokens of words; first: int64 [N, L], the place of
    the first token of the word that a token is of; text: int64 [N, L], the number of the token's text within
    its row: one ends where the next token is SPECIAL, or of a second text."""

    in_word: Tensor
    starts: Tensor
    first: Tensor
    text: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "Words":
        in_word = (rows != PAD) & (rows & SPECIAL == 0)
        starts = in_word & (rows & CONTINUES == 0)
        places = torch.arange(rows.shape[1], device=rows.device).expand_as(rows)
        second = rows & SECOND != 0
        borders = ~in_word
        borders[:, 1:] |= second[:, 1:] != second[:, :-1]
        borders[:, 0] = False  # the first is 0
        return cls(in_word, starts, torch.where(starts, places, 0).cummax(1).values, borders.cumsum(1))


def augment_rows(rows: Tensor, draws: Tensor, augmentation: str, near: Neighbours | None = None) -> Tensor:
    """Rows of tokens int32 [N, L], each changed by its own draw.

    `delete` leaves each word out with probability RATE, but never all of a text; `swap` exchanges two random
    words round(RATE · words) times in each text, at least once where there are two; `neighbours` puts one of
    the words nearest to it in the place of each word with probability RATE. Labels, and what is SPECIAL, stay
    as they are.

    draws: uniform in [0, 1), [N, 3]: the first of each row is where its generator begins. near: for
    `neighbours`.
    """
    # what is drawn for a word depends on the row's draw and the word's place, so that no row knows of others
    longest = max(1, int((rows != PAD).sum(1).max()))
    changed = rows.clone()
    part, uniform = rows[:, :longest], uniform_of(draws[:, 0], longest)
    if augmentation == "delete":
        part = _shortened(part, uniform)
    elif augmentation == "swap":
        part = _swapped(part, uniform)
    elif near is None:
        raise TypeError("the neighbours of words are needed")
    else:
        part = _replaced(part, uniform, near)
    changed[:, :longest] = part
    return changed


def uniform_of(draws: Tensor, width: int) -> Tensor:
    """float64 [N, width] in [0, 1) from uniform draws [N]: a generator each, SplitMix64 (Steele, Lea & Flood
    2014, OOPSLA), which computes its n-th number alone from where it began."""
    counts = torch.arange(1, width + 1, device=draws.device)
    bits = (draws * 2**53).long()[:, None] + counts * _signed(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ _shifted(bits, shift)) * _signed(factor)
    return _shifted(bits ^ _shifted(bits, 31), 11).double() * 2**-53


def _signed(bits: int) -> int:
    """64 bits as torch has them: products are the same, modulo 2^64."""
    return bits - 2**64


def _shifted(bits: Tensor, by: int) -> Tensor:
    """To the right, zeros behind."""
    shifted: Tensor = (bits >> by) & (2 ** (64 - by) - 1)
    return shifted


def _shortened(rows: Tensor, uniform: Tensor) -> Tensor:
    words = Words.of(rows)
    # the word of the largest number stays, which only matters where all of a text would go
    drawn = torch.where(words.starts, uniform, -1.0)
    most = torch.full_like(drawn, -1.0).scatter_reduce(1, words.text, drawn, "amax").gather(1, words.text)
    stays = (drawn >= RATE) | (drawn == most)
    kept = (rows != PAD) & (stays.gather(1, words.first) | ~words.in_word)
    width = rows.shape[1]
    places = torch.where(kept, kept.cumsum(1) - 1, width)
    return rows.new_full((len(rows), width + 1), PAD).scatter(1, places, rows)[:, :width]


def _swapped(rows: Tensor, uniform: Tensor) -> Tensor:
    words, width = Words.of(rows), rows.shape[1]
    places = torch.arange(width, device=rows.device).expand_as(rows)
    counts = torch.zeros_like(words.text).scatter_add(
        1, words.text, words.starts.long()
    )  # words of each text
    before = (counts.cumsum(1) - counts).gather(1, words.text)  # words of the texts before a token's own
    in_text = counts.gather(1, words.text)
    swaps = torch.where(in_text > 1, (RATE * in_text.double()).round().long().clamp(min=1), 0)
    # first tokens of words, text by text, those of a text shuffled: two neighbours of this order are swapped
    order = _order(torch.where(words.starts, words.text + uniform, torch.inf))
    rank = torch.zeros_like(places).scatter(1, order, places) - before
    is_swapped = words.starts & (rank < 2 * swaps)
    other = order.gather(1, torch.where(is_swapped, before + (rank ^ 1), 0))
    # where the word of each token goes: to the place of the other one's first token
    goes = torch.where(words.in_word, torch.where(is_swapped, other, places).gather(1, words.first), places)
    within = torch.where(words.in_word, places - words.first, 0)
    return rows.gather(1, _order(goes * width + within))


def _order(keys: Tensor) -> Tensor:
    """What sorts each row. On a CPU numpy does it in a fifth of torch's time."""
    is_here = keys.device.type == "cpu"
    order: Tensor = torch.from_numpy(np.argsort(keys.numpy(), axis=1)) if is_here else keys.argsort(1)
    return order


def _replaced(rows: Tensor, uniform: Tensor, near: Neighbours) -> Tensor:
    rows, taken = rows.clone(), Words.of(rows).starts & (uniform < RATE)
    old = rows[taken]
    found = near.of((old & NUMBER).long().cpu()).to(rows.device)  # [M, K]
    # a number below RATE is uniform there: it says which neighbour, too
    which = (uniform[taken] / RATE * found.shape[1]).long().clamp(max=found.shape[1] - 1)
    rows[taken] = (old & ~NUMBER) | found.gather(1, which[:, None]).squeeze(1).to(rows.dtype)
    return rows
