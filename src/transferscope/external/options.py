"""What is said of foreign results beside their columns."""

import math
from dataclasses import dataclass
from typing import Literal

from transferscope.errors import RequestError

Form = Literal["score", "prediction", "probabilities", "number"]
TOLD: dict[Form, str] = {
    "score": "scores", "prediction": "predicted classes", "probabilities": "probabilities",
    "number": "predicted numbers",
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """common_items: judge those that all runs of a target have, where else they are refused.
    lower_is_better: of scores. score_range: the lowest and the highest score that an item can have, None for
    0 and 1. cap: the largest error of a predicted number that counts."""

    common_items: bool = False
    lower_is_better: bool = False
    score_range: tuple[float, float] | None = None
    cap: float | None = None

    def __post_init__(self) -> None:
        if self.score_range is not None:
            low, high = self.score_range
            if not (low < high and math.isfinite(high - low)):
                raise RequestError(
                    f"--score-range {low:g},{high:g}: two finite numbers in this order are needed"
                )
        if self.cap is not None and not 0 < self.cap < math.inf:
            raise RequestError(f"--cap {self.cap:g}: a number above 0 is needed")

    def check(self, form: Form) -> None:
        """Raises RequestError for what is said of another form of results."""
        said: list[tuple[str, bool, Form]] = [
            ("--lower-is-better", self.lower_is_better, "score"),
            ("--score-range", self.score_range is not None, "score"),
            ("--cap", self.cap is not None, "number"),
        ]
        for option, given, of in said:
            if given and form != of:
                raise RequestError(f"{option}: is for {TOLD[of]}, and the rows tell {TOLD[form]}")
