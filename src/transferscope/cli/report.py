"""transferscope report: the verdicts as one self-contained page."""

from transferscope.cli.parser import Parser

HELP = """
usage: transferscope report [RUNS] [-o report.html] [--baseline scratch] [--metric accuracy]
                            [--selection last] [--margin 0.01] [--alpha 0.05] [--items random]
                            [--correction holm] [--protocol NAME]

Write one HTML page: the verdicts, their intervals, budget and training curves, classes, and the evidence of
every cell. It needs no other file, no network and no JavaScript for reading.

  RUNS             a store of runs, or one sweep of it, runs/sweeps/NAME (default: runs);
                   wandb:ENTITY/PROJECT[/GROUP]; a folder of offline W&B runs, runs/wandb
  -o FILE          the page (default: report.html)
  --baseline NAME  what a cell is held against
  --metric NAME    the score
  --selection NAME which labels chose the checkpoint
  --margin 0.01    the smallest difference that matters
  --alpha 0.05     level of each family of cells
  --items NAME     random, or fixed: these test items alone
  --correction     holm, or bh
  --protocol NAME  inductive, transductive, or both for a mix
The options are those of `transferscope compare`. Exit status: 0 done, 2 the request was wrong.
"""


def main(argv: list[str]) -> int:
    parser = Parser("report")
    parser.add_comparison()
    parser.add_argument("-o", "--output", default="report.html")
    options = vars(parser.parse_args(argv))
    output = options.pop("output")

    from transferscope.comparison.compare import compare
    from transferscope.report import page

    comparison = compare(**options)
    page.write(output, page.render(comparison))
    print(f"{output}: {len(comparison)} cells")
    return 0
