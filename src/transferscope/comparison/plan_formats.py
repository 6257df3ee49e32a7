"""A plan as JSON, CSV, Markdown or tables for the terminal."""

import io
import json
from typing import TYPE_CHECKING

from transferscope.comparison import formats
from transferscope.statistics.effect import POWER

if TYPE_CHECKING:
    from transferscope.comparison.plan import Plan


def to_json(plan: "Plan") -> str:
    told = {"metric": plan.metric, "alpha": plan.alpha, "power": POWER, "rows": plan.rows()}
    return json.dumps(told | {"notes": plan.notes()}, indent=1, allow_nan=False, ensure_ascii=False)


def to_csv(plan: "Plan") -> str:
    return formats.csv_of(plan.rows(), [])


def to_markdown(plan: "Plan") -> str:
    lines: list[str] = []
    for table in plan.tables():
        lines += [f"{formats.inert(line)}  " for line in table.heading]
        lines += formats.markdown_table(table.by_column, rule="---:")
        lines += ["", *(f"{formats.inert(line)}  " for line in table.below), ""]
    return "\n".join([*lines, *(f"- {formats.inert(note)}" for note in plan.notes())]) + "\n"


def to_table(plan: "Plan", width: int, colour: bool) -> str:
    from rich.text import Text

    text = io.StringIO()
    console = formats.console_of(text, width, colour)
    for table in plan.tables():
        for line in table.heading:
            console.print(Text(line, style="bold"))
        console.print(formats.rich_table(table.by_column))
        for line in table.below:
            console.print(Text(line))
        console.print()
    for note in plan.notes():
        console.print(Text(note))
    return text.getvalue()
