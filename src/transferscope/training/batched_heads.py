"""One step of many linear heads as two products, where that gives the bits of each head's own calls."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, nll_loss

from transferscope.data.splits import LabelledData
from transferscope.strategies.base import Batch, Strategy

LOGITS_COMPARED = 5000


class BatchedHeads:
    """Heads that train on equally many features each: weights [H, C, d], biases [H, C]; what each head holds
    are its rows of them.

    fits: whether a step of the batch gives, bit for bit, what the heads' own calls give: products of some
    small sizes are rounded otherwise as one, and a strategy, or a task, may have other losses than the
    cross-entropy of a linear head."""

    def __init__(self, heads: Sequence[Strategy]):
        linear = [strategy.network.head for strategy in heads]
        self.parameters = [(head.weight, head.bias) for head in linear]
        self.weights, self.biases = (
            torch.stack([pair[k].detach() for pair in self.parameters]) for k in (0, 1)
        )
        for (weight, bias), own_weight, own_bias in zip(
            self.parameters, self.weights, self.biases, strict=True
        ):
            weight.data, bias.data = own_weight, own_bias

    def fits(self, heads: Sequence[Strategy], batches: Sequence[Batch]) -> bool:
        """Tried on these batches and, where they give few logits to compare, on noise of their shape."""
        first = _target(batches[0])
        if first.labels.ndim > 1 or any(
            _target(batch).inputs.shape != first.inputs.shape for batch in batches
        ):
            return False
        draw = torch.Generator().manual_seed(0)
        logits = len(first.labels) * self.biases.numel()
        for _ in range(-(-LOGITS_COMPARED // logits)):
            if not self._agrees(heads, batches):
                return False
            noise = torch.randn((len(batches), *first.inputs.shape), generator=draw)
            batches = [
                batch._replace(target=_target(batch)._replace(inputs=n))
                for batch, n in zip(batches, noise, strict=True)
            ]
        return True

    def _agrees(self, heads: Sequence[Strategy], batches: Sequence[Batch]) -> bool:
        alone = []
        for strategy, batch, parameters in zip(heads, batches, self.parameters, strict=True):
            terms = strategy.losses(batch)
            if list(terms) != ["target"]:
                return False
            alone.append([terms["target"], *torch.autograd.grad(terms["target"], parameters)])
        together = [
            [loss, *(part.grad for part in (weight, bias) if part.grad is not None)]
            for loss, (weight, bias) in zip(self.step(batches), self.parameters, strict=True)
        ]
        return all(
            torch.equal(one, other)
            for pair in zip(alone, together, strict=True)
            for one, other in zip(*pair, strict=True)
        )

    def step(self, batches: Sequence[Batch]) -> list[Tensor]:
        """The loss of every head on its batch; gradients are left at the heads."""
        inputs, labels = (
            torch.stack([getattr(_target(batch), name) for batch in batches]) for name in ("inputs", "labels")
        )  # [H, b, d], [H, b]
        logits = torch.baddbmm(
            self.biases[:, None], inputs, self.weights.transpose(1, 2)
        ).requires_grad_()  # [H, b, C]
        log_p = log_softmax(logits, 2)
        rows = nll_loss(log_p.flatten(0, 1), labels.flatten(), reduction="none")
        torch.autograd.backward(rows, torch.ones_like(rows) / labels.shape[1])
        if logits.grad is None:
            raise ValueError("the loss does not depend on the logits")
        of_weights, of_biases = torch.bmm(logits.grad.transpose(1, 2), inputs), logits.grad.sum(1)
        for (weight, bias), of_weight, of_bias in zip(self.parameters, of_weights, of_biases, strict=True):
            weight.grad, bias.grad = of_weight, of_bias
        return [nll_loss(one, given) for one, given in zip(log_p.detach(), labels, strict=True)]


def _target(batch: Batch) -> LabelledData:
    if batch.target is None:
        raise ValueError("a head is trained on labelled target items")
    return batch.target
