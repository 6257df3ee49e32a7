"""A plan before the first run: the smallest effect that so many seeds, items and cells find, and what a given
effect needs. Imports no torch."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from transferscope.comparison import plan_formats
from transferscope.comparison.pilots import LOWEST, MEASURED, TYPICAL, Pilot
from transferscope.statistics.effect import POWER, SEEDS_WITHIN_REACH, noncentrality
from transferscope.statistics.planning import (
    ITEMS_WITHIN_REACH,
    MOST_TIMES,
    Spread,
    left_open,
    power_over_domains,
)
from transferscope.statistics.typical_spread import SOURCE, TYPICAL_SPREAD
from transferscope.store.schema import Json

SEEDS, ITEMS = (3, 5, 10, 20), (200, 500, 1000, 2000, 5000)
FEW_SEEDS, LARGER_FAMILY = 3, 3
DOMAINS = (5, 10, 20)
MOST_PILOT = 10  # seeds: of larger pilots what is left open is not said unless it is one's own
TYPICAL_PILOT = Pilot(TYPICAL_SPREAD, unit="points", span=1.0)


@dataclass(frozen=True)
class Table:
    """heading, columns, rows of texts, and what is said below."""

    heading: list[str]
    columns: list[str]
    rows: list[list[str]]
    below: list[str] = field(default_factory=list)

    @property
    def by_column(self) -> list[tuple[str, list[str]]]:
        return [(name, [row[at] for row in self.rows]) for at, name in enumerate(self.columns)]


@dataclass(frozen=True)
class Plan:
    """effect: true difference to be found, in the unit of scores (0.02: two points). seeds, items: asked
    for; () for some around those of the pilot. cells: that a verdict is corrected for; None, as many as the
    pilot's family has. left_out: cells of a store that could not be used, and why."""

    metric: str
    pilots: list[Pilot]
    alpha: float = 0.05
    effect: float | None = None
    seeds: Sequence[int] = ()
    items: Sequence[int] = ()
    cells: int | None = None
    left_out: Sequence[str] = ()

    def level(self, pilot: Pilot) -> float:
        return self.alpha / self.cells_of(pilot)

    def cells_of(self, pilot: Pilot) -> int:
        return self.cells or pilot.cells

    def seeds_of(self, pilot: Pilot) -> list[int]:
        if not pilot.has_seeds:
            return [1]
        return list(self.seeds or sorted({*SEEDS, *([pilot.seeds] if pilot.seeds else [])}))

    def items_of(self, pilot: Pilot) -> list[int]:
        n = pilot.items
        around = ITEMS if n is None else sorted({max(n // 2, 10), n, MOST_TIMES * n})
        return list(self.items or around)

    def runs(self, pilot: Pilot, seeds: int) -> int:
        """Of all cells and their baselines, source models apart."""
        cells = self.cells_of(pilot)
        return seeds * (cells + min(pilot.baselines, cells))

    def rows(self) -> list[Json]:
        """One a pilot, spread, number of seeds and number of items; differences in the unit that is shown.
        None where no effect within the metric's range is found, or no number within reach finds `effect`."""
        return [
            self._row(pilot, name, spread, seeds, items)
            for pilot in self.pilots
            for name, spread in pilot.spreads.items()
            for seeds in self.seeds_of(pilot)
            for items in self.items_of(pilot)
        ]

    def _row(self, pilot: Pilot, name: str, spread: Spread, seeds: int, items: int) -> Json:
        level = self.level(pilot)
        found = spread.smallest_effect(seeds, items, level)
        scale = 100 if pilot.unit == "points" else 1
        row: Json = {
            "target": pilot.target, "protocol": pilot.protocol, "label_budget": pilot.label_budget,
            "metric": self.metric, "unit": pilot.unit, "spread": name, "cells": self.cells_of(pilot),
            "pilot_seeds": pilot.seeds, "pilot_items": pilot.items, "pilot_cells": spread.cells,
            **{key: _rounded(scale * value) for key, value in deviations(spread).items()},
            "alpha": self.alpha, "power": POWER, "seeds": seeds, "items": items,
            "runs": self.runs(pilot, seeds),
            "smallest_effect": _rounded(scale * found) if found <= pilot.span else None,
        }  # fmt: skip
        if self.effect is not None:
            row |= {
                "effect": _rounded(scale * self.effect),
                "items_needed": spread.items_needed(self.effect, seeds, level),
                "seeds_needed": spread.seeds_needed(self.effect, items, level) if pilot.has_seeds else None,
            }
        return row

    def tables(self) -> Iterator[Table]:
        for pilot in self.pilots:
            yield self._smallest(pilot)
            if self.effect is not None:
                yield self._needed(pilot)

    def _smallest(self, pilot: Pilot) -> Table:
        items, level = self.items_of(pilot), self.level(pilot)
        rows = [
            [
                *self._first(pilot, seeds),
                *(
                    _texts(
                        [spread.smallest_effect(seeds, n, level) for spread in pilot.spreads.values()],
                        lambda found: "none" if found > pilot.span else amount(found, pilot),
                    )
                    for n in items
                ),
            ]
            for seeds in self.seeds_of(pilot)
        ]
        cells = self.cells_of(pilot)
        what = f"Smallest effect found with power {POWER:g}, in {pilot.unit}, corrected for {cells} "
        heading = [*_about(pilot), f"{what}cell{'s' * (cells > 1)} (alpha {self.alpha:g} / {cells})"]
        return Table(heading, ["seeds", "runs", *(f"{n:,} {pilot.item_unit}s" for n in items)], rows)

    def _needed(self, pilot: Pilot) -> Table:
        assert self.effect is not None
        effect, level = self.effect, self.level(pilot)
        rows = [
            [
                *self._first(pilot, seeds),
                _texts(
                    [
                        spread.items_needed(effect, seeds, level) or math.inf
                        for spread in pilot.spreads.values()
                    ],
                    lambda found: f"over {ITEMS_WITHIN_REACH:,}" if found == math.inf else f"{found:,.0f}",
                ),
            ]
            for seeds in self.seeds_of(pilot)
        ]
        below = []
        for n in self.items_of(pilot) if pilot.has_seeds else ():
            needed = {name: spread.seeds_needed(effect, n, level) for name, spread in pilot.spreads.items()}
            told = _texts(
                [seeds or math.inf for seeds in needed.values()],
                lambda found: f"over {SEEDS_WITHIN_REACH}" if found == math.inf else f"{found:.0f}",
            )
            typical = needed.get(TYPICAL, needed.get(MEASURED))
            runs = f", {self.runs(pilot, typical):,} runs" if typical else ""
            below.append(f"With {n:,} test {pilot.item_unit}s: {told} seeds{runs}")
        heading = [f"An effect of {100 * effect if pilot.unit == 'points' else effect:g} {pilot.unit} needs"]
        return Table(heading, ["seeds", "runs", f"test {pilot.item_unit}s, at least"], rows, below)

    def _first(self, pilot: Pilot, seeds: int) -> list[str]:
        return [str(seeds) if pilot.has_seeds else "any", f"{self.runs(pilot, seeds):,}"]

    def notes(self) -> list[str]:
        """What a reader must know of the numbers."""
        found = []
        if any(LOWEST in pilot.spreads for pilot in self.pilots):
            found.append(f"typical (lowest–highest) spread of {SOURCE}. A pilot of your own tells more.")
        asked = sorted({n for pilot in self.pilots if pilot.has_seeds for n in self.seeds_of(pilot)})
        pilots = sorted({pilot.seeds for pilot in self.pilots if pilot.seeds and pilot.has_seeds})
        if known := pilots or [n for n in asked if n <= MOST_PILOT]:
            open_with = (
                "× {:.2f} to {:.2f} with {} seeds".format(*left_open(seeds), seeds) for seeds in known
            )
            found.append(
                "What a pilot leaves open of an effect that hangs on seeds (8 pilots in 10): "
                f"{', '.join(open_with)}. The power holds as a mean over pilots."
            )
        cells = max(self.cells_of(pilot) for pilot in self.pilots)
        if cells > LARGER_FAMILY and asked and asked[0] <= FEW_SEEDS:
            few, ten = (noncentrality(self.alpha / cells, n - 1) / math.sqrt(n) for n in (asked[0], 10))
            found.append(
                f"2 or 3 seeds decide nothing in a family of {cells} cells: what {asked[0]} find is "
                f"{few / ten:.0f} times what 10 find, as far as it hangs on seeds."
            )
        if any(
            n > MOST_TIMES * pilot.items
            for pilot in self.pilots
            if pilot.items is not None and pilot.has_seeds
            for n in self.items_of(pilot)
        ):
            found.append(
                f"For more than {MOST_TIMES} times its items a pilot of few seeds promises too much: the "
                "power is then nearer 0.7 than 0.8."
            )
        shares = ", ".join(f"{100 * power_over_domains(g, self.alpha):.0f} % of {g}" for g in DOMAINS)
        found.append(
            "A claim over targets (their effects apart by as much as their mean, and each measured with as "
            f"large an error) is found with power {shares} targets."
        )
        found.append(
            "Runs: every cell and each baseline once a seed; source models, shared by cells, come on top."
        )
        return [*found, *(f"left out: {why}" for why in self.left_out)]

    def to_json(self) -> str:
        return plan_formats.to_json(self)

    def to_csv(self) -> str:
        return plan_formats.to_csv(self)

    def to_markdown(self) -> str:
        return plan_formats.to_markdown(self)

    def to_table(self, width: int = 140, colour: bool = False) -> str:
        return plan_formats.to_table(self, width, colour)


def deviations(spread: Spread) -> dict[str, float]:
    """Standard deviations: of a seed's mean over the pilot's items, of one item of one seed, of the items'
    means; and the roots of `square` and `fourth`."""
    return {
        "seed_sd": math.sqrt(spread.row),
        "rest_sd": math.sqrt(spread.rest),
        "item_sd": math.sqrt(spread.item),
        "item_rms": math.sqrt(spread.square),
        "item_fourth_root": spread.fourth**0.25,
    }


def amount(value: float, pilot: Pilot) -> str:
    """`2.1` points, `0.041` of another unit."""
    return f"{100 * value:.1f}" if pilot.unit == "points" else f"{value:.3g}"


def _about(pilot: Pilot) -> list[str]:
    if MEASURED not in pilot.spreads:
        return []
    spread = pilot.spreads[MEASURED]
    labels = "" if pilot.label_budget is None else f", label budget {pilot.label_budget}"
    cells = f"{spread.cells} cell{'s' * (spread.cells > 1)}"
    # less what seeds seem to differ by for being seen on so few items
    of_seeds = math.sqrt(max(spread.row - spread.rest / spread.items, 0.0))
    return [
        f"{pilot.target} ({pilot.protocol}{labels}): {cells}, {pilot.seeds} seeds, {pilot.items:,} "
        f"{pilot.item_unit}s",
        f"Spread of differences (sd, {pilot.unit}): {amount(of_seeds, pilot)} between seeds, "
        f"{amount(math.sqrt(spread.item), pilot)} between {pilot.item_unit}s",
    ]


def _texts(found: list[float], text: Callable[[float], str]) -> str:
    """`2.1`, or `2.1 (0.9–4.0)` where there are three."""
    texts = [text(value) for value in sorted(found)]
    if len(set(texts)) == 1:
        return texts[0]
    low, middle, high = texts
    return f"{middle} ({low}–{high})"


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
