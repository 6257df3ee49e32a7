"""The smallest difference that matters: an absolute one, or a share of the baseline's risk."""

from dataclasses import dataclass

from transferscope.errors import Refused

RELATIVE = "relative:"


@dataclass(frozen=True)
class Margin:
    """value: on the metric's scale, or the share where `relative`."""

    value: float
    relative: bool = False

    @classmethod
    def parse(cls, margin: float | str) -> "Margin":
        """0.01 or 'relative:0.1'. Raises Refused."""
        text = str(margin)
        relative = text.startswith(RELATIVE)
        try:
            value = float(text.removeprefix(RELATIVE))
        except ValueError:
            value = float("nan")
        if not 0 <= value < 1:
            raise Refused(
                f"--margin {margin}: the smallest difference that matters, at least 0 and below 1, is needed (0.01 is one point of accuracy), "
                "or relative:0.1 for a tenth of the baseline's risk"
            )
        return cls(value, relative)

    @property
    def setting(self) -> float | str:
        return f"{RELATIVE}{self.value:g}" if self.relative else self.value

    def of(self, baseline_score: float, metric: str) -> float:
        """On the metric's scale. The risk is 1 − score, or the score with its sign flipped back (nll, brier)."""
        if not self.relative:
            return self.value
        return self.value * (-baseline_score if metric in ("nll", "brier") else 1 - baseline_score)
