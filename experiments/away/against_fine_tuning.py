"""Both strategies held against `fine_tuning` from the same source model, which is no baseline of `compare`.

    python experiments/away/against_fine_tuning.py STORE > experiments/away/results/digits.csv

The same interval and decision as everywhere; a family is the four cells that are tested on one domain.
"""

import csv
import sys
from pathlib import Path

import transferscope
from transferscope.comparison.arms import read_store
from transferscope.comparison.paired_scores import ScoreReader
from transferscope.comparison.pairing import pair, tested
from transferscope.statistics import verdict

MARGIN, ALPHA = 0.01, 0.05
TESTED_ON = (None, "mnist", "mnist_m", "handwritten_digits")  # None: at home
COLUMNS = [
    "tested_on", "label_budget", "strategy", "unit", "strategy_score", "baseline_score", "delta",
    "ci_simultaneous_low", "ci_simultaneous_high", "p_adjusted", "verdict", "seeds", "items", "version",
]  # fmt: skip

arms = [arm for arm in read_store(Path(sys.argv[1])).arms if "away_digits" in arm.plans]
tuned = {arm.cell["label_budget"]: arm for arm in arms if arm.cell["strategy"] == "fine_tuning"}
others = sorted(
    (arm for arm in arms if arm.cell["strategy"] != "fine_tuning"),
    key=lambda arm: (arm.cell["label_budget"], arm.cell["strategy"]),
)
table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(COLUMNS)
for domain in TESTED_ON:
    reader = ScoreReader("accuracy", "last", domain)
    evidence = [pair(arm, tuned[arm.cell["label_budget"]], reader) for arm in others]
    pairs = [tested(one, "accuracy", "random") for one in evidence]
    judged = verdict.judge(pairs, [MARGIN] * len(pairs), ALPHA, len(pairs))
    for arm, one, found in zip(others, evidence, judged, strict=True):
        scores = [one.mean(one.strategy_scores), one.mean(one.baseline_scores), found.delta]
        table.writerow(
            [
                domain or arm.cell["target"], arm.cell["label_budget"], arm.cell["strategy"], "points",
                *(f"{100 * value:.4g}" for value in (*scores, *found.ci_simultaneous)),
                "" if found.p_adjusted is None else f"{found.p_adjusted:.4g}", found.verdict,
                len(one.strategy_scores), one.strategy_scores.shape[1], transferscope.__version__,
            ]
        )  # fmt: skip
