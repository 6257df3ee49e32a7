"""The mean of the vectors of a text's words: those of GloVe, word2vec, fastText."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor, nn

from transferscope.backbones.neighbours import Neighbours
from transferscope.backbones.on_top import WithLayersOnTop
from transferscope.backbones.words import KnownWords
from transferscope.errors import RequestError, nearest
from transferscope.networks.tokens import NUMBER, PAD, trimmed

BLOCK = 4096  # lines whose numbers are read in one call


class WordVectors(WithLayersOnTop):
    """Texts → the mean of the vectors of their words [N, d]; zeros for a text of which no word is known.

    vectors: a text file with a word and its numbers a line, as GloVe has it, or with a first line of how many
        there are and how wide, as word2vec and fastText have it; or a .safetensors file of one matrix
        [words, d] with words.txt beside it, a word a line in the same order. Of a word that is there twice
        the first counts.
    weights: `pretrained`, the file's; `random`, others of the same words and width, as long as the file's on
        average.
    max_tokens: known words of a text that count.
    hidden: widths of layers on top of the mean, the vectors then stay as they were transferred.

    Words are lower-cased; letters and digits in a row are a word, any other sign is one too (words.py). A
    strategy that trains the backbone trains the vectors."""

    takes = ("text",)
    below = "table"
    reads_order = False
    loaded: dict[str, int] | None = None  # vectors that were taken, that the table has, of words said again

    def __init__(
        self,
        input_shape: tuple[int, ...],
        vectors: str,
        weights: str = "pretrained",
        max_tokens: int = 512,
        hidden: Sequence[int] = (),
    ):
        super().__init__()
        if weights not in ("pretrained", "random"):
            raise RequestError(
                f"backbone.weights={weights}; allowed: pretrained, those of backbone.vectors, or random"
                f"{nearest(weights, ('pretrained', 'random'))}"
            )
        if max_tokens < 1:
            raise RequestError(f"backbone.max_tokens={max_tokens}: an integer of at least 1 is needed")
        found, self.vectors = read_vectors(vectors), vectors
        self.features = found.values.shape[1]
        if weights == "pretrained":
            table = torch.from_numpy(found.values.copy())
            known = len(found.places)
            self.loaded = {"taken": known, "of": known, "left_out": len(table) - known}
        else:
            table = torch.randn(found.values.shape) * float(found.values.std())
        self.table = nn.Parameter(table)
        self.put_on_top(hidden)

    @classmethod
    def reader(cls, **arguments: Any) -> KnownWords:
        found = read_vectors(str(arguments["vectors"]))
        return KnownWords(found.places, int(arguments.get("max_tokens", 512)), found.key)

    @classmethod
    def identity(cls, arguments: Mapping[str, Any]) -> dict[str, str]:
        return {"vectors": f"file:{read_vectors(str(arguments['vectors'])).key}"}

    def neighbours(self) -> Neighbours:
        """By the file's vectors, whatever the weights are: they are the same throughout a training, and for
        runs from pretrained and from random weights."""
        return read_vectors(self.vectors).neighbours

    def encode(self, inputs: Tensor) -> Tensor:
        rows = trimmed(inputs)
        there = rows != PAD
        found = nn.functional.embedding(torch.where(there, rows & NUMBER, 0).long(), self.table)
        weights = there.unsqueeze(-1).to(found.dtype)
        return (found * weights).sum(1) / weights.sum(1).clamp(min=1)

    def groups_below(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [("vectors", [self.table])]


class Vectors(NamedTuple):
    """values: float32 [words, d]; places: of each word among them; key: hash of all; neighbours: of them."""

    values: np.ndarray
    places: dict[str, int]
    key: str
    neighbours: Neighbours


def read_vectors(path: str) -> Vectors:
    """Read once a process. Raises RequestError for a file that is not there or not of this form."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise RequestError(f"backbone.vectors={path}: no such file; a file of word vectors is needed")
    return _read(path, file, file.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _read(path: str, file: Path, changed: int) -> Vectors:
    try:
        words, values = _of_matrix(path, file) if file.suffix == ".safetensors" else _of_lines(path, file)
    except (OSError, UnicodeDecodeError, SafetensorError) as error:
        raise RequestError(f"backbone.vectors={path}: cannot be read ({error})") from error
    if not len(words):
        raise RequestError(f"backbone.vectors={path}: holds no word")
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise RequestError(f"backbone.vectors={path}: the vector of {words[place]!r} is not finite")
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places.setdefault(word, place)  # of a word that is there twice the first, the more frequent one
    h = hashlib.blake2b("\n".join(words).encode(), digest_size=8)
    h.update(values.data)
    known = np.fromiter(places.values(), dtype=np.int64, count=len(places))
    return Vectors(values, places, h.hexdigest(), Neighbours(values, known))


def _of_matrix(path: str, file: Path) -> tuple[list[str], np.ndarray]:
    matrices = load_file(file)
    if len(matrices) != 1 or (values := next(iter(matrices.values()))).ndim != 2:
        raise RequestError(f"backbone.vectors={path}: one matrix [words, d] is needed in it")
    beside = file.with_name("words.txt")
    if not beside.is_file():
        raise RequestError(f"backbone.vectors={path}: words.txt with its words is needed beside it")
    words = beside.read_text(encoding="utf-8-sig").split("\n")
    words = words[:-1] if words[-1] == "" else words
    if "" in words:
        raise RequestError(f"backbone.vectors={path}: line {words.index('') + 1} of words.txt is empty")
    if len(words) != len(values):
        raise RequestError(
            f"backbone.vectors={path}: has {len(values)} vectors, and words.txt beside it {len(words)} words"
        )
    return words, np.ascontiguousarray(values, dtype=np.float32)


def _of_lines(path: str, file: Path) -> tuple[list[str], np.ndarray]:
    words: list[str] = []
    blocks: list[np.ndarray] = []
    with open(file, encoding="utf-8-sig", newline="\n") as lines:
        first = lines.readline()
        parts = first.split()
        counts = [int(part) for part in parts] if len(parts) == 2 and all(map(_is_count, parts)) else None
        number, width = (2, counts[1]) if counts else (1, first.rstrip().count(" "))
        rest = lines if counts or not first else chain([first], lines)
        while block := list(islice(rest, BLOCK)):
            pairs = [_divided(path, place, line, width) for place, line in enumerate(block, number)]
            found = _numbers(path, number, [numbers for _, numbers in pairs], width)
            if len(infinite := np.flatnonzero(~np.isfinite(found).all(axis=1))):
                place = int(infinite[0])
                raise RequestError(
                    f"backbone.vectors={path}: line {number + place}: the vector of {pairs[place][0]!r} "
                    "is not finite"
                )
            words += [word for word, _ in pairs]
            blocks.append(found)
            number += len(block)
    if counts and words and len(words) != counts[0]:
        raise RequestError(
            f"backbone.vectors={path}: line 1 says {counts[0]} words, and {len(words)} are there; "
            "give the whole file"
        )
    return words, np.concatenate(blocks) if blocks else np.empty((0, 0), np.float32)


def _is_count(part: str) -> bool:
    return part.isascii() and part.isdigit()


def _divided(path: str, number: int, line: str, width: int) -> tuple[str, str]:
    """(word, its numbers). A word may hold spaces: the numbers are the last."""
    line = line.rstrip()
    word, _, numbers = line.partition(" ")
    if width > 1 and numbers.count(" ") >= width:
        word, *parts = line.rsplit(" ", width)
        numbers = " ".join(parts)
        if _is_number(word.rpartition(" ")[2]):  # one number more than the others have
            raise _broken(path, number, width)
    if not word or not numbers or numbers.count(" ") != width - 1:
        raise _broken(path, number, width)
    return word, numbers


def _numbers(path: str, number: int, lines: Sequence[str], width: int) -> np.ndarray:
    """float32 [lines, width]; number: of the first line. A block is parsed in one call, and where that fails
    line by line, to say which it was."""
    try:
        return _parsed(lines)
    except ValueError:
        for place, line in enumerate(lines, number):
            try:
                _parsed([line])
            except ValueError:
                raise _broken(path, place, width) from None
        raise


def _parsed(lines: Sequence[str]) -> np.ndarray:
    with np.errstate(over="ignore"):  # infinite, which is refused
        return np.loadtxt(lines, dtype=np.float32, delimiter=" ", comments=None, ndmin=2)


def _is_number(part: str) -> bool:
    try:
        float(part)
    except ValueError:
        return False
    return True


def _broken(path: str, number: int, width: int) -> RequestError:
    needed = f"{width} numbers, which line 1 asks for" if width > 0 else "numbers, with one space between"
    return RequestError(f"backbone.vectors={path}: line {number} is no word with {needed}")
