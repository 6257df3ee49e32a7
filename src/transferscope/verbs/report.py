"""transferscope report: the verdicts as one self-contained page."""

import argparse

from transferscope.errors import Refused

HELP = """
usage: transferscope report [RUNS] [-o report.html] [--baseline scratch] [--metric accuracy] [--selection last] [--margin 0.01]
                            [--alpha 0.05]

Write one HTML page: the verdicts, their intervals, budget and training curves, classes, and the evidence of every cell. It needs no other
file, no network and no JavaScript for reading.

  RUNS             a store of runs, or one sweep of it, runs/sweeps/NAME (default: runs)
  -o FILE          the page (default: report.html)
  --baseline NAME  what a cell is held against        --metric NAME     the score
  --selection NAME which labels chose the checkpoint  --margin 0.01     the smallest difference that matters
  --alpha 0.05     level of each family of cells
The options are those of `transferscope compare`. Exit status: 0 done, 2 the request was wrong.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise Refused(f"report: {message} (transferscope report --help)")


def main(argv: list[str]) -> int:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("runs", nargs="?", default="runs")
    parser.add_argument("-o", "--output", default="report.html")
    parser.add_argument("--baseline", default="scratch")
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--selection", default="last")
    parser.add_argument("--margin", type=float, default=0.01)
    parser.add_argument("--alpha", type=float, default=0.05)
    options = vars(parser.parse_args(argv))
    output = options.pop("output")

    from transferscope.compare import compare
    from transferscope.report import page

    comparison = compare(**options)
    page.write(output, page.render(comparison))
    print(f"{output}: {len(comparison)} cells")
    return 0
