"""Multi-task learning: its terms and its gradients by hand, and classes that differ."""

from functools import partial

import numpy as np
import pytest
import torch

from planted import renamed
from tiny_adaptation import (
    assert_gradients,
    batch,
    cross_entropy,
    features,
    linear,
    logits,
    network,
    ready,
    weights_of,
)
from toy_fit import hits
from transferscope.backbones.mlp import MLP
from transferscope.cli.main import main
from transferscope.data import shifted_blobs
from transferscope.data.splits import Pools
from transferscope.store import record
from transferscope.strategies.base import Batch
from transferscope.strategies.multi_task import MultiTask, PCGrad, UncertaintyWeighted
from transferscope.training import request as requests
from transferscope.training import source_models
from transferscope.training.load import load_run
from transferscope.training.run import build

KINDS = {"multi_task": MultiTask, "multi_task_uncertainty": UncertaintyWeighted, "multi_task_pcgrad": PCGrad}


def five_source_classes() -> Batch:
    items = batch(with_labels=True)
    return items._replace(source=items.source._replace(labels=torch.tensor([0, 4, 3, 1])))


def built(kind: type[MultiTask], **arguments) -> MultiTask:
    """Three target classes beside a source of five."""
    net = network()
    net.source_classes = 5
    return ready(kind(net, **arguments))


def task_losses(weights: dict, items: Batch) -> dict[str, float]:
    return {
        "target": cross_entropy(logits(weights, items.target.inputs), items.target.labels),
        "source": cross_entropy(
            linear(weights, "source_head", features(weights, items.source.inputs)), items.source.labels
        ),
    }


def test_terms_are_the_cross_entropies_of_two_heads_in_one_pass():
    strategy, items = built(MultiTask, source_weight=0.25), five_source_classes()
    by_hand = task_losses(weights_of(strategy), items)
    terms = {name: term.item() for name, term in strategy.losses(items).items()}
    assert terms == pytest.approx({"target": by_hand["target"], "source": 0.25 * by_hand["source"]}, rel=1e-9)
    assert strategy.network.backbone.calls == [6]
    assert strategy.source_head.weight.shape == (5, 2) and strategy.logits(items.unlabelled).shape == (5, 3)


def test_uncertainty_weighs_each_task_by_its_variance_and_learns_that():
    strategy, items = built(UncertaintyWeighted), five_source_classes()
    strategy.log_variance.data = torch.tensor([0.3, -0.7], dtype=torch.float64)

    def objective(name: str, weights: dict) -> float:
        losses, (target, source) = task_losses(weights, items), weights["log_variance"]
        return np.exp(-target) * losses["target"] + np.exp(-source) * losses["source"] + (target + source) / 2

    terms = strategy.losses(items)
    assert sum(term.item() for term in terms.values()) == pytest.approx(
        objective("", weights_of(strategy)), rel=1e-9
    )
    strategy.backward(terms)
    assert_gradients(strategy, objective)


def test_a_task_of_pure_noise_loses_its_weight():
    source, target = renamed(240, 1, False), renamed(60, 2, True)
    noise = source._replace(
        labels=source.labels[torch.randperm(240, generator=torch.Generator().manual_seed(0))]
    )
    learnt = []

    def kept(net):
        learnt.append(UncertaintyWeighted(net))
        return learnt[0]

    hits(
        kept,
        partial(MLP, (20,), hidden=[32, 32]),
        Pools(source=noise, target=target),
        target,
        seed=0,
        steps=100,
    )
    of_target, of_source = learnt[0].log_variance.neg().exp().tolist()
    assert of_source < 1 < of_target


