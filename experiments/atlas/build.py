"""The atlas: every verdict of the experiments on one page, and how well distances and transferability scores
foretold them.

python experiments/atlas/build.py [STORE ...] [--folder experiments/atlas]

STORE: folders with the records of experiments (`transferscope run experiment=NAME store=STORE`), after
`transferscope rank --pairs store=STORE` where predictions are to be shown. A sweep counts where it bears the
name of an experiment. What the stores say goes into cells.csv and scores.csv of the folder, in the place of
what stood there of the same cells and no more seeds; index.html is drawn from these two files, without a
store anew."""

import argparse
import csv
import io
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from transferscope.catalog import yamls
from transferscope.comparison import formatting
from transferscope.comparison.baseline_words import WORDS
from transferscope.comparison.baselines import TARGET_ONLY
from transferscope.comparison.cells import Cell
from transferscope.comparison.compare import compare
from transferscope.comparison.comparison import Comparison
from transferscope.errors import RequestError
from transferscope.report import layout, ranking, words
from transferscope.store.record import read_plans, write_atomically

HERE = Path(__file__).parent
# the last only where there is none of the others
BASELINES = ("scratch", "target_only", "source_only", "source_nearest_neighbour")


@dataclass(frozen=True)
class Shown:
    """A verdict as the page shows it, a line of cells.csv. column: the strategy, with what else tells it
    apart. Fractions, not points."""

    experiment: str
    baseline: str
    target: str
    source: str
    label_budget: str
    column: str
    is_control: str
    verdict: str
    delta: str
    ci_low: str
    ci_high: str
    seeds: str
    items: str
    reason: str

    @property
    def place(self) -> tuple[str, ...]:
        return self.experiment, self.baseline, self.target, self.source, self.label_budget, self.column

    @property
    def ci(self) -> tuple[float, float] | None:
        """None of a single seed."""
        return (float(self.ci_low), float(self.ci_high)) if self.ci_low else None


@dataclass(frozen=True)
class Foretold:
    """How one distance or score ranked the Δ of one ranking, a line of scores.csv; tau is empty where it
    could not be tested."""

    experiment: str
    baseline: str
    label_budget: str
    strategy: str
    score: str
    pairs: str
    domains: str
    tau: str
    p_adjusted: str
    claimed: str

    @property
    def place(self) -> tuple[str, ...]:
        return *self.ranking, self.score

    @property
    def ranking(self) -> tuple[str, ...]:
        return self.experiment, self.baseline, self.label_budget, self.strategy


Line = TypeVar("Line", Shown, Foretold)


@dataclass
class Table:
    """The cells of one experiment against one baseline: a row a target, source and budget; a column a
    strategy."""

    experiment: str
    baseline: str
    cells: list[Shown]

    @property
    def question(self) -> str:
        return yamls.find("experiment", self.experiment).read_text().splitlines()[1].removeprefix("# ")

    @property
    def isolates(self) -> str:
        return WORDS[self.baseline].isolates

    @property
    def harm(self) -> str:
        return "hurts: negative transfer" if self.baseline in TARGET_ONLY else "loses to it"

    @property
    def counts(self) -> list[tuple[str, int]]:
        return tally([cell for cell in self.cells if not cell.is_control])

    @property
    def columns(self) -> list[str]:
        ordered = sorted(self.cells, key=lambda cell: (bool(cell.is_control), cell.column))
        return list(dict.fromkeys(cell.column for cell in ordered))

    @property
    def rows(self) -> list[dict]:
        """{target, source, budget, cells by column}, in the order of target, source and budget."""
        found: dict[tuple, dict[str, Shown]] = defaultdict(dict)
        for cell in self.cells:
            found[cell.target, cell.source, cell.label_budget][cell.column] = cell
        order = sorted(found, key=lambda place: (place[0], place[1], layout.budget_order(place[2] or None)))
        return [
            {"target": target, "source": source, "cells": found[target, source, labels],
             "budget": words.budget(int(labels) if labels.isdigit() else labels or None)}
            for target, source, labels in order
        ]  # fmt: skip


# --- what the stores say


def comparisons(stores: list[Path]) -> Iterator[tuple[str, Comparison]]:
    """(experiment, against one baseline) of all that the stores hold. Raises RequestError where one is no
    store, or all hold none."""
    known, number = yamls.names("experiment"), 0
    for store in stores:
        if not store.is_dir():
            raise RequestError(f"{store}: no such folder; give the store that an experiment was run into")
        for name in (plan["name"] for plan in read_plans(store) if plan["name"] in known):
            here: list[Comparison] = []
            for baseline in BASELINES:
                is_scratch = baseline == "target_only" and not any(
                    cell.strategy == baseline for one in here for cell in one
                )
                if is_scratch or (baseline == BASELINES[-1] and here):
                    continue
                comparison = compare(store / "sweeps" / name, baseline=baseline, protocol="both")
                if len(comparison):
                    here.append(comparison)
                    yield name, comparison
            number += len(here)
    if stores and not number:
        raise RequestError(
            f"{', '.join(map(str, stores))}: no experiment in it; transferscope run experiment=NAME "
            f"store=FOLDER ({', '.join(known)})"
        )


