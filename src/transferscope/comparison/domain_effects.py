"""The cells of one question, by the domains that they are of: one effect a target or source, or pairs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from transferscope.statistics import pooled
from transferscope.statistics.effect import Effect
from transferscope.store.schema import Json

if TYPE_CHECKING:
    from transferscope.comparison.cells import Cell

QUESTION = (
    "strategy", "variant", "label_budget", "backbone", "initialisation", "protocol", "baseline", "metric",
    "selection",
)  # fmt: skip
NAMED = 5  # domains without a result that are named
# of the scores' unit: standard errors below are what is left of sums of equal numbers
NO_SPREAD = 1e-9
Roles = Literal["both roles", "roles apart"]


def question_of(row: Mapping[str, object]) -> Json:
    """Of a cell, or of one that is missing: what all cells of its question have in common."""
    return {key: row[key] for key in QUESTION if key in row}


class Signs(NamedTuple):
    """Domains, or pairs: how many are told of, have Δ < 0, surely so, and surely not."""

    counted: int
    below: int
    surely_below: int
    surely_not_below: int


@dataclass(frozen=True)
class Domains:
    """over: targets, sources or pairs. cells: of the question; over sources and pairs those with a source.
    sourceless: how many were left out for having none. without_result: domains that were planned."""

    over: str
    cells: Sequence["Cell"]
    sourceless: int
    without_result: Sequence[str]
    alpha: float
    items: str

    @classmethod
    def of(cls, cells: Sequence["Cell"], over: str, settings: Json, missing: Sequence[Json]) -> "Domains":
        used = [cell for cell in cells if over == "targets" or cell.source is not None]
        question = question_of(vars(cells[0]))
        lost = [row for row in missing if row["strategy"] and question_of(row).items() <= question.items()]
        role = "source" if over == "sources" else "target"
        there = {getattr(cell, role) for cell in used}
        gone = sorted({row[role] for row in lost if row[role]} - there)
        return cls(over, used or cells, len(cells) - len(used), gone, settings["alpha"], settings["items"])

    @cached_property
    def sources(self) -> list[str]:
        return sorted({cell.source for cell in self.cells if cell.source is not None})

    @cached_property
    def targets(self) -> list[str]:
        return sorted({cell.target for cell in self.cells})

    @cached_property
    def by_domain(self) -> "dict[str, list[Cell]]":
        """The cells of each effect: of a target, a source, or a pair."""
        found: dict[str, list[Cell]] = {}
        for cell in sorted(self.cells, key=lambda cell: (cell.target, cell.source or "")):
            name = {"targets": cell.target, "sources": cell.source or ""}.get(
                self.over, f"{cell.source} → {cell.target}"
            )
            found.setdefault(name, []).append(cell)
        return found

    @cached_property
    def named_effects(self) -> dict[str, float]:
        return {name: float(np.mean([c.delta for c in cells])) for name, cells in self.by_domain.items()}

    @cached_property
    def y(self) -> np.ndarray:
        return np.array([*self.named_effects.values()])

    @cached_property
    def parts(self) -> list[str]:
        """The domains of all sources, one of several in turn."""
        return [part for source in self.sources for part in source.split("+")]

    @property
    def names(self) -> list[str]:
        """Of the domains that count: all that are in pairs."""
        return {"targets": self.targets, "sources": self.sources}.get(
            self.over, sorted({*self.parts, *self.targets})
        )

    @property
    def count(self) -> int:
        return len(self.names) if self.sources or self.over == "targets" else 0

    @property
    def roles(self) -> Roles | None:
        """Of pairs: whether any domain is a source and a target, or is in two sources."""
        if self.over != "pairs":
            return None
        is_shared = {*self.parts} & {*self.targets} or len({*self.parts}) < len(self.parts)
        return "both roles" if is_shared else "roles apart"

    @property
    def _fewest_sources(self) -> int:
        """Six sources of two domains each, of four in all, are no more than four."""
        return min(len(self.sources), len({*self.parts}))

    def why_not_claimed(self) -> str:
        """Why nothing is claimed; '' where something is."""
        fewest, sources = pooled.FEWEST_DOMAINS, len(self.sources)
        known = {"target": len(self.targets), "source": self._fewest_sources}
        for role, number in known.items():
            if self.over in (f"{role}s", "pairs") and number < fewest:
                found = f"{number} {role}{'s' * (number > 1)}"
                if role == "source" and number < sources:
                    found = f"{number} domain{'s' * (number > 1)} in {sources} sources"
                return f"only {found}, {fewest} are needed" if number else f"no {role}, {fewest} are needed"
        if self.effect is None:
            return "one domain is in every pair, without it nothing is left"
        if math.sqrt(self.effect.seed_variance) <= NO_SPREAD * self._unit:
            return "all effects are equal, and how finely scores are told is not known"
        return ""

    @cached_property
    def effect(self) -> Effect | None:
        if self.over != "pairs":
            return pooled.of_domains(self.y, self.rounding)
        if self.roles == "roles apart":
            return pooled.of_roles(self._matrix, self.rounding)
        fewest = min(self._fewest_sources, len(self.targets))
        return pooled.of_pairs(self.y, self._involved, fewest, self.rounding)

    @cached_property
    def _pairs(self) -> list[tuple[set[str], str]]:
        """Domains of the source, and target, of each effect."""
        firsts = [cells[0] for cells in self.by_domain.values()]
        return [({*(cell.source or "").split("+")}, cell.target) for cell in firsts]

    @cached_property
    def _involved(self) -> np.ndarray:
        return np.array(
            [[name in source | {target} for name in self.names] for source, target in self._pairs]
        )

    @cached_property
    def _matrix(self) -> np.ndarray:
        """[S, T], nan where a pair is missing."""
        found = np.full((len(self.sources), len(self.targets)), np.nan)
        for cells in self.by_domain.values():
            place = self.sources.index(cells[0].source or ""), self.targets.index(cells[0].target)
            found[place] = np.mean([cell.delta for cell in cells])
        return found

    @cached_property
    def rounding(self) -> float:
        """The variance that rounding hides of an effect, in the mean over them: a seed's scores are multiples
        of a unit over the items. 0 where these are not told."""

        def hidden(cell: "Cell") -> float:
            pair = cell.pair(self.items)
            seeds, items = pair.d.shape
            return 0.0 if pair.has_no_items else float((pair.unit / items) ** 2 / 12 / seeds)

        return float(
            np.mean([np.mean([hidden(cell) for cell in cells]) for cells in self.by_domain.values()])
        )

    @property
    def _unit(self) -> float:
        return max(float(cell.pair(self.items).unit) for cell in self.cells)

    @property
    def new_domain(self) -> tuple[float, float] | None:
        return None if self.over == "pairs" else pooled.new_domain(self.y, self.alpha, self.rounding)

    @property
    def margin(self) -> float:
        """The mean of the domains' margins, which differ where they are a share of the baseline's risk."""
        return float(np.mean([np.mean([c.margin for c in cells]) for cells in self.by_domain.values()]))

    @property
    def nouns(self) -> tuple[str, str]:
        """What more of would narrow the interval."""
        if self.roles == "roles apart":
            return "sources", "targets"
        if self.roles is None:
            return self.over, ""
        sources, targets = self._fewest_sources, len(self.targets)
        return "sources" if sources < targets else "targets" if targets < sources else "domains", ""

    @cached_property
    def signs(self) -> Signs:
        sides = [_side(cells) for cells in self.by_domain.values()]
        return Signs(len(self.y), int(np.sum(self.y < 0)), sides.count(-1), sides.count(1))

    @property
    def collapsed(self) -> int:
        return sum(bool(cell.collapsed or cell.baseline_collapsed) for cell in self.cells)

    @property
    def unfinished(self) -> int:
        return sum(bool(c.strategy_rise["is_rising"] or c.baseline_rise["is_rising"]) for c in self.cells)

    @property
    def flags(self) -> list[str]:
        flags = []
        for noun, names, values in self._spreads():
            shape = pooled.Shape.of(values)
            if shape.is_skewed:
                skewness = f"{shape.skewness:+.1f}".replace("-", "−")
                flags.append(
                    f"strongly skewed effects of {noun} (skewness {skewness}): the intervals may miss two to "
                    "four times as often as they say"
                )
            if shape.hangs_on_one:
                flags.append(
                    f"{names[shape.largest]} alone makes {100 * shape.share:.0f} % of the spread of {noun}"
                )
        return flags + self._gaps()

    def _spreads(self) -> list[tuple[str, list[str], np.ndarray]]:
        """(noun, names, effects) whose spread the interval is made of."""
        if self.over != "pairs":
            return [(self.over, [*self.named_effects], self.y)]
        if self.roles == "both roles":
            return [("domains", self.names, pooled.Jackknife.of(self.y, self._involved).pseudo_values)]
        return [
            ("sources", self.sources, np.nanmean(self._matrix, axis=1)),
            ("targets", self.targets, np.nanmean(self._matrix, axis=0)),
        ]

    def _gaps(self) -> list[str]:
        flags = []
        if gone := self.without_result:
            more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
            flags.append(f"without a result: {', '.join(gone[:NAMED])}{more}")
        if self.sourceless:
            flags.append(f"{self.sourceless} cells have no source and are not counted")
        other = {"targets": "source", "sources": "target"}.get(self.over)
        if (
            other
            and len({frozenset(getattr(c, other) for c in cells) for cells in self.by_domain.values()}) > 1
        ):
            shared = {*self.sources} & {*self.targets}
            flags.append(
                f"each domain is held against the others: --over pairs speaks of other {other}s too"
                if shared
                else f"not all {self.over} have the same {other}s"
            )
        if self.over == "sources" and len({*self.parts}) < len(self.parts):
            flags.append("some sources have a domain in common and are counted as if they had none")
        places = {(cell.source, cell.target) for cell in self.cells}
        wanted = sum(source != target for source in self.sources for target in self.targets)
        if self.over == "pairs" and len(places) < wanted:
            flags.append(f"{wanted - len(places)} of {wanted} pairs are missing")
        return flags


def _side(cells: Sequence["Cell"]) -> int:
    """1 or −1 where the simultaneous intervals of the cells tell the sign of their mean and no rule bars one
    of them from a claim."""
    bounds = [cell.ci_simultaneous for cell in cells]
    is_open = any(cell.overruled or (cell.by_looks and cell.verdict == "undecided") for cell in cells)
    if is_open or None in bounds:
        return 0
    low, high = np.mean(np.array(bounds, dtype=float), axis=0)
    return 1 if low >= 0 else -1 if high <= 0 else 0
