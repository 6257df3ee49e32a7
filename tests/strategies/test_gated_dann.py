"""The discriminator gate against an independent computation in numpy and numerical gradients."""

import numpy as np
import pytest

import tiny_adaptation as tiny
from transferscope.strategies.base import Batch
from transferscope.strategies.gated_dann import GatedDANN


def gated(steps_done: int = 0, **arguments) -> GatedDANN:
    return tiny.ready(GatedDANN(tiny.network(), hidden=4, **arguments), steps_done)


def by_hand(weights: tiny.Weights, items: Batch) -> tuple[dict[str, float], np.ndarray]:
    """(terms with the gate open for all, the gate ω of each source item)"""
    f = {name: tiny.features(weights, part) for name, part in
         (("s", items.source.inputs), ("u", items.unlabelled), ("t", items.target.inputs))}  # fmt: skip
    codes = {
        name: np.eye(3)[labels.numpy()]
        for name, labels in (("s", items.source.labels), ("t", items.target.labels))
    }

    def is_source(features: np.ndarray, code: np.ndarray) -> np.ndarray:
        return tiny.discriminated(
            weights, np.concatenate([features, np.broadcast_to(code, (len(features), 3))], axis=1)
        )

    def between(source: np.ndarray, target: np.ndarray) -> float:
        return float(-(np.log(source).mean() + np.log(1 - target).mean()) / 2)

    joint = is_source(f["s"], codes["s"])
    terms = tiny.supervised(weights, items) | {
        "domain": between(is_source(f["s"], np.zeros(3)), is_source(f["u"], np.zeros(3))),
        "joint_domain": between(joint, is_source(f["t"], codes["t"])),
    }
    return terms, (1 - joint) / joint


def gated_source(weights: tiny.Weights, items: Batch, gate: np.ndarray) -> float:
    p = tiny.softmax(tiny.logits(weights, items.source.inputs))[np.arange(4), items.source.labels.numpy()]
    return float((gate * -np.log(p)).mean())


def test_terms_equal_those_computed_by_hand():
    strategy, items = gated(source_weight=0.5), tiny.batch(with_labels=True)
    weights = tiny.weights_of(strategy)
    terms, gate = by_hand(weights, items)
    expected = terms | {"source": 0.5 * gated_source(weights, items, gate)}
    assert {name: term.item() for name, term in strategy.losses(items).items()} == pytest.approx(
        expected, rel=1e-9
    )
    assert np.ptp(gate) > 1e-3 and strategy.network.backbone.calls == [11]  # one pass


@pytest.mark.parametrize(
    ("steps_done", "trade_off", "strength"), [(0, 1.0, 0.0), (10, 1.0, 0.46211716), (50, 2.0, 1.97322860)]
)
def test_features_go_against_both_discriminators_and_the_gate_has_no_gradient(
    steps_done, trade_off, strength
):
    strategy, items = gated(steps_done, trade_off=trade_off), tiny.batch(with_labels=True)
    strategy.backward(strategy.losses(items))
    _, gate = by_hand(tiny.weights_of(strategy), items)

    def objective(name: str, weights: tiny.Weights) -> float:
        terms, _ = by_hand(weights, items)
        adversarial = terms["domain"] + terms["joint_domain"]
        if name.startswith("discriminator"):
            return adversarial
        return gated_source(weights, items, gate) + terms["target"] - strength * adversarial

    tiny.assert_gradients(strategy, objective)


@pytest.mark.parametrize("without", ["strategy.trade_off=0", "strategy.source_weight=0"])
def test_each_term_changes_what_is_trained(finished, without):
    assert (
        finished("strategy=gated_dann").on_test().tobytes()
        != finished("strategy=gated_dann", without).on_test().tobytes()
    )
