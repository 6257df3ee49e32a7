"""What `compare` gives: the cells, and what is said of them together."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from transferscope.comparison import formats, latex, notebook
from transferscope.comparison.best import Best, best
from transferscope.comparison.cells import Cell
from transferscope.comparison.contrasts import Contrast
from transferscope.comparison.ranking import Ranking, rankings
from transferscope.store.schema import Json, Prediction, SweepPlan

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, repr=False)
class Comparison:
    """Cells in the order of target, budget, source, strategy; what could not be compared, and why. Iterates
    over its cells.

    contrasts: what the source's labels, and the rest of it, are worth, where a shuffled source was run.
    predictions: what `rank` left in the store (`record.read_predictions`). searches: the plans of sweeps that
    tuned what is shown. taken_back: what was claimed at an earlier reading and stands no more, with more
    seeds or in a larger family."""

    cells: list[Cell]
    missing: list[Json]
    failed: list[Json]
    not_applicable: list[Json]
    warnings: list[str]
    settings: Json
    contrasts: list[Contrast] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list, repr=False)
    searches: list[SweepPlan] = field(default_factory=list, repr=False)
    taken_back: list[Json] = field(default_factory=list)

    @cached_property
    def best(self) -> list[Best]:
        """The strategies that cannot be told from the best, one entry a target, label budget and protocol."""
        return best(self.cells, self.settings)

    @cached_property
    def rankings(self) -> list[Ranking]:
        """How what was predicted beforehand ranks Δ, one entry for all cells that differ in source and target
        alone."""
        return rankings(self.cells, self.predictions, self.settings["alpha"])

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def to_json(self) -> str:
        return formats.to_json(self)

    def to_csv(self) -> str:
        return formats.to_csv(self)

    def to_markdown(self) -> str:
        return formats.to_markdown(self)

    def to_latex(self) -> str:
        """A booktabs table."""
        return latex.to_latex(self)

    def to_frame(self) -> "pandas.DataFrame":
        """A pandas DataFrame, one row a cell. Raises RequestError where pandas is missing."""
        return notebook.frame(self)

    def __repr__(self) -> str:
        return notebook.lines(self)

    def _repr_html_(self) -> str:
        return notebook.html(self)

    def to_table(self, width: int = 140, colour: bool = False) -> str:
        return formats.to_table(self, width, colour)
