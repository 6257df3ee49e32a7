"""What can be claimed of results that others have published as scores: writes results/ beside this file."""

import csv
from collections.abc import Iterator

import numpy as np
from bounds import ALPHA, CASES, FOLDER, MARGIN, Line, most_disagreement, of_items
from ucr import Ucr

from transferscope.statistics.verdict import Pair, judge

GSM8K = 1319  # test items


def peft() -> Iterator[Line]:
    """63 runs of one seed, each held against the best, which scores taught: every comparison is made at the
    level of all 62. disagree: the share of the items on which a run and the best may disagree, if the
    difference is to be told."""
    with open(FOLDER / "data" / "peft_metamathqa.csv") as file:
        runs = sorted(csv.DictReader(file), key=lambda run: -float(run["test_accuracy"]))
    best, *right = (round(float(run["test_accuracy"]) * GSM8K) for run in runs)
    level = ALPHA / len(right)
    for place, run in enumerate(runs):
        own = [best, *right][place]
        line: Line = {
            "run": run["experiment"].replace("--llama-3.2-3B", ""), "right": own,
            "accuracy": f"{own / GSM8K:.4f}", "below_best": f"{(best - own) / GSM8K:.4f}",
        }  # fmt: skip
        for case in CASES:
            is_worse = of_items(own, best, GSM8K, case).p_value() <= level
            line[case] = "" if place == 0 else "worse" if is_worse else "tie"
        share = most_disagreement(own - best, GSM8K, level)
        yield line | {"disagree": f"{share:.3f}" if place else ""}


def flamby() -> Iterator[Line]:
    """Four hospitals, three seeds: models of other hospitals, or of all, against the hospital's own. A family
    is a hospital. other_patients: seeds and items, the arms disagreeing on the fewest patients."""
    with open(FOLDER / "data" / "flamby_heart.csv") as file:
        lines = list(csv.DictReader(file))
    right = {
        (x["trained_on"], x["tested_on"], x["seed"]): round(float(x["accuracy"]) * int(x["test_items"]))
        for x in lines
    }
    items = {line["tested_on"]: int(line["test_items"]) for line in lines}
    seeds = sorted({line["seed"] for line in lines})
    for hospital, n in items.items():
        others = [name for name in ("pooled", *items) if name != hospital]
        nets = [[right[name, hospital, s] - right[hospital, hospital, s] for s in seeds] for name in others]
        d = [np.stack([np.sign(k) * (np.arange(n) < abs(k)) for k in net]) for net in nets]
        judged = {
            chance: judge([Pair(one, *np.zeros((2, 3), bool), n, chance) for one in d], MARGIN, ALPHA, len(d))
            for chance in ("seeds", "both")
        }
        for name, net, these, other in zip(others, nets, *judged.values(), strict=True):
            line: Line = {
                "hospital": hospital, "test_items": n, "trained_on": name,
                "items_by_seed": " ".join(f"{k:+d}" for k in net), "delta": f"{these.delta:+.4f}",
            }  # fmt: skip
            for what, found in (("these", these), ("other", other)):
                assert found.ci_simultaneous is not None
                line |= {
                    f"{what}_patients": found.verdict,
                    f"{what}_low": f"{found.ci_simultaneous[0]:+.3f}",
                    f"{what}_high": f"{found.ci_simultaneous[1]:+.3f}",
                }
            yield line


def tables() -> dict[str, list[Line]]:
    """By file of results/."""
    ucr = Ucr()
    targets = list(ucr.targets())
    return {
        "ucr_matrix": list(ucr.matrix()), "ucr_targets": targets, "ucr_cells": list(ucr.cells()),
        "ucr_summary": list(ucr.summary(targets)),
        "ucr_over": list(ucr.over()), "peft": list(peft()), "flamby": list(flamby()),
    }  # fmt: skip


if __name__ == "__main__":
    for name, lines in tables().items():
        with open(FOLDER / "results" / f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, lines[0])
            writer.writeheader()
            writer.writerows(lines)
