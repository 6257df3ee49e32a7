"""MCD: the three updates, their signs, and who moves in which."""

import numpy as np
import pytest

import tiny_adaptation as tiny
from transferscope.strategies.mcd import MCD


def second(weights, inputs):
    return tiny.linear(weights, "second", tiny.features(weights, inputs))


def supervised(weights, items) -> dict[str, float]:
    once, twice = tiny.supervised(weights, items), tiny.supervised(weights, items, scores=second)
    return {name: once[name] + twice[name] for name in once}


def discrepancy(weights, items) -> float:
    p, q = (tiny.softmax(scores(weights, items.unlabelled)) for scores in (tiny.logits, second))
    return float(np.abs(p - q).sum(1).mean() / 3)


@pytest.mark.parametrize("with_labels", [False, True])
def test_the_updates_are_those_of_the_paper_in_order(with_labels):
    strategy, items = tiny.ready(MCD(tiny.network(), generator_updates=2)), tiny.batch(with_labels)
    expected = [
        (("generator", "classifiers"), supervised),
        (
            "classifiers",
            lambda w, b: (
                {f"{k}_kept": v for k, v in supervised(w, b).items()} | {"disagreement": -discrepancy(w, b)}
            ),
        ),
        ("generator", lambda w, b: {"agreement": discrepancy(w, b)}),
        ("generator", lambda w, b: {"agreement": discrepancy(w, b)}),
    ]
    for (moved, terms), (who, by_hand) in zip(strategy.updates(items), expected, strict=True):
        weights = tiny.weights_of(strategy)
        assert moved == who
        assert {name: term.item() for name, term in terms.items()} == pytest.approx(
            by_hand(weights, items), rel=1e-9
        )
        strategy.zero_grad()
        strategy.backward(terms)
        tiny.assert_gradients(strategy, lambda name, w, by_hand=by_hand: sum(by_hand(w, items).values()))
        for parameter in strategy.parameters():  # the next update is computed with other weights
            parameter.data += 0.1


def test_backbone_and_classifiers_have_each_their_optimiser():
    strategy = MCD(tiny.network())
    names = {id(parameter): name for name, parameter in strategy.named_parameters()}
    moved = {
        optimiser: {names[id(p)] for group in groups for p in group["params"]}
        for optimiser, groups in strategy.parameter_groups().items()
    }
    assert moved == {
        "generator": {"network.backbone.layer.weight", "network.backbone.layer.bias"},
        "classifiers": {"network.head.weight", "network.head.bias", "second.weight", "second.bias"},
    }


def test_predictions_are_those_of_the_mean_logits():
    strategy, items = tiny.ready(MCD(tiny.network())), tiny.batch()
    weights = tiny.weights_of(strategy)
    mean = (tiny.logits(weights, items.unlabelled) + second(weights, items.unlabelled)) / 2
    np.testing.assert_allclose(
        strategy.predictions(items.unlabelled).detach().numpy(), tiny.softmax(mean), rtol=1e-9
    )


def test_the_generators_updates_change_what_is_trained(finished):
    with_it, without = finished("strategy=mcd"), finished("strategy=mcd", "strategy.generator_updates=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
