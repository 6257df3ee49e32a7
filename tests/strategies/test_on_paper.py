"""Methods that are not registered yet must fit the base as it is: each in its smallest form, stopped and
resumed."""

import copy
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot, softmax

from transferscope.backbones.mlp import MLP
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.networks.classifier import Classifier, in_chunks
from transferscope.strategies.base import Strategy
from transferscope.training.fit import fit
from transferscope.training.settings import FitResult, FitSettings, Monitoring

SETTINGS = FitSettings(12, 4, 3, partial(torch.optim.SGD, lr=0.1), "constant", "cpu", "32-true")


def labelled(size: int, seed: int) -> LabelledData:
    labels = torch.arange(size) % 3
    inputs = torch.randn(size, 4, generator=torch.Generator().manual_seed(seed)) + labels[:, None]
    return LabelledData(inputs, labels, torch.zeros(size, dtype=torch.int64))


TEST = labelled(30, seed=1)
EVALUATED = {
    "toy/test": EvaluationSet(TEST.inputs, TEST.labels, np.arange(30).astype(str), ("a", "b", "c"), None)
}
SOURCE, TARGET, UNLABELLED = labelled(24, seed=2), labelled(9, seed=3), labelled(18, seed=4).inputs


def network() -> Classifier:
    torch.manual_seed(0)
    return Classifier(MLP((4,), hidden=[8, 6]), classes=3)


# --- two optimisers in turn: MCD (Saito et al. 2018)


