"""The words of a text, and rows of their numbers."""

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from transferscope.networks.tokens import SECOND, SPECIAL, Tokens

WORD = re.compile(r"\w+|[^\w\s]")  # letters and digits of any script in a row, or one other sign


def words_of(text: str) -> list[str]:
    """Lower-cased words and signs, in their order."""
    return WORD.findall(text.lower())


class Keyed:
    """A reader that is equal to others of its kind and key, which give the same rows."""

    key: str

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Keyed) and other.key == self.key

    def __hash__(self) -> int:
        return hash((type(self), self.key))


class KnownWords(Keyed):
    """Rows of the places of known words; unknown ones are left out. vocabulary: word → place; key: of it."""

    learns, mask = False, None

    def __init__(self, vocabulary: dict[str, int], max_tokens: int, key: str):
        self.vocabulary, self.max_tokens = vocabulary, max_tokens
        self.key, self.row_shape = f"known-1-{max_tokens}-{key}", (max_tokens,)

    def fit(self, items: Sequence[tuple[str, ...]]) -> "KnownWords":
        return self

    def read(self, items: Sequence[tuple[str, ...]]) -> Tokens:
        known = self.vocabulary
        return Tokens.of(
            [[known[word] for text in item for word in words_of(text) if word in known] for item in items],
            self.max_tokens,
        )


class HashedWords(Keyed):
    """Rows of words by their hash, behind one token that stands for the text; words that share a number are
    one to the network. No vocabulary is learnt: nothing of other texts is in a row.

    buckets: how many numbers there are, two of which are special: 0 begins a text, 1 is a masked word."""

    START, mask, learns = 0, 1, False

    def __init__(self, buckets: int, max_tokens: int):
        self.buckets, self.max_tokens = buckets, max_tokens
        self.key, self.row_shape = f"hashed-1-{max_tokens}-{buckets}", (max_tokens,)

    def fit(self, items: Sequence[tuple[str, ...]]) -> "HashedWords":
        return self

    def read(self, items: Sequence[tuple[str, ...]]) -> Tokens:
        return Tokens.of([self._row(item) for item in items], self.max_tokens)

    def _row(self, item: tuple[str, ...]) -> np.ndarray:
        numbers = [self.START | SPECIAL]
        for place, text in enumerate(item):
            second = SECOND if place else 0
            numbers += [2 + crc32(word.encode()) % (self.buckets - 2) | second for word in words_of(text)]
        return np.array(numbers, dtype=np.int32)
