"""A multilayer perceptron for tables: numbers, categories, missing values."""

import csv
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, relu

from transferscope.backbones.base import Backbone
from transferscope.errors import NotApplicable, RequestError


class Tabular(Backbone):
    """Rows [N, d] → [N, hidden[-1]]: each number standardised, 0 where it is missing, with an indicator that
    says so; an embedding of each category; fully connected layers of the widths `hidden`, each with a ReLU.

    columns: names and categories of the d columns (see Domain); None where all are numbers. A category comes
    as its place among them, a missing value as NaN. embedding_width: of the vector of a category.
    weights: random, or a .csv file of such vectors from elsewhere, without a header, a category a line: its
    column, its name, the numbers. Categories without a line have random ones.

    All that depends on data is learnt from the batches that it is trained on. Moments are those of the values
    that are there. A category that no training batch had takes the embedding of a missing one, which is 0
    until one is trained on; and that a number is missing is said only once a training batch had it missing.
    """

    takes = ("float32",)
    numbers: Tensor
    categories: Tensor
    had_gaps: Tensor
    loaded: dict[str, int] | None = None  # how many vectors a file gave

    def __init__(
        self,
        input_shape: tuple[int, ...],
        columns: Mapping[str, Sequence[str]] | None = None,
        hidden: Sequence[int] = (256, 256),
        embedding_width: int = 8,
        weights: str = "random",
    ):
        super().__init__()
        if len(input_shape) != 1:
            raise NotApplicable(
                f"backbone=tabular: takes rows of a table (d,), but the inputs have shape "
                f"{tuple(input_shape)}; for images use backbone=small_cnn, or another that `transferscope "
                "list backbones` gives for images"
            )
        if not hidden or any(width < 1 for width in hidden):
            raise RequestError(
                f"backbone.hidden={list(hidden)}: allowed: a list of one or more positive widths, such as "
                "[256, 256]"
            )
        if embedding_width < 1:
            raise RequestError(f"backbone.embedding_width={embedding_width}: a width of at least 1 is needed")
        sizes = [len(categories) for categories in (columns or {}).values()] or [0] * input_shape[0]
        numbers = [place for place, size in enumerate(sizes) if not size]
        categories = [place for place, size in enumerate(sizes) if size]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64), persistent=False)
        self.register_buffer("categories", torch.tensor(categories, dtype=torch.int64), persistent=False)
        self.features = hidden[-1]
        self.standardise = PresentNorm(len(numbers))
        self.embedding = Categories([sizes[place] for place in categories], embedding_width)
        width = 2 * len(numbers) + embedding_width * len(categories)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise([width, *hidden]))
        if weights != "random":
            self.loaded = self._take_vectors(weights, columns or {}, embedding_width)
        self.register_buffer("had_gaps", torch.zeros(len(numbers)))  # 1 where a training batch had one

    def forward(self, inputs: Tensor) -> Tensor:
        numbers = inputs[:, self.numbers]
        gaps = numbers.isnan().to(numbers.dtype)
        if self.training:
            self.had_gaps.copy_(torch.maximum(self.had_gaps, gaps.detach().amax(0)))
        # The bound is that of the mlp: a number that was constant in recent batches has next to no deviation.
        parts = [self.standardise(numbers).clamp(-5, 5), gaps * self.had_gaps]
        outputs = torch.cat([*parts, self.embedding(inputs[:, self.categories])], 1)
        for layer in self.layers:
            outputs = relu(layer(outputs))
        return outputs  # [N, hidden[-1]]

    @torch.no_grad()
    def _take_vectors(self, path: str, columns: Mapping[str, Sequence[str]], width: int) -> dict[str, int]:
        vectors = read_vectors(path, width)
        categorical = {name: list(categories) for name, categories in columns.items() if categories}
        taken = 0
        for start, (column, categories) in zip(
            self.embedding.starts.tolist(), categorical.items(), strict=True
        ):
            for row, category in enumerate(categories, start + 1):
                if (column, category) in vectors:
                    self.embedding.table[row] = torch.tensor(vectors[column, category])
                    self.embedding.seen[row] = 1
                    taken += 1
        if not taken:
            raise RequestError(
                f"backbone.weights={path}: none of its {len(vectors)} lines names a category of "
                f"{', '.join(categorical) or 'the table, which has none'}"
            )
        of = sum(map(len, categorical.values()))
        return {"taken": taken, "of": of, "left_out": len(vectors) - taken}

    def layer_groups(self) -> list[tuple[str, list[nn.Parameter]]]:
        layers = [(f"layers.{i}", list(layer.parameters())) for i, layer in enumerate(self.layers)]
        table = list(self.embedding.parameters())
        return [("embedding", table), *layers] if table else layers


