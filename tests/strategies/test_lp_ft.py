"""LP-FT: a linear probe up to its share of the steps, fine-tuning from there."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from transferscope.backbones.small_cnn import SmallCNN
from transferscope.data.splits import EvaluationSet, LabelledData, Pools
from transferscope.errors import RequestError
from transferscope.networks.classifier import Classifier
from transferscope.strategies.lp_ft import LPFT
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings, Monitoring

LABELS = torch.arange(12) % 3
INPUTS = torch.randint(0, 256, (12, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
POOLS = Pools(target=LabelledData(INPUTS, LABELS, torch.zeros(12)))
EVALUATED = {"toy/test": EvaluationSet(INPUTS, LABELS, np.arange(12).astype(str), ("a", "b", "c"), None)}
RATE = 0.05


def settings(batch_size: int) -> FitSettings:
    return FitSettings(12, batch_size, 3, partial(torch.optim.SGD, lr=RATE), "constant", "cpu", "32-true")


def network() -> Classifier:
    """With statistics of normalisation that are not those of the pool."""
    torch.manual_seed(0)
    net = Classifier(SmallCNN((1, 8, 8)), classes=3)
    net.backbone(torch.randint(0, 64, (50, 1, 8, 8), dtype=torch.uint8))
    return net


def by_hand(probe_steps: int) -> Classifier:
    """Plain gradient descent on the whole pool: a head on features computed once, then everything."""
    net = network()
    features = net.backbone.eval()(INPUTS).detach()
    for step in range(12):
        net.zero_grad()
        probing = step < probe_steps
        cross_entropy(net.head(features) if probing else net.train()(INPUTS), LABELS).backward()
        with torch.no_grad():
            for parameter in net.head.parameters() if probing else net.parameters():
                parameter -= RATE * parameter.grad
    return net


@pytest.mark.parametrize(("share", "probe_steps"), [(0.0, 0), (0.5, 6), (0.75, 9), (1.0, 12)])
def test_it_probes_for_its_share_of_the_steps_and_then_trains_everything(share, probe_steps):
    net, start, expected = network(), network().state_dict(), by_hand(probe_steps).state_dict()
    fit(LPFT(net, share), POOLS, EVALUATED, settings(batch_size=12), (0, "test"))
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-3, atol=1e-5)
        if probe_steps == 12 and key.startswith("backbone."):
            assert torch.equal(value, start[key])


@pytest.mark.parametrize("last", [4, 8])
def test_resumed_is_the_same_as_never_stopped(tmp_path, last):
    def stop(step: int, row: dict) -> None:
        if step == last:
            raise InterruptedError

    def outcome(*where):
        result = fit(
            LPFT(network()), POOLS, EVALUATED, settings(batch_size=6), (0, "test"), Monitoring(*where)
        )
        history = [{key: value for key, value in row.items() if key != "seconds"} for row in result.history]
        return {step: p.numpy().tobytes() for step, p in result.predictions["toy/test"].items()}, history

    with pytest.raises(InterruptedError):
        outcome(tmp_path, stop)
    assert outcome(tmp_path) == outcome()


@pytest.mark.parametrize("share", [-0.5, 1.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(RequestError, match=f"strategy.probe_share={share}: .* from 0 to 1"):
        LPFT(network(), share)


def test_the_probe_changes_what_is_trained(finished):
    probed, tuned = finished("strategy=lp_ft"), finished("strategy=lp_ft", "strategy.probe_share=0")
    assert probed.on_test().tobytes() != tuned.on_test().tobytes()
