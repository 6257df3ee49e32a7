"""Parts of adversarial adaptation: gradient reversal and the domain discriminator (Ganin et al. 2016, arXiv 1505.07818)."""

from torch import Tensor, nn
from torch.autograd import Function


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
