"""CDAN: domain-adversarial training of features together with predictions (Long et al. 2018, arXiv
1705.10667)."""

import torch
from torch import Tensor
from torch.nn.functional import softmax

from transferscope.networks.classifier import Classifier
from transferscope.networks.domain_discriminator import DomainDiscriminator, domain_loss, reverse_gradient
from transferscope.networks.entropy import entropy
from transferscope.networks.multilinear_map import MultilinearMap
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.adversarial import Adversarial
from transferscope.strategies.base import Batch


class CDAN(Adversarial, Adaptation):
    """min over f, h; max over D of  E_S [ -log h_y(f(x)) ] - λ / 2 Σ over S and U of E [ w(x) BCE( D(f(x) ⊗
    g(x)), domain ) ]   (section 3)

    f(x) [N, d] features, g(x) [N, C] probabilities; ⊗: networks/multilinear_map.py. λ = trade_off times
    `ramp`, as in DANN. w = 1, and with entropy_conditioning (CDAN+E) w = 1 + exp(-H(g)) over its mean in the
    domain: items that are hard to transfer count less. g is a constant to the gradient, as in the authors'
    code, so the predictions are aligned by way of the features alone. Conditioning on g helps against the
    mixing of classes that DANN allows, but under label shift the class shares are still told from f ⊗ g, and
    aligned. Deviations: w is divided by its mean over the domain's items, as in the authors' code
    (github.com/thuml/CDAN; the Transfer-Learning-Library takes the mean over both) and not in the paper, so
    that the term does not grow with the predictions' confidence; w is a constant to the gradient too, where
    their code reverses one through it; half the sum of the domains' terms; the discriminator's width; no
    bottleneck before the head; the labelled target items of `Adaptation`.

    hidden: width of the discriminator's two hidden layers; the paper's 1024 is for 256 and more features.
    """

    needs = frozenset({"classes"})
    version = 2

    def __init__(
        self,
        network: Classifier,
        trade_off: float = 1.0,
        hidden: int = 128,
        entropy_conditioning: bool = False,
    ):
        super().__init__(network)
        self.trade_off, self.entropy_conditioning = trade_off, entropy_conditioning
        self.joined = MultilinearMap(network.backbone.features, network.head.out_features)
        self.discriminator = DomainDiscriminator(self.joined.outputs, hidden)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        both = torch.cat([logits.source, logits.unlabelled]).detach()
        joined = self.joined(torch.cat([features.source, features.unlabelled]), softmax(both, dim=1))
        domain = self.discriminator(reverse_gradient(joined, self.trade_off * self.ramp))
        weights = 1 + torch.exp(-entropy(both)) if self.entropy_conditioning else torch.ones_like(domain)
        (source, target), of_items = (
            part.split([len(logits.source), len(logits.unlabelled)]) for part in (domain, weights)
        )
        return self.supervised(batch, logits) | {"domain": domain_loss(source, target, of_items)}
