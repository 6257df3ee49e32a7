"""Hydra finds plugins only in this namespace; the launcher itself is transferscope.sweeps.launcher."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher


class LocalLauncher(Launcher):
    """Imports transferscope.sweeps.launcher, and with it torch, when a sweep starts and not when Hydra looks
    for plugins."""

    def __init__(self, n_jobs: int | str = "auto"):
        self.n_jobs = n_jobs

    def setup(self, **context: Any) -> None:
        from transferscope.sweeps.launcher import Launcher as Implementation

        self.launcher = Implementation(self.n_jobs)
        self.launcher.setup(**context)

    def launch(self, job_overrides: Any, initial_job_idx: int) -> Any:
        return self.launcher.launch(job_overrides, initial_job_idx)


@dataclass
class LocalLauncherConfig:
    _target_: str = "hydra_plugins.transferscope.launcher.LocalLauncher"
    n_jobs: Any = "auto"


ConfigStore.instance().store(
    group="hydra/launcher", name="local", node=LocalLauncherConfig, provider="transferscope"
)
