"""The transfer matrix of 85 UCR data sets (Fawaz et al. 2018): a network trained on each and tuned on each
other, one run a cell."""

import csv
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from bounds import ALPHA, CASES, FOLDER, Line, of_items, told

from transferscope.statistics import pooled

MOST_ITEMS = 10_000  # of a test set
COLLAPSING = ("DiatomSizeReduction", "HandOutlines", "OliveOil")


class Ucr:
    """names [85]. right, items: of the test items of each target, how many [source, target], [target]; a
    column whose scores are all 1 has no size, 1 here. scratch [target]."""

    def __init__(self) -> None:
        with open(FOLDER / "data" / "ucr_accuracy.csv") as file:
            header, *lines = csv.reader(file)
        self.names = header[1:]
        accuracy = np.array([line[1:] for line in lines], dtype=float)
        change = np.loadtxt(
            FOLDER / "data" / "ucr_change_percent.csv", delimiter=",", skiprows=1, usecols=range(1, 86)
        )
        np.fill_diagonal(accuracy, np.nan)  # not run
        scratch = np.nanmedian(accuracy / (1 + change / 100), axis=0)
        self.items = np.array([size(np.append(a, s)) for a, s in zip(accuracy.T, scratch, strict=True)])
        self.right = np.rint(np.nan_to_num(accuracy) * self.items).astype(int)
        self.scratch = np.rint(scratch * self.items).astype(int)
        self.delta = np.where(np.eye(85, dtype=bool), np.nan, (self.right - self.scratch) / self.items)

    def sources(self, target: int) -> np.ndarray:
        return np.flatnonzero(np.arange(85) != target)

    def matrix(self) -> Iterator[Line]:
        """As `compare --matrix` reads it."""
        rows = [("scratch", self.scratch), *zip(self.names, self.right, strict=True)]
        for name, right in rows:
            scores = right / self.items
            yield {"source": name} | {
                target: "" if target == name else f"{score:.6f}"
                for target, score in zip(self.names, scores, strict=True)
            }

    def targets(self) -> Iterator[Line]:
        for target, name in enumerate(self.names):
            items, theirs = int(self.items[target]), int(self.scratch[target])
            lost = theirs - self.right[self.sources(target), target]
            line: Line = {
                "target": name, "test_items": items if items > 1 else "", "scratch": f"{theirs / items:.4f}",
                "cells": len(lost), "negative": int((lost > 0).sum()), "positive": int((lost < 0).sum()),
                "worst": f"{-lost.max() / items:.4f}", "mean": f"{-lost.mean() / items:.4f}",
            }  # fmt: skip
            for case, found in self.verdicts[target].items():
                line |= {
                    f"{verdict}_{case}": found.count(verdict)
                    for verdict in ("negative", "positive", "equivalent")
                }
            # 2 · ½^k ≤ α / 84, which is Holm's first step
            line["negative_sign_test"] = int((lost >= np.log2(2 * len(lost) / ALPHA)).sum())
            yield line

    @cached_property
    def verdicts(self) -> list[dict[str, list[str]]]:
        """By target and case, of each source."""
        return [self._told(target) for target in range(len(self.names))]

    def _told(self, target: int) -> dict[str, list[str]]:
        items, theirs = int(self.items[target]), int(self.scratch[target])
        right = self.right[self.sources(target), target].tolist()
        if items == 1:
            return dict.fromkeys(CASES, ["undecided"] * len(right))
        return {case: told([of_items(k, theirs, items, case) for k in right]) for case in CASES}

    def cells(self) -> Iterator[Line]:
        """Those whose sign could be told at best."""
        for target, name in enumerate(self.names):
            verdicts = zip(self.sources(target), *self.verdicts[target].values(), strict=True)
            for source, paired, independent in verdicts:
                if paired in ("negative", "positive"):
                    net = int(self.right[source, target] - self.scratch[target])
                    yield {
                        "source": self.names[source], "target": name, "test_items": int(self.items[target]),
                        "net_items": net, "delta": f"{self.delta[source, target]:+.4f}", "paired": paired,
                        "independent": independent,
                    }  # fmt: skip

    def summary(self, targets: Sequence[Line]) -> Iterator[Line]:
        collapsing = np.isin(self.names, COLLAPSING)
        deltas = self.delta[~np.isnan(self.delta)]
        worst = np.sort(deltas)[42]
        counts = {key: total(targets, key) for key in targets[0] if "_" in key and key != "test_items"}
        losses = np.where(self.delta < 0, self.delta, 0)
        measures = {
            "cells": len(deltas), "negative": int((deltas < 0).sum()), "positive": int((deltas > 0).sum()),
            "same score": int((deltas == 0).sum()), "mean Δ": round(float(deltas.mean()), 5), **counts,
            "negative in the collapsing targets": int((self.delta[:, collapsing] < 0).sum()),
            "of the 43 worst in them": int((self.delta[:, collapsing] <= worst).sum()),
            "share of all that is lost, in them": round(losses[:, collapsing].sum() / losses.sum(), 3),
            "sign shown (paired) in them": sum(
                int(t["negative_paired"]) for t in targets if t["target"] in COLLAPSING  # type: ignore[call-overload]
            ),
        }  # fmt: skip
        yield from ({"measure": key, "value": value} for key, value in measures.items())

    def over(self) -> Iterator[Line]:
        """Claims over pairs, targets and sources, with and without the collapsing targets as domains."""
        for what, keep in (("all", np.ones(85, bool)), ("without", ~np.isin(self.names, COLLAPSING))):
            delta = self.delta[np.ix_(keep, keep)]
            source, target = np.nonzero(~np.isnan(delta))
            involved = np.eye(len(delta), dtype=bool)[source] | np.eye(len(delta), dtype=bool)[target]
            effects = {
                "pairs": pooled.of_pairs(delta[source, target], involved),
                "targets": pooled.of_domains(np.nanmean(delta, axis=0)),
                "sources": pooled.of_domains(np.nanmean(delta, axis=1)),
            }
            for over, effect in effects.items():
                assert effect is not None
                low, high = effect.interval(ALPHA)
                yield {
                    "domains": f"{what} {len(delta)}", "over": over, "delta": f"{effect.delta:.5f}",
                    "low": f"{low:.5f}", "high": f"{high:.5f}", "verdict": told([effect])[0],
                }  # fmt: skip


def size(scores: np.ndarray) -> int:
    """The least number of items of which all scores are shares: a divisor of the true one, where it is not
    that itself."""
    scores = scores[~np.isnan(scores)]
    for items in range(1, MOST_ITEMS):
        if np.abs(scores * items - np.rint(scores * items)).max() < 1e-4:
            return items
    raise ValueError("no test set of this size")


def total(lines: Sequence[Line], key: str) -> int:
    return sum(int(line[key]) for line in lines)  # type: ignore[call-overload]
