"""The atlas: every verdict of the experiments on one page, and how well distances and transferability scores foretold them.

python experiments/atlas/build.py STORE [STORE ...] [-o experiments/atlas/index.html]

STORE: folders with the records of experiments (`transferscope run experiment=NAME store=STORE`), after `transferscope predict --pairs store=STORE`
where predictions are to be shown. A sweep counts where it bears the name of an experiment.
"""

import argparse
import statistics
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from transferscope import conf
from transferscope.compare import compare
from transferscope.comparison.baselines import ISOLATES, TARGET_ONLY
from transferscope.comparison.cells import Cell, Comparison
from transferscope.comparison.ranking import Ranking
from transferscope.errors import Refused
from transferscope.record import read_plans, write_atomically
from transferscope.report import layout, ranking, words

HERE = Path(__file__).parent
BASELINES = ("scratch", "target_only", "source_only", "source_nearest_neighbour")  # the last only where there is none of the others


@dataclass
class Table:
    """The cells of one experiment against one baseline: a row a target, source and budget; a column a strategy."""

    experiment: str
    question: str
    baseline: str
    comparison: Comparison

    @property
    def isolates(self) -> str:
        return ISOLATES[self.baseline]

    @property
    def harm(self) -> str:
        return "hurts: negative transfer" if self.baseline in TARGET_ONLY else "loses to it"

    @property
    def counts(self) -> list[tuple[str, int]]:
        tally = Counter(cell.verdict for cell in self.comparison if not layout.is_control(cell))
        return [(verdict, tally[verdict]) for verdict in words.VERDICTS]

    @property
    def columns(self) -> list[str]:
        ordered = sorted(self.comparison, key=lambda cell: (layout.is_control(cell), cell.strategy))
        return list(dict.fromkeys(self._column(cell) for cell in ordered))

    @property
    def rows(self) -> list[dict]:
        """{target, source, budget, cells by column}, in the order of target, source and budget."""
        found: dict[tuple, dict[str, Cell]] = defaultdict(dict)
        for cell in self.comparison:
            found[cell.target, cell.source or "", cell.label_budget][self._column(cell)] = cell
        order = sorted(found, key=lambda place: (place[0], place[1], layout.budget_order(place[2])))
        return [{"target": place[0], "source": place[1], "budget": words.budget(place[2]), "cells": found[place]} for place in order]

    def _column(self, cell: Cell) -> str:
        short = layout.short_variants([cell.variant]).get(cell.variant, "")
        varying = {other.variant for other in self.comparison if other.strategy == cell.strategy and other.label_budget == cell.label_budget}
        starts = {other.initialisation for other in self.comparison if other.strategy == cell.strategy}
        return " ".join([cell.strategy, *([short] if len(varying) > 1 and short else []), *([cell.initialisation] if len(starts) > 1 else [])])


def tables(stores: list[Path]) -> list[Table]:
    """Of every experiment that the stores hold. Raises Refused where they hold none."""
    known, found = conf.names("experiment"), []
    for store in stores:
        if not store.is_dir():
            raise Refused(f"{store}: no such folder; give the store that an experiment was run into")
        for name in (plan["name"] for plan in read_plans(store) if plan["name"] in known):
            question = conf.find("experiment", name).read_text().splitlines()[1].removeprefix("# ")
            here: list[Table] = []
            for baseline in BASELINES:
                is_scratch = baseline == "target_only" and not any(cell.strategy == baseline for table in here for cell in table.comparison)
                if is_scratch or (baseline == BASELINES[-1] and here):
                    continue
                comparison = compare(store / "sweeps" / name, baseline=baseline, protocol="both")
                if len(comparison):
                    here.append(Table(name, question, baseline, comparison))
            found += here
    if not found:
        raise Refused(f"{', '.join(map(str, stores))}: no experiment in it; transferscope run experiment=NAME store=FOLDER ({', '.join(known)})")
    return found


def foretold(found: list[Table]) -> list[dict]:
    """Of every distance and score: in how many rankings it could be tested, its τ there, and in how many it ranked Δ beyond chance."""
    taus, claims = defaultdict(list), Counter(name for one in rankings(found) for name in one.claims)
    for one in rankings(found):
        for score in one.scores:
            if score.p is not None:
                taus[score.name].append(score.tau)
    return [
        {"name": ranking.short(name), "tested": len(seen), "tau": statistics.median(seen), "range": (min(seen), max(seen)), "claims": claims[name]}
        for name, seen in sorted(taus.items(), key=lambda one: -statistics.median(one[1]))
    ]


def rankings(found: list[Table]) -> list[Ranking]:
    return [one for table in found for one in table.comparison.rankings]


def names(found: list[Table]) -> list[str]:
    return sorted({table.experiment for table in found})


def render(found: list[Table]) -> str:
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"points": lambda value: words.signed(value, "accuracy"), "interval": lambda ci: words.interval(ci, "accuracy"),
                            "number": ranking.number, "spaced": lambda text: text.replace("_", " ")}  # fmt: skip
    everything = [cell for table in found for cell in table.comparison if not layout.is_control(cell)]
    of_transfer = [cell for cell in everything if cell.baseline in TARGET_ONLY]
    tallies = [
        (title, len(cells), [(verdict, sum(cell.verdict == verdict for cell in cells)) for verdict in words.VERDICTS])
        for title, cells in (
            ("against training without the source", of_transfer),
            ("against the source model as it is", [cell for cell in everything if cell.baseline not in TARGET_ONLY]),
        )
    ]
    return environment.get_template("page.html.j2").render(
        tables=found, tallies=tallies, scores=foretold(found), rankings=rankings(found), experiments=words.count(len(names(found)), "experiment")
    )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "index.html")
    options = parser.parse_args(argv)
    try:
        found = tables(options.stores)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    write_atomically(options.output, render(found))
    print(f"{options.output}: {sum(len(table.comparison) for table in found)} cells of {words.count(len(names(found)), 'experiment')}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
