"""GroupDRO (Sagawa et al. 2020, arXiv 1911.08731): the domains by their worst loss rather than their mean."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from transferscope.data.splits import Pools
from transferscope.networks.classifier import Classifier
from transferscope.networks.sized_on_load import SizedOnLoad
from transferscope.strategies.base import Batch, Strategy


class GroupDRO(Strategy):
    """min over θ, max over q of Σ_g q_g L_g,  L_g = E_g [ -log p_y(x) ];  at each step q_g ← q_g exp(η L_g),
    to sum 1   (algorithm 1)

    The groups g [G] are the source domains and, with labels in the budget, the target's labelled items. With
    a single group it is the plain cross-entropy. L_g is the mean over the group's items of a batch, 0 where
    it has none, as in the authors' code. Deviations: items are drawn from all sources together rather than
    each group equally often (the algorithm's weights answer to losses alone), and the adjustment by group
    size is left out. A group whose labels are noise has the worst loss for good and takes the weight.

    step: η, the authors' value.
    """

    sees = frozenset({"source_inputs", "source_labels", "target_labels"})
    needs_target_labels = False
    shares_classes = True

    def __init__(self, network: Classifier, step: float = 0.01):
        super().__init__(network)
        self.step = step
        self.groups = SizedOnLoad()
        # q [G]: how many there are is known from the pools
        self.groups.register_buffer("weights", torch.ones(1))

    def fit_features(self, pools: Pools) -> None:
        if not int(self.steps_done):  # else resumed, with the weights it had
            groups = int(pools.source.domain.max()) + 1 + (pools.target is not None)
            self.groups.weights = torch.full((groups,), 1 / groups, device=self.device)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        parts = {"source": batch.source} | ({"target": batch.target} if batch.target else {})
        logits = self.logits_of(*(part.inputs for part in parts.values()))
        losses = torch.cat(
            [
                self.task_losses(of_part, part.labels, name)
                for of_part, (name, part) in zip(logits, parts.items(), strict=True)
            ]
        )
        size = len(self.groups.weights)
        group = torch.cat(
            [batch.source.domain] + ([torch.full_like(batch.target.domain, size - 1)] if batch.target else [])
        )
        member = one_hot(group, size).to(losses.dtype)  # [N, G]
        by_group = losses @ member / member.sum(0).clamp_min(1)  # L [G]
        grown = self.groups.weights * torch.exp(self.step * by_group.detach())
        self.groups.weights = grown / grown.sum()
        return {"worst_group": self.groups.weights @ by_group}
