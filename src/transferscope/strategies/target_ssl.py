"""Semi-supervised learning on the target alone: what the unlabelled target is worth without a source."""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch, Strategy


class TargetSSL(Strategy):
    """min E_T [ -log p_y(x) ] + λ E_U [ H(p(x)) ]: entropy minimisation (Grandvalet & Bengio 2004).

    It has the labels and the unlabelled inputs that adaptation has, and no source: a gain of adaptation over
    this owes something to the source. λ = entropy_weight grows linearly over the steps, so that an untrained
    network does not fix its first guesses. Labelled and unlabelled items pass the network in one batch."""

    needs = frozenset({"classes"})
    sees = frozenset({"target_inputs", "target_labels"})

    def __init__(self, network: Classifier, entropy_weight: float = 0.1):
        super().__init__(network)
        self.entropy_weight = entropy_weight

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        labelled, unlabelled = self.logits_of(batch.target.inputs, batch.unlabelled)
        log_p = log_softmax(unlabelled, dim=1)
        entropy = -torch.sum(log_p.exp() * log_p, dim=1).mean()
        return {
            "target": self.task_loss(labelled, batch.target.labels),
            "entropy": self.entropy_weight * self.progress * entropy,
        }
