"""transferscope compare: verdicts from records."""

import os
import shutil
import sys
from pathlib import Path

from transferscope.cli.parser import Parser
from transferscope.errors import RequestError, nearest

FORMATS = ("table", "json", "csv", "markdown", "latex")

HELP = """Verdicts from run records: does transfer help or hurt, cell by cell.

usage: transferscope compare [RUNS] [--baseline NAME] [--metric NAME] [--selection NAME] [--margin X]
                             [--alpha X] [--items NAME] [--correction NAME] [--protocol NAME]
                             [--tested-on DOMAIN] [--config-dir DIR] [--format NAME] [--track [online]]

  RUNS               a store of runs, or one sweep of it, STORE/sweeps/NAME (default: runs);
                     wandb:ENTITY/PROJECT[/GROUP], what runs left in Weights & Biases (GROUP: a sweep); or a
                     folder of offline W&B runs, STORE/wandb
  --baseline NAME    what a cell is held against (default: scratch)
                       scratch           the target alone, from random weights
                       target_only       the target alone, from the cell's own weights, without the source
                       target_ssl        the target alone, its unlabelled items used as well
                       target_only_long  the target alone, as many steps as the cell and its source model
                                         together
                       source_only       the source alone: the difference is the adaptation gain
                       source_nearest_neighbour | source_svm
                                         the same of shallow adaptation: that classifier, the same features
                       naive             one answer for every item, from the class shares of the cell's own
                                         labels: no run is needed
                       target_full       the target with all its labels: the ceiling
                       shuffled_source   the same cell with permuted source labels
                     where several fit: --baseline 'scratch:trainer.optimizer.lr=0.01'
  --metric NAME      of classes accuracy | macro_f1 | balanced_accuracy | macro_precision | auroc | nll |
                     brier (default: accuracy); of predicted numbers mae | rmse (default: mae); of several
                     labels an item item_f1 | macro_auroc | map (default: item_f1). Higher is
                     better: nll, brier and errors have their sign flipped; auroc: the class sorted last is
                     positive, with more classes one against the rest
  --selection NAME   which evaluation counts: last | source_val | target_val | oracle (default: last; oracle
                     reads the test labels), or the one that a label-free validator likes best: entropy |
                     mutual_information | bnm | snd | class_clustering; dev | iwcv: the one of least risk on
                     source items, weighted to look like the target's (runs with keep_features=true).
                     RULE,last: arms without anything the rule could choose by are judged by their last
                     evaluation; stamped, else refused
  --margin X         the smallest difference that matters, in the metric's unit (default: the metric's own;
                     0.01, one point of accuracy), or relative:0.1, a tenth of the baseline's risk. Of mae and
                     rmse it is in the target's unit (default: relative:0.05)
  --alpha X          error rate of all verdicts of a family together (default: 0.05)
  --items NAME       random: the claim is about other test items too | fixed: about this test set only
                     (default: random)
  --correction NAME  holm: no false verdict in a family | bh: few among those decided, the false discovery
                     rate (default: holm)
  --protocol NAME    inductive | transductive: only these cells | both: a table that mixes them, stamped.
                     Without it a mix is refused
  --tested-on DOMAIN judge the runs on the test items of a further domain, which their test_also=[DOMAIN] has
                     scored without training on them: does what helps at home help away from it?
  --config-dir DIR   a folder with metrics and validators of your own (metric/, validator/)
  --format NAME      table | json | csv | markdown | latex (default: table)
  --track [online]   write the comparison, with its report, to Weights & Biases as well: offline, or online

A cell is a strategy from a source at a label budget, held against its baseline. A family is all cells of one
target and baseline: each claim allows for their number. The protocol says whether a strategy may see the test
items, without labels, while it trains (transductive) or not (inductive).

Verdicts: positive, negative, equivalent (inside the margin), undecided (and what would decide it). Nothing is
trained. What is read is noted in the store's folder readings: a cell whose seeds grow after that is judged at
a fifth of --alpha, a reading.
"""


def main(argv: list[str]) -> int:
    parser = Parser("compare")
    parser.add_comparison()
    parser.add_argument("--format", default="table")
    parser.add_argument("--track", nargs="?", const="offline", default="")
    options = parser.comparison_options(argv)
    form, track = options.pop("format"), options.pop("track")
    if form not in FORMATS:
        raise RequestError(f"--format {form}: not one of {', '.join(FORMATS)}{nearest(form, FORMATS)}")

    from transferscope.comparison.compare import compare, compare_away, locate

    comparison = compare(**options)
    if form == "table":
        columns = shutil.get_terminal_size((140, 40)).columns
        print(
            comparison.to_table(columns, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ), end=""
        )
    else:
        print(getattr(comparison, f"to_{form}")().rstrip("\n"))
    if track:
        from transferscope.comparison.evidence import tables
        from transferscope.report.page import render
        from transferscope.tracking import is_tracked, track_comparison

        store = Path("runs") if is_tracked(options["runs"]) else locate(options["runs"])[0]
        tracked = track_comparison(
            comparison,
            store,
            tables.evidence_tables(comparison),
            render(comparison, elsewhere=compare_away(comparison)),
            mode=track,
        )
        print(f"tracked as {tracked}" if tracked else "not tracked: W&B is off", file=sys.stderr)
    return 0
