"""transferscope rank: what can be said of candidate sources before anything is trained on the target."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transferscope.catalog import yamls
from transferscope.cli.hydra_errors import in_one_line
from transferscope.cli.parser import Parser
from transferscope.errors import RequestError, nearest
from transferscope.training import paths

FORMATS = ("table", "json")
RANKS_ONLY = (
    "These numbers rank sources for one target and backbone, nothing more: a lower distance is a nearer "
    "source, a higher score a source "
    "expected to transfer better. Whether transfer helps or hurts is a question for `transferscope compare`."
)
FIXED = {"strategy": "fine_tuning", "initialisation": "source", "protocol": "inductive"}
OF_THE_STORE = ("store", "data_root", "download")  # keys beside --pairs; the records have the others
HELP = """
usage: transferscope rank target=DOMAIN source=A,B,[C,D] [label_budget=10]
                          [backbone=NAME] [key=value ...] [--format table|json]
                          [--config-dir DIR]
       transferscope rank --pairs [store=STORE] [data_root=FOLDER]

Distances between each candidate source and the target, their label shift, and
transferability scores, before any training on the target: one row a source,
[C,D] is one source of two domains. Keys are those of `transferscope run` (seed,
image_size, store, data_root, trainer.source_steps, ...), except strategy,
initialisation and protocol: no strategy is trained here.

  inputs    distances on the inputs themselves, images at 16 px or less
  features  distances on features of the backbone: its pretrained weights where
            it has them, else each source's own model; in units of the features'
            standard deviation inside the two domains
  scores    how well features and predictions of each source's model suit the
            labels of the budget (label_budget=0: none)
  labels    label shift, with label_budget=full alone: a smaller budget draws
            equally many of every class

A source's model is trained once a store and shared with `transferscope run`.
Training inputs and the labels of the budget are all that is used: no test item,
no validation label. At most 2,000 items of each domain count, chosen by
split_seed, and equally many of every source, for distances depend on how many.
Where no label_budget is given it is 10, or what the target's smallest class has.
A target that is tested on as a whole shows its inputs, as transductive runs see
them, and no label. Of runs with folds, which test every item, --pairs takes the
training half of split_seed, and says so.

What was computed stays in the store, and is not computed again while data, model
and the code of distances and scores are the same. `transferscope report` shows
how it ranked the gains that the runs then had, one point a pair of source and
target, and whether the pairs are enough to claim anything.

  --pairs          every source and target that the runs of a store bring together,
                   each as its runs had it (backbone, budget, seed, trainer): after a
                   sweep, for the report. Equally many items of every source of all
  --format json    {"target", "label_budget", "backbone", "seed", "features_of",
                   "items": {"source", "target", "target_labelled"}, "reading",
                   "sources": [{"source", "training_items", "classes_shared",
                   "source_seconds", "inputs", "features", "labels", "scores",
                   "reasons"}]}; the four groups hold {name: number, or null with
                   a reason, or {"estimate", "lo", "hi"}}; seconds are 0 where
                   the store had the source's model. With --pairs a list of these
  --config-dir DIR a folder with config groups of your own (domain/, backbone/, ...)

These numbers rank sources for one target and backbone, nothing more: a lower
distance is a nearer source, a higher score a source expected to transfer better.
"""


def main(argv: list[str]) -> int:
    parser = Parser("rank")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--format", default="table")
    parser.add_argument("--config-dir", type=Path)
    arguments = parser.parse_intermixed_args(argv)
    if arguments.format not in FORMATS:
        raise RequestError(
            f"--format {arguments.format}: not one of "
            f"{', '.join(FORMATS)}{nearest(arguments.format, FORMATS)}"
        )
    if arguments.config_dir is not None:
        yamls.config_folder(arguments.config_dir)
    compose = of_the_store if arguments.pairs else one_source_each
    is_budget_given = any(
        word.lstrip("+").startswith(("label_budget=", "experiment=")) for word in arguments.overrides
    )
    with composed(compose(paths.for_hydra(arguments.overrides)), arguments.config_dir) as configs:
        from transferscope.training.source_ranking import rank, rank_pairs

        rankings = (
            rank_pairs(configs[0]) if arguments.pairs else [rank(configs, is_budget_given=is_budget_given)]
        )
    rankings = [{**ranking, "reading": RANKS_ONLY} for ranking in rankings]
    if arguments.format == "json":
        print(
            json.dumps(
                rankings if arguments.pairs else rankings[0], indent=1, allow_nan=False, ensure_ascii=False
            )
        )
    else:
        for ranking in rankings:
            say(ranking)
    return 0


# --- the request


@contextmanager
def composed(choices: list[list[str]], config_dir: Path | None) -> Iterator[list]:
    """One config for each list of overrides. Hydra's own state, which tells catalog/ of further config
    groups, lasts as long as the context."""
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig

    registry = [f"hydra.searchpath=[{paths.quoted(f'file://{config_dir.resolve()}')}]"] if config_dir else []
    before = HydraConfig.instance().cfg
    try:
        with in_one_line(choices[0], *([config_dir] if config_dir else [])):
            with initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"):
                configs = [
                    compose(
                        "config",
                        [*words, *(f"{key}={value}" for key, value in FIXED.items()), *registry],
                        return_hydra_config=True,
                    )
                    for words in choices
                ]
            HydraConfig.instance().set_config(configs[0])
            yield configs
    finally:
        HydraConfig.instance().cfg = before


def one_source_each(overrides: list[str]) -> list[list[str]]:
    """The overrides of every candidate, `source=a,b,[c,d]` taken apart."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words, sources = [], None
    for override in OverridesParser.create().parse_overrides(overrides):
        key, word = override.key_or_group, override.input_line
        if key.split(".")[0] in FIXED:
            raise RequestError(
                f"{word}: no strategy is trained here; leave {key.split('.')[0]} to `transferscope run`"
            )
        if key == "source":
            sources = (
                list(override.sweep_string_iterator())
                if override.is_sweep_override()
                else [override.get_value_element_as_str()]
            )
        elif override.is_sweep_override():
            raise RequestError(f"{word}: one value is needed; only source takes several")
        else:
            words.append(word)
    if not sources or "null" in sources:
        raise RequestError(
            "source: a domain is needed, or several, such as source=a,b (transferscope list domains)"
        )
    return [[*words, f"source={source}"] for source in dict.fromkeys(sources)]


