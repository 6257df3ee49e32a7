"""What `compare` gives, and how it shows itself."""

from typing import TYPE_CHECKING

from transferscope.comparison import exported, formats, latex, notebook
from transferscope.comparison.findings import Findings
from transferscope.comparison.over import Over, over

if TYPE_CHECKING:
    import pandas


class Comparison(Findings):
    """The findings as a table, in a notebook, and in files."""

    def over(self, domains: str) -> Over:
        """Claims over `targets`, `sources` or `pairs` of them, where there are five or more. Raises
        RequestError where the scores are in several units."""
        return over(self, domains)

    def to_json(self) -> str:
        return formats.to_json(self)

    def to_csv(self) -> str:
        return formats.to_csv(self)

    def to_markdown(self) -> str:
        return formats.to_markdown(self)

    def to_predictions(self) -> str:
        """CSV, a row an item and run: what `compare` reads of results made elsewhere."""
        return exported.to_csv(self)

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
