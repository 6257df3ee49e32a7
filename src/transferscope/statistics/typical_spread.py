"""How much differences of accuracy varied in real experiments: what a plan starts from before there is a
pilot. experiments/planning says where from; a test makes these numbers again from its tables."""

from transferscope.statistics.planning import Spread

SOURCE = "5 experiments with 17 baselines (a table, digits, pictures, texts: experiments/planning)"


def _in_points(seeds: float, within: float, items: float, item_rms: float, item_fourth_root: float) -> Spread:
    """Standard deviations, and roots of the items' mean square and fourth power."""
    return Spread(
        (seeds / 100) ** 2,
        (within / 100) ** 2,
        (items / 100) ** 2,
        (item_rms / 100) ** 2,
        (item_fourth_root / 100) ** 4,
    )


TYPICAL_SPREAD = {
    "lowest": _in_points(0.00, 18.26, 5.21, 12.09, 20.82),
    "typical": _in_points(1.03, 28.64, 10.74, 15.64, 30.05),
    "highest": _in_points(6.21, 48.91, 29.92, 37.04, 55.06),
}
