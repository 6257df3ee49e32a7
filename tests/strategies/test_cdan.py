"""CDAN and CDAN+E against numpy and numerical gradients; the randomised map in expectation."""

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.networks.multilinear_map import MultilinearMap
from transferscope.strategies.cdan import CDAN


def domain_loss(weights: tiny.Weights, items, conditions: bool, predicted_by: tiny.Weights) -> float:
    """predicted_by: the weights that g and w come from, which no gradient reaches. w in units of its mean in
    the domain; half a domain."""
    losses = 0.0
    for inputs, is_source in ((items.source.inputs, True), (items.unlabelled, False)):
        logits = tiny.logits(predicted_by, inputs)
        joined = np.stack(
            [
                np.outer(f, g).ravel()
                for f, g in zip(tiny.features(weights, inputs), tiny.softmax(logits), strict=True)
            ]
        )
        p = tiny.discriminated(weights, joined)
        w = 1 + np.exp(-tiny.entropy(logits)) if conditions else 1.0
        losses += np.sum(-w * np.log(p if is_source else 1 - p)) / np.sum(w * np.ones(len(p))) / 2
    return float(losses)


@pytest.mark.parametrize("conditions", [False, True])
@pytest.mark.parametrize("with_labels", [False, True])
def test_terms_equal_those_computed_by_hand(with_labels, conditions):
    strategy = tiny.ready(CDAN(tiny.network(), hidden=4, entropy_conditioning=conditions))
    items = tiny.batch(with_labels)
    weights = tiny.weights_of(strategy)
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert terms == pytest.approx(
        tiny.supervised(weights, items) | {"domain": domain_loss(weights, items, conditions, weights)},
        rel=1e-9,
    )


@pytest.mark.parametrize("conditions", [False, True])
@pytest.mark.parametrize(
    ("steps_done", "trade_off", "strength"), [(0, 1.0, 0.0), (25, 1.0, 0.84828364), (50, 2.0, 1.97322860)]
)
def test_features_go_against_the_discriminator_with_the_strength_of_the_schedule(
    steps_done, trade_off, strength, conditions
):
    strategy = tiny.ready(CDAN(tiny.network(), trade_off, 4, conditions), steps_done)
    items = tiny.batch(with_labels=True)
    start = tiny.weights_of(strategy)
    strategy.backward(strategy.losses(items))

    def objective(name, weights):
        domain = domain_loss(weights, items, conditions, predicted_by=start)
        return (
            domain
            if name.startswith("discriminator")
            else sum(tiny.supervised(weights, items).values()) - strength * domain
        )

    tiny.assert_gradients(strategy, objective)


def test_the_map_is_every_product_and_keeps_them_apart():
    joined = MultilinearMap(2, 3)(torch.tensor([[2.0, 3.0]]), torch.tensor([[5.0, 7.0, 11.0]]))
    assert joined.tolist() == [[10, 14, 22, 15, 21, 33]]


def test_a_wide_map_is_random_and_its_inner_products_are_right_on_average():
    torch.manual_seed(0)
    wide, exact = MultilinearMap(2, 3, largest=5, width=20_000), MultilinearMap(2, 3)
    f, g = torch.tensor([[1.0, 2.0], [2.0, 0.5]]), torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    assert wide.outputs == 20_000 and exact.outputs == 6
    torch.testing.assert_close(wide(f, g) @ wide(f, g).T, exact(f, g) @ exact(f, g).T, rtol=0.1, atol=0)


def test_adversary_and_conditioning_change_what_is_trained(finished):
    cdan, without = finished("strategy=cdan"), finished("strategy=cdan", "strategy.trade_off=0")
    conditioned = finished("strategy=cdan_e")
    assert len({run.on_test().tobytes() for run in (cdan, without, conditioned)}) == 3
    assert (
        conditioned.on_test().tobytes()
        == finished("strategy=cdan", "strategy.entropy_conditioning=true").on_test().tobytes()
    )


def test_conditioning_gives_no_domain_more_weight_for_surer_predictions():
    """At chance the discriminator's loss is log 2 however sure the predictions are. 1 + exp(-H) alone has up
    to twice that."""
    strategy, items = tiny.ready(CDAN(tiny.network(), hidden=4, entropy_conditioning=True)), tiny.batch()
    strategy.network.head.weight.data *= 30
    for parameter in strategy.discriminator[-2].parameters():
        parameter.data.zero_()
    domain = strategy.losses(items)["domain"]
    assert domain.item() == pytest.approx(np.log(2))
    [push] = torch.autograd.grad(domain, strategy.discriminator[-2].bias)
    assert push.item() == pytest.approx(0, abs=1e-12)  # neither domain pulls more
