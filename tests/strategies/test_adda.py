"""ADDA: both updates and their opposite labels; what stays the source model's."""

import copy
from functools import partial

import numpy as np
import pytest
import torch

import tiny_adaptation as tiny
from transferscope.data.splits import Pools
from transferscope.strategies.adda import ADDA
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings


@pytest.mark.parametrize("with_labels", [False, True])
def test_the_updates_are_those_of_the_paper(with_labels):
    strategy, items = tiny.ready(ADDA(tiny.network(), hidden=4)), tiny.batch(with_labels)
    strategy.network.backbone.layer.weight.data += 0.3  # so that the two encoders differ
    weights = tiny.weights_of(strategy)
    as_source = {
        name.replace("source_encoder", "network.backbone"): value
        for name, value in weights.items()
        if "network" not in name
    }

    def domain(w):
        p = tiny.discriminated(
            w,
            np.concatenate(
                [tiny.features(as_source, items.source.inputs), tiny.features(weights, items.unlabelled)]
            ),
        )
        return {"domain": -np.log(np.concatenate([p[:4], 1 - p[4:]])).mean()}

    def encoder(w):
        terms = {"encoder": -np.log(tiny.discriminated(w, tiny.features(w, items.unlabelled))).mean()}
        if with_labels:
            terms["target"] = tiny.cross_entropy(tiny.logits(w, items.target.inputs), items.target.labels)
        return terms

    updates = strategy.updates(items)
    who, terms = next(updates)
    assert who == "discriminator" and {k: v.item() for k, v in terms.items()} == pytest.approx(
        domain(weights), rel=1e-9
    )
    strategy.backward(terms)
    # the encoders get none of it: by hand they stay as they were
    tiny.assert_gradients(strategy, lambda name, w: domain(w)["domain"])
    for parameter in strategy.discriminator.parameters():
        parameter.data += 0.1
    weights = tiny.weights_of(strategy)
    who, terms = next(updates)
    assert who == "target_encoder" and {k: v.item() for k, v in terms.items()} == pytest.approx(
        encoder(weights), rel=1e-9
    )
    strategy.zero_grad()
    strategy.backward(terms)
    tiny.assert_gradients(strategy, lambda name, w: sum(encoder(w).values()))
    assert next(updates, None) is None


def test_the_source_encoder_and_the_head_stay_and_the_target_encoder_moves():
    strategy, items = ADDA(tiny.network(), hidden=4), tiny.batch()
    before = copy.deepcopy(strategy.state_dict())
    pools = Pools(
        source=items.source._replace(inputs=items.source.inputs.float()), unlabelled=items.unlabelled.float()
    )
    fit(
        strategy,
        pools,
        {},
        FitSettings(4, 4, 2, partial(torch.optim.AdamW, lr=0.1), "constant", "cpu", "32-true"),
        (0, "test"),
    )
    moved = {
        name for name, value in strategy.state_dict().items() if not torch.equal(value, before[name])
    } - {"steps_done"}
    assert {name.rpartition(".")[0] for name in moved} == {
        "network.backbone.layer",
        "discriminator.0",
        "discriminator.2",
        "discriminator.4",
    }


def test_no_source_label_reaches_it_but_by_the_source_model(finished):
    record = finished("strategy=adda", "label_budget=0").record
    assert record["cell"]["initialisation"] == "source" and record["sees"] == [
        "source_inputs",
        "source_labels",
        "target_inputs",
    ]
