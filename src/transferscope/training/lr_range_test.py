"""A learning-rate range test before training (Smith 2017, arXiv 1506.01186, section 3.3).

The rate grows from step to step, by equal factors, while the loss is watched. Training then begins anew at a
tenth of the rate at which the smoothed loss was lowest. Smith reads the rate off the plot; the tenth is what
fastai's finder suggests as `minimum`. The steepest slope, Lightning's suggestion, was tried: with batches as
small as ours it finds the noise of the first steps."""

import sys
from collections.abc import Iterator
from copy import deepcopy
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytorch_lightning as pl
import torch

from transferscope.data.splits import generator
from transferscope.strategies.base import Batch, Strategy

if TYPE_CHECKING:
    from transferscope.training.batches import BatchSampler

LOWEST, HIGHEST = 1e-6, 1.0
SMOOTHING = 0.9  # weight of the losses before
EXPLODED = 4.0  # times the lowest smoothed loss, at which the test ends


def suggested(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """A tenth of the rate, of rates [k], at which the smoothed loss, of losses [k], is lowest; None where
    that is among the first tenth. A loss that is not finite ends the test, as one that has exploded does."""
    smoothed: list[float] = []
    average = 0.0
    for place, loss in enumerate(losses):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        unbiased = average / (1 - SMOOTHING ** (place + 1))
        if not np.isfinite(loss) or unbiased > EXPLODED * min([unbiased, *smoothed]):
            break
        smoothed.append(unbiased)
    lowest = int(np.argmin(smoothed)) if smoothed else 0
    return float(rates[lowest]) / 10 if lowest >= len(rates) / 10 else None


class RangeTest(pl.Callback):
    """Finds the rate before the first step. A resumed training has it from its checkpoint."""

    def __init__(self, steps: int, draws: "BatchSampler"):
        self.steps, self.draws = steps, draws
        self.rate: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        strategy = cast(Strategy, pl_module)
        given = strategy.optimizer.keywords["lr"]
        if self.rate is None:
            rates = np.geomspace(LOWEST, HIGHEST, self.steps)
            self.rate = suggested(rates, self._losses(strategy, rates / given))
            if self.rate is None:
                print(
                    f"trainer.lr_range_test: no rate from {LOWEST:g} to {HIGHEST:g} makes the loss fall; "
                    f"trainer.optimizer.lr={given:g} stays",
                    file=sys.stderr,
                )
                self.rate = given
        strategy.scale_rates(self.rate / given)

    def _losses(self, strategy: Strategy, factors: np.ndarray) -> np.ndarray:
        """Of one step at each multiple of the rates that are given. What is resumed from weights and
        optimisers is put back by them."""
        weights = deepcopy(strategy.state_dict())
        optimizers = [deepcopy(one.state_dict()) for one in strategy.named_optimizers.values()]
        callbacks, strategy.step_callbacks = strategy.step_callbacks, ()
        torch.manual_seed(int(generator("torch", *self.draws.watch.stream, "range test").integers(2**62)))
        strategy.begin_interval(self.draws.watch.pools)
        losses = []
        for factor, parts in zip(factors, self._steps(), strict=True):
            strategy.start_counting(step=0)
            strategy.take_step(parts, factor)
            losses.append(float(sum(strategy.loss_sums.values())))
            if not np.isfinite(losses[-1]):
                break
        strategy.load_state_dict(weights)
        for optimizer, state in zip(strategy.named_optimizers.values(), optimizers, strict=True):
            optimizer.load_state_dict(state)
            optimizer.zero_grad(set_to_none=True)
        strategy.logged_values()
        strategy.step_callbacks = callbacks
        strategy.start_counting(step=0)
        return np.array(losses)

    def _steps(self) -> Iterator[list[Batch]]:
        batches = (batch for block in self.draws.drawn(self.steps, "range test") for batch in block)
        while parts := list(islice(batches, self.draws.parts)):
            yield parts

    def state_dict(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rate = state_dict["rate"]
