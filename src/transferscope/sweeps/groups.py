"""Which jobs of a sweep are launched as one, because their runs train side by side."""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from transferscope.training.side_by_side import can_join

if TYPE_CHECKING:
    from transferscope.sweeps.job import Job

MAY_DIFFER = ("seed", "fold", "label_budget", "trainer.label_smoothing", "trainer.optimizer.")
MOST = 64  # runs of a group: more gain nothing


def groups(jobs: list["Job"]) -> list[list["Job"]]:
    """The jobs in order, those together that are asked for in the same words but for values that may
    differ."""
    found = defaultdict(list)
    for number, job in enumerate(jobs):
        words = tuple(
            word.partition("=")[0] if word.startswith(MAY_DIFFER) else word for word in job.overrides
        )
        found[words if can_join(job.request) else number].append(job)
    return [group[start : start + MOST] for group in found.values() for start in range(0, len(group), MOST)]


def one_of_each_first(found: list[list["Job"]]) -> list[list["Job"]]:
    """The groups, one of every strategy and backbone before the others: what fails, and how long each takes,
    shows early."""
    first: dict[tuple[str, str], int] = {}
    for place, (job, *_) in enumerate(found):
        first.setdefault((job.request.cell["strategy"], job.request.cell["backbone"]), place)
    early = set(first.values())
    return [group for place, group in enumerate(found) if place in early] + [
        group for place, group in enumerate(found) if place not in early
    ]


def concurrent_override(group: list["Job"]) -> list[str]:
    """The override that tells the first job of a group about the others: what is different in their
    configs."""
    first, *others = (job.request.config for job in group)
    differing = [
        ", ".join(f"{key}: {json.dumps(value)}" for key, value in _differences(first, other).items())
        for other in others
    ]
    return [f"+beside=[{', '.join(f'{{{one}}}' for one in differing)}]"] if others else []


def _differences(first: dict[str, Any], other: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"trainer.optimizer.lr": 0.1}: of two configs with the same keys, where they differ, as the other has
    it."""
    found = {}
    for key, value in other.items():
        if isinstance(value, dict):
            found |= _differences(first[key], value, f"{prefix}{key}.")
        elif value != first[key]:
            found[f"{prefix}{key}"] = value
    return found
