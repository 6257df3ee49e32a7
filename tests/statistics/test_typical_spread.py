"""What real experiments varied by, made again from the tables that `transferscope plan` wrote of them."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from transferscope.comparison.plan import deviations
from transferscope.statistics.typical_spread import SOURCE, TYPICAL_SPREAD

RESULTS = Path(__file__).parents[2] / "experiments" / "planning" / "results"


def measured() -> dict[str, list[dict[str, str]]]:
    """The rows of accuracy of each table."""
    tables = {path.stem: list(csv.DictReader(path.open())) for path in sorted(RESULTS.glob("*.csv"))}
    return {
        name: [row for row in rows if row["metric"] == "accuracy" and row["unit"] == "points"]
        for name, rows in tables.items()
    }


def parts(row: dict[str, str]) -> dict[str, float]:
    """Deviations of one baseline, in points; of seeds themselves, for the pilot's have its items' chance in
    them."""
    found = {name: float(row[name]) for name in deviations(TYPICAL_SPREAD["typical"])}
    variance = found["seed_sd"] ** 2 - found["rest_sd"] ** 2 / int(row["pilot_items"])
    return found | {"seed_sd": max(variance, 0.0) ** 0.5}


def test_the_range_is_what_the_tables_hold() -> None:
    tables = {name: [parts(row) for row in rows] for name, rows in measured().items()}
    every = [row for rows in tables.values() for row in rows]
    for part in every[0]:
        values = [row[part] for row in every]
        medians = [np.median([row[part] for row in rows]) for rows in tables.values()]
        expected = {"lowest": min(values), "typical": np.median(medians), "highest": max(values)}
        for name, value in expected.items():
            found = 100 * deviations(TYPICAL_SPREAD[name])[part]
            assert found == pytest.approx(value, abs=0.05), (name, part)
    told = re.search(r"(\d+) experiments with (\d+) baselines", SOURCE)
    assert told and (int(told[1]), int(told[2])) == (len(tables), len(every))