class TwoClassifiers(Strategy):
    """Source loss for all; the classifiers then disagree on the target; the generator then makes them agree,
    twice."""

    sees = frozenset({"source_inputs", "source_labels", "target_inputs"})
    needs_target_labels = False
    shares_classes = True

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.second = nn.Linear(network.backbone.features, network.head.out_features)
        self.batches = []

    def parameter_groups(self):
        classifiers = [*self.network.head.parameters(), *self.second.parameters()]
        return {
            "generator": [{"params": list(self.network.backbone.parameters())}],
            "classifiers": [{"params": classifiers}],
        }

    def both(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.backbone(inputs)
        return self.network.head(features), self.second(features)

    def logits(self, inputs):
        return sum(self.both(inputs))

    def source_loss(self, batch):
        return sum(cross_entropy(logits, batch.source.labels) for logits in self.both(batch.source.inputs))

    def discrepancy(self, batch):
        first, second = self.both(batch.unlabelled)
        return (softmax(first, 1) - softmax(second, 1)).abs().mean()

    def updates(self, batch):
        self.batches.append(batch)
        yield "generator", {"source": self.source_loss(batch)}
        yield "classifiers", {"source_kept": self.source_loss(batch), "disagree": -self.discrepancy(batch)}
        for _ in range(2):
            yield "generator", {"agree": self.discrepancy(batch)}


def test_two_optimisers_step_in_turn():
    """Against a plain loop over the same batches."""
    strategy = TwoClassifiers(network())
    plain = copy.deepcopy(strategy)
    fit(strategy, Pools(source=SOURCE, unlabelled=UNLABELLED), EVALUATED, SETTINGS, (0, "test"))
    generator = torch.optim.SGD(plain.network.backbone.parameters(), lr=0.1)
    classifiers = torch.optim.SGD([*plain.network.head.parameters(), *plain.second.parameters()], lr=0.1)
    for batch in strategy.batches:
        for optimizer, loss in (
            (generator, lambda batch: plain.source_loss(batch)),
            (classifiers, lambda batch: plain.source_loss(batch) - plain.discrepancy(batch)),
            (generator, lambda batch: plain.discrepancy(batch)),
            (generator, lambda batch: plain.discrepancy(batch)),
        ):
            plain.zero_grad()
            loss(batch).backward()
            optimizer.step()
    assert len(strategy.batches) == 12
    for ours, theirs in zip(strategy.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


# --- without source data, pseudo-labels at each interval: SHOT (Liang et al. 2020)


class SourceFree(Strategy):
    """Head fixed; class centroids of the target's features at the start of each interval give the
    pseudo-labels.

    A batch does not say which items it holds, so the interval's first weights stay at hand (`teacher`) to
    label them by."""

    sees = frozenset({"target_inputs"})
    needs_target_labels = False
    shares_classes = True

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.teacher = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("centroids", torch.zeros(network.head.out_features, network.backbone.features))

    def parameter_groups(self):
        return {"all": [{"params": list(self.network.backbone.parameters())}]}

    def begin_interval(self, pools):
        self.teacher.load_state_dict(self.network.state_dict())
        self.teacher.eval()
        features = in_chunks(self.teacher.backbone, pools.unlabelled, self.device)
        weights = softmax(self.teacher.head(features), 1)  # [n, C]
        self.centroids = (weights.T @ features / weights.sum(0)[:, None]).detach()

    def pseudo_labels(self, inputs):
        return torch.cdist(self.teacher.eval().backbone(inputs), self.centroids).argmin(1)

    def losses(self, batch):
        return {"pseudo": cross_entropy(self.logits(batch.unlabelled), self.pseudo_labels(batch.unlabelled))}


def test_without_source_data_the_head_stays_and_the_backbone_follows_its_own_labels():
    strategy, start = SourceFree(network()), network()
    outcome = fit(strategy, Pools(unlabelled=UNLABELLED), EVALUATED, SETTINGS, (0, "test"))
    assert torch.equal(strategy.network.head.weight, start.head.weight)
    assert not torch.equal(strategy.network.backbone.layers[0].weight, start.backbone.layers[0].weight)
    assert outcome.history[-1]["loss/pseudo"] < outcome.history[1]["loss/pseudo"]


# --- closed form on frozen features: ridge regression in place of TCA (Pan et al. 2011)


class ClosedForm(Strategy):
    """Least squares on frozen features, no step of an optimiser."""

    sees = frozenset({"target_labels"})

    def __init__(self, network: Classifier):
        super().__init__(network)
        self.register_buffer("solution", torch.zeros(network.backbone.features, network.head.out_features))

    def precompute(self, inputs):
        return in_chunks(self.network.backbone.eval(), inputs, self.device)

    def fit_features(self, pools):
        features, targets = pools.target.inputs, one_hot(pools.target.labels, self.solution.shape[1]).float()
        self.solution = torch.linalg.solve(
            features.T @ features + torch.eye(features.shape[1]), features.T @ targets
        )

    def parameter_groups(self):
        return {}

    def updates(self, batch):
        return iter(())

    def logits(self, inputs):
        return inputs @ self.solution


def test_a_closed_form_is_solved_before_the_first_step_and_no_step_moves_it():
    strategy = ClosedForm(network())
    outcome = fit(strategy, Pools(target=TARGET), EVALUATED, SETTINGS, (0, "test"))
    backbone = network().backbone.eval()
    with torch.no_grad():
        train, test = backbone(TARGET.inputs).numpy(), backbone(TEST.inputs).numpy()
    solution = np.linalg.inv(train.T @ train + np.eye(6)) @ train.T @ np.eye(3)[TARGET.labels]
    expected = np.exp(test @ solution) / np.exp(test @ solution).sum(1, keepdims=True)
    first, *fitted = outcome.predictions["toy/test"].values()
    np.testing.assert_allclose(first.numpy(), 1 / 3, atol=1e-6)  # step 0 is before the fit
    for p in fitted:
        np.testing.assert_allclose(p.numpy(), expected, atol=1e-5)
    assert [row["step"] for row in outcome.history] == [0, 4, 8, 12] and not [
        key for key in outcome.history[-1] if key.startswith("loss/")
    ]


# --- gradual unfreezing (Howard & Ruder 2018)


class Unfreezing(Strategy):
    """The head first, then one more layer of the backbone from its output side on with every third of the
    steps."""

    sees = frozenset({"target_labels"})

    def losses(self, batch):
        return {"target": cross_entropy(self.logits(batch.target.inputs), batch.target.labels)}

    def begin_interval(self, pools):
        groups = self.network.backbone.layer_groups()
        for depth, (_, parameters) in enumerate(reversed(groups), start=1):
            for parameter in parameters:
                parameter.requires_grad_(depth <= round(3 * self.progress))


def test_layers_thaw_with_the_progress():
    strategy, weights = Unfreezing(network()), []

    def note(*_) -> None:
        layers = *strategy.network.backbone.layers, strategy.network.head
        weights.append([layer.weight.detach().clone() for layer in layers])

    note()
    fit(strategy, Pools(target=TARGET), EVALUATED, SETTINGS, (0, "test"), Monitoring(after_interval=note))
    moved = [
        [not torch.equal(a, b) for a, b in zip(then, now, strict=True)] for then, now in pairwise(weights)
    ]
    assert moved == [[False, False, True], [False, True, True], [True, True, True]]


# --- all of them

CASES = {
    "two optimisers": (TwoClassifiers, Pools(source=SOURCE, unlabelled=UNLABELLED)),
    "source-free": (SourceFree, Pools(unlabelled=UNLABELLED)),
    "closed form": (ClosedForm, Pools(target=TARGET)),
    "unfreezing": (Unfreezing, Pools(target=TARGET)),
}


def identity(outcome: FitResult) -> tuple:
    history = [{key: value for key, value in row.items() if key != "seconds"} for row in outcome.history]
    return {step: p.numpy().tobytes() for step, p in outcome.predictions["toy/test"].items()}, history


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("last", [4, 8])
def test_resumed_is_the_same_as_never_stopped(tmp_path, case, last):
    strategy, pools = CASES[case]

    def stop(step: int, row: dict) -> None:
        if step == last:
            raise InterruptedError

    whole = fit(strategy(network()), pools, EVALUATED, SETTINGS, (0, "test"))
    with pytest.raises(InterruptedError):
        fit(strategy(network()), pools, EVALUATED, SETTINGS, (0, "test"), Monitoring(tmp_path, stop))
    assert identity(
        fit(strategy(network()), pools, EVALUATED, SETTINGS, (0, "test"), Monitoring(tmp_path))
    ) == identity(whole)