def read_vectors(path: str, width: int) -> dict[tuple[str, str], list[float]]:
    """By column and category, from lines `column,category,0.1,…`. Raises RequestError for a file that cannot
    be read and a line without `width` numbers."""
    vectors = {}
    try:
        with open(Path(path).expanduser(), newline="", encoding="utf-8-sig") as file:
            for number, cells in enumerate(csv.reader(file), 1):
                values = [float(cell) for cell in cells[2:]]
                if len(values) != width or not all(map(math.isfinite, values)):
                    raise RequestError(
                        f"backbone.weights={path}: line {number} has {len(values)} numbers; a column, a "
                        f"category and {width} finite numbers are needed, or backbone.embedding_width="
                        f"{len(values)}"
                    )
                vectors[cells[0], cells[1]] = values
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"backbone.weights={path}: cannot be read ({error}); allowed: random, or a .csv file of vectors"
        ) from error
    return vectors


class PresentNorm(nn.BatchNorm1d):
    """BatchNorm without parameters over the values that are there, [N, n] → [N, n]; NaN becomes 0, the mean.

    Each column counts the batches in which it had a value, and its running moments are plain averages over
    the first of these: a column with few values is not held at where BatchNorm starts, 0 and 1."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, columns: int):
        super().__init__(columns, affine=False)
        self.num_batches_tracked = torch.zeros(columns, dtype=torch.int64)

    def forward(self, inputs: Tensor) -> Tensor:
        there = ~inputs.isnan()
        filled = torch.where(there, inputs, 0)
        mean, variance = self.running_mean, self.running_var
        if self.training:
            count = there.sum(0)
            mean = filled.sum(0) / count.clamp(min=1)
            variance = torch.where(there, (filled - mean).square(), 0).sum(0) / count.clamp(min=1)
            with torch.no_grad():
                self._track(mean, variance, count)
        outputs = torch.where(there, (filled - mean) / torch.sqrt(variance + self.eps), 0)
        # which strategy tent gives it
        return outputs * self.weight + self.bias if self.affine else outputs

    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Of columns with two values or more in the batch, as one has no variance."""
        enough = count > 1
        self.num_batches_tracked += enough
        share = 1 / self.num_batches_tracked.clamp(min=1)
        if self.momentum is not None:
            share = share.clamp(min=self.momentum)
        unbiased = variance * count / (count - 1).clamp(min=1)
        for running, new in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.copy_(torch.where(enough, running + share * (new - running), running))


class Categories(nn.Module):
    """Places of categories [N, c], float, NaN where missing → their embeddings side by side, [N, c * width].

    sizes: how many categories each column has. One table holds all rows, of each column first that of a
    missing category."""

    starts: Tensor
    sizes: Tensor
    seen: Tensor

    def __init__(self, sizes: Sequence[int], width: int):
        super().__init__()
        *starts, rows = accumulate((size + 1 for size in sizes), initial=0)
        self.register_buffer("starts", torch.tensor(starts, dtype=torch.int64), persistent=False)
        self.register_buffer("sizes", torch.tensor(sizes, dtype=torch.int64), persistent=False)
        self.register_buffer("seen", torch.zeros(rows))  # 1 where a training batch had it
        if sizes:
            table = torch.randn(rows, width) / width**0.5  # as long as a standardised number
            table[starts] = 0
            self.table = nn.Parameter(table)

    def forward(self, places: Tensor) -> Tensor:
        if not len(self.sizes):
            return places
        known = (places >= 0) & (places < self.sizes)  # False where NaN
        rows = self.starts + torch.where(known, places + 1, 0).long()
        if self.training:
            self.seen[rows] = 1
        rows = torch.where(self.seen[rows] > 0, rows, self.starts)
        return embedding(rows, self.table).flatten(1)
