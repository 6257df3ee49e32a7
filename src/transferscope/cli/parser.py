"""The options of a command: a wrong one is refused in one line, as every wrong request is."""

import argparse
from typing import Any

from transferscope.errors import RequestError
from transferscope.external.columns import pairs
from transferscope.external.formats import SUFFIXES
from transferscope.external.results import Results, foreign

RESULTS = f"""A FILE holds results made elsewhere, a row an item and run: {" ".join(SUFFIXES)}.
Its columns are item and strategy; where there are several of them seed, source, target, label_budget,
backbone and variant; group, of items that belong together; and what was found: score, between 0 and 1; label
and prediction; label and p_CLASS, a probability each; or truth and prediction, which are numbers. With a
column split, rows of split test are judged. A single seed makes a claim about these very models on other
items.

  --map OUR=THEIRS   which column is ours, as in strategy=model,label=gold; of a wide file with a place for
                     what columns differ in: prediction=pred_{{seed}}, score={{strategy}}, p=prob_{{class}}
  --metadata NAMES   columns that describe items: the page tells such groups of items apart
  --ignore NAMES     columns to leave out, '*' for all that are not known
  --common-items     judge the items that all runs of a target have, where else others are refused
  --lower-is-better  of scores
  --score-range L,H  the lowest and the highest score that an item can have (default: 0,1)
  --cap X            the largest error of a predicted number that counts (default: what the median errs by at
                     most on 99 % of the items of split train, or else of split test)
"""
OF_RESULTS = ("map", "metadata", "ignore", "common_items", "lower_is_better", "score_range", "cap")


def results_of(files: list[str], options: dict[str, Any]) -> Results | None:
    """Those that the words RUNS mean, with what the options of `add_results`, which are taken out, say of
    them; None where they mean a store. Raises RequestError."""
    given: dict[str, Any] = {key: options.pop(key) for key in OF_RESULTS}
    stores = [name for name in files if foreign(name) is None]
    said = [
        f"--{key.replace('_', '-')}" for key, value in given.items() if value not in (None, "", [], False)
    ]
    if stores or not files:
        if len(files) > 1:
            raise RequestError(
                f"RUNS={' '.join(files)}: one store, or files of results ({', '.join(SUFFIXES)})"
            )
        if said:
            raise RequestError(
                f"{said[0]}: is said of files of results, and {(stores or ['runs'])[0]} is none"
            )
        return None
    low_high = given.pop("score_range")
    try:
        bounds = None if low_high is None else tuple(float(part) for part in low_high.split(","))
        if bounds is not None and len(bounds) != 2:
            raise ValueError
    except ValueError:
        raise RequestError(f"--score-range {low_high}: LOW,HIGH is needed, two numbers") from None
    for key in ("metadata", "ignore"):
        given[key] = [name.strip() for name in given[key].split(",") if name]
    return Results(*files, columns=pairs(given.pop("map")), **given, score_range=bounds)


class Parser(argparse.ArgumentParser):
    """Options of one command; `--help` prints the command's own text (main.py)."""

    def __init__(self, command: str):
        super().__init__(add_help=False, allow_abbrev=False)
        self.command = command

    def add_comparison(self) -> None:
        """The arguments of `compare(...)`, by their names there."""
        self.add_argument("runs", nargs="*")
        self.add_results()
        self.add_argument("--baseline", default="scratch")
        self.add_argument("--metric")
        self.add_argument("--selection", default="last")
        self.add_argument("--margin")
        self.add_argument("--alpha", type=float, default=0.05)
        self.add_argument("--items", default="random")
        self.add_argument("--correction", default="holm")
        self.add_argument("--protocol")
        self.add_argument("--tested-on")
        self.add_argument("--config-dir")

    def add_results(self) -> None:
        """What is said of files of results."""
        self.add_argument("--map", action="append", default=[])
        self.add_argument("--metadata", default="")
        self.add_argument("--ignore", default="")
        self.add_argument("--common-items", action="store_true")
        self.add_argument("--lower-is-better", action="store_true")
        self.add_argument("--score-range")
        self.add_argument("--cap", type=float)

    def comparison_options(self, argv: list[str], default: str | None = "runs") -> dict[str, Any]:
        """What `add_comparison` and the command ask for, once the user's own parts are there. default: of
        RUNS."""
        options = vars(self.parse_args(argv))
        if (folder := options.pop("config_dir")) is not None:
            from transferscope.training.own_parts import register_own_parts

            register_own_parts(folder)
        results = results_of(files := options.pop("runs"), options)
        return {"runs": results or (files[0] if files else default), **options}

    def error(self, message: str) -> None:
        raise RequestError(f"{self.command}: {message} (transferscope {self.command} --help)")
