"""The verdicts of a sweep while it grows, beside its progress: what `compare` says of its plan so far.

Like every other look at verdicts it is noted in the store's log of readings. The plan names the seeds that
are to come, so they cost nothing; seeds beyond the plan do."""

import time
from datetime import datetime
from pathlib import Path

from rich.console import Group
from rich.text import Text

from transferscope.comparison.compare import compare
from transferscope.comparison.formats import short_table
from transferscope.errors import RequestError

SHARE = 0.02  # of a core that looking may take
STEP = 0.25  # of the runs, after which a log gets another table


class VerdictsSoFar:
    """of: runs that are planned."""

    def __init__(self, store: Path, name: str, of: int):
        self.runs, self.of = store / "sweeps" / name, of
        self.finished = 0
        self.not_before = 0.0
        self.view: Group | None = None

    def update(self, finished: int, width: int, rows: int) -> None:
        """Compare again, where more runs are finished and the last time is long enough ago."""
        if finished == self.finished or time.monotonic() < self.not_before:
            return
        began = time.thread_time()
        self.compare(finished, width, rows)
        self.not_before = time.monotonic() + (time.thread_time() - began) / SHARE

    def for_a_log(self, finished: int, width: int) -> Group | None:
        """A table for each quarter of the runs but the last."""
        if finished - self.finished < STEP * self.of or finished == self.of:
            return None
        return self.compare(finished, width)

    def compare(self, finished: int, width: int, rows: int = 1000) -> Group | None:
        self.finished = finished
        self.view = self._compared(width, rows)
        return self.view

    def _compared(self, width: int, rows: int) -> Group | None:
        try:
            comparison = compare(self.runs, protocol="both")
        except RequestError:  # nothing that could be compared yet
            return None
        if not comparison.cells:
            return None
        when = datetime.now().strftime("%H:%M:%S")
        stamp = (
            f"verdicts against scratch, {self.of} runs: transferscope compare {self.runs} says more"
            if self.finished == self.of
            else f"INTERIM at {when}, {self.finished} of {self.of} runs: more of them may change any verdict"
        )
        return Group(Text(stamp, style="yellow"), *short_table(comparison, width, max(1, rows)))
