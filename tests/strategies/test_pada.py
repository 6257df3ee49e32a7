"""PADA against numpy and numerical gradients; DANN where no class weighs less; a class that the target has
not loses its weight."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from planted import partly_turned
from toy_fit import SETTINGS
from transferscope.backbones.mlp import MLP
from transferscope.data.splits import Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.dann import DANN
from transferscope.strategies.pada import PADA
from transferscope.training.fit import fit
from transferscope.training.request import resolve

BEFORE = np.array([0.5, 0.3, 0.2])  # the running mean of the shares


def pada(steps_done: int = 0, memory: float = 0.75) -> PADA:
    strategy = tiny.ready(PADA(tiny.network(), hidden=4, memory=memory), steps_done)
    strategy.shares.copy_(torch.from_numpy(BEFORE))
    return strategy


def by_hand(weights: tiny.Weights, items, predicted_by: tiny.Weights) -> dict[str, float]:
    """predicted_by: the weights that γ comes from, which no gradient reaches."""
    shares = 0.75 * BEFORE + 0.25 * tiny.softmax(tiny.logits(predicted_by, items.unlabelled)).mean(0)
    labels = items.source.labels.numpy()
    gamma = (shares / shares.max())[labels]
    p = tiny.softmax(tiny.logits(weights, items.source.inputs))[np.arange(len(labels)), labels]
    source, unlabelled = (
        tiny.discriminated(weights, tiny.features(weights, part))
        for part in (items.source.inputs, items.unlabelled)
    )
    terms = {
        "source": -(gamma * np.log(p)).mean(),
        "domain": (-(gamma * np.log(source)).mean() - np.log(1 - unlabelled).mean()) / 2,
    }
    return terms | ({"target": tiny.supervised(weights, items)["target"]} if items.target else {})


@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand(with_labels):
    strategy, items = pada(), tiny.batch(with_labels)
    weights = tiny.weights_of(strategy)
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert terms == pytest.approx(by_hand(weights, items, weights), rel=1e-9)


@pytest.mark.parametrize(("steps_done", "strength"), [(0, 0.0), (25, 0.84828364)])
def test_features_go_against_the_weighted_discriminator(steps_done, strength):
    strategy, items = pada(steps_done), tiny.batch(with_labels=True)
    start = tiny.weights_of(strategy)
    strategy.backward(strategy.losses(items))

    def objective(name, weights):
        terms = by_hand(weights, items, start)
        domain = terms.pop("domain")
        return domain if name.startswith("discriminator") else sum(terms.values()) - strength * domain

    tiny.assert_gradients(strategy, objective)


def test_with_equal_weights_it_is_dann():
    items, found = tiny.batch(), []
    items = items._replace(
        source=items.source._replace(
            inputs=items.unlabelled + 1, labels=torch.arange(5) % 3, domain=torch.zeros(5)
        )
    )
    for strategy in (PADA(tiny.network(), hidden=4, memory=1.0), DANN(tiny.network(), hidden=4)):
        found.append({name: term.item() for name, term in tiny.ready(strategy, 25).losses(items).items()})
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_the_class_that_the_target_has_not_loses_its_weight_and_the_others_keep_theirs():
    torch.manual_seed(0)
    strategy = PADA(Classifier(MLP((4,), hidden=[32, 32]), classes=3))
    fit(
        strategy,
        Pools(source=partly_turned(240, 1, False), unlabelled=partly_turned(240, 2, True).inputs),
        {},
        SETTINGS,
        (0, "test"),
    )
    first, second, absent = (strategy.shares / strategy.shares.max()).tolist()
    assert absent < 0.25 and min(first, second) > 0.6


@pytest.mark.parametrize(
    ("strategy", "budget"),
    [("pada", 0), ("source_only", 0), ("shot", 5), ("wise_ft", "full"), ("label_shift", 0)],
)
def test_a_run_on_a_target_of_some_classes_goes_through_and_counts_those_it_has(
    train, pair, strategy, budget
):
    whole = pair["blobs"]
    kept = np.flatnonzero(whole.labels.numpy() != 1)
    target = replace(
        whole,
        inputs=whole.inputs[kept],
        labels=whole.labels[kept],
        ids=whole.ids[kept],
        split=whole.split[kept],
    )
    run = train(f"strategy={strategy}", f"label_budget={budget}", domains=pair | {"blobs": target})
    assert run.record["status"] in ("done", "collapsed") and run.on_test().shape[1] == 3
    metrics = run.record["result"]["metrics"]
    right = run.on_test().argmax(1) == run.members["blobs/test/targets"]
    assert metrics["blobs/test/balanced_accuracy"] == pytest.approx(
        np.mean([right[run.members["blobs/test/targets"] == c].mean() for c in (0, 2)])
    )
    if budget:
        assert [count > 0 for count in run.record["result"]["class_counts"]["target"].values()] == [
            True,
            False,
            True,
        ]


def test_a_memory_that_is_no_share_is_refused(config):
    with pytest.raises(RequestError, match="strategy.memory=1.5"):
        resolve(config("strategy=pada", "strategy.memory=1.5"))