def of_the_store(overrides: list[str]) -> list[list[str]]:
    """The overrides that go with --pairs."""
    for word in overrides:
        if (key := word.lstrip("+").partition("=")[0]) not in OF_THE_STORE:
            raise RequestError(
                f"{word}: with --pairs the records say what {key} is; only {', '.join(OF_THE_STORE)} can be "
                "given"
            )
    return [overrides]


# --- the table


def say(prediction: dict) -> None:
    from rich.console import Console
    from rich.text import Text

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    console = Console(
        file=sys.stdout,
        width=shutil.get_terminal_size((140, 40)).columns,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
    )
    rows, items, budget = prediction["sources"], prediction["items"], prediction["label_budget"]
    quantities = prediction.get("quantities") or prediction.get("tags")
    of = "labelled items" if quantities else "labels a class"
    labels = "all labels" if budget == "full" else f"{budget} {of}"
    console.print(
        Text(
            f"Before any training on {prediction['target']}: {prediction['backbone']}, {labels}, seed "
            f"{prediction['seed']}"
        )
    )
    now = [row["source_seconds"] for row in rows if row["source_seconds"]]
    stored = sum(row["source_seconds"] == 0 for row in rows)
    models = [f"{len(now)} trained now in {sum(now):.0f} s"] * bool(now) + [
        f"{stored} from the store"
    ] * bool(stored)
    console.print(Text(f"Models of the sources: {', '.join(models) or 'none'}. Items: {items['source']} of "
        f"each source, {items['target']} of "
                       f"the target, and of these {items['target_labelled']} with their label."))  # fmt: skip
    best = min if len(rows) > 1 else None
    shift = ": label shift (lower = more alike)" if budget == "full" else ""
    console.print(
        _table(
            f"{', '.join(quantities) if quantities else 'Classes'}{shift}",
            rows,
            "labels",
            best,
            {"training items": "training_items"}
            | ({} if quantities else {"classes shared": "classes_shared"}),
        )
    )
    console.print(_table("Distances of inputs (lower = nearer)", rows, "inputs", best))
    if any(row["features"] for row in rows):
        console.print(
            _table(
                f"Distances of features from {prediction['features_of']} (lower = nearer)",
                rows,
                "features",
                best,
            )
        )
    if any(row["scores"] for row in rows):
        console.print(
            _table(
                "Scores of each source's model (higher = expected to transfer better)",
                rows,
                "scores",
                best and max,
            )
        )
    console.print()
    reasons: dict[str, list[str]] = {}
    for row in rows:
        for name, reason in row["reasons"].items():
            reasons.setdefault(f"{name}: {reason}", []).append(row["source"])
    for reason, sources in reasons.items():
        console.print(Text(reason + ("" if len(sources) == len(rows) else f" ({', '.join(sources)})")))
    console.print(Text(RANKS_ONLY + (" * is the first in its column." if best else ""), style="bold"))


def _table(title: str, rows: list[dict], group: str, best, facts: dict[str, str] | None = None):
    """A title and a table, one row a source; `best` is min or max, and marks the first of a column, or
    None."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("source", overflow="fold")
    columns = [[str(row[key]) for row in rows] for key in (facts or {}).values()]
    names = [
        name
        for name in dict.fromkeys(name for row in rows for name in row[group])
        if any(row[group].get(name) is not None for row in rows)
    ]
    for name in names:
        values = [row[group].get(name) for row in rows]
        known = [_estimate(value) for value in values if value is not None]
        first = best(known) if best and len(set(known)) > 1 else None
        columns.append([_cell(value, value is not None and _estimate(value) == first) for value in values])
    for name in [*(facts or {}), *names]:
        table.add_column(name, justify="right", overflow="fold")
    for row, *cells in zip(rows, *columns, strict=True):
        table.add_row(row["source"], *cells)
    return Group(Text(f"\n{title}", style="bold"), table)


def _estimate(value: float | dict) -> float:
    return value["estimate"] if isinstance(value, dict) else value


def _cell(value: float | dict | None, is_first: bool) -> str:
    if value is None:
        return "–"
    mark = "*" if is_first else " "
    if isinstance(value, dict):
        return rf"{value['estimate']:.2f} \[{value['lo']:.2f}, {value['hi']:.2f}]{mark}"
    return f"{value:.3g}{mark}"
