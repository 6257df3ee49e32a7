"""The networks held against the SVM on the words themselves. `compare` holds a cell against baselines with
its own backbone, and the SVM has none.

    python experiments/amazon_reviews/against_svm.py STORE >
    experiments/amazon_reviews/results/against_svm.csv

The same interval and decision as everywhere; a family is the nine cells of a target.
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

arms = [arm for arm in read_store(Path(sys.argv[1])).arms if "amazon_reviews" in arm.plans]
svm = {(arm.cell["source"], arm.cell["target"]): arm for arm in arms if arm.cell["strategy"] == "source_svm"}
reader = ScoreReader("accuracy", "last")
table = csv.writer(sys.stdout, lineterminator="\n")
table.writerow(
    [
        "source",
        "target",
        "strategy",
        "unit",
        "delta",
        "ci_low",
        "ci_high",
        "p_adjusted",
        "verdict",
        "mde",
        "version",
    ]
)


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def points(value: float | None) -> str:
    return number(None if value is None else 100 * value)


for target in sorted({target for _, target in svm}):
    family = [arm for arm in arms if arm.cell["target"] == target and arm.cell["strategy"] != "source_svm"]
    pairs = [
        tested(pair(arm, svm[arm.cell["source"], target], reader), "accuracy", "random") for arm in family
    ]
    for arm, judged in zip(
        family, verdict.judge(pairs, [MARGIN] * len(pairs), ALPHA, len(pairs)), strict=True
    ):
        numbers = [
            *map(points, (judged.delta, *judged.ci)),
            number(judged.p_adjusted),
            judged.verdict,
            points(judged.mde),
        ]
        table.writerow(
            [arm.cell["source"], target, arm.cell["strategy"], "points", *numbers, transferscope.__version__]
        )
