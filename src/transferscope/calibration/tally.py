"""How often intervals miss, over chunks of experiments, and how wide they are beside those without
pseudo-items."""

from collections.abc import Iterable, Iterator

import numpy as np

from transferscope.calibration.findings import LEVELS, Finding, at_levels
from transferscope.calibration.many import Effects, Sums


class Tally:
    """Errors of intervals whose truth is known, at every level.

    width over the plain one's: mean half-width over that of `Sums.plain`, whose error rate is `plain
    interval`. Where the truth is not 0: how often it is told (with its sign), and the opposite sign."""

    def __init__(self, truth: float):
        self.truth, self.draws = truth, 0
        self.missed, self.claimed, self.opposite, self.half, self.plain_missed, self.plain_half = np.zeros(
            (6, len(LEVELS))
        )

    def add(self, effects: Effects, plain: Effects) -> None:
        self.draws += len(effects.delta)
        away, toward = np.abs(effects.delta - self.truth), effects.delta * np.sign(self.truth)
        for place, alpha in enumerate(LEVELS.values()):
            half, plain_half = effects.half(alpha), plain.half(alpha)
            self.missed[place] += np.sum(away > half)
            self.claimed[place] += np.sum(toward > half)
            self.opposite[place] += np.sum(-toward > half)
            self.half[place] += half.sum()
            self.plain_missed[place] += np.sum(away > plain_half)
            self.plain_half[place] += plain_half.sum()

    def findings(
        self, study: str, setting: str, method: str = "component-wise t", limit: bool = False
    ) -> Iterator[Finding]:
        columns = {
            "half": self.half / self.draws,
            "width over the plain one's": self.half / self.plain_half,
            "plain interval": self.plain_missed / self.draws,
        }
        if self.truth:
            columns |= {"told": self.claimed / self.draws, "opposite sign": self.opposite / self.draws}
        detail = [
            {name: float(column[place]) for name, column in columns.items()} for place in range(len(LEVELS))
        ]
        yield from at_levels(study, setting, self.missed, self.draws, method, detail, limit=limit)


def held_against(
    study: str, setting: str, drawn: Iterable[Sums], truth: float, unit: float = 1.0, limit: bool = False
) -> Iterator[Finding]:
    tally = Tally(truth)
    for sums in drawn:
        tally.add(sums.effects(unit), sums.plain())
    yield from tally.findings(study, setting, limit=limit)
