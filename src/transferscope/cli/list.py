"""transferscope list: the choices of a kind, as tables or as JSON. Reads yamls and sources, imports none of
them."""

import json
import re
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Iterator
from itertools import groupby, zip_longest
from typing import Any

from transferscope.catalog import registry
from transferscope.catalog.entries import KINDS, entries
from transferscope.cli.parser import Parser
from transferscope.errors import RequestError, nearest

HELP = """
usage: transferscope list WHAT [--config-dir DIR] [--format table|json|markdown]

WHAT is one of strategies, domains, backbones, experiments, trainers, or one of
the functions: distances, transferability, validators.

The command prints the name and a description of every choice. The name is the
value of `strategy=`, `target=` and `source=`, `backbone=`, `experiment=` or
`trainer=`. The tables group strategies by idea, domains by loader, backbones by
the inputs that they take, and experiments by whether published numbers exist.
For a strategy the table also shows its paper and the data that it sees.

  --config-dir DIR   add the choices in a folder of your own (strategy/,
                     domain/, ...), as for `transferscope run`
  --format NAME      table | json | markdown (default: table)

A table is at most 80 columns wide, in a terminal and in a pipe. JSON is a list
of objects with every field that is known, such as the full paper. With jq, each
choice is one line for grep:

  transferscope list strategies --format json | jq -c '.[]' | grep moment

Only strategies have markdown: it is the page docs/reference/strategies.md,
with equations, keys, published and reproduced numbers.
"""
FORMATS = ("table", "json", "markdown")
WIDEST, NARROWEST = 80, 60  # columns of a table
LEAST = 20  # columns of a description beside its name; with less, it stands below
SEES, PAPER = 8, 16  # columns of what a strategy sees, and of its paper
SHORT = {"source_inputs": "Sx", "source_labels": "Sy", "target_inputs": "Tx", "target_labels": "Ty"}
INPUTS = {"uint8": "images", "float32": "arrays", "text": "texts"}
LEGEND = (
    "The letters before the paper say what a strategy sees: S is the source, T is the target, x are inputs, "
    "y are labels, and M is a model that was trained on the source. The page docs/reference/strategies.md "
    "has the papers, equations and keys."
)
UNKNOWN = "A ? means that transferscope found no source file in which the strategy's class declares `sees`."


def main(argv: list[str]) -> int:
    parser = Parser("list")
    parser.add_argument("what", nargs="?", default="")
    parser.add_argument("--config-dir")
    parser.add_argument("--format", default="table")
    arguments = parser.parse_args(argv)
    _check(arguments)
    if arguments.format == "markdown":
        from transferscope.cli import strategy_page

        print(strategy_page.page(registry.choices("strategy", arguments.config_dir)), end="")
        return 0
    found = entries(arguments.what, arguments.config_dir)
    if arguments.format == "json":
        print(json.dumps(found, indent=1))
        return 0
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST, 40)).columns))
    print("\n".join(tables(arguments.what, found, width)))
    return 0


def _check(given: Namespace) -> None:
    """Refuses what cannot be listed, or not in this format."""
    if not given.what:
        counts = (f"{kind} ({len(entries(kind, given.config_dir))})" for kind in KINDS)
        raise RequestError(f"list: say what to list: {', '.join(counts)}")
    if given.what not in KINDS:
        known = ", ".join(KINDS)
        raise RequestError(f"list {given.what}: not one of {known}{nearest(given.what, KINDS)}")
    if given.format not in FORMATS:
        raise RequestError(
            f"--format {given.format}: not one of {', '.join(FORMATS)}{nearest(given.format, FORMATS)}"
        )
    if given.format == "markdown" and given.what != "strategies":
        raise RequestError(
            f"list {given.what}: --format markdown is for strategies; use --format table or json"
        )


