"""transferscope plan: before the first run, what will be found and what it takes."""

import math
from typing import Any

from transferscope.cli import terminal
from transferscope.cli.parser import RESULTS, Parser
from transferscope.errors import RequestError, nearest

FORMATS = ("table", "json", "csv", "markdown")
MOST_CELLS = 100_000

HELP = f"""Before the first run: the smallest effect that so many seeds, test items and cells find with power
0.8, and the seeds and test items that a given effect needs.

usage: transferscope plan [--seeds K,...] [--items N,...] [--cells M] [--effect X] [--alpha X]
                          [--format NAME]
       transferscope plan STORE|FILE... [--baseline NAME] [--metric NAME] [--selection NAME] [...]

  STORE | FILE...    a pilot: a store of runs, one sweep of it (STORE/sweeps/NAME), or results made elsewhere;
                     its cells tell how much seeds and items vary, a table a target and baseline. Without it
                     stands what real experiments had, typical (lowest–highest), for accuracy
  --seeds K,...      numbers of seeds (default: 3,5,10,20, and the pilot's)
  --items N,...      numbers of test items, or of groups of items (default: 200 to 5000; half, once and twice
                     the pilot's)
  --cells M          cells of a family: each target's verdicts are corrected for so many (default: the pilot's
                     family, else 1)
  --effect X         a true difference that is to be found, in points of accuracy (2: from 80 % to 82 %) or in
                     the metric's own unit: how many seeds and test items it needs
  --alpha X          error rate of all verdicts of a family together (default: 0.05)
  --baseline NAME, --metric NAME, --selection NAME
                     of a pilot, as `compare` has them (defaults: scratch, the task's, last)
  --config-dir DIR   a folder with metrics and validators of your own (metric/, validator/)
  --format NAME      table | json | csv | markdown (default: table)

{RESULTS}
The numbers are of Holm's first step: later ones find more. A pilot's verdicts are not told here, so planning
is no reading of it. Power 0.8 holds as a mean over pilots: what a single one leaves open is printed.
"""


def main(argv: list[str]) -> int:
    parser = Parser("plan")
    parser.add_argument("runs", nargs="*")
    parser.add_results()
    parser.add_argument("--seeds")
    parser.add_argument("--items")
    parser.add_argument("--cells")
    parser.add_argument("--effect")
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--baseline")
    parser.add_argument("--metric")
    parser.add_argument("--selection")
    parser.add_argument("--config-dir")
    parser.add_argument("--format", default="table")
    options = parser.comparison_options(argv, default=None)
    form, runs = options["format"], options["runs"]
    if form not in FORMATS:
        raise RequestError(f"--format {form}: not one of {', '.join(FORMATS)}{nearest(form, FORMATS)}")
    if not 0 < options["alpha"] < 1:
        raise RequestError(f"--alpha {options['alpha']}: between 0 and 1 is needed")

    from transferscope.statistics.effect import SEEDS_WITHIN_REACH
    from transferscope.statistics.planning import FEWEST_ITEMS, ITEMS_WITHIN_REACH

    wanted = {
        "seeds": _numbers("seeds", options["seeds"], 2, SEEDS_WITHIN_REACH),
        "items": _numbers("items", options["items"], FEWEST_ITEMS, ITEMS_WITHIN_REACH),
        "cells": next(iter(_numbers("cells", options["cells"], 1, MOST_CELLS)), None),
        "alpha": options["alpha"],
    }
    effect = _effect(options["effect"])

    from transferscope.comparison.pilots import read_pilots
    from transferscope.comparison.plan import TYPICAL_PILOT, Plan

    if runs is None:
        _refuse_without_pilot(options)
        metric, pilots, left_out = "accuracy", [TYPICAL_PILOT], list[str]()
    else:
        metric, pilots, left_out = read_pilots(
            runs,
            baseline=options["baseline"] or "scratch",
            metric=options["metric"],
            selection=options["selection"] or "last",
        )
    if effect is not None:
        if len(units := sorted({pilot.unit for pilot in pilots})) > 1:
            raise RequestError(
                f"--effect {options['effect']}: the pilots are in several units ({', '.join(units)}); plan "
                "from the results of one unit at a time"
            )
        effect = effect / 100 if pilots[0].unit == "points" else effect
        if effect > (most := max(pilot.span for pilot in pilots)):
            shown = "100 points" if pilots[0].unit == "points" else f"{most:.3g} {pilots[0].unit}"
            raise RequestError(f"--effect {options['effect']}: no difference is above {shown}")
    plan = Plan(metric, pilots, effect=effect, left_out=left_out, **wanted)
    terminal.show(plan, form)
    return 0


def _numbers(key: str, text: str | None, least: int, most: int) -> list[int]:
    """Those of a list, in order; [] where nothing is given."""
    if text is None:
        return []
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < least or found[-1] > most or (key == "cells" and len(found) > 1):
        several = "a whole number" if key == "cells" else "whole numbers"
        raise RequestError(f"--{key} {text}: {several} from {least:,} to {most:,} needed")
    return found


def _effect(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise RequestError(
            f"--effect {text}: a number above 0 is needed, in points of accuracy (2) or in the metric's own "
            "unit, whose name is left out"
        )
    return value


def _refuse_without_pilot(options: dict[str, Any]) -> None:
    for key in ("baseline", "selection", "metric"):
        value = options[key]
        if value is not None and (key, value) != ("metric", "accuracy"):
            raise RequestError(
                f"--{key} {value}: is said of a pilot; give a store or a file of results (without one "
                "only accuracy can be planned for)"
            )
