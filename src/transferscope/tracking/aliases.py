"""Names of metrics that hold for every target: a panel over several targets has one column for each."""

from collections.abc import Mapping
from typing import Any

import numpy as np

DELTA = "target/test/delta_vs_scratch"


def with_aliases(values: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    """The values, and those of the target as `target/SPLIT/METRIC`, those of the source as
    `source/SPLIT/METRIC`: of several sources their mean."""
    found = dict(values)
    sources = (cell["source"] or "").split("+")
    for role, names in (("target", [cell["target"]]), ("source", [name for name in sources if name])):
        of_role: dict[str, list[float]] = {}
        for name in names:
            for key in (key for key in values if key.startswith(f"{name}/")):
                of_role.setdefault(f"{role}{key.removeprefix(name)}", []).append(values[key])
        found |= {alias: float(np.mean(several)) for alias, several in of_role.items()}
    return found


def delta(
    metrics: Mapping[str, float], baseline: Mapping[str, float], cell: Mapping[str, Any]
) -> dict[str, float]:
    """Test accuracy less that of the seed's scratch run, where both have one; of numbers the scratch run's
    mean absolute error less this one's."""
    for name, sign in (("accuracy", 1), ("mae", -1)):
        key = f"{cell['target']}/test/{name}"
        if key in metrics and key in baseline:
            return {DELTA: sign * (metrics[key] - baseline[key])}
    return {}
