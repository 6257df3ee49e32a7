"""GroupDRO: the weights and the loss by hand, and a toy whose larger source misleads."""

from functools import partial

import numpy as np
import pytest
import torch

from tiny_adaptation import assert_gradients, batch, logits, network, ready, softmax, weights_of
from toy_fit import accuracy, circle, items
from transferscope.backbones.mlp import MLP
from transferscope.data import shifted_blobs
from transferscope.data.splits import Labelled, Pools
from transferscope.load import load_run
from transferscope.strategies.base import Batch
from transferscope.strategies.group_dro import GroupDRO
from transferscope.strategies.source_only import SourceOnly


def three_domains(with_labels: bool) -> Batch:
    """Source items of the domains 0, 2, 0, 0: none of domain 1."""
    items = batch(with_labels)
    target = items.target._replace(domain=torch.tensor([0, 0])) if with_labels else None
    return items._replace(source=items.source._replace(domain=torch.tensor([0, 2, 0, 0])), target=target)


def by_group(weights: dict, items: Batch) -> np.ndarray:
    """Mean cross-entropy of each group, 0 for one without items."""
    parts = [items.source] + ([items.target] if items.target else [])
    each = [-np.log(softmax(logits(weights, part.inputs))[np.arange(len(part.labels)), part.labels.numpy()]) for part in parts]
    means = [each[0][[0, 2, 3]].mean(), 0.0, each[0][1]]
    return np.array(means + ([each[1].mean()] if items.target else []))


@pytest.mark.parametrize("with_labels", [False, True])
def test_weights_grow_with_the_losses_and_weigh_them(with_labels):
    strategy, items = ready(GroupDRO(network(), step=0.5)), three_domains(with_labels)
    strategy.fit_features(Pools(source=items.source, target=items.target))
    groups = 4 if with_labels else 3
    assert strategy.groups.weights.tolist() == pytest.approx([1 / groups] * groups)
    strategy.double()
    losses = by_group(weights_of(strategy), items)
    first = np.exp(0.5 * losses) / np.exp(0.5 * losses).sum()
    second = first * np.exp(0.5 * losses) / (first * np.exp(0.5 * losses)).sum()
    assert strategy.losses(items)["worst_group"].item() == pytest.approx(first @ losses, rel=1e-6)
    terms = strategy.losses(items)
    assert terms["worst_group"].item() == pytest.approx(second @ losses, rel=1e-6)
    strategy.backward(terms)
    assert_gradients(strategy, lambda name, weights: second @ by_group(weights, items), rtol=1e-5)


def test_a_resumed_fit_goes_on_with_its_weights():
    strategy, items = ready(GroupDRO(network()), steps_done=10), three_domains(True)
    strategy.load_state_dict(strategy.state_dict() | {"groups.weights": torch.tensor([0.1, 0.2, 0.3, 0.4])})
    strategy.fit_features(Pools(source=items.source, target=items.target))
    assert strategy.groups.weights.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_the_weights_change_what_is_trained(finished):
    assert finished("strategy=group_dro").on_test().tobytes() != finished("strategy=group_dro", "strategy.step=0").on_test().tobytes()


def test_two_sources_and_the_target_are_three_groups_and_a_kept_model_predicts_what_its_record_holds(train, pair):
    third = shifted_blobs.load("blobs_third", shift=1.0, draw=2)
    run = train("strategy=group_dro", "source=[blobs_shifted,blobs_third]", "keep=selected", domains=pair | {"blobs_third": third})
    loaded = load_run(run.folder)
    weights = loaded.strategy.groups.weights
    assert weights.shape == (3,) and weights.sum().item() == pytest.approx(1) and weights.std() > 0
    kept = [list(pair["blobs"].ids).index(item) for item in run.members["blobs/test/ids"]]
    np.testing.assert_allclose(loaded.predict(pair["blobs"].inputs[kept]).numpy(), run.on_test(), atol=1e-6)


def misleading(size: int, draw: int, aligned: bool, domain: int = 0) -> Labelled:
    """The class is told by a noisy circle of two features and, where aligned, by a clear one of two more that says nothing elsewhere."""
    random, labels = np.random.default_rng(draw), np.arange(size) % 3
    clear = circle(labels if aligned else random.integers(3, size=size))
    inputs = 1.6 * np.c_[circle(labels), clear] + np.array([0.9, 0.9, 0.3, 0.3]) * random.normal(size=(size, 4))
    return items(inputs.astype(np.float32), labels, domain)


def test_it_gains_where_the_small_source_is_the_one_that_is_like_the_target():
    def mean(strategy) -> float:
        scores = []
        for seed in range(3):
            large, small = misleading(600, 100 + seed, True), misleading(30, 200 + seed, False, domain=1)
            pools = Pools(source=Labelled(*(torch.cat(column) for column in zip(large, small, strict=True))))
            scores.append(accuracy(strategy, partial(MLP, (4,), hidden=[32, 32]), pools, misleading(300, 300 + seed, False), seed))
        return np.mean(scores)

    before, after = mean(SourceOnly), mean(GroupDRO)
    assert before < 0.75 and after > before + 0.1, f"{before:.3f} -> {after:.3f}"
