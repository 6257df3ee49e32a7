"""MME: class prototypes that go to the target, features that gather around them (Saito et al. 2019, arXiv
1904.06487)."""

from torch import Tensor
from torch.nn.functional import linear, normalize

from transferscope.networks.classifier import Classifier
from transferscope.networks.domain_discriminator import reverse_gradient
from transferscope.networks.entropy import entropy
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.base import Batch


class MME(Adaptation):
    """min over F of  L + λ H;  min over W of  L - λ H   (section 3: minimax entropy)

    p(x) = softmax( W F(x) / (‖F(x)‖₂ T) ): rows of W [C, d], the head's weights without its bias, are the
    classes' prototypes. L: the cross-entropies of labelled source and labelled target. H = E_U [ H(p(x)) ],
    one pass with the gradient reversed between W and F. λ = trade_off, T = temperature. Semi-supervised: the
    paper's prototypes need a few target labels to go by, so label_budget=0 is refused. Many unlabelled items
    of one class can pull the prototype of another to them under strong label shift. Deviation: L is the sum
    of both domains' means."""

    needs = frozenset({"classes"})
    needs_target_labels = True

    def __init__(self, network: Classifier, trade_off: float = 0.1, temperature: float = 0.05):
        super().__init__(network)
        self.trade_off, self.temperature = trade_off, temperature

    def by_prototypes(self, features: Tensor) -> Tensor:
        """[N, d] → logits [N, C]"""
        return linear(normalize(features, dim=1), self.network.head.weight) / self.temperature

    def logits(self, inputs: Tensor) -> Tensor:
        return self.by_prototypes(self.network.backbone(inputs))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, _ = self.passed(batch)
        # W minimises -λ H; the reversal between the two makes F minimise λ H
        negative_entropy = -entropy(self.by_prototypes(reverse_gradient(features.unlabelled, 1.0))).mean()
        return {
            "source": self.task_loss(self.by_prototypes(features.source), batch.source.labels, "source"),
            "target": self.task_loss(self.by_prototypes(features.target), batch.target.labels),
            "entropy": self.trade_off * negative_entropy,
        }