def cells_of(experiment: str, comparison: Comparison) -> list[Shown]:
    return [
        Shown(
            experiment, cell.baseline, cell.target, cell.source or "", text(cell.label_budget),
            column(cell, comparison), "yes" if cell.is_control else "", cell.verdict,
            f"{cell.delta:.4f}", *([f"{bound:.4f}" for bound in cell.ci] if cell.ci else ["", ""]),
            str(cell.seeds), str(cell.items), cell.reason,
        )
        for cell in comparison
    ]  # fmt: skip


def text(budget: int | str | None) -> str:
    return "" if budget is None else str(budget)


def column(cell: Cell, comparison: Comparison) -> str:
    short = layout.short_variants([cell.variant]).get(cell.variant, "")
    varying = {
        other.variant
        for other in comparison
        if other.strategy == cell.strategy and other.label_budget == cell.label_budget
    }
    starts = {other.initialisation for other in comparison if other.strategy == cell.strategy}
    return " ".join(
        [
            cell.strategy,
            *([short] if len(varying) > 1 and short else []),
            *([cell.initialisation] if len(starts) > 1 else []),
        ]
    )


def scores_of(experiment: str, comparison: Comparison) -> list[Foretold]:
    return [
        Foretold(
            experiment, one.baseline, text(one.label_budget),
            " ".join(filter(None, [one.strategy, one.variant])), score.name, str(score.pairs),
            str(score.domains), "" if score.p is None else f"{score.tau:.4f}",
            "" if score.p_adjusted is None else f"{score.p_adjusted:.4g}",
            "yes" if score.name in one.claims else "",
        )
        for one in comparison.rankings
        for score in one.scores
    ]  # fmt: skip


# --- the two files


def merged(path: Path, kind: type[Line], new: list[Line]) -> list[Line]:
    """What the file holds, with `new` in the place of the same cells."""
    before = []
    if path.exists():
        with path.open(newline="") as file:
            before = [kind(**row) for row in csv.DictReader(file)]
    order = {name: number for number, name in enumerate(yamls.names("experiment"))}
    seeds = {line.place: int(line.seeds) for line in before if isinstance(line, Shown)}
    # no sweep half run
    new = [line for line in new if not isinstance(line, Shown) or int(line.seeds) >= seeds.get(line.place, 0)]
    lines = {line.place: line for line in [*before, *new]}.values()
    return sorted(
        lines, key=lambda line: (order[line.experiment], BASELINES.index(line.baseline), line.place)
    )


def write(path: Path, kind: type[Line], lines: list[Line]) -> None:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [field.name for field in fields(kind)]
    writer.writerows([columns, *([getattr(line, name) for name in columns] for line in lines)])
    write_atomically(path, file.getvalue())


# --- the page


def tally(cells: list[Shown]) -> list[tuple[str, int]]:
    counted = Counter(cell.verdict for cell in cells)
    return [(verdict, counted[verdict]) for verdict in words.VERDICTS]


def by_score(scores: list[Foretold]) -> list[dict]:
    """Of every distance and score: in how many rankings it could be tested, its τ there, and in how many it
    ranked Δ beyond chance."""
    found = defaultdict(list)
    for line in scores:
        if line.tau:
            found[line.score].append(line)
    rows = [
        {"name": ranking.short(name), "tested": len(lines), "tau": statistics.median(taus),
        "range": (min(taus), max(taus)),
         "claims": sum(bool(line.claimed) for line in lines)}
        for name, lines in found.items()
        for taus in [[float(line.tau) for line in lines]]
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row["tau"])


def render(cells: list[Shown], scores: list[Foretold]) -> str:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "points": lambda value: formatting.signed(float(value), "accuracy"),
        "interval": lambda ci: formatting.interval(ci, "accuracy"),
        "number": ranking.number,
        "spaced": lambda text: text.replace("_", " "),
    }
    grouped = defaultdict(list)
    for cell in cells:
        grouped[cell.experiment, cell.baseline].append(cell)
    counted = [cell for cell in cells if not cell.is_control]
    tallies = [
        (title, len(some), tally(some))
        for title, some in (
            (
                "against training without the source",
                [cell for cell in counted if cell.baseline in TARGET_ONLY],
            ),
            (
                "against the source model as it is",
                [cell for cell in counted if cell.baseline not in TARGET_ONLY],
            ),
        )
    ]
    return environment.get_template("page.html.j2").render(
        tables=[Table(*key, some) for key, some in grouped.items()], tallies=tallies, scores=by_score(scores),
        rankings=len({line.ranking for line in scores}),
        claiming=len({line.ranking for line in scores if line.claimed}),
        experiments=words.count(len({cell.experiment for cell in cells}), "experiment"),
    )  # fmt: skip


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stores", nargs="*", type=Path)
    parser.add_argument("--folder", type=Path, default=HERE)
    options = parser.parse_args(argv)
    try:
        read = list(comparisons(options.stores))
    except RequestError as refusal:
        print(refusal, file=sys.stderr)
        return 2
    cells = merged(options.folder / "cells.csv", Shown, [cell for one in read for cell in cells_of(*one)])
    scores = merged(
        options.folder / "scores.csv", Foretold, [line for one in read for line in scores_of(*one)]
    )
    write(options.folder / "cells.csv", Shown, cells)
    write(options.folder / "scores.csv", Foretold, scores)
    write_atomically(options.folder / "index.html", render(cells, scores))
    print(
        f"{options.folder / 'index.html'}: {len(cells)} cells of "
        f"{words.count(len({cell.experiment for cell in cells}), 'experiment')}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
