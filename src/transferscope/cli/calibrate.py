"""transferscope calibrate: the study that shows the verdict's error rates."""

import csv
import importlib
import json
import os
import sys
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from transferscope.cli.parser import Parser
from transferscope.errors import RequestError, nearest

STUDIES = (
    "coverage", "folds", "groups", "metrics", "kinds", "scores", "influence_kinds", "rarely_named",
    "errors", "bad_seeds", "alarms", "bimodal", "families", "null_families", "growth", "power",
    "planning", "probabilities", "signs", "unfinished", "beside", "pooled",
)  # fmt: skip
FORMATS = ("table", "json")
FEWEST_DRAWS = 10

HELP = """The study that shows the verdict's error rates: simulated and real experiments whose truth is known,
judged as `compare` judges.

usage: transferscope calibrate [--study NAME] [--draws N] [--quick] [--format table|json] [-o FOLDER]

  --study NAME   one of these (default: all of them)
                   coverage  how often the interval misses the truth, beside what published work uses
                   folds     the same where every item is tested in one fold of each seed, beside the usual
                             tests of folds
                   groups    the same where items come in groups
                   metrics   the same of macro-F1, balanced accuracy, macro precision and AUROC
                   kinds     the same of arms that are right or wrong and rarely differ, and of truths at the
                             margin
                   scores    the same of NLL, Brier and other real-valued scores, rare losses, and decisions
                             in any unit
                   influence_kinds  the same of these four where arms rarely differ
                   rarely_named  the same of macro precision where an arm rarely names a class
                   errors    the same of predicted numbers: mean absolute error, root mean squared error
                   bad_seeds skewed effects of seeds and rare bad ones: limits, with their numbers
                   alarms    false alarms: scratch against scratch in real training, and families of recentred
                             real pairs
                   bimodal   false gains over baselines that stay at chance in some of their runs
                   families  false claims where seeds are added until decided, and under --correction bh
                   null_families  false claims in families of equal and mixed cells on large test sets
                   growth    false claims, and true ones, where seeds are added because a verdict was read,
                             strategies one by one
                   power     planted harm of known size: how often it is called negative
                   planning  whether an effect as large as a pilot says is found with power 0.8
                   probabilities  whether P(harm) and P(gain) come true as often as they say
                   signs     shifts whose sign follows from their construction
                   beside    false sentences beside the verdict: flips, time saved, rates, classes, orders,
                             the best of several
                   pooled    claims over domains: the mean over targets, pairs of domains, what a new target
                             would show, and how often a mean is found
                   unfinished  false claims and gaps told where training had not finished, and after --settle
  --draws N      simulated experiments a point of coverage (default: 10000); families, growth, power, planning
                 and pairs of domains take a fifth of them, metrics and small real data sets in folds a half,
                 unfinished and the pilots of planning a twentieth
  --quick        1000 draws and few trainings: some minutes, too coarse to judge by
  --format NAME  table | json (default: table)
  -o FOLDER      also write STUDY.csv there, one row a finding

The full study takes half an hour to an hour on one core; nothing goes to the store. A finding outside its bar
is a finding: the exit status is 0, and the closing line names it.
"""


def main(argv: list[str]) -> int:
    parser = Parser("calibrate")
    parser.add_argument("--study")
    parser.add_argument("--draws", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--format", default="table")
    parser.add_argument("-o", dest="folder", type=Path)
    options = parser.parse_args(argv)
    for key, value, allowed in (("study", options.study, STUDIES), ("format", options.format, FORMATS)):
        if value is not None and value not in allowed:
            raise RequestError(f"--{key} {value}: not one of {', '.join(allowed)}{nearest(value, allowed)}")
    if options.draws is not None and options.draws < FEWEST_DRAWS:
        raise RequestError(
            f"--draws {options.draws}: at least {FEWEST_DRAWS} are needed (10000 for a rate of 0.05/36)"
        )
    if options.folder:
        if options.folder.exists() and not options.folder.is_dir():
            raise RequestError(f"-o {options.folder}: is a file, a folder is needed")
        options.folder.mkdir(parents=True, exist_ok=True)

    from transferscope.calibration.findings import FULL, QUICK
    from transferscope.training.threads import set_threads

    set_threads(1)  # the networks are tiny: threads cost more than they give
    size = QUICK if options.quick else FULL
    size = replace(size, draws=options.draws) if options.draws else size
    began, rows = time.monotonic(), []
    for name in [options.study] if options.study else STUDIES:
        found = [
            finding.to_dict()
            for finding in importlib.import_module(f"transferscope.calibration.{name}").study(size)
        ]
        if options.folder:
            write_csv(options.folder / f"{name}.csv", found)
        rows += found
    if options.format == "json":
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print_tables(rows)
    print(
        f"{closing(rows)} ({(time.monotonic() - began) / 60:.1f} minutes)",
        file=sys.stderr if options.format == "json" else sys.stdout,
    )
    return 0


def closing(rows: list[dict]) -> str:
    promised = [row for row in rows if not row.get("limit")]
    outside = [f"{row['study']}: {row['setting']}" for row in promised if not row["ok"]]
    beyond = sum(not row["ok"] for row in rows) - len(outside)
    return "; ".join([
        f"{len(promised) - len(outside)} of {len(promised)} findings are inside their bars",
        *([f"outside: {'; '.join(outside)}"] if outside else []),
        *([f"known limits: {beyond} of {len(rows) - len(promised)} are beyond theirs"] if beyond else []),
    ])  # fmt: skip


def write_csv(path: Path, rows: list[dict]) -> None:
    """Whole or not at all; figures to six digits."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    draft = path.with_suffix(".draft")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows({key: shown(value, 6) for key, value in row.items()} for row in rows)
    os.replace(draft, path)


def shown(value: object, digits: int) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}g}" if isinstance(value, float) else value


def print_tables(rows: list[dict]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 240)
    for study, group in groupby(rows, key=lambda row: row["study"]):
        found = list(group)
        columns = [
            key
            for key in dict.fromkeys(key for row in found for key in row)
            if key not in ("study", "argument", "method")
        ]
        table = Table(*columns, title=study, box=SIMPLE_HEAD, title_justify="left")
        for row in found:
            table.add_row(
                *(str(shown(row.get(key, ""), 3)) for key in columns), style=None if row["ok"] else "bold red"
            )
        console.print(table)
