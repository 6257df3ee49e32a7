"""GroupDRO: the weights and the loss by hand."""

import numpy as np
import pytest
import torch

from tiny_adaptation import assert_gradients, batch, logits, network, ready, softmax, weights_of
from transferscope.data import shifted_blobs
from transferscope.data.splits import Pools
from transferscope.strategies.base import Batch
from transferscope.strategies.group_dro import GroupDRO
from transferscope.training.load import load_run


def three_domains(with_labels: bool) -> Batch:
    """Source items of the domains 0, 2, 0, 0: none of domain 1."""
    items = batch(with_labels)
    target = items.target._replace(domain=torch.tensor([0, 0])) if with_labels else None
    return items._replace(source=items.source._replace(domain=torch.tensor([0, 2, 0, 0])), target=target)


def by_group(weights: dict, items: Batch) -> np.ndarray:
    """Mean cross-entropy of each group, 0 for one without items."""
    parts = [items.source] + ([items.target] if items.target else [])
    each = [
        -np.log(softmax(logits(weights, part.inputs))[np.arange(len(part.labels)), part.labels.numpy()])
        for part in parts
    ]
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
    assert (
        finished("strategy=group_dro").on_test().tobytes()
        != finished("strategy=group_dro", "strategy.step=0").on_test().tobytes()
    )


def test_two_sources_and_the_target_are_three_groups_and_a_kept_model_predicts_what_its_record_holds(
    train, pair
):
    third = shifted_blobs.load("blobs_third", shift=1.0, draw=2)
    run = train(
        "strategy=group_dro",
        "source=[blobs_shifted,blobs_third]",
        "keep=selected",
        domains=pair | {"blobs_third": third},
    )
    loaded = load_run(run.folder)
    weights = loaded.strategy.groups.weights
    assert weights.shape == (3,) and weights.sum().item() == pytest.approx(1) and weights.std() > 0
    kept = [list(pair["blobs"].ids).index(item) for item in run.members["blobs/test/ids"]]
    np.testing.assert_allclose(loaded.predict(pair["blobs"].inputs[kept]).numpy(), run.on_test(), atol=1e-6)
