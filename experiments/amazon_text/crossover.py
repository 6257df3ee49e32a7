"""Which features are ahead at how many labels, by the classifiers of experiments amazon_text and sentences.

    python experiments/amazon_text/crossover.py STORE EXPERIMENT >
    experiments/EXPERIMENT/results/crossover.csv

A row a target, contrast and label budget: the difference of two kinds of features, with the interval and the
decision of every verdict here; the budgets of a target and contrast are one family (Holm). On stderr, where
the contrast turns.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import transferscope
from transferscope.comparison.arms import read_store
from transferscope.comparison.paired_scores import ScoreReader
from transferscope.comparison.pairing import pair, tested
from transferscope.statistics import verdict

MARGIN, ALPHA = 0.01, 0.05
HEAD, SCRATCH = "logistic_regression", "small_transformer"
CONTRASTS = [
    ("minilm", "tfidf"), ("minilm", "word_vectors"), ("word_vectors", "tfidf"), ("tfidf", SCRATCH),
    ("minilm", SCRATCH),
]  # fmt: skip

store, experiment = Path(sys.argv[1]), sys.argv[2]
found = defaultdict(dict)
for arm in read_store(store).arms:
    cell = arm.cell
    wanted = "scratch" if cell["backbone"] == SCRATCH else HEAD
    if cell["strategy"] == wanted and cell["target"].startswith(experiment) and cell["source"] is None:
        found[cell["target"]][cell["backbone"], cell["label_budget"]] = arm
reader = ScoreReader("accuracy", "last")
table = csv.writer(sys.stdout, lineterminator="\n")
COLUMNS = [
    "target", "features", "against", "labels", "delta", "ci_low", "ci_high", "score", "score_against",
    "p_adjusted", "verdict", "reason", "version",
]  # fmt: skip
table.writerow(COLUMNS)


def points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.4g}"


for target, arms in sorted(found.items()):
    for features, against in CONTRASTS:
        budgets = sorted(labels for name, labels in arms if name == features and (against, labels) in arms)
        if not budgets:
            continue
        evidence = [pair(arms[features, labels], arms[against, labels], reader) for labels in budgets]
        pairs = [tested(one, "accuracy", "random") for one in evidence]
        judged = verdict.judge(pairs, [MARGIN] * len(pairs), ALPHA, len(pairs))
        for labels, one, seen in zip(budgets, judged, evidence, strict=True):
            means = [seen.mean(scores) for scores in (seen.strategy_scores, seen.held_against)]
            p = "" if one.p_adjusted is None else f"{one.p_adjusted:.4g}"
            numbers = [*map(points, (one.delta, *one.ci_simultaneous, *means)), p]
            table.writerow(
                [
                    target,
                    features,
                    against,
                    labels,
                    *numbers,
                    one.verdict,
                    one.reason,
                    transferscope.__version__,
                ]
            )
        ahead = [labels for labels, one in zip(budgets, judged, strict=True) if one.verdict == "positive"]
        behind = [labels for labels, one in zip(budgets, judged, strict=True) if one.verdict == "negative"]
        turns = [labels for labels in behind if not ahead or labels > max(ahead)]
        print(
            f"{target}: {features} against {against}: last ahead at {max(ahead, default='–')}, first behind "
            f"at {min(turns, default='–')} labels a class",
            file=sys.stderr,
        )
