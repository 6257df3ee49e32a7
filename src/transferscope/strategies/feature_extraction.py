"""Feature extraction (linear probe): the transferred backbone stays as it is, a linear head is trained on its
features."""

from collections.abc import Iterator

import torch
from torch import Tensor

from transferscope.data.on_disk import OnDisk
from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Diverged, Strategy


class FeatureExtraction(Strategy):
    """min over the head W of E_T [ -log softmax(W f(x))_y ], f fixed: its normalisation statistics too. f(x)
    is computed once an item."""

    sees = frozenset({"target_labels"})
    trains_head_alone = True

    def __init__(self, network: Classifier):
        super().__init__(network)
        network.backbone.requires_grad_(False)
        self.strict_loading = False  # of a checkpoint, which leaves out what never moves

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {
            name: value for name, value in state.items() if not name.startswith("network.backbone.")
        }

    def train(self, mode: bool = True) -> "FeatureExtraction":
        self.training = mode
        self.network.head.train(mode)  # the backbone has its mode when it is asked
        return self

    def precompute(self, inputs: Tensor | OnDisk) -> Tensor | OnDisk:
        return self.frozen_features(
            self.network.backbone.eval(), super().precompute(inputs), self.device
        )  # [N, d]

    def logits(self, features: Tensor) -> Tensor:
        return self.network.head(features)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"target": self.task_loss(self.logits(batch.target.inputs), batch.target.labels)}

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [{"params": list(self.network.head.parameters())}]}


class FittedHead(FeatureExtraction):
    """A head fitted to the features of the labelled items once, before the first step: no optimiser step
    follows, all evaluations after it are equal, and nothing is drawn at random, so that twins are equal
    too."""

    closed_form = True

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.standardises = not network.backbone.scaled

    def precompute(self, inputs: Tensor | OnDisk) -> Tensor:
        """All of them at once, as a closed form takes them."""
        features = super().precompute(inputs)
        return features if isinstance(features, Tensor) else torch.cat(list(features.split(512)))

    def fit_head(self, features: Tensor, labels: Tensor) -> None:
        """Fit the head to features [n, d] and labels [n]: what a subclass writes."""
        raise NotImplementedError

    def fit_features(self, pools: Pools) -> None:
        if not torch.isfinite(pools.target.inputs).all():
            raise Diverged("a feature of the labelled target items is not finite")
        with torch.no_grad():
            self.fit_head(pools.target.inputs, pools.target.labels)

    def set_head(self, weight: Tensor, bias: Tensor) -> None:
        """weight [C, d], bias [C]"""
        self.network.head.weight.copy_(weight)
        self.network.head.bias.copy_(bias)

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {}

    def updates(self, batch: Batch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        return iter(())
