"""IWDAN: DANN with the source's classes weighted to the target's shares (Tachet des Combes et al. 2020,
NeurIPS 33, arXiv 2003.04475)."""

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor
from torch.nn.functional import one_hot, softmax, softplus

from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.networks.domain_discriminator import DomainDiscriminator, reverse_gradient
from transferscope.strategies.adaptation import Adaptation
from transferscope.strategies.adversarial import Adversarial
from transferscope.strategies.base import Batch

PERIOD = 10  # steps between two solutions of w


class IWDAN(Adversarial, Adaptation):
    """min over f, h; max over D of  E_S [ -log h_y(f(x)) / (C π_y) ] - λ ( E_S [ w_y (-log D(f(x))) ] + E_U [
    -log(1 - D(f(x))) ] ) / 2 w = argmin over w ≥ 0, Σ_y π_y w_y = 1 of  |μ - K w|²   (section 4)

    w [C] estimates the ratio of the target's class shares to the source's, as black-box shift estimation does
    (Lipton et al. 2018): π [C]: the source's shares, K [C, C]: E_S of predicted times true class, μ [C]: E_U
    of the predictions. So a target of other shares is aligned with a source of its shares. λ = trade_off
    times `ramp`. Every class counts the same in what is learnt, whatever its share. Where classes look
    different in the target, w is wrong, and early it follows a network that knows little. Deviations: π, K
    and μ are running means over batches, of probabilities, that begin as if the network knew all and shares
    were equal, and w is solved every 10 steps, where the paper counts predicted classes over an epoch and
    averages w over epochs; the sum after λ is halved, as in DANN here; the discriminator's width; the
    labelled target items of `Adaptation`.

    memory: share of the running means that a batch leaves as they were (ours). hidden: width of the
    discriminator's two hidden layers."""

    needs = frozenset({"classes"})

    def __init__(self, network: Classifier, trade_off: float = 1.0, hidden: int = 128, memory: float = 0.95):
        super().__init__(network)
        if not 0 <= memory <= 1:
            raise RequestError(f"strategy.memory={memory}: a share from 0 to 1 is needed")
        self.trade_off, self.memory, classes = trade_off, memory, network.head.out_features
        self.discriminator = DomainDiscriminator(network.backbone.features, hidden)
        # K: row predicted, column true; its columns sum to π
        self.register_buffer("confusion", torch.eye(classes) / classes)
        self.register_buffer("predicted", torch.full((classes,), 1 / classes))  # μ
        self.register_buffer("class_weights", torch.ones(classes))  # w

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features, logits = self.passed(batch)
        labels, classes = batch.source.labels, len(self.predicted)
        p_source, p_target = (softmax(part.detach(), dim=1) for part in (logits.source, logits.unlabelled))
        truth = one_hot(labels, classes).to(p_source)
        self.confusion.lerp_((p_source.T @ truth / len(labels)).to(self.confusion), 1 - self.memory)
        self.predicted.lerp_(p_target.mean(0).to(self.predicted), 1 - self.memory)
        if self._step % PERIOD == 0:
            self.class_weights.copy_(
                torch.from_numpy(
                    shift_weights(*(kept.double().cpu().numpy() for kept in (self.confusion, self.predicted)))
                )
            )
        shares = self.confusion.sum(0).clamp_min(1e-3 / classes)  # π
        loss = self.task_losses(logits.source, labels, "source")
        reversed_features = reverse_gradient(
            torch.cat([features.source, features.unlabelled]), self.trade_off * self.ramp
        )
        source, unlabelled = self.discriminator(reversed_features).split(
            [len(labels), len(features.unlabelled)]
        )
        terms = self.supervised(batch, logits) | {"source": (loss / shares[labels]).mean() / classes}
        return terms | {
            "domain": ((self.class_weights[labels] * softplus(-source)).mean() + softplus(unlabelled).mean())
            / 2
        }


def shift_weights(confusion: np.ndarray, predicted: np.ndarray, strictness: float = 1e4) -> np.ndarray:
    """K [C, C] and μ [C] → w [C] of the least |μ - K w|² with w ≥ 0 and Σ_y π_y w_y = 1, π the sums of K's
    columns: the last as one more row of the least squares, so heavy that it holds."""
    if not (np.isfinite(confusion).all() and np.isfinite(predicted).all()):
        return np.full(len(predicted), np.nan)  # the loss says so
    shares = confusion.sum(0)
    found, _ = nnls(np.vstack([confusion, strictness * shares]), np.r_[predicted, strictness])
    return found
