"""ADDA: a target encoder that a discriminator cannot tell from the source model's (Tzeng et al. 2017, arXiv
1702.05464)."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from transferscope.networks.classifier import Classifier
from transferscope.networks.domain_discriminator import DomainDiscriminator
from transferscope.strategies.adversarial import Adversarial
from transferscope.strategies.base import Batch


class ADDA(Adversarial):
    """min over D    of  -E_S [ log D(M_s(x)) ] - E_U [ log(1 - D(M_t(x))) ]
    min over M_t  of  -E_U [ log D(M_t(x)) ]   (section 4)

    Two updates a step, from a source model that is trained beforehand. M_s(x) [N, d] is the source model's
    backbone, frozen; M_t starts as its copy; the source model's head predicts for both and stays as it is.
    The paper uses no source label in this stage, so none reaches it. Nothing ties classes together: M_t may
    put the target's items on the wrong class's features, and does so under label shift. Deviations: domains
    pass separately (each has an encoder of its own), D's cross-entropy is a mean over both domains; with
    labels in the budget, their cross-entropy is added to M_t's update with weight 1.

    hidden: width of the discriminator's two hidden layers, 500 in the paper's digits.
    """

    sees = frozenset({"source_inputs", "target_inputs", "target_labels"})
    needs_target_labels = False
    needs_source_model = True
    shares_classes = True

    def __init__(self, network: Classifier, hidden: int = 500):
        super().__init__(network)
        self.source_encoder = copy.deepcopy(network.backbone).requires_grad_(False)
        self.discriminator = DomainDiscriminator(network.backbone.features, hidden)

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {
            "discriminator": [{"params": list(self.discriminator.parameters())}],
            "target_encoder": [{"params": list(self.network.backbone.parameters())}],
        }

    def updates(self, batch: Batch) -> Iterator[tuple[str | tuple[str, ...], dict[str, Tensor]]]:
        parts = [batch.unlabelled] + ([batch.target.inputs] if batch.target else [])
        source = self.source_encoder.eval()(batch.source.inputs)
        unlabelled, *labelled = self.network.backbone(torch.cat(parts)).split([len(part) for part in parts])
        domain = self.discriminator(torch.cat([source, unlabelled.detach()]))
        is_source = torch.cat([domain.new_ones(len(source)), domain.new_zeros(len(unlabelled))])
        yield "discriminator", {"domain": binary_cross_entropy_with_logits(domain, is_source)}
        taken = self.discriminator(unlabelled)  # by the discriminator as it is now
        terms = {"encoder": binary_cross_entropy_with_logits(taken, torch.ones_like(taken))}
        if labelled:
            terms["target"] = self.task_loss(self.network.head(labelled[0]), batch.target.labels)
        yield "target_encoder", terms
