"""PADA: DANN for a target that has only some of the source's classes (Cao et al. 2018, ECCV, arXiv
1808.04205)."""

import torch
from torch import Tensor
from torch.nn.functional import softmax, softplus

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.domain_discriminator import DomainDiscriminator, reverse_gradient
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.adversarial import Adversarial
from transferscope.strategies.base import Batch


class PADA(Adversarial, Adaptation):
    """min over f, h; max over D of  E_S [ γ_y (-log h_y(f(x))) ] - λ ( E_S [ γ_y (-log D(f(x))) ] + E_U [
    -log(1 - D(f(x))) ] )   (section 3.3)

    γ = E_U [ p(x) ] / max_c E_U [ p_c(x) ], [C]: a source class that the target's items are hardly predicted
    to be counts for hardly anything, neither in what is learnt nor in what the target is made like. D(f(x))
    is the probability of coming from the source; λ = trade_off times `ramp`. Where predictions are wrong, γ
    is: a class that the target has and the network misses is taken from the source too. Classes that are rare
    in the target are weighed down like absent ones. Deviations: E_U [ p(x) ] is a running mean over batches
    that begins with equal shares, as an untrained network knows none, where the paper has it of the whole
    target; the sum after λ is halved, so that with γ = 1 it is DANN as it stands here; the discriminator's
    width; the labelled target items of `Adaptation`.

    memory: share of the running mean that a batch leaves as it was (ours). hidden: width of the
    discriminator's two hidden layers; the paper's 1024 is for features of a large network."""

    needs = frozenset({"classes"})

    def __init__(self, network: Classifier, trade_off: float = 1.0, hidden: int = 128, memory: float = 0.95):
        super().__init__(network)
        if not 0 <= memory <= 1:
            raise RequestError(f"strategy.memory={memory}: a share from 0 to 1 is needed (1 is DANN)")
        self.trade_off, self.memory = trade_off, memory
        self.discriminator = DomainDiscriminator(network.backbone.features, hidden)
        classes = network.head.out_features
        # of the target's predictions, [C]
        self.register_buffer("shares", torch.full((classes,), 1 / classes))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        predicted = softmax(logits.unlabelled.detach(), dim=1).mean(0)
        self.shares.copy_(self.memory * self.shares + (1 - self.memory) * predicted)
        weights = (self.shares / self.shares.max())[batch.source.labels]  # γ_y [n]
        loss = self.task_losses(logits.source, batch.source.labels, "source")
        reversed_features = reverse_gradient(
            torch.cat([features.source, features.unlabelled]), self.trade_off * self.ramp
        )
        source, unlabelled = self.discriminator(reversed_features).split(
            [len(weights), len(features.unlabelled)]
        )
        terms = self.supervised(batch, logits) | {"source": (weights * loss).mean()}
        return terms | {"domain": ((weights * softplus(-source)).mean() + softplus(unlabelled).mean()) / 2}
