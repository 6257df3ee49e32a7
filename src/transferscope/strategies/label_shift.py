"""Label shift: the source model, re-weighted by class shares estimated on the target (Saerens et al. 2002,
Neural Computation 14)."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot, softmax

from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.strategies.base import Batch, Diverged, Strategy


class LabelShift(Strategy):
    """p(y|x) ∝ (q_y / π_y) p_S(y|x);  q = argmax_q E_U [ log Σ_y (q_y / π_y) p_S(y|x) ], by q_y ← E_U [
    p(y|x) ] from q = π on   (section 2.2)

    p_S(x) = softmax(s z(x) + b) [N, C]: z the source model's logits, s and b of the least E_S [ -log p_S(y|x)
    ] (bias-corrected temperature scaling, Alexandari et al. 2020, arXiv 1901.06852: without it a source model
    that is too sure or not sure enough spoils the shares); π [C]: E_S [ p_S(x) ], so that a target like the
    source is left alone; q [C]: the target's shares. No weight is trained. Right where p(x|y) is the same in
    both domains and the shares of classes differ; where the classes look different it explains what is wrong
    with p_S by shares, and can end in one class. Labels of the budget say nothing of the shares, being drawn
    class by class, and are not used. Deviation: s and b are fitted to the items that the source model has
    learnt from, as none are held out that a strategy may see; a network that knows these by heart stays too
    sure (see `calibrated`). (Version 1 had no bound for how sure.)

    In the history `shares/moved` is Σ_y |q_y - π_y| / 2. calibrate: false leaves s = 1, b = 0, as Saerens et
    al. have it. iterations: of the EM algorithm at most; it ends once no share moves by 1e-9."""

    needs = frozenset({"classes"})
    sees = frozenset({"source_inputs", "source_labels", "target_inputs"})
    needs_target_labels = False
    needs_source_model = True
    shares_classes = True
    closed_form = True
    version = 2

    def __init__(self, network: Classifier, calibrate: bool = True, iterations: int = 1000):
        super().__init__(network)
        if iterations < 1:
            raise RequestError(f"strategy.iterations={iterations}: at least 1 is needed")
        self.calibrate, self.iterations = calibrate, iterations
        network.requires_grad_(False)
        even = torch.full((network.head.out_features,), 1 / network.head.out_features, dtype=torch.float64)
        self.register_buffer("sharpness", torch.ones((), dtype=torch.float64))  # s
        for name, value in (
            ("bias", torch.zeros_like(even)),
            ("source_shares", even),
            ("target_shares", even.clone()),
        ):  # b, π, q
            self.register_buffer(name, value)

    def fit_features(self, pools: Pools) -> None:
        source, target = (
            in_chunks(self.network.eval(), part, self.device).double()
            for part in (pools.source.inputs, pools.unlabelled)
        )
        if not (torch.isfinite(source).all() and torch.isfinite(target).all()):
            raise Diverged("a logit of the source model is not finite")
        sharpness, bias = (
            calibrated(source, pools.source.labels.cpu())
            if self.calibrate
            else (torch.ones(()), torch.zeros(source.shape[1]))
        )
        shares = softmax(sharpness * source + bias, dim=1).mean(0)
        found = estimated_shares(softmax(sharpness * target + bias, dim=1), shares, self.iterations)
        for kept, value in (
            (self.sharpness, sharpness),
            (self.bias, bias),
            (self.source_shares, shares),
            (self.target_shares, found),
        ):
            kept.copy_(value)

    def begin_evaluation(self, pools: Pools) -> dict[str, float]:
        return {"shares/moved": float((self.target_shares - self.source_shares).abs().sum() / 2)}

    def logits(self, inputs: Tensor) -> Tensor:
        change = (self.target_shares.clamp_min(1e-12) / self.source_shares.clamp_min(1e-12)).log()
        logits = self.network(inputs)
        return self.sharpness.to(logits) * logits + (self.bias + change).to(logits)

    def parameter_groups(self) -> dict[str, list[dict]]:
        return {}

    def updates(self, batch: Batch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        yield from ()


def calibrated(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(s, b [C]) of the least cross-entropy of softmax(s z + b) of logits z [n, C], labels [n]; s is
    positive, b sums to 0.

    An item of class y stands for p(y) = (n_y + 1) / (n_y + C) and 1 / (n_y + C) of every other class, n_y the
    items of its class (Platt 1999, "Probabilistic Outputs for Support Vector Machines", for two classes).
    Where the model knows all labels by heart there would be no largest s: probabilities of 0 and 1, which no
    re-weighting moves and which put the items in no order."""
    counts = torch.bincount(labels, minlength=logits.shape[1]).to(logits)[labels][:, None]
    soft = (one_hot(labels, logits.shape[1]).to(logits) * counts + 1) / (counts + logits.shape[1])
    log_s = torch.zeros((), dtype=logits.dtype, requires_grad=True)
    bias = torch.zeros(logits.shape[1], dtype=logits.dtype, requires_grad=True)
    search = torch.optim.LBFGS(
        [log_s, bias],
        max_iter=200,
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        search.zero_grad()
        value = cross_entropy(log_s.exp() * logits + bias, soft)
        value.backward()
        return value

    with torch.enable_grad():
        search.step(loss)
    return log_s.detach().exp(), bias.detach() - bias.detach().mean()


def estimated_shares(p: Tensor, shares: Tensor, iterations: int = 1000) -> Tensor:
    """p_S [n, C] of target items, its class shares [C] → the target's [C], of the largest likelihood, by EM
    from the source's on."""
    weights, found = p / shares.clamp_min(1e-12), shares
    for _ in range(iterations):
        joint = weights * found
        before, found = found, (joint / joint.sum(1, keepdim=True)).mean(0)
        if (found - before).abs().max() < 1e-9:
            break
    return found
