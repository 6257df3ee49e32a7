"""transferscope compare: verdicts from records."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transferscope.cli import terminal
from transferscope.cli.parser import RESULTS, Parser
from transferscope.errors import RequestError, nearest
from transferscope.store.printable import printable

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell
    from transferscope.comparison.over import Claim

FORMATS = ("table", "json", "csv", "markdown", "latex", "predictions")
FAIL_ON = ("negative", "harm-not-excluded")

HELP = f"""Verdicts from run records, or from results made elsewhere: does transfer help or hurt?

usage: transferscope compare [RUNS] [--baseline NAME] [--metric NAME] [--selection NAME] [--margin X]
                             [--alpha X] [--items NAME] [--correction NAME] [--protocol NAME]
                             [--tested-on DOMAIN] [--over NAME] [--config-dir DIR] [--format NAME]
                             [--track [online]] [--fail-on NAME]
       transferscope compare FILE... --baseline STRATEGY [--map OUR=THEIRS] [...]

  RUNS               a store of runs, or one sweep of it, STORE/sweeps/NAME (default: runs);
                     wandb:ENTITY/PROJECT[/GROUP], what runs left in Weights & Biases (GROUP: a sweep); or a
                     folder of offline W&B runs, STORE/wandb
  --baseline NAME    what a cell is held against (default: scratch): any strategy of the runs, or
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
                     across backbones: --baseline logistic_regression:backbone=tfidf
  --metric NAME      of classes accuracy | macro_f1 | balanced_accuracy | macro_precision | auroc | nll |
                     brier (default: accuracy); of predicted numbers mae | rmse (default: mae); of several
                     labels an item item_f1 | macro_auroc | map (default: item_f1); of scores made elsewhere
                     score (0 to 1) | ranged_score (any other range). Higher is better: nll, brier and errors
                     have their sign flipped; auroc: the class sorted last is positive, with more classes one
                     against the rest
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
  --over NAME        targets | sources: the mean over all of them, and what a new one would show | pairs: over
                     sources and targets together. Each domain counts once; never below five. One claim a
                     strategy, variant, label budget, backbone, initialisation and protocol, Holm over these
  --config-dir DIR   a folder with metrics and validators of your own (metric/, validator/)
  --format NAME      table | json | csv | markdown | latex, or predictions: a row an item and run, as a FILE
                     has it (default: table)
  --fail-on NAME     negative: exit status 3 where a cell is negative, all families together |
                     harm-not-excluded: where a loss beyond the margin is not excluded for a cell; both also
                     where a run is missing or failed
  --track [online]   write the comparison, with its report, to Weights & Biases as well: offline, or online

{RESULTS}
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
    parser.add_argument("--over")
    parser.add_argument("--format", default="table")
    parser.add_argument("--track", nargs="?", const="offline", default="")
    parser.add_argument("--fail-on")
    options = parser.comparison_options(argv)
    over, form, track, fail_on = (options.pop(name) for name in ("over", "format", "track", "fail_on"))
    forms = FORMATS[:-1] if over else FORMATS
    for key, value, allowed in (("format", form, forms), ("fail-on", fail_on, FAIL_ON)):
        if value is not None and value not in allowed:
            raise RequestError(f"--{key} {value}: not one of {', '.join(allowed)}{nearest(value, allowed)}")

    from transferscope.comparison.compare import compare, compare_away, locate
    from transferscope.comparison.over import Over, check
    from transferscope.external.results import Results

    if over is not None:
        check(over, options["tested_on"])
    comparison = compare(**options)
    shown = comparison.over(over) if over else comparison
    terminal.show(shown, form)
    if track:
        from transferscope.comparison.evidence import tables
        from transferscope.report.page import render
        from transferscope.tracking import is_tracked, track_comparison

        runs = options["runs"]
        store = Path("runs") if isinstance(runs, Results) or is_tracked(runs) else locate(runs)[0]
        tracked = track_comparison(
            comparison,
            store,
            tables.evidence_tables(comparison),
            render(comparison, elsewhere=compare_away(comparison)),
            mode=track,
        )
        print(f"tracked as {tracked}" if tracked else "not tracked: W&B is off", file=sys.stderr)
    if not fail_on:
        return 0
    lacking = len(comparison.missing) + len(comparison.failed)
    level: float = comparison.settings["alpha"]
    if isinstance(shown, Over):
        from transferscope.comparison.over_formats import named

        claims = [(f"{named(vars(one), shown)} over {one.domains} {one.over}", one) for one in shown]
        return _gate("claims", claims, fail_on, level, lacking)
    cells = [cell for cell in comparison if not cell.is_control]
    level /= max(len({cell.family for cell in cells}), 1)  # each family keeps a rate of its own
    return _gate("cells", [(_named(cell), cell) for cell in cells], fail_on, level, lacking)


def _gate(
    what: str, judged: "Sequence[tuple[str, Cell | Claim]]", fail_on: str, level: float, lacking: int
) -> int:
    """3 where what was judged shows what --fail-on asks for, where nothing was judged, or where something
    that should have been is missing or failed. judged: by name. level: of a loss."""
    found = [
        name for name, one in judged if (_is_lost(one, level) if fail_on == "negative" else not one.no_harm)
    ]
    if judged and not found and not lacking:
        return 0
    said = [] if judged else ["nothing could be compared"]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        said.append(f"{len(found)} of {len(judged)} {what}: {'; '.join(found[:3])}{more}")
    if lacking:
        said.append(f"{lacking} missing or failed, which the table lists")
    print(printable(f"transferscope compare --fail-on {fail_on}: {'; '.join(said)}"), file=sys.stderr)
    return 3


def _is_lost(one: "Cell | Claim", level: float) -> bool:
    return one.verdict == "negative" and (one.p_adjusted or 0.0) <= level


def _named(cell: "Cell") -> str:
    source = f"from {cell.source}" if cell.source else ""
    return " ".join(filter(None, (cell.strategy, cell.variant, source, f"on {cell.target}")))
