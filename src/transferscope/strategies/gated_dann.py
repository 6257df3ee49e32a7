"""The discriminator gate: adversarial training in which each source item counts as much as it looks like the
target's (Wang et al. 2019)."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from transferscope.networks.classifier import Classifier
from transferscope.networks.domain_discriminator import DomainDiscriminator, domain_loss, reverse_gradient
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.adversarial import Adversarial
from transferscope.strategies.base import Batch


class GatedDANN(Adversarial, Adaptation):
    """min over f, h; max over D of  E_T [ -log h_y(f(x)) ] + λ E_S [ ω(x, y) -log h_y(f(x)) ] - μ (L_D(∅) +
    L_D(y))   (the discriminator gate)

    ω(x, y) = (1 - D(f(x), y)) / D(f(x), y) is an estimate of p_T(x, y) / p_S(x, y), its gradient stopped: a
    source item whose features *and label* are not the target's weighs nearly nothing. D(f(x), y) is the
    probability of coming from the source (the paper has its complement). L_D(y) is D's cross-entropy on
    labelled target and source items with their labels, L_D(∅) on unlabelled target and source items with a
    dummy label: one network [d + C] → [1], features beside the label's one-hot code, zeros for the dummy. The
    features go against both. The two domains count half each in both, whatever the batch, so that D estimates
    the ratio. μ grows with the steps as DANN's λ. Deviations: half of each of the two sums over the domains,
    which at μ = 1 is half the paper's weight; the discriminator's width.

    trade_off: μ at the last step. source_weight: λ. hidden: width of the discriminator's two hidden layers.
    """

    needs = frozenset({"classes"})
    needs_target_labels = True

    def __init__(
        self, network: Classifier, trade_off: float = 1.0, source_weight: float = 1.0, hidden: int = 128
    ):
        super().__init__(network)
        self.trade_off, self.source_weight, self.classes = trade_off, source_weight, network.head.out_features
        self.discriminator = DomainDiscriminator(network.backbone.features + self.classes, hidden)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        unknown = features.source.new_zeros(1, self.classes)
        labels = [one_hot(part.labels, self.classes).to(unknown) for part in (batch.source, batch.target)]
        reversed_features = [reverse_gradient(part, self.trade_off * self.ramp) for part in features]
        source, unlabelled, target = reversed_features
        pairs = [(source, unknown.expand(len(source), -1)), (unlabelled, unknown.expand(len(unlabelled), -1)),
            (source, labels[0]),
                 (target, labels[1])]  # fmt: skip
        joined = torch.cat([torch.cat(pair, dim=1) for pair in pairs])
        marginal_s, marginal_t, joint_s, joint_t = self.discriminator(joined).split(
            [len(part) for part, _ in pairs]
        )
        ratio = torch.exp(-joint_s.detach())  # (1 - D) / D of D = sigmoid(logit)
        loss = self.task_losses(logits.source, batch.source.labels, "source")
        return {
            "source": self.source_weight * (ratio * loss).mean(),
            "target": self.task_loss(logits.target, batch.target.labels),
            "domain": domain_loss(marginal_s, marginal_t),
            "joint_domain": domain_loss(joint_s, joint_t),
        }
