"""Hydra finds plugins only in this namespace; the sweeper itself is transferscope.sweeps.sweep."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper


class TransferscopeSweeper(Sweeper):
    """Imports transferscope.sweeps.sweep, and with it torch, when a sweep starts and not when Hydra looks for
    plugins."""

    def __init__(
        self,
        params: dict[str, str] | None = None,
        grids: list[dict[str, str]] | None = None,
        dry_run: bool = False,
        until_decided: bool = False,
        search: bool = False,
        settle: bool = False,
        verdicts: bool | None = None,
    ):
        self.arguments = {"params": params, "grids": grids, "dry_run": dry_run, "verdicts": verdicts}
        self.until_decided, self.search, self.settle = until_decided, search, settle

    def setup(self, **context: Any) -> None:
        from transferscope.training import paths
        from transferscope.training.checks import check_hydra

        config = context["config"]
        check_hydra(config.hydra)
        if isinstance(store := config.get("store"), str):  # a yaml may hold ~
            config.store = paths.home(store, "store")
        if self.until_decided:
            from transferscope.sweeps.until_decided import Sweeper as Implementation
        elif self.search:
            from transferscope.sweeps.search import Sweeper as Implementation
        elif self.settle:
            from transferscope.sweeps.settle import Sweeper as Implementation
        else:
            from transferscope.sweeps.sweep import Sweeper as Implementation

        self.sweeper = Implementation(**self.arguments)
        self.sweeper.setup(**context)

    def sweep(self, arguments: list[str]) -> Any:
        return self.sweeper.sweep(arguments)


@dataclass
class TransferscopeSweeperConfig:
    _target_: str = "hydra_plugins.transferscope.sweeper.TransferscopeSweeper"
    params: dict[str, Any] | None = None
    grids: list[Any] = field(default_factory=list)
    dry_run: bool = False
    until_decided: bool = False
    search: bool = False
    settle: bool = False
    verdicts: bool | None = None


ConfigStore.instance().store(
    group="hydra/sweeper", name="transferscope", node=TransferscopeSweeperConfig, provider="transferscope"
)
