"""SAR: Tent of sure predictions alone and for flat minima, against its end in one class (Niu et al. 2023,
arXiv 2302.12400)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.entropy import entropy
from transferscope.strategies.base import Batch
from transferscope.strategies.tent import Tent


class SAR(Tent):
    """min over w, max over |ε| ≤ ρ of  E_U [ H(p(x; w + ε)) | H(p(x; w)) < E_0 ]   (reliable entropy and
    sharpness-aware steps, section 3)

    w: the scales and shifts of the normalisation layers. E_0 = threshold · log C. The inner maximum is taken
    at ε = ρ g / |g|, g the gradient at w of the mean entropy of the items let through; the step is the
    gradient at w + ε, taken from w. Everything else is Tent's, its deviations too. An item that the source
    model is sure and wrong about passes the filter. Deviations: the paper also leaves the normalisation of
    the last stage as it is, and sets w back to the source model's once a running mean of the loss falls below
    0.2 nats, a sign of collapse among 1,000 classes; here, with few classes and several passes over the
    items, a low entropy is where a good adaptation ends, so it is not done.

    threshold, radius (ρ): the paper's values.
    """

    def __init__(self, network: Classifier, threshold: float = 0.4, radius: float = 0.05):
        super().__init__(network)
        if threshold <= 0 or radius < 0:
            raise RequestError(
                f"strategy.threshold={threshold} strategy.radius={radius}: above 0, and at least 0, are "
                "needed"
            )
        self.threshold, self.radius, self.pushed = threshold * math.log(network.head.out_features), radius, []

    def updates(self, batch: Batch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        each = entropy(self.logits(batch.unlabelled))  # [N]
        passes = each.detach() < self.threshold
        gradients = torch.autograd.grad(mean_of(each, passes), weights)
        length = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
        self.pushed = [(weight, weight.detach().clone()) for weight in weights]
        with torch.no_grad():
            for weight, g in zip(weights, gradients, strict=True):
                weight.add_(self.radius * g / (length + 1e-12))
        yield "all", {"entropy": mean_of(entropy(self.logits(batch.unlabelled)), passes)}

    def backward(self, terms: dict[str, Tensor]) -> None:
        super().backward(terms)
        with torch.no_grad():
            for weight, before in self.pushed:
                weight.copy_(before)


def mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen ones; 0 where there is none, and not finite where any of all is not."""
    return (values * chosen).sum() / chosen.sum().clamp_min(1)
