"""Kinds of difference between two arms that are right or wrong on each item, alike in little but that they
rarely differ."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from transferscope.calibration.discordance import Kind, draw
from transferscope.calibration.findings import LEVELS, MARGIN, Finding, Size, at_levels, watched
from transferscope.calibration.many import Effects, Sums
from transferscope.calibration.resampling import chunks
from transferscope.calibration.tally import held_against
from transferscope.data.splits import generator

SEEDS = (5, 10)
SHARES = (0.003, 0.01, 0.03)  # of the items, with a lasting difference
NOISE = (0.0, 0.01, 0.03)  # of the places elsewhere
ITEMS = (50, 200, 1000, 5000)
LOSSES = (0.002, 0.005, 0.01, 0.02)  # of the items, lost in every seed
LOSS_ITEMS = (1000, 5000)
MARGIN_ITEMS = (500, 1000, 2000)
AT_THE_MARGIN = {
    "lasting gain": Kind((MARGIN, 0.0)),
    "lasting gain, noise 2 %": Kind((MARGIN, 0.0), (0.01, 0.01)),
    "lasting gain and loss": Kind((1.5 * MARGIN, 0.5 * MARGIN), (0.01, 0.01)),
    "diffuse gain": Kind((0.0, 0.0), (MARGIN, 0.0)),
}


def study(size: Size) -> Iterator[Finding]:
    for (name, kind), items, seeds in watched(
        list(product(lasting().items(), ITEMS, SEEDS)), "lasting differences"
    ):
        yield from held_against(
            "kinds", f"{name}, K={seeds} n={items}", drawn(name, kind, seeds, items, size.draws), kind.truth
        )
    for loss, items, seeds in watched(
        list(product(LOSSES, LOSS_ITEMS, SEEDS)), "rare loss against diffuse gain"
    ):
        name, kind = f"null: loss on {loss:.1%}, diffuse gain", Kind((0.0, loss), (loss / (1 - loss), 0.0))
        yield from held_against(
            "kinds", f"{name}, K={seeds} n={items}", drawn(name, kind, seeds, items, size.draws), 0.0
        )
    for (name, kind), items, seeds in watched(
        list(product(AT_THE_MARGIN.items(), MARGIN_ITEMS, SEEDS)), "truth at the margin"
    ):
        called = np.zeros(len(LEVELS))
        for sums in drawn(name, kind, seeds, items, size.draws):
            called += [equivalent(sums.effects(), alpha).sum() for alpha in LEVELS.values()]
        setting = f"called equivalent, at the margin: {name}, K={seeds} n={items}"
        yield from at_levels("kinds", setting, called, size.draws, "component-wise t", nominal=0.5)


def lasting() -> dict[str, Kind]:
    kinds = {}
    for share, noise in product(SHARES, NOISE):
        chance = (noise / 2, noise / 2)
        kinds[f"lasting {share:.1%} one-sided, noise {noise:.0%}"] = Kind((share, 0.0), chance)
        kinds[f"null: lasting {share:.1%} two-sided, noise {noise:.0%}"] = Kind(
            (share / 2, share / 2), chance
        )
    return kinds


def drawn(name: str, kind: Kind, seeds: int, items: int, draws: int) -> Iterator[Sums]:
    rng = generator("calibration", "kinds", name, seeds, items)
    differing = 1 + int(items * (1 - (1 - sum(kind.noise)) ** seeds))
    return (draw(kind, seeds, items, count, rng).sums() for count in chunks(draws, seeds * differing))


def equivalent(effects: Effects, alpha: float) -> np.ndarray:
    """bool [B]: the interval lies within ±margin."""
    return np.abs(effects.delta) + effects.half(alpha) < MARGIN
