"""Families of cells whose arms rarely differ: false claims, and what is found, by the rules of verdict.py and
sequential.py.

1 % of the items differ in every seed, half of them in either direction where Δ is 0, and 2 % of the other
places by chance. In mixed families Δ is 0, the margin or twice the margin, by thirds, the lasting gains being
so many more."""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np

from transferscope.calibration.deciding import Decisions, course, judged
from transferscope.calibration.discordance import Errors, Kind, against_one_baseline, draw
from transferscope.calibration.findings import ALPHA, MARGIN, Finding, Size, watched
from transferscope.calibration.many import Effects, family
from transferscope.calibration.resampling import chunks
from transferscope.data.splits import generator
from transferscope.statistics.sequential import Design

SIZES = (12, 36)
ITEMS = (2000, 5000)
SEEDS = (5, 10)
LASTING, NOISE = 0.01, 0.02
NULL = Kind((LASTING / 2, LASTING / 2), (NOISE / 2, NOISE / 2))
ERRORS = Errors(LASTING / 2, NOISE / 2)  # of one arm: two arms then differ as often as NULL says
GAINS = (0.0, MARGIN, 2 * MARGIN)  # Δ of the cells of a mixed family, in turn
LOOKED_AT = Kind((0.007, 0.007), (0.015, 0.015))
LOOKS, LOOK_ITEMS = (5, 7, 10), (5000, 7000)
SHARE = 5  # one family for so many draws of a point
ANY_CLAIM = 1.5 * ALPHA  # false differences and false equivalences together


def study(size: Size) -> Iterator[Finding]:
    count = max(1, size.draws // SHARE)
    for m, items, seeds in watched(list(product(SIZES, ITEMS, SEEDS)), "families of rare differences"):
        setting = f"family of {m}, K={seeds} n={items}"
        yield from errors(
            f"null, {setting}", independent([NULL] * m, seeds, items, count, setting), np.zeros(m)
        )
        yield from errors(
            f"null, one baseline, {setting}", shared(m, seeds, items, count, setting), np.zeros(m)
        )
        truth = np.resize(GAINS, m)
        kinds = [Kind((LASTING / 2 + gain, LASTING / 2), NULL.noise) for gain in truth]
        yield from errors(f"mixed, {setting}", independent(kinds, seeds, items, count, setting), truth)
    for m, items in watched(list(product(SIZES, LOOK_ITEMS)), "families of rare differences, looks"):
        yield looked_at(m, items, count)


def independent(kinds: list[Kind], seeds: int, items: int, count: int, setting: str) -> Iterator[Effects]:
    """[m, B] of families, a chunk at a time: each cell has a baseline of its own."""
    rng = generator("calibration", "null families", setting, "mixed" if len(set(kinds)) > 1 else "null")
    for draws in chunks(count, len(kinds) * seeds * items // 10):
        yield family([draw(kind, seeds, items, draws, rng).sums().effects() for kind in kinds])


def shared(m: int, seeds: int, items: int, count: int, setting: str) -> Iterator[Effects]:
    rng = generator("calibration", "null families", setting, "one baseline")
    for draws in chunks(count, seeds * items // 10):
        yield family([sums.effects() for sums in against_one_baseline(ERRORS, m, seeds, items, draws, rng)])


def errors(setting: str, families: Iterator[Effects], truth: np.ndarray) -> Iterator[Finding]:
    """Under Holm: families with a false difference, and with any false claim. Under BH: the share of false
    claims among those made."""
    by_holm, by_bh = [], []
    for effects in families:
        by_holm.append(judged(effects, MARGIN, ALPHA))
        by_bh.append(judged(effects, MARGIN, ALPHA, "bh"))
    holm, bh = (Decisions.joined(found) for found in (by_holm, by_bh))
    detail = holm.found(truth, MARGIN)
    yield held(
        f"false difference, {setting}", holm.false_difference(truth).any(axis=0), ALPHA, "holm", detail
    )
    yield held(f"any false claim, {setting}", holm.false(truth, MARGIN).any(axis=0), ANY_CLAIM, "holm")
    if truth.any():
        shares = {
            "difference": bh.false_difference(truth).sum(axis=0) / np.maximum(bh.difference.sum(axis=0), 1)
        }
        shares["equivalence"] = bh.false_equivalence(truth, MARGIN).sum(axis=0) / np.maximum(
            bh.equivalent.sum(axis=0), 1
        )
        for claim, share in shares.items():
            yield held(
                f"false among claims of {claim}, {setting}", share, ALPHA, "bh", bh.found(truth, MARGIN)
            )
    else:
        yield held(
            f"false difference, {setting}",
            bh.false_difference(truth).any(axis=0),
            ALPHA,
            "bh",
            bh.found(truth, MARGIN),
        )


def looked_at(m: int, items: int, count: int) -> Finding:
    rng, design = generator("calibration", "null families", "looks", m, items), Design(LOOKS, ALPHA)
    found = {"each claim": [], "both claims": []}
    for draws in chunks(count, m * LOOKS[-1] * items // 10):
        cells = [draw(LOOKED_AT, LOOKS[-1], items, draws, rng) for _ in range(m)]
        effects = [family([cell.sums(seeds).effects() for cell in cells]) for seeds in LOOKS]
        for counting, courses in found.items():
            courses.append(course(effects, MARGIN, design, counting))
    false, of_one_count = (
        np.concatenate([one.false_difference for one in courses]) for courses in found.values()
    )
    equivalent, seeds = (
        np.concatenate([getattr(one, name) for one in found["each claim"]], axis=1)
        for name in ("equivalent", "seeds")
    )
    detail = {
        "equivalences found": float(equivalent.mean()),
        "mean seeds": float(seeds.mean()),
        "one count": float(of_one_count.mean()),
    }
    return held(
        f"false difference, looks at {', '.join(map(str, LOOKS))}, null, family of {m}, n={items}",
        false,
        ALPHA,
        "holm, looks",
        detail,
    )


def held(
    setting: str, wrong: np.ndarray, nominal: float, correction: str, detail: dict | None = None
) -> Finding:
    """wrong [B]: whether, or how far, each family is. The bar: nominal and three Monte-Carlo standard
    errors."""
    rate, count = float(wrong.mean()), len(wrong)
    bar = nominal + 3 * math.sqrt(nominal * (1 - nominal) / count)
    return Finding(
        "null_families",
        setting,
        nominal,
        rate,
        rate <= bar,
        count,
        f"component-wise t, {correction}",
        {"bar": bar} | (detail or {}),
    )
