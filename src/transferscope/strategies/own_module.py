"""A LightningModule of a user's own as a strategy. It has no yaml: the user's names the module."""

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import get_class
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Strategy


class OwnModule(Strategy):
    """min of what `module.training_step((inputs, labels), step)` returns, on labelled target items, by the
    optimiser of `module.configure_optimizers()`.

    The module's constructor takes `network`, the initialised backbone and head, and keeps it;
    `module(inputs)` gives logits [N, C]. Its steps, its optimiser and its schedule are kept, a schedule of
    epochs goes by evaluation intervals. The harness keeps its promises: which labels it sees, batches, seeds,
    evaluation, resume. Deviations from Lightning: other hooks of the module are not called, and neither are
    `validation_step` and `test_step`; `trainer.optimizer` and `trainer.schedule` are not for it.

    module: its `_target_` and its arguments but for `network`.
    """

    sees = frozenset({"target_labels"})
    rates_of_its_own = True

    def __init__(self, network: Classifier, module: dict[str, Any]):
        super().__init__(network)
        kind = get_class(module["_target_"])
        if not issubclass(kind, pl.LightningModule):
            raise RequestError(f"strategy.module._target_={module['_target_']}: a LightningModule is needed")
        arguments = {key: value for key, value in module.items() if not key.startswith("_")}
        self.module: pl.LightningModule = kind(network=network, **arguments)
        del self._modules["network"]  # whose weights are the module's: they are kept, and loaded, once
        self.__dict__["network"] = network
        self.every_interval: list[LRScheduler] = []
        if lost := {*network.parameters()} - {*self.module.parameters()}:
            raise RequestError(
                f"strategy.module={module['_target_']}: {len(lost)} weights of the network that it is given "
                "are not among its parameters; keep it, as in self.model = network"
            )
        if not self.module.automatic_optimization:
            raise RequestError(
                f"strategy.module={module['_target_']}: steps its optimisers itself (automatic_optimization "
                "is False); write it as a strategy, whose updates(batch) names the optimiser of each loss"
            )

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[LRScheduler]]:
        optimizer, schedule = _taken_apart(self.module.configure_optimizers())
        self.named_optimizers = {"all": optimizer}
        scheduler = schedule.get("scheduler")
        every_step = schedule.get("interval", "epoch") == "step"
        self._schedulers = [scheduler] if scheduler is not None and every_step else []
        self.every_interval = [scheduler] if scheduler is not None and not every_step else []
        return [optimizer], [*self._schedulers, *self.every_interval]

    def parameter_groups(self) -> dict[str, list[dict[str, Any]]]:
        return {"all": [{"params": [p for p in self.module.parameters() if p.requires_grad]}]}

    def _set_rates(self, factor: float) -> None:
        pass  # they are the module's

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self.module.log = self.log  # type: ignore[method-assign]

    def begin_interval(self, pools: Pools) -> None:
        if self._step:
            for scheduler in self.every_interval:
                scheduler.step()

    def updates(self, batch: Batch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        items = batch.target
        assert items is not None
        returned: Any = self.module.training_step((items.inputs, items.labels), self._step)
        if returned is not None:  # or the module skips the step
            yield "all", {"module": returned["loss"] if isinstance(returned, dict) else returned}

    def logits(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.module(inputs)
        return logits


def _taken_apart(given: Any) -> tuple[torch.optim.Optimizer, dict[str, Any]]:
    """The one optimiser of what `configure_optimizers` returned, and its schedule as Lightning has it."""
    schedule: Any = None
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], list):
        given, schedules = given
        schedule = schedules[0] if len(schedules) == 1 else None
    if isinstance(given, list | tuple) and len(given) == 1:
        [given] = given
    if isinstance(given, dict):
        given, schedule = given.get("optimizer"), given.get("lr_scheduler")
    if not isinstance(given, torch.optim.Optimizer):
        raise RequestError("strategy.module: its configure_optimizers must return one optimiser")
    if schedule is None:
        return given, {}
    return given, schedule if isinstance(schedule, dict) else {"scheduler": schedule}
