"""transferscope list: what stands on a shelf, one line each. Reads yamls and sources, imports none of
them."""

import shutil
import sys
import textwrap
from itertools import groupby
from pathlib import Path

from transferscope.catalog import shelves
from transferscope.catalog.shelves import MODULES, SHELVES
from transferscope.cli.parser import Parser
from transferscope.errors import Refused, nearest

HELP = """
usage: transferscope list SHELF [--config-dir DIR] [--format text|markdown]

SHELF is one of strategies, domains, backbones, experiments, trainers, or of
functions: distances, transferability, validators. One line
for each choice: the name that goes after `strategy=`, `target=` and `source=`,
`backbone=`, `experiment=` or `trainer=`, and what it is.

Of a strategy also its idea, its paper, and what it sees; `model of the source`:
it starts from a model trained on the labelled source. In a terminal strategies
are grouped by idea; in a pipe each is one whole line, for grep.

  --config-dir DIR   a folder with shelves of your own (strategy/, domain/, ...),
                     as for `transferscope run`
  --format markdown  of strategies: the page docs/reference/strategies.md, with equations,
                     keys, published and reproduced numbers
"""
SHORT = {
    "source_inputs": "Sx",
    "source_labels": "Sy",
    "target_inputs": "Tx",
    "target_labels": "Ty",
    "model of the source": "M",
}
LEGEND = (
    "sees: S source, T target, x inputs, y labels, M a model trained on the source. Papers, equations, "
    "keys: docs/reference/strategies.md"
)


def main(argv: list[str]) -> int:
    parser = Parser("list")
    parser.add_argument("shelf", nargs="?", default="")
    parser.add_argument("--config-dir")
    parser.add_argument("--format", choices=("text", "markdown"), default="text")
    arguments = parser.parse_args(argv)
    known = [*SHELVES, *MODULES]
    if arguments.shelf not in known:
        said = (
            f"{arguments.shelf}: no such shelf{nearest(arguments.shelf, known)}"
            if arguments.shelf
            else "list: of what"
        )
        raise Refused(f"{said} ({', '.join(known)})")
    if arguments.format == "markdown" and arguments.shelf != "strategies":
        raise Refused(
            f"list: --format markdown is for strategies; of {arguments.shelf} there is --format text alone"
        )
    if arguments.shelf in MODULES:
        choices = shelves.functions(arguments.shelf)
    else:
        choices = shelves.shelf(SHELVES[arguments.shelf], arguments.config_dir)
    columns = shutil.get_terminal_size((1000, 40)).columns  # in a pipe a line stays a line
    if arguments.format == "markdown":
        from transferscope.cli import strategy_page

        print(strategy_page.page(choices), end="")
    elif arguments.shelf == "strategies" and sys.stdout.isatty():
        by_idea(choices, columns)
    else:
        lines(choices, columns, in_full=arguments.shelf == "strategies")
    return 0


def lines(choices: dict[str, Path], columns: int, in_full: bool) -> None:
    """One line a choice; in full, that of a strategy."""
    margin = max(map(len, choices), default=0) + 2
    for name, path in choices.items():
        text = shelves.describe(path)
        if in_full:
            said = {key: shelves.header(path, key) for key in ("idea", "paper")}
            text += (
                "".join(f"; {key}: {words}" for key, words in said.items() if words)
                + f"; sees {', '.join(sight(path))}"
            )
        print(hanging(name.ljust(margin), text, columns))


def by_idea(choices: dict[str, Path], columns: int) -> None:
    """Strategies under headings; what each sees in a column of its own."""
    margin = max(map(len, choices), default=0) + 4
    for idea, group in groupby(
        sorted(choices, key=lambda name: shelves.place(choices[name])),
        lambda name: shelves.idea(choices[name]),
    ):
        print(idea)
        for name in group:
            seen = (
                "".join(SHORT.get(word, word) + " " for word in sight(choices[name]))
                .replace("Sx Sy", "Sxy")
                .replace("Tx Ty", "Txy")
            )
            first = f"  {name}".ljust(margin) + f"{seen:9}"
            print(hanging(first, shelves.describe(choices[name]), columns))
        print()
    print(textwrap.fill(LEGEND, columns))


def hanging(first: str, text: str, columns: int) -> str:
    """Text beside what its first line begins with."""
    return textwrap.fill(
        text, columns, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
    )


def sight(path: Path) -> list[str]:
    """What a strategy sees, or that nothing was found to say it."""
    seen = shelves.sights(path)
    return [f"? (no `sees` found in {shelves.value(path, '_target_')})"] if seen is None else seen
