"""transferscope compare: verdicts from records."""

import argparse
import os
import shutil
import sys

from transferscope.errors import Refused, nearest

FORMATS = ("table", "json", "csv", "markdown")

HELP = """Verdicts from run records: does transfer help or hurt, cell by cell.

usage: transferscope compare [RUNS] [--baseline NAME] [--metric NAME] [--selection NAME] [--margin X] [--alpha X] [--format NAME] [--track]

  RUNS              a store of runs, or one sweep of it, STORE/sweeps/NAME (default: runs)
  --baseline NAME   what a cell is held against (default: scratch)
                      scratch          the target alone, from random weights
                      target_only      the target alone, from the cell's own weights, without the source
                      source_only      the source alone: the difference is the adaptation gain
                      target_full      the target with all its labels: the ceiling
                      shuffled_source  the same cell with permuted source labels
                    where several fit: --baseline 'scratch:trainer.optimizer.lr=0.01'
  --metric NAME     accuracy | nll | brier (default: accuracy); higher is better: nll and brier have their sign flipped
  --selection NAME  which evaluation counts: last | source_val | target_val | oracle (default: last; oracle reads the test labels)
  --margin X        the smallest difference that matters, on the metric's scale (default: 0.01, one point of accuracy)
  --alpha X         error rate of all verdicts of a family together (default: 0.05)
  --format NAME     table | json | csv | markdown (default: table)
  --track           write the comparison to Weights & Biases as well (offline unless WANDB_MODE says otherwise)

Verdicts: positive, negative, equivalent (inside the margin), undecided (and what would decide it). Nothing is trained.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise Refused(f"compare: {message} (transferscope compare --help)")


def main(argv: list[str]) -> int:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("runs", nargs="?", default="runs")
    parser.add_argument("--baseline", default="scratch")
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--selection", default="last")
    parser.add_argument("--margin", type=float, default=0.01)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--format", default="table")
    parser.add_argument("--track", action="store_true")
    options = vars(parser.parse_args(argv))
    form, track = options.pop("format"), options.pop("track")
    if form not in FORMATS:
        raise Refused(f"--format {form}: not one of {', '.join(FORMATS)}{nearest(form, FORMATS)}")

    from transferscope.compare import compare, locate

    comparison = compare(**options)
    if form == "table":
        columns = shutil.get_terminal_size((140, 40)).columns
        print(comparison.to_table(columns, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ), end="")
    else:
        print(getattr(comparison, f"to_{form}")().rstrip("\n"))
    if track:
        from transferscope.tracking import track_comparison

        tracked = track_comparison(comparison, locate(options["runs"])[0])
        print(f"tracked as {tracked}" if tracked else "not tracked: W&B is off", file=sys.stderr)
    return 0
