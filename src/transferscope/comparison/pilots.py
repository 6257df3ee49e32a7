"""What a plan starts from: how much the cells of a store vary. No verdict is made of them, so this is no
reading. Imports no torch."""

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from transferscope.comparison import baselines, naive, scores
from transferscope.comparison.arms import read_store
from transferscope.comparison.compare import headline, locate
from transferscope.comparison.paired_scores import Evidence, ScoreReader
from transferscope.comparison.pairing import pair, tested, units
from transferscope.comparison.scores import NotSelectable
from transferscope.comparison.trained import longest
from transferscope.errors import RequestError, nearest
from transferscope.external.results import Results, foreign
from transferscope.statistics.planning import Spread
from transferscope.tasks.metrics import judged_metrics

MEASURED, LOWEST, TYPICAL, HIGHEST = "measured", "lowest", "typical", "highest"


@dataclass(frozen=True)
class Pilot:
    """The cells of one target that are held against one baseline.

    spreads: by name, `measured` of a store, or `lowest`, `typical` and `highest` of what other stores had.
    cells: of its family, as planned. baselines: of that family, 0 where they need no run. seeds, items: of
    the cells that spreads are from, the fewest; None where there are none. unit: of differences, as
    shown."""

    spreads: dict[str, Spread]
    unit: str
    span: float
    cells: int = 1
    baselines: int = 1
    seeds: int | None = None
    items: int | None = None
    item_unit: str = "item"
    target: str = ""
    protocol: str = ""
    label_budget: int | str | None = None

    @property
    def has_seeds(self) -> bool:
        """Whether seeds change anything."""
        return any(spread.pilot is not None or spread.row > 0 for spread in self.spreads.values())


def read_pilots(
    runs: str | Path | Results, *, baseline: str = "scratch", metric: str | None, selection: str
) -> tuple[str, list[Pilot], list[str]]:
    """The metric, one pilot a target and baseline arm, and why cells were left out. runs, baseline, metric,
    selection: as `compare` has them. Raises RequestError where nothing can be planned from them."""
    allowed: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
        ("metric", metric, judged_metrics()),
        ("selection", selection, scores.selections()),
    )
    for key, value, names in allowed:
        if value is not None and value not in names:
            raise RequestError(f"--{key} {value}: not one of {', '.join(names)}{nearest(value, names)}")
    elsewhere = foreign(runs)
    store, plan = (elsewhere.store, None) if elsewhere else locate(str(runs))
    records = read_store(store)
    name, pinned = baselines.parse(baseline, records.arms)
    metric = headline(records) if metric is None else metric
    reader, able = ScoreReader(metric, selection), baselines.able(records.arms, name)
    families = defaultdict(list)
    for arm in records.arms:
        if baselines.is_row(arm, name, pinned) and not arm.noise and plan in (None, *arm.plans):
            families[arm.plan, arm.cell["target"], arm.cell["protocol"]].append(arm)
    pilots, left_out = [], []
    for (_, target, protocol), arms in families.items():
        size, paired = 0, defaultdict(list)
        for arm in arms:
            for base, budget in baselines.find(arm, able, name, pinned):
                size += 1
                try:
                    evidence = pair(*longest(arm, base)[:2], reader)
                except (NotSelectable, RequestError) as why:
                    left_out.append(f"{arm.cell['strategy']} on {target}: {why}")
                    continue
                if len(evidence.seeds) < 2 and not evidence.deterministic:
                    left_out.append(f"{arm.cell['strategy']} on {target}: one seed tells nothing of others")
                    continue
                # the naive predictor has no runs: it is made anew for each cell
                of_base = "" if name == naive.NAME else str([sorted(base.cell.items()), base.variant])
                paired[budget, of_base].append(evidence)
        for (budget, _), cells in paired.items():
            runs_of_baseline = 0 if name == naive.NAME else len(paired)
            of_cells = _pilot(cells, metric, cells_of_family=size, baselines=runs_of_baseline)
            pilots.append(replace(of_cells, target=target, protocol=protocol, label_budget=budget))
    if not pilots:
        reason = left_out[0] if left_out else f"no cell has a baseline {name} to be held against"
        raise RequestError(f"RUNS={runs}: nothing to plan from: {reason}")
    return metric, pilots, left_out


def _pilot(cells: list[Evidence], metric: str, *, cells_of_family: int, baselines: int) -> Pilot:
    pairs = [tested(evidence, metric, "random") for evidence in cells]
    judged, groups = cells[0].metric(metric), cells[0].groups
    spreads = [Spread.of(pair.d, pair.unit, pair.influence) for pair in pairs]
    seeded = [spread for spread in spreads if spread.pilot is not None]
    return Pilot(
        spreads={MEASURED: Spread.mean(seeded or spreads)},
        unit=judged.display,
        span=max(pair.span for pair in pairs),
        cells=cells_of_family,
        baselines=baselines,
        seeds=min(len(evidence.seeds) for evidence in cells),
        items=min(map(units, cells)),
        item_unit="item" if groups is None else "group",
    )
