"""MDD: an adversarial classifier that disagrees on the target and agrees on the source (Zhang et al. 2019,
arXiv 1904.05801)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from transferscope.networks.classifier import Classifier
from transferscope.networks.domain_discriminator import reverse_gradient
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class MDD(Adaptation):
    """min over ψ, f of  E_S [ -log σ_y(f) ] + η D;  max over f' of  D = γ E_S [ log σ_h(f') ] + E_U [ log(1 -
    σ_h(f')) ]

    The paper's combination with cross-entropy losses. ψ(x) [N, d] the backbone, f its head, f' the adversary,
    another linear layer on ψ(x); h(x) = argmax f(ψ(x)), constant to the gradient; σ the softmax. γ = margin,
    the exponential of the paper's ρ. η = trade_off times `ramp`. f' moves with weight 1, by gradient
    reversal; its term `disparity` is -D. Like every method that makes the domains' disagreement small, it
    trusts h on the target: where the source model is wrong about a class as a whole, so is the adversary.
    Deviations: linear classifiers and no bottleneck, where the paper has two layers; with
    initialisation=source f is the source model's head while f' is drawn at random; η grows over the run's
    steps, not over a fixed number; the labelled target items of `Adaptation`."""

    needs = frozenset({"classes"})

    def __init__(self, network: Classifier, trade_off: float = 0.1, margin: float = 4.0):
        super().__init__(network)
        self.trade_off, self.margin = trade_off, margin
        self.adversary = nn.Linear(network.backbone.features, network.head.out_features)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        strength = self.trade_off * self.ramp
        on_source, on_target = (self.adversary(reverse_gradient(part, strength)) for part in features[:2])
        agreed = cross_entropy(on_source, logits.source.argmax(1))
        disagreed = other_class_loss(on_target, logits.unlabelled.argmax(1))
        return self.supervised(batch, logits) | {"disparity": self.margin * agreed + disagreed}


def other_class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """E [ -log(1 - softmax(logits)_label) ] of logits [M, C], from the logits of the other classes: exact
    where the label's share is all but 1."""
    own = one_hot(labels, logits.shape[1]).bool()
    return (torch.logsumexp(logits, 1) - torch.logsumexp(logits.masked_fill(own, -torch.inf), 1)).mean()
