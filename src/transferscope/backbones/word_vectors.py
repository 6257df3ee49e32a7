"""The mean of the vectors of a text's words: those of GloVe, word2vec, fastText."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor, nn

from transferscope.backbones.base import Backbone
from transferscope.backbones.words import KnownWords
from transferscope.errors import RequestError, nearest
from transferscope.networks.tokens import NUMBER, PAD, trimmed


class WordVectors(Backbone):
    """Texts → the mean of the vectors of their words [N, d]; zeros for a text of which no word is known.

    vectors: a text file with a word and its numbers a line, as GloVe has it, or with a first line of how many
        there are, as word2vec and fastText have it; or a .safetensors file of one matrix [words, d] with
        words.txt beside it, a word a line in the same order.
    weights: `pretrained`, the file's; `random`, others of the same words and width, as long as the file's on
        average.
    max_tokens: known words of a text that count.

    Words are lower-cased; letters and digits in a row are a word, any other sign is one too (words.py). A
    strategy that trains the backbone trains the vectors."""

    takes = ("text",)

    def __init__(
        self,
        input_shape: tuple[int, ...],
        vectors: str,
        weights: str = "pretrained",
        max_tokens: int = 512,
    ):
        super().__init__()
        if weights not in ("pretrained", "random"):
            raise RequestError(
                f"backbone.weights={weights}; allowed: pretrained, those of backbone.vectors, or random"
                f"{nearest(weights, ('pretrained', 'random'))}"
            )
        found = read_vectors(vectors)
        self.features = found.values.shape[1]
        if weights == "pretrained":
            table = torch.from_numpy(found.values.copy())
        else:
            table = torch.randn(found.values.shape) * float(found.values.std())
        self.table = nn.Parameter(table)

    @classmethod
    def reader(cls, **arguments: Any) -> KnownWords:
        found = read_vectors(str(arguments["vectors"]))
        return KnownWords(found.places, int(arguments.get("max_tokens", 512)), found.key)

    @classmethod
    def identity(cls, arguments: Mapping[str, Any]) -> dict[str, str]:
        return {"vectors": f"file:{read_vectors(str(arguments['vectors'])).key}"}

    def forward(self, inputs: Tensor) -> Tensor:
        rows = trimmed(inputs)
        there = rows != PAD
        found = nn.functional.embedding(torch.where(there, rows & NUMBER, 0).long(), self.table)
        weights = there.unsqueeze(-1).to(found.dtype)
        return (found * weights).sum(1) / weights.sum(1).clamp(min=1)

    def layer_groups(self) -> list[tuple[str, list[nn.Parameter]]]:
        return [("vectors", [self.table])]


class Vectors(NamedTuple):
    """values: float32 [words, d]; places: of each word among them; key: hash of all."""

    values: np.ndarray
    places: dict[str, int]
    key: str


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
    h.update(values)
    return Vectors(values, places, h.hexdigest())


def _of_matrix(path: str, file: Path) -> tuple[list[str], np.ndarray]:
    matrices = load_file(file)
    if len(matrices) != 1 or (values := next(iter(matrices.values()))).ndim != 2:
        raise RequestError(f"backbone.vectors={path}: one matrix [words, d] is needed in it")
    beside = file.with_name("words.txt")
    if not beside.is_file():
        raise RequestError(f"backbone.vectors={path}: words.txt with its words is needed beside it")
    words = beside.read_text(encoding="utf-8").split("\n")
    words = words[:-1] if words[-1] == "" else words
    if len(words) != len(values):
        raise RequestError(
            f"backbone.vectors={path}: has {len(values)} vectors, and words.txt beside it {len(words)} words"
        )
    return words, np.ascontiguousarray(values, dtype=np.float32)


def _of_lines(path: str, file: Path) -> tuple[list[str], np.ndarray]:
    words: list[str] = []
    rows: list[np.ndarray] = []
    with open(file, encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            parts = line.rstrip().split(" ")
            if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                continue  # how many there are, and how wide
            width = len(rows[0]) if rows else len(parts) - 1
            # a word may hold spaces: the numbers are the last
            word = " ".join(parts[: len(parts) - width])
            rows.append(_numbers(path, number, word, parts[len(parts) - width :]))
            words.append(word)
    return words, np.stack(rows) if rows else np.empty((0, 0), np.float32)


def _numbers(path: str, number: int, word: str, parts: Sequence[str]) -> np.ndarray:
    try:
        if not word or not parts:
            raise ValueError
        return np.array(parts, dtype=np.float32)
    except ValueError:
        raise RequestError(
            f"backbone.vectors={path}: line {number} is no word with as many numbers as the first has"
        ) from None
