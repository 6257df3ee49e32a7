"""The smallest difference that matters: an absolute one, or a share of the baseline's risk."""

import math
from dataclasses import dataclass

from transferscope.errors import RequestError
from transferscope.tasks.metrics import METRICS, Metric

RELATIVE = "relative:"
# of the baseline's errors, where a metric has no margin of its own: what matters depends on the target's unit
SHARE_OF_ERRORS = 0.05


@dataclass(frozen=True)
class Margin:
    """value: in the metric's unit, or the share where `relative`."""

    value: float
    relative: bool = False

    @classmethod
    def parse(cls, margin: float | str | None, metric: str) -> "Margin":
        """0.01, 'relative:0.1', or None for the metric's own; a metric that has none takes a share of the
        baseline's errors. Raises RequestError."""
        judged = METRICS[metric]
        if margin is None:
            return cls(SHARE_OF_ERRORS, relative=True) if judged.margin is None else cls(judged.margin)
        text = str(margin)
        relative = text.startswith(RELATIVE)
        try:
            value = float(text.removeprefix(RELATIVE))
        except ValueError:
            value = float("nan")
        most = 1.0 if relative else judged.span if judged.of_errors is None else math.inf
        if not 0 <= value < most:
            hint = "0.01 is one point" if judged.display == "points" else f"in {judged.display}"
            raise RequestError(
                f"--margin {margin}: the smallest difference that matters, at least 0 and below {most:.3g}, "
                "is needed "
                f"({hint if not relative else 'a share of the risk'}), or relative:0.1 for a tenth of the "
                "baseline's risk"
            )
        return cls(value, relative)

    @property
    def setting(self) -> float | str:
        return f"{RELATIVE}{self.value:g}" if self.relative else self.value

    def value_at(self, baseline_score: float, metric: Metric) -> float:
        """In the metric's unit. The risk is what the baseline's score lies below the best there is."""
        return self.value * (metric.best - baseline_score) if self.relative else self.value
