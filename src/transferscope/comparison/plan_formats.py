"""A plan as JSON, CSV, Markdown or tables for the terminal."""

import csv
import io
import json

from transferscope.comparison.plan import Plan
from transferscope.statistics.effect import POWER


def to_json(plan: Plan) -> str:
    told = {"metric": plan.metric, "alpha": plan.alpha, "power": POWER, "rows": plan.rows()}
    return json.dumps(told | {"notes": plan.notes()}, indent=1, allow_nan=False, ensure_ascii=False)


def to_csv(plan: Plan) -> str:
    rows, text = plan.rows(), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(plan: Plan) -> str:
    lines: list[str] = []
    for table in plan.tables():
        lines += [*(f"{line}  " for line in table.heading), ""]
        lines += [f"| {' | '.join(row)} |" for row in (table.columns, ["---:"] * len(table.columns))]
        lines += [f"| {' | '.join(row)} |" for row in table.rows]
        lines += ["", *(f"{line}  " for line in table.below), ""]
    return "\n".join([*lines, *(f"- {note}" for note in plan.notes())]) + "\n"


def to_table(plan: Plan, width: int = 140, colour: bool = False) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        soft_wrap=False,
    )
    for table in plan.tables():
        for line in table.heading:
            console.print(Text(line, style="bold"))
        shown = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        for column in table.columns:
            shown.add_column(Text(column), justify="right", overflow="fold")
        for row in table.rows:
            shown.add_row(*map(Text, row))
        console.print(shown)
        for line in table.below:
            console.print(Text(line))
        console.print()
    for note in plan.notes():
        console.print(Text(note))
    return text.getvalue()
