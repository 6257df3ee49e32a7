"""DANN: domain-adversarial training (Ganin et al. 2016, JMLR 17, arXiv 1505.07818)."""

import math

import torch
from torch import Tensor

from transferscope.networks.classifier import Classifier
from transferscope.networks.domain_discriminator import DomainDiscriminator, domain_loss, reverse_gradient
from transferscope.strategies.adversarial import Adversarial
from transferscope.strategies.base import Batch


class DANN(Adversarial):
    """min over f, h; max over D of  E_S [ -log h_y(f(x)) ] (+ the same of labelled target items) - λ L_D
    (eq. 10)

    L_D = ( E_S [ -log D(f(x)) ] + E_U [ -log(1 - D(f(x))) ] ) / 2, D(f(x)) the discriminator's probability of
    the source. λ grows as 2 / (1 + exp(-10 p)) - 1 with the share p of steps done (section 5.2.2), times
    `trade_off`. Source and target pass the network in one batch, as in most implementations. Deviations: half
    of the paper's L_D, which is the sum of the two means, as in most implementations; with labels in the
    budget, their cross-entropy is added with weight 1, where the paper has none. (Version 1 took one mean
    over both batches, which differs where a pool is smaller than a batch.)

    hidden: width of the discriminator's two hidden layers.
    """

    version = 2

    sees = frozenset({"source_inputs", "source_labels", "target_inputs", "target_labels"})
    needs_target_labels = False
    shares_classes = True

    def __init__(self, network: Classifier, trade_off: float = 1.0, hidden: int = 128):
        super().__init__(network)
        self.trade_off = trade_off
        self.discriminator = DomainDiscriminator(network.backbone.features, hidden)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        labelled = [batch.source] + ([batch.target] if batch.target else [])
        inputs = torch.cat([part.inputs for part in labelled] + [batch.unlabelled])
        features = self.network.backbone(inputs)  # [N, d]
        sizes = [len(part.labels) for part in labelled] + [len(batch.unlabelled)]
        source, *target, unlabelled = features.split(sizes)
        strength = self.trade_off * (2 / (1 + math.exp(-10 * self.progress)) - 1)
        domain = self.discriminator(reverse_gradient(torch.cat([source, unlabelled]), strength))
        terms = {
            "source": self.task_loss(self.network.head(source), batch.source.labels, "source"),
            "domain": domain_loss(*domain.split([len(source), len(unlabelled)])),
        }
        if target:
            terms["target"] = self.task_loss(self.network.head(target[0]), batch.target.labels)
        return terms
