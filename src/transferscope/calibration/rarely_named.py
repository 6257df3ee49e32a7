"""Macro precision where an arm rarely names a class, whose precision is then a share of few items, and 0
where it comes up on none."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from transferscope.calibration.findings import Finding, Size, watched
from transferscope.calibration.influence_kinds import differences, of_confusion
from transferscope.calibration.many import Layout
from transferscope.calibration.metrics import INFLUENCE
from transferscope.calibration.resampling import chunks
from transferscope.calibration.tally import Tally
from transferscope.data.splits import generator
from transferscope.statistics.influence import SCALES

CLASSES = (2, 10)
SEEDS = (5, 10)
ITEMS = (200, 1000)
LASTING = (0.95, 0.3)  # share of an arm's answers that are the same in every seed
SHARED = 0.5  # of these, share of which both arms draw alike
RIGHT = 0.85  # of the answers that name no rare class
DRAW_SHARE = 4


@dataclass(frozen=True)
class Naming:
    """How an arm names the first class: on how many items (None: on as many as there are of it), and its
    precision there."""

    items: float | None
    precision: float


USUAL = Naming(None, RIGHT)


@dataclass(frozen=True)
class Kind:
    """seeds: the share of them in which the strategy names as `strategy` says, else as the baseline does."""

    strategy: Naming
    baseline: Naming = USUAL
    seeds: float = 1.0


KINDS = {
    **{
        f"on {items:g} items, precision {precision:g}": Kind(Naming(items, precision))
        for items, precision in product((0.5, 2, 5, 20), (1.0, 0.5))
    },
    "both on 2 items, precision 1 and 0.5": Kind(Naming(2, 1.0), Naming(2, 0.5)),
    "null: both on 5 items": Kind(Naming(5, 0.9), Naming(5, 0.9)),
    "on 2 and 10 items, precision 0.8": Kind(Naming(2, 0.8), Naming(10, 0.8)),
    "on 0.5 items in 10 % of seeds, precision 0": Kind(Naming(0.5, 0.0), seeds=0.1),
    "on 0.5 items in 30 % of seeds, precision 1": Kind(Naming(0.5, 1.0), seeds=0.3),
}


def study(size: Size) -> Iterator[Finding]:
    """Where some seeds alone name the class rarely, experiments without such a seed cannot know of them: a
    limit, the same for macro-F1 and balanced accuracy, which stand beside it."""
    grid = list(product(CLASSES, ITEMS, SEEDS, LASTING))
    for classes, items, seeds, lasting in watched(grid, "rarely named classes"):
        for name, kind in KINDS.items():
            setting = f"{name}, {classes} classes, {lasting:.0%} lasting, K={seeds} n={items}"
            rng, limit = generator("calibration", "rarely named", setting), kind.seeds < 1
            metrics = tuple(INFLUENCE) if limit else ("macro_precision",)
            tallies = {metric: Tally(worth(metric, kind, classes, items)) for metric in metrics}
            for count in chunks(max(1, size.draws // DRAW_SHARE), seeds * items):
                arms, labels = answered(
                    kind, classes, lasting, seeds=seeds, items=items, draws=count, rng=rng
                )
                d, change = differences(arms, labels, metrics)
                for metric, tally in tallies.items():
                    sums = Layout(d[metric]).sums
                    tally.add(sums.effects(**{SCALES[metric]: change[metric]}), sums.plain())
            for metric, tally in tallies.items():
                yield from tally.findings(
                    "rarely_named", f"{metric}, {setting}", "component-wise t, influence", limit=limit
                )


def answers(naming: Naming, classes: int, items: int) -> np.ndarray:
    """[label, named], rows that add up to 1; classes are equally frequent."""
    share = 1 / classes if naming.items is None else naming.items / items
    found, recall = np.zeros((classes, classes)), share * naming.precision * classes
    false = share * (1 - naming.precision) / (1 - 1 / classes)
    found[0] = (1 - recall) / (classes - 1)
    found[1:] = (1 - RIGHT) * (1 - false) / max(classes - 2, 1)
    np.fill_diagonal(found, (RIGHT if classes > 2 else 1) * (1 - false))
    found[0, 0], found[1:, 0] = recall, false
    return found


def worth(metric: str, kind: Kind, classes: int, items: int) -> float:
    """Δ of the population."""
    strategy, baseline = (
        of_confusion(metric, answers(arm, classes, items) / classes) for arm in (kind.strategy, kind.baseline)
    )
    return kind.seeds * (strategy - baseline)


def answered(
    kind: Kind,
    classes: int,
    lasting: float,
    *,
    seeds: int,
    items: int,
    draws: int,
    rng: np.random.Generator,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Classes that strategy and baseline name [B, K, n], labels [B, n]; each class has an item at least."""
    labels = rng.integers(classes, size=(draws, items), dtype=np.int8)
    labels[:, :classes] = np.arange(classes)
    shared, places = rng.random((draws, 1, items), dtype=np.float32), []
    for _ in range(2):
        own = rng.random((draws, 1, items), dtype=np.float32)
        place = np.where(rng.random((draws, 1, items), dtype=np.float32) < SHARED, shared, own)
        by_chance = rng.random((draws, seeds, items), dtype=np.float32)
        stays = rng.random((draws, seeds, items), dtype=np.float32) < lasting
        places.append(np.where(stays, place, by_chance))
    strategy = named(answers(kind.strategy, classes, items), labels, places[0])
    if kind.seeds < 1:
        otherwise = named(answers(kind.baseline, classes, items), labels, places[0])
        strategy = np.where(rng.random((draws, seeds, 1)) < kind.seeds, strategy, otherwise)
    return [strategy, named(answers(kind.baseline, classes, items), labels, places[1])], labels


def named(answers: np.ndarray, labels: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Classes [B, K, n] at these places in 0..1 [B, K, n] of the labels' rows."""
    found = np.zeros(place.shape, np.int8)
    for bound in answers.cumsum(axis=1)[:, :-1].T.astype(np.float32):
        found += place >= bound[labels][:, None]
    return found
