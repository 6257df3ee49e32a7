"""How often the words of a text occur, weighted by how rare they are: scikit-learn's TfidfVectorizer."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor, nn

from transferscope.backbones.base import Backbone, require_random
from transferscope.backbones.mlp import MLP
from transferscope.backbones.words import words_of
from transferscope.errors import RequestError
from transferscope.networks.sized_on_load import SizedOnLoad

JOINT = "\0"  # between terms where they are kept


class TfIdf(Backbone):
    """Texts → [N, most_terms]: (1 + log count) · idf of its words and of pairs of neighbouring ones, each row
    of length 1. It has no weights: terms and idf are counted in the texts that a run trains on, of a run
    that starts from a source model in those of the source, and never in others.

    most_terms: the most frequent ones; where there are fewer, the columns behind them are 0. pairs: whether
    pairs of words count too. Two texts of an item are one."""

    takes = ("text",)
    takes_tokens = False
    weightless = True
    scaled = True  # to unit deviation every rare word would weigh as much as all the others

    def __init__(self, input_shape: tuple[int, ...], most_terms: int = 5000, pairs: bool = True):
        super().__init__()
        if most_terms < 1:
            raise RequestError(f"backbone.most_terms={most_terms}: an integer of at least 1 is needed")
        self.features = self.most_terms = most_terms
        self.pairs = pairs
        self.counted = Counted()  # so that a kept model reads texts as it did

    @classmethod
    def reader(cls, **arguments: Any) -> "Terms":
        return Terms(int(arguments.get("most_terms", 5000)), bool(arguments.get("pairs", True)))

    def keep_reader(self, reader: Any) -> None:
        if reader.vectorizer is not None:
            self.counted.keep(reader.vectorizer.get_feature_names_out().tolist(), reader.vectorizer.idf_)

    def kept_reader(self) -> "Terms":
        return Terms(self.most_terms, self.pairs).restored(*self.counted.kept())

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


class TfIdfMLP(TfIdf):
    """The same through the layers of an MLP [N, hidden[-1]], from random weights: what is trained where
    features are to be aligned."""

    weightless = False
    scaled = False

    def __init__(
        self,
        input_shape: tuple[int, ...],
        most_terms: int = 5000,
        pairs: bool = True,
        hidden: Sequence[int] = (100,),
        weights: str = "random",
    ):
        super().__init__(input_shape, most_terms, pairs)
        require_random("tfidf_mlp", weights)
        self.above = MLP((most_terms,), hidden)
        self.features = self.above.features

    def forward(self, inputs: Tensor) -> Tensor:
        return self.above.forward(inputs)

    def layer_groups(self) -> list[tuple[str, list[nn.Parameter]]]:
        return self.above.layer_groups()


class Counted(SizedOnLoad):
    """Terms and their idf as buffers."""

    terms: Tensor
    idf: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("terms", torch.zeros(0, dtype=torch.uint8))
        self.register_buffer("idf", torch.zeros(0, dtype=torch.float64))

    def keep(self, terms: Sequence[str], idf: np.ndarray) -> None:
        self.terms = torch.frombuffer(bytearray(JOINT.join(terms).encode()), dtype=torch.uint8)
        self.idf = torch.from_numpy(np.array(idf, dtype=np.float64))

    def kept(self) -> tuple[list[str], np.ndarray]:
        return bytes(self.terms.tolist()).decode().split(JOINT), self.idf.numpy()


class Terms:
    """Reads texts as rows of weighted terms once it has been fitted. Those that give the same rows are equal,
    so that what is fitted or read for one run serves the others of the process."""

    learns, mask = True, None

    def __init__(self, most_terms: int, pairs: bool):
        self.most_terms, self.pairs = most_terms, pairs
        self.vectorizer: TfidfVectorizer | None = None
        self.key = ""
        self.row_shape = (most_terms,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Terms) and self._same_as() == other._same_as()

    def __hash__(self) -> int:
        return hash(self._same_as())

    def _same_as(self) -> tuple[int, bool, str]:
        return self.most_terms, self.pairs, self.key

    def fit(self, items: Sequence[tuple[str, ...]]) -> "Terms":
        fitted, vectorizer = Terms(self.most_terms, self.pairs), self._vectorizer()
        try:
            vectorizer.fit([" ".join(item) for item in items])
        except ValueError as error:  # scikit-learn's for no term at all
            raise RequestError(
                f"backbone=tfidf: the {len(items)} texts that are trained on have no word"
            ) from error
        return fitted._with(vectorizer)

    def restored(self, terms: Sequence[str], idf: np.ndarray) -> "Terms":
        vectorizer = self._vectorizer(vocabulary={term: place for place, term in enumerate(terms)})
        vectorizer.fit([" ".join(terms)])
        vectorizer.idf_ = idf
        return Terms(self.most_terms, self.pairs)._with(vectorizer)

    def _vectorizer(self, vocabulary: dict[str, int] | None = None) -> TfidfVectorizer:
        return TfidfVectorizer(
            analyzer="word", tokenizer=words_of, token_pattern=None, lowercase=False, sublinear_tf=True,
            ngram_range=(1, 2 if self.pairs else 1), dtype=np.float64, vocabulary=vocabulary,
            max_features=None if vocabulary else self.most_terms,
        )  # fmt: skip

    def _with(self, vectorizer: TfidfVectorizer) -> "Terms":
        self.vectorizer = vectorizer
        h = hashlib.blake2b(JOINT.join(vectorizer.get_feature_names_out()).encode(), digest_size=8)
        h.update(np.ascontiguousarray(vectorizer.idf_).data)
        self.key = f"tfidf-1-{self.most_terms}-{self.pairs}-{h.hexdigest()}"
        return self

    def read(self, items: Sequence[tuple[str, ...]]) -> "SparseRows":
        if self.vectorizer is None:
            raise ValueError("not fitted to texts yet")
        return SparseRows(self.vectorizer.transform([" ".join(item) for item in items]), self.most_terms)


class SparseRows:
    """Rows of a sparse matrix [n, terms], zeros behind them up to `width`."""

    dtype = torch.float32

    def __init__(self, matrix: csr_matrix, width: int):
        self.matrix, self.row_shape = matrix.tocsr().astype(np.float32), (width,)
        self.cut = np.zeros(matrix.shape[0], dtype=bool)

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def rows(self, numbers: np.ndarray) -> Tensor:
        rows = np.zeros((len(numbers), *self.row_shape), dtype=np.float32)
        rows[:, : self.matrix.shape[1]] = self.matrix[numbers].toarray()
        return torch.from_numpy(rows)
