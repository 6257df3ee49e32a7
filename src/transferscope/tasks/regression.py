"""One number of each item, or several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from transferscope.tasks import collapse
from transferscope.tasks.base import Reduction, Strata, Task

STRATA = 4  # quartiles


@dataclass(frozen=True)
class Regression(Task):
    """quantities: names of the T numbers of an item. unit: of all of them, or "". error: `mse`, `mae` or
    `huber`, what training minimises. spread [T]: what errors are divided by before they are told
    (`metrics.Errors`). center, scale [T]: see `fitted`.

    Targets are float32 [n, T]. A head gives them standardised, (y − center) / scale, so that a loss weighs
    every quantity alike and a learning rate suits any unit; predicted are the numbers themselves.
    """

    quantities: tuple[str, ...]
    unit: str = ""
    error: str = "mse"
    spread: tuple[float, ...] = ()
    center: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    name = "regression"
    losses = ("mse", "mae", "huber")
    gives = frozenset({"values"})
    headline = "mae"

    @property
    def outputs(self) -> int:
        return len(self.quantities)

    def joined(self, others: Sequence[Task]) -> "Regression":
        return replace(self, center=(), scale=())

    def translated(self, targets: Tensor, task: Task) -> Tensor:
        return targets

    def difference(self, other: Task) -> str:
        if not isinstance(other, Regression):
            return f"{self.name} against {other.name}"
        if self.quantities == other.quantities:
            return ""
        return f"{', '.join(self.quantities)} in the source, {', '.join(other.quantities)} in the target"

    def fitted(self, labels: Sequence[Tensor]) -> "Regression":
        """With center and scale of labels [n, T], those of the source and of the target: either counts once,
        so that the few labelled items of a target are no outliers beside a large source. A quantity that does
        not vary has scale 1."""
        moments = [
            (part.double().mean(0), part.double().var(0, unbiased=False)) for part in labels if len(part)
        ]
        if not moments:
            return replace(self, center=(0.0,) * self.outputs, scale=(1.0,) * self.outputs)
        means, variances = (torch.stack(parts) for parts in zip(*moments, strict=True))
        scale = (variances.mean(0) + means.var(0, unbiased=False)).sqrt()
        scale[scale == 0] = 1.0
        return replace(self, center=tuple(means.mean(0).tolist()), scale=tuple(scale.tolist()))

    def minimising(self, loss: str) -> "Regression":
        """By `trainer.loss`."""
        return replace(self, error=self.losses[0] if loss == "auto" else loss)

    def standardised(self, targets: Tensor) -> Tensor:
        """[n, T] -> [n, T], what a head is to give."""
        return (targets - targets.new_tensor(self.center)) / targets.new_tensor(self.scale)

    def adopted(self, weight: Tensor, bias: Tensor, other: Task) -> tuple[Tensor, Tensor]:
        """A head of another center and scale, weight [T, d] and bias [T], as one that predicts the same
        here."""
        assert isinstance(other, Regression)
        ratio = bias.new_tensor(other.scale) / bias.new_tensor(self.scale)
        shift = (bias.new_tensor(other.center) - bias.new_tensor(self.center)) / bias.new_tensor(self.scale)
        return weight * ratio[:, None], bias * ratio + shift

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        reduction: Reduction = "mean",
        *,
        weights: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Squared, absolute or Huber's error of standardised values, the mean over quantities. Huber's is
        squared below one standard deviation, half of it. There are no classes to weigh or to smooth."""
        losses = self._losses(outputs - self.standardised(targets))
        return losses if reduction == "none" else losses.mean()

    def loss_matrix(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._losses(outputs[None] - self.standardised(targets)[:, None])

    def _losses(self, errors: Tensor) -> Tensor:
        """[..., T] -> [...]"""
        if self.error == "mae":
            return errors.abs().mean(-1)
        if self.error == "huber":
            return huber_loss(errors, torch.zeros_like(errors), "none").mean(-1)
        return errors.square().mean(-1)

    def risk(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared errors of standardised values, the mean over quantities."""
        return (outputs - self.standardised(targets)).square().mean(1)

    def validation_loss(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Squared errors of standardised values."""
        return self.risk(self.standardised(predicted), targets)

    def embedded(self, outputs: Tensor) -> Tensor:
        return outputs

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs * outputs.new_tensor(self.scale) + outputs.new_tensor(self.center)

    def item_scores(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Absolute errors with their sign flipped, not clipped."""
        return -self._told(predicted, targets).abs().mean(1)

    def _told(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Errors [n, T] as they are told."""
        return (predicted - targets) / targets.new_tensor(self.spread or (1.0,) * self.outputs)

    def headline_value(self, predicted: Tensor, targets: Tensor) -> float:
        return -float(self.item_scores(predicted, targets).mean())

    def scores(self, predicted: Tensor, targets: Tensor) -> dict[str, float]:
        """Errors are not clipped here. r2: 1 less the squared errors over those of the targets' mean, the
        mean over quantities; nothing where targets do not vary."""
        errors = self._told(predicted.double(), targets.double())
        found = {
            "mae": float(errors.abs().mean()),
            "rmse": float(errors.square().mean(1).mean().sqrt()),
            "median_absolute_error": float(errors.abs().mean(1).median()),
        }
        spread = (targets.double() - targets.double().mean(0)).square().sum(0)
        if bool((spread > 0).all()):
            found["r2"] = float((1 - (predicted - targets).double().square().sum(0) / spread).mean())
        return found

    def degenerate(self, predicted: Tensor, targets: Tensor) -> str:
        """`collapse.of_numbers`."""
        return collapse.of_numbers(predicted.numpy(), targets.numpy())

    def strata(self, targets: np.ndarray) -> Strata:
        """Quartiles of the first quantity; equal numbers are of one stratum."""
        first = targets[:, 0].astype(float)
        known = first[np.isfinite(first)]
        cuts = np.quantile(known, np.arange(1, STRATA) / STRATA) if len(known) else np.zeros(0)
        of = np.searchsorted(np.unique(cuts), first, "left")
        of[~np.isfinite(targets).all(axis=1)] = -1
        return Strata(of, tuple(str(k) for k in range(STRATA)))

    def told(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "quantities": list(self.quantities),
            "unit": self.unit,
            "spread": list(self.spread),
            "error": self.error,
            "center": list(self.center),
            "scale": list(self.scale),
        }
