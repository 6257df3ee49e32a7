"""Multi-task learning over source and target: one backbone, a head for each of the two."""

import torch
from torch import Tensor, nn

from transferscope.networks.classifier import Classifier
from transferscope.networks.sized_on_load import SizedOnLoad
from transferscope.strategies.base import Batch, Strategy


class SourceHead(SizedOnLoad, nn.Linear):
    """features [N, d] → logits [N, S] of the source's classes; that of the source model, where the network
    started from one."""

    def __init__(self, network: Classifier):
        super().__init__(network.backbone.features, network.source_classes)
        if network.source_head:
            self.load_state_dict(network.source_head)


class MultiTask(Strategy):
    """min E_T [ -log h_y(f(x)) ] + λ E_S [ -log g_y(f(x)) ]: the backbone f is shared, each task has a head
    (Caruana 1997).

    h [C] is the target's head, g [S] the source's: their classes may differ, and where they bear the same
    names nothing says that they mean the same. Several sources are one task, over all their classes. Both
    tasks pass the network in one batch, so that normalisation layers see them together.

    source_weight: λ, fixed; 0 leaves the target alone at equal steps.
    """

    sees = frozenset({"source_inputs", "source_labels", "target_labels"})

    def __init__(self, network: Classifier, source_weight: float = 1.0):
        super().__init__(network)
        self.source_weight = source_weight
        self.source_head = SourceHead(network)

    def task_losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of the target's task and of the source's."""
        inputs = torch.cat([batch.target.inputs, batch.source.inputs])
        target, source = self.network.backbone(inputs).split(
            [len(batch.target.labels), len(batch.source.labels)]
        )
        return (
            self.task_loss(self.network.head(target), batch.target.labels),
            self.task_loss(self.source_head(source), batch.source.labels, "source"),
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        target, source = self.task_losses(batch)
        return {"target": target, "source": self.source_weight * source}


class UncertaintyWeighted(MultiTask):
    """min over f, h, g and s of exp(-s_T) L_T + s_T / 2 + exp(-s_S) L_S + s_S / 2,  s = log σ²
    (Kendall, Gal & Cipolla 2018, eq. 10)

    L_T and L_S are the tasks' cross-entropies, softmax of the logits over σ² in the paper's approximation: a
    task that stays noisy gets little weight. s starts at 0, where the weights are 1. Deviations: s is spared
    the weight decay, and learns at ten times the learning rate, for a training of hundreds of steps; the
    paper has tens of thousands."""

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.log_variance = nn.Parameter(torch.zeros(2))  # of the target's task, the source's

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        target, source = torch.exp(-self.log_variance) * torch.stack(self.task_losses(batch))
        return {"target": target, "source": source, "log_deviation": self.log_variance.sum() / 2}

    def parameter_groups(self) -> dict[str, list[dict]]:
        others = [*self.network.parameters(), *self.source_head.parameters()]
        return {
            "all": [
                {"params": others},
                {"params": [self.log_variance], "lr_scale": 10.0, "weight_decay": 0.0},
            ]
        }


class PCGrad(MultiTask):
    """g_T ← g_T - min(0, g_T · g_S) / |g_S|² g_S,  g_S likewise by the first g_T;  the backbone moves along
    g_T + g_S   (Yu et al. 2020, alg. 1)

    g_T and g_S are the gradients of the backbone by each task's loss: where they point against each other,
    each loses the part that would undo the other. The heads belong to one task each and keep their gradients.
    """

    def backward(self, terms: dict[str, Tensor]) -> None:
        shared = [parameter for parameter in self.network.backbone.parameters() if parameter.requires_grad]
        parameters = [*shared, *self.network.head.parameters(), *self.source_head.parameters()]
        target, source = (
            torch.autograd.grad(
                term, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for term in terms.values()
        )
        a, b = (
            torch.cat([gradient.flatten() for gradient in task[: len(shared)]]) for task in (target, source)
        )
        surgery = (without_conflict(a, b) + without_conflict(b, a)).split(
            [parameter.numel() for parameter in shared]
        )
        own = [
            of_target + of_source
            for of_target, of_source in zip(target[len(shared) :], source[len(shared) :], strict=True)
        ]
        for parameter, gradient in zip(parameters, [*surgery, *own], strict=True):
            parameter.grad = gradient.view_as(parameter)


def without_conflict(gradient: Tensor, other: Tensor) -> Tensor:
    """gradient [P] less its part along `other` [P] where that part points against it."""
    return (
        gradient
        - (gradient @ other).clamp_max(0) / (other @ other).clamp_min(torch.finfo(other.dtype).tiny) * other
    )