def tables(kind: str, found: list[dict[str, Any]], width: int) -> Iterator[str]:
    """The lines of all tables of a kind, one table a heading, and what explains them."""
    found = sorted(found, key=lambda entry: _place(_heading(kind, entry)))
    for number, (heading, group) in enumerate(groupby(found, lambda entry: _heading(kind, entry))):
        if number:
            yield ""
        yield from textwrap.wrap(_encodable(heading), width)
        yield from _table([[_encodable(cell) for cell in _cells(kind, entry)] for entry in group], width)
    if kind == "strategies":
        unknown = [UNKNOWN] if any(entry["sees"] is None for entry in found) else []
        yield ""
        for text in (LEGEND, *unknown):
            yield from textwrap.wrap(text, width)


def _heading(kind: str, entry: dict[str, Any]) -> str:
    """What the table is called that a choice stands in; "" where a kind has one table."""
    if kind == "strategies":
        return entry["idea"] or "others"
    if kind == "domains":
        return f"loader {entry['loader']}" if entry["loader"] else "others"
    if kind == "backbones":
        takes = entry["takes"]
        words = " and ".join(INPUTS.get(word, word) for word in takes or []) or "any inputs"
        return "others" if takes is None else f"for {words}"
    if kind == "experiments":
        return (
            "with published numbers, for `reproduce`" if entry["published"] else "without published numbers"
        )
    return ""


def _place(heading: str) -> tuple[int, str]:
    """Ideas in their order, other headings by the alphabet, `others` last."""
    ideas = registry.IDEAS
    order = ideas.index(heading) if heading in ideas else len(ideas) + (heading == "others")
    return order, heading


def _cells(kind: str, entry: dict[str, Any]) -> list[str]:
    """Name and description; of a strategy also what it sees and its paper, which its description then leaves
    out."""
    if kind != "strategies":
        return [entry["name"], entry["description"]]
    paper = author_year(entry["paper"] or "")
    description = entry["description"].replace(f" ({paper})", "")
    return [entry["name"], description, _sight(entry), paper]


def _encodable(text: str) -> str:
    """The text with the signs that stdout will write: `->` for an arrow is wider, where stdout is ASCII."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, sys.stdout.errors or "replace").decode(encoding)


def _sight(entry: dict[str, Any]) -> str:
    """Such as `Sxy Tx`; M where a strategy knows of the source by its model."""
    if entry["sees"] is None:
        return "?"
    by_model = entry["starts_from"] == "source" and "source_labels" not in entry["sees"]
    words = ["M"] * by_model + [SHORT.get(word, word) for word in entry["sees"]]
    return " ".join(words).replace("Sx Sy", "Sxy").replace("Tx Ty", "Txy")


def author_year(paper: str) -> str:
    """The paper as a text cites it, such as `Ganin et al. 2016`; as it is written where no authors and year
    are found."""
    found = re.match(r"(.+?),? ((?:1[89]|20)\d\d)\b", paper)
    if not found:
        return paper
    authors = re.split(r", | & ", found[1])
    first = f"{authors[0]} et al." if len(authors) > 2 else " & ".join(authors)
    return f"{first} {found[2]}"


def _table(rows: list[list[str]], width: int) -> Iterator[str]:
    """The lines of one table. The names' column is as wide as the longest, the description takes what is
    left."""
    fixed = [SEES, PAPER][: len(rows[0]) - 2]
    room = width - sum(fixed) - 2 * len(fixed) - 2  # of name and description
    longest = min(max(len(name) for name, *_ in rows), room)
    widths = [longest, room - longest - 2, *fixed]
    for name, description, *others in rows:
        if widths[1] >= LEAST:
            yield from _row([name, description, *others], widths)
        else:
            yield from _row([name, *others], [widths[0], *widths[2:]])
            yield from textwrap.wrap(description, width, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _row(cells: list[str], widths: list[int]) -> Iterator[str]:
    """Every cell wrapped in its column."""
    wrapped = [
        textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(cells, widths, strict=True)
    ]
    for parts in zip_longest(*wrapped, fillvalue=""):
        line = "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True))
        yield f"  {line}".rstrip()
