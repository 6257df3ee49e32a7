"""One point of a sweep's grid."""

from dataclasses import dataclass

from transferscope.training.request import Request


@dataclass(frozen=True)
class Job:
    """What is run at a point."""

    overrides: list[str]
    request: Request


@dataclass(frozen=True)
class Refused:
    """A point at which nothing can be run, and why."""

    overrides: list[str]
    reason: str
