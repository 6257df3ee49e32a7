"""A comparison as a LaTeX table: booktabs, an arrow a verdict."""

from typing import TYPE_CHECKING

from transferscope.comparison import formatting, wording
from transferscope.comparison.formats import varying
from transferscope.store.schema import Json

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell
    from transferscope.comparison.findings import Findings

ARROWS = {
    "positive": r"$\uparrow$",
    "negative": r"$\downarrow$",
    "equivalent": r"$\approx$",
    "undecided": "?",
}
_SIGNS = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "→": r"$\to$", "−": r"$-$", "±": r"$\pm$", "Δ": r"$\Delta$", "–": "--",
    "·": r"$\cdot$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$", "α": r"$\alpha$", "<": r"$<$",
    ">": r"$>$",
}  # fmt: skip


def to_latex(comparison: "Findings") -> str:
    """A `table` environment for \\usepackage{booktabs}. The caption says what the numbers are and what the
    arrows mean."""
    s = comparison.settings
    keys = [key for key in varying(comparison) if key != "initialisation"]
    unit, level = formatting.unit_in(s), formatting.level(s["alpha"])
    heads = [wording.heading(key) for key in keys] + ["strategy", "", f"Δ {s['metric']}, {unit} [{level}]"]
    rows = [
        [
            *(wording.formatted(cell, key) for key in keys),
            _strategy(cell),
            ARROWS[cell.verdict],
            _difference(cell),
        ]
        for cell in comparison
    ]
    return table(heads, rows, _caption(comparison), [len(heads) - 2])


def table(heads: list[str], rows: list[list[str]], caption: str, marks: list[int]) -> str:
    """caption: LaTeX. marks: places of columns that are LaTeX already; the last column is set to the
    right."""
    body = [
        " & ".join(text if place in marks else escaped(text) for place, text in enumerate(row)) + r" \\"
        for row in rows
    ]
    return "\n".join([
        r"\begin{table}", r"  \centering", rf"  \begin{{tabular}}{{{'l' * (len(heads) - 1)}r}}",
        r"    \toprule", f"    {' & '.join(map(escaped, heads))} \\\\", r"    \midrule",
        *(f"    {line}" for line in body), r"    \bottomrule", r"  \end{tabular}",
        rf"  \caption{{{caption}}}", r"\end{table}",
    ]) + "\n"  # fmt: skip


def _strategy(cell: "Cell") -> str:
    return f"{cell.strategy} ({cell.variant})" if cell.variant else cell.strategy


def _difference(cell: "Cell") -> str:
    return (
        f"{formatting.signed(cell.delta, cell.metric)} "
        f"{formatting.interval(cell.ci_simultaneous, cell.metric)}"
    ).strip()


def _caption(comparison: "Findings") -> str:
    s = comparison.settings
    what = escaped(wording.opening(comparison)[0])
    return f"{what}. Intervals {escaped(wording.holds(s, 'cells of a family'))}. {legend(s)}."


def legend(settings: Json) -> str:
    """What the arrows mean."""
    kinds = [
        "scores higher than the baseline",
        "scores lower",
        rf"the difference is within $\pm${escaped(formatting.margin(settings))}",
        "undecided",
    ]
    return ", ".join(f"{arrow} {kind}" for arrow, kind in zip(ARROWS.values(), kinds, strict=True))


def escaped(text: str) -> str:
    return "".join(_SIGNS.get(sign, sign) for sign in text)
