"""A comparison as a notebook shows it: a few lines, a table in HTML, a pandas DataFrame."""

from html import escape
from typing import TYPE_CHECKING

from transferscope.comparison import formats, formatting, wording
from transferscope.errors import RequestError

if TYPE_CHECKING:
    import pandas

    from transferscope.comparison.cells import Cell
    from transferscope.comparison.comparison import Comparison

LINES = 10
_DECIDED = ("negative", "positive", "equivalent", "undecided")  # what a reader looks for first


def lines(comparison: "Comparison") -> str:
    """At most LINES lines: what was compared, the sentence to take away, the cells that say most."""
    first = [wording.opening(comparison)[0], wording.sentence(comparison)]
    cells = sorted(comparison, key=lambda cell: _DECIDED.index(cell.verdict))
    room = LINES - len(first) - (len(cells) > LINES - len(first))
    shown = [_cell(cell) for cell in cells[:room]]
    if len(cells) > room:
        shown.append(f"… {len(cells) - room} cells more: print(comparison.to_table()), comparison.to_frame()")
    return "\n".join(first + shown)


def _cell(cell: "Cell") -> str:
    parts = [cell.verdict, cell.strategy, cell.variant, " → ".join(filter(None, (cell.source, cell.target)))]
    parts += ["" if cell.label_budget is None else f"{cell.label_budget} labels"]
    parts += [
        (
            f"Δ {formatting.signed(cell.delta, cell.metric)} "
            f"{formatting.interval(cell.ci_simultaneous, cell.metric)}"
        )
    ]
    return "  ".join(filter(None, parts)).rstrip()


def html(comparison: "Comparison") -> str:
    """The table with its headings, what it says below it, and the verdicts' names in colour."""
    columns = formats.columns_of(comparison)
    names = [name for name, _ in columns]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = []
    for cell, *values in zip(comparison, *(values for _, values in columns), strict=True):
        colour = formats.STYLES[cell.verdict].split()[-1].replace("dim", "gray")
        styles = [f' style="color: {colour}"' if name == "verdict" else "" for name in names]
        rows.append(
            "".join(f"<td{style}>{escape(value)}</td>" for style, value in zip(styles, values, strict=True))
        )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    above = "".join(f"<div>{escape(line)}</div>" for line in wording.opening(comparison))
    below = "".join(
        f"<p>{escape(line)}</p>" for line in [wording.sentence(comparison), *wording.best(comparison)]
    )
    return f"{above}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"


def frame(comparison: "Comparison") -> "pandas.DataFrame":
    """One row a cell: the columns of the CSV, with scores and differences in the unit that `unit` names.
    Raises RequestError where pandas is missing."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise RequestError(
            "to_frame: pandas is not installed; pip install 'transferscope[tables]'"
        ) from error
    return pandas.DataFrame(formats.rows(comparison)).replace("", None).infer_objects()
