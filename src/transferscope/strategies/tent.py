"""Tent: the normalisation layers of a source model, adapted by the entropy of its predictions (Wang et al.
2021, arXiv 2006.10726)."""

import torch
from torch import Tensor, nn

from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.networks.entropy import entropy
from transferscope.networks.frozen import BATCH_NORMS
from transferscope.strategies.base import Batch, Strategy

NORMS = (*BATCH_NORMS, nn.LayerNorm, nn.GroupNorm)


class Tent(Strategy):
    """min over γ, β of  E_U [ H(p(x)) ],  γ and β the scales and shifts of the normalisation layers that are
    not frozen   (section 3)

    The layers' statistics follow the target's batches, all other weights stay those of the source model. The
    paper adapts on the test inputs: protocol=transductive. With protocol=inductive it adapts on the target's
    other inputs and is tested on items it has not seen. No target label is used, whatever the budget: at test
    time there is none. Nothing keeps all items from going to one class; many steps on a source model that is
    often wrong end there. Deviations: several passes over the items, and predictions afterwards with the
    layers' running statistics, where the paper predicts each test batch, with its own statistics, as it
    adapts; a BatchNorm layer without scale and shift (backbone mlp has one) is given them, 1 and 0; LayerNorm
    and GroupNorm are adapted too, where the authors' code has BatchNorm2d alone."""

    needs = frozenset({"classes"})
    sees = frozenset({"target_inputs"})
    needs_target_labels = False
    needs_source_model = True
    shares_classes = True

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.layers = [layer for layer in network.reachable() if isinstance(layer, NORMS)]
        if not self.layers:
            lacking = (
                "the backbone has no normalisation layer above what is frozen; allowed: one that has, "
                "such as small_cnn or mlp"
            )
            raise NotApplicable(f"strategy={type(self).__name__.lower()}: {lacking}")
        for layer in self.layers:
            if isinstance(layer, BATCH_NORMS) and not layer.affine:
                layer.affine = True
                layer.weight = nn.Parameter(torch.ones_like(layer.running_mean))
                layer.bias = nn.Parameter(torch.zeros_like(layer.running_mean))
        network.requires_grad_(False)
        for layer in self.layers:
            layer.requires_grad_(True)

    def acts_on(self) -> dict[str, tuple[int, int]]:
        return {
            "normalisation layers": (
                len(self.layers),
                sum(isinstance(layer, NORMS) for layer in self.network.modules()),
            ),
            **super().acts_on(),
        }

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {"all": [{"params": [weight for weight in self.parameters() if weight.requires_grad]}]}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return {"entropy": entropy(self.logits(batch.unlabelled)).mean()}
