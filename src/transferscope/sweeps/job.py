"""One point of a sweep's grid."""

from dataclasses import dataclass

from transferscope.training.request import Request


@dataclass(frozen=True)
class Job:
    """One point of the grid: a request, or the reason why there is none."""

    overrides: list[str]
    request: Request | None
    reason: str = ""
