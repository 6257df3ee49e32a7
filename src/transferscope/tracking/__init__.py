"""Runs, sweeps and comparisons in Weights & Biases. The only folder that imports wandb, and only when
something is written or read there.

W&B shows what the store holds, and nothing that a run reads depends on it: a failure here is a line on
stderr, never a lost record."""

from transferscope.tracking.comparisons import track_comparison
from transferscope.tracking.live import LiveRun, log_run
from transferscope.tracking.place import MODES, Images, effective_mode, serves_an_agent
from transferscope.tracking.rebuild import is_tracked, rebuild
from transferscope.tracking.sweeps import track_sweep

__all__ = [
    "MODES",
    "Images",
    "LiveRun",
    "effective_mode",
    "is_tracked",
    "log_run",
    "rebuild",
    "serves_an_agent",
    "track_comparison",
    "track_sweep",
]
