"""A sweeper of another make, as Hydra's plugins are: it has values of its own and asks each job for a
number."""

import sys
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


class TinySweeper(Sweeper):
    """Two learning rates; what it is told goes into a file."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        jobs = [[*arguments, f"trainer.optimizer.lr={rate}"] for rate in (0.01, 0.1)]
        told = [done.return_value for done in self.launcher.launch(jobs, initial_job_idx=0)]
        Path("told.txt").write_text(repr(told))


def register() -> None:
    """Where Hydra looks for plugins, in this process alone."""
    sys.modules["hydra_plugins.tiny_sweeper"] = sys.modules[__name__]
    TinySweeper.__module__ = "hydra_plugins.tiny_sweeper"
    Plugins.instance().register(TinySweeper)
    node = {"_target_": "hydra_plugins.tiny_sweeper.TinySweeper"}
    ConfigStore.instance().store(group="hydra/sweeper", name="tiny", node=node, provider="tests")
