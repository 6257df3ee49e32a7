"""Parts of adversarial adaptation: gradient reversal and the domain discriminator (Ganin et al. 2016, arXiv
1505.07818)."""

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import binary_cross_entropy_with_logits


class _Reversal(Function):
    @staticmethod
    def forward(ctx, features: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reverse_gradient(features: Tensor, strength: float) -> Tensor:
    """Identity forwards; backwards the gradient is multiplied by -strength."""
    return _Reversal.apply(features, strength)


class DomainDiscriminator(nn.Sequential):
    """features [N, d] -> logit [N] that an item comes from the source."""

    def __init__(self, features: int, hidden: int):
        super().__init__(
            nn.Linear(features, hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 1), nn.Flatten(0),
        )  # fmt: skip


def domain_loss(source: Tensor, target: Tensor, weights: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Cross-entropy of a discriminator's logits of source [n] and target [m] items: a mean for each domain,
    and half the sum of the two.

    Neither domain outweighs the other where one batch is smaller. weights: of the items [n] and [m], in units
    of their mean in the domain."""
    of_items = [None, None] if weights is None else [part / part.mean() for part in weights]
    parts = zip((source, target), (1.0, 0.0), of_items, strict=True)
    return (
        sum(
            binary_cross_entropy_with_logits(logits, torch.full_like(logits, label), weight)
            for logits, label, weight in parts
        )
        / 2
    )
