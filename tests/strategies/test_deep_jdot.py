"""DeepJDOT's loss against a plan found by another solver, and where its gradient goes."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog

import tiny_adaptation as tiny
from transferscope.backbones.mlp import MLP
from transferscope.data.splits import LabelledData
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.deep_jdot import DeepJDOT, transport_plan


def strategy(**weights) -> DeepJDOT:
    torch.manual_seed(0)
    return DeepJDOT(Classifier(MLP((4,), hidden=[5]), classes=3), **weights)


def batch(source: int = 6, unlabelled: int = 6) -> Batch:
    draw = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(source, 4, generator=draw), torch.arange(source) % 3
    return Batch(
        LabelledData(inputs, labels, torch.zeros_like(labels)),
        None,
        1 + torch.randn(unlabelled, 4, generator=draw),
    )


@torch.no_grad()
def costs(s: DeepJDOT, b: Batch) -> tuple[np.ndarray, np.ndarray]:
    """The two parts of the cost [N, M], item by item, before their weights."""
    features, logits = s.passed(b)
    d = features.source.shape[1]
    p = logits.unlabelled.softmax(1)
    far = [[float((x - y).square().sum()) / d for y in features.unlabelled] for x in features.source]
    wrong = [[-float(p[j, y].log()) for j in range(len(p))] for y in b.source.labels]
    return np.array(far), np.array(wrong)


def test_equal_batches_are_matched_one_to_one_at_the_least_joint_cost():
    s, b = strategy(feature_weight=0.3, label_weight=2.0), batch()
    far, wrong = costs(s, b)
    rows, columns = linear_sum_assignment(0.3 * far + 2.0 * wrong)
    terms = s.losses(b)
    assert terms["features"].item() == pytest.approx(0.3 * far[rows, columns].mean(), rel=1e-5)
    assert terms["labels"].item() == pytest.approx(2.0 * wrong[rows, columns].mean(), rel=1e-5)
    by_features_alone = linear_sum_assignment(far)
    assert wrong[by_features_alone].mean() > wrong[rows, columns].mean()  # labels did decide where mass goes


def test_unequal_batches_share_their_mass_as_a_linear_program_does():
    s, b = strategy(), batch(source=6, unlabelled=4)
    cost = sum(costs(s, b))
    row, column = np.kron(np.eye(6), np.ones(4)), np.kron(np.ones(6), np.eye(4))
    least = linprog(
        cost.ravel(), A_eq=np.r_[row, column], b_eq=np.r_[np.full(6, 1 / 6), np.full(4, 1 / 4)]
    ).fun
    terms = s.losses(b)
    assert (terms["features"] + terms["labels"]).item() == pytest.approx(least, rel=1e-5)


def test_the_plan_is_a_constant_to_the_gradient():
    cost = torch.tensor([[1.0, 3.0], [4.0, 1.0]], requires_grad=True)
    plan = transport_plan(cost)
    assert plan.tolist() == [[0.5, 0.0], [0.0, 0.5]] and not plan.requires_grad
    (plan * cost).sum().backward()
    assert torch.equal(cost.grad, plan)


@pytest.mark.parametrize("with_labels", [False, True])
def test_gradients_are_those_of_the_least_joint_cost(with_labels):
    """Of the optimal value, found anew by a linear program at every moved weight: a least cost has the
    gradient of its plan held still."""
    s = tiny.ready(DeepJDOT(tiny.network(), feature_weight=0.3, label_weight=2.0))
    items = tiny.batch(with_labels)
    rows, columns = np.kron(np.eye(4), np.ones(5)), np.kron(np.ones(4), np.eye(5))

    def objective(name: str, weights: tiny.Weights) -> float:
        f, g = tiny.features(weights, items.source.inputs), tiny.features(weights, items.unlabelled)
        wrong = -np.log(tiny.softmax(tiny.logits(weights, items.unlabelled)))[
            :, items.source.labels.numpy()
        ].T
        cost = 0.3 * ((f[:, None] - g) ** 2).sum(2) / 2 + 2.0 * wrong  # two features
        least = linprog(
            cost.ravel(), A_eq=np.r_[rows, columns], b_eq=np.r_[np.full(4, 1 / 4), np.full(5, 1 / 5)]
        ).fun
        return sum(tiny.supervised(weights, items).values()) + least

    s.backward(s.losses(items))
    tiny.assert_gradients(s, objective, atol=1e-5)