def gradients(strategy: MultiTask, loss: torch.Tensor) -> torch.Tensor:
    """Of the backbone, in one vector."""
    parts = torch.autograd.grad(loss, list(strategy.network.backbone.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("conflict", [True, False])
def test_gradient_surgery(conflict):
    """The backbone gets the sum of the projected gradients, each orthogonal to the other task's; without
    conflict the plain sum."""
    strategy, items = built(PCGrad), five_source_classes()
    if conflict:  # the source's head says the opposite of the target's, of the same items
        items = items._replace(source=items.target)
        strategy.source_head.weight.data[:3] = -strategy.network.head.weight.data
    else:
        items = items._replace(source=items.target)
        strategy.source_head.weight.data[:3] = strategy.network.head.weight.data
    terms = strategy.losses(items)
    target, source = (gradients(strategy, term).numpy() for term in terms.values())
    assert (target @ source < 0) == conflict
    plain = torch.autograd.grad(
        sum(terms.values()), [strategy.network.head.weight, strategy.source_head.weight], retain_graph=True
    )
    strategy.backward(terms)
    found = np.concatenate(
        [parameter.grad.numpy().ravel() for parameter in strategy.network.backbone.parameters()]
    )
    if conflict:
        expected = (
            target
            - target @ source / (source @ source) * source
            + source
            - source @ target / (target @ target) * target
        )
        assert found @ target >= 0 and found @ source >= 0  # a small step along it makes neither task worse
    else:
        expected = target + source
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    torch.testing.assert_close((strategy.network.head.weight.grad, strategy.source_head.weight.grad), plain)


# --- as runs


def test_the_source_changes_what_is_trained(finished):
    alone = finished("strategy=multi_task", "strategy.source_weight=0").on_test()
    assert len({alone.tobytes(), *(finished(f"strategy={name}").on_test().tobytes() for name in KINDS)}) == 4


@pytest.mark.parametrize("name", KINDS)
def test_classes_may_differ_and_a_kept_model_predicts_what_its_record_holds(train, pair, name):
    other = shifted_blobs.load("blobs_shifted", classes=4, draw=1)
    run = train(f"strategy={name}", "keep=selected", domains=pair | {"blobs_shifted": other})
    assert run.record["status"] == "done" and run.record["sees"] == [
        "source_inputs",
        "source_labels",
        "target_labels",
    ]
    assert run.on_test().shape[1] == 3 and "blobs_shifted/val" not in str(run.record["result"]["metrics"])
    loaded = load_run(run.folder)
    assert loaded.strategy.source_head.weight.shape == (4, 16)
    kept = [list(pair["blobs"].ids).index(item) for item in run.members["blobs/test/ids"]]
    np.testing.assert_allclose(loaded.predict(pair["blobs"].inputs[kept]).numpy(), run.on_test(), atol=1e-6)


def test_it_may_start_from_the_source_model_with_its_head(config, tmp_path, pair, monkeypatch):
    other = shifted_blobs.load("blobs_shifted", classes=4, draw=1)
    monkeypatch.setattr(
        requests, "load_domain", lambda key, name, *_: {"blobs": pair["blobs"], "blobs_shifted": other}[name]
    )
    request = requests.resolve(config("strategy=multi_task", "initialisation=source", f"store={tmp_path}"))
    run_data = request.run_data()
    strategy, _ = build(request, run_data)
    weights, _ = source_models.source_model(request, run_data)
    torch.testing.assert_close(strategy.source_head.weight.detach(), weights["head.weight"])
    torch.testing.assert_close(
        strategy.network.backbone.layers[0].weight.detach(), weights["backbone.layers.0.weight"]
    )


def test_no_source_validation_where_classes_differ(pair, monkeypatch, tmp_path, capsys):
    other = shifted_blobs.load("blobs_shifted", classes=4, draw=1)
    monkeypatch.setattr(
        requests, "load_domain", lambda key, name, *_: {"blobs": pair["blobs"], "blobs_shifted": other}[name]
    )
    asked = [
        "target=blobs",
        "source=blobs_shifted",
        "backbone=mlp",
        "strategy=multi_task",
        "keep=selected",
        "selection=source_val",
    ]
    assert main(["run", *asked, "tracking=off", f"store={tmp_path}"]) == 2
    assert "selection=source_val: the head has the classes of target blobs" in capsys.readouterr().err
    assert record.run_folders(tmp_path) == []
