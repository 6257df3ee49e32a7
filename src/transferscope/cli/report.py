"""transferscope report: the verdicts as one self-contained page."""

from pathlib import Path

from transferscope.cli.parser import Parser

HELP = """
usage: transferscope report [RUNS] [-o report.html] [--figures FOLDER] [--baseline scratch]
                            [--metric NAME] [--selection last] [--margin 0.01] [--alpha 0.05]
                            [--items random] [--correction holm] [--protocol NAME] [--tested-on DOMAIN]
                            [--config-dir DIR]

Write one HTML page: the verdicts, their intervals, budget and training curves, classes, and the evidence of
every cell. It needs no other file, no network and no JavaScript for reading.

  RUNS             a store of runs, or one sweep of it, runs/sweeps/NAME (default: runs);
                   wandb:ENTITY/PROJECT[/GROUP]; a folder of offline W&B runs, runs/wandb
  -o FILE          the page (default: report.html)
  --figures FOLDER also the figures a paper needs, each as SVG and as PDF: verdicts with their intervals,
                   label budgets, training curves; files of the same names are replaced
  --baseline NAME  what a cell is held against
  --metric NAME    the score (default: accuracy, or mae where numbers are predicted)
  --selection NAME which labels chose the checkpoint
  --margin 0.01    the smallest difference that matters
  --alpha 0.05     level of each family of cells
  --items NAME     random, or fixed: these test items alone
  --correction     holm, or bh
  --protocol NAME  inductive, transductive, or both for a mix
The other options are those of `transferscope compare`. Exit status: 0 done, 2 the request was wrong.
"""


def main(argv: list[str]) -> int:
    parser = Parser("report")
    parser.add_comparison()
    parser.add_argument("-o", "--output", default="report.html")
    parser.add_argument("--figures", type=Path)
    options = parser.comparison_options(argv)
    output, folder = options.pop("output"), options.pop("figures")

    from transferscope.comparison.compare import compare, compare_away
    from transferscope.report import page

    comparison = compare(**options)
    if folder:
        from transferscope.report import paper_figures

        paper_figures.ready(folder)
    targets = page.targets_of(comparison)
    page.write(output, page.render(comparison, targets, compare_away(comparison)))
    print(f"{output}: {len(comparison)} cells")
    if folder:
        count = paper_figures.write(folder, comparison, targets)
        print(f"{folder}: {count} figures, each as SVG and PDF")
    return 0
