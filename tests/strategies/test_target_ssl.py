"""Entropy minimisation, by hand."""

import numpy as np
import pytest
import torch

from transferscope.backbones.mlp import MLP
from transferscope.data.splits import LabelledData
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.target_ssl import TargetSSL


@pytest.mark.parametrize(("steps_done", "weight"), [(0, 0.0), (25, 0.125), (100, 0.5)])
def test_the_entropys_weight_grows_linearly_over_the_steps(steps_done, weight):
    strategy = TargetSSL(Classifier(MLP((2,), hidden=[4]), classes=2), entropy_weight=0.5)
    strategy.set_length(100, optimizer=None, schedule="constant")
    strategy.steps_done.fill_(steps_done)
    strategy.on_fit_start()
    strategy.on_train_epoch_start()
    # a labelled item, then two unlabelled ones
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 1.0]]))
    strategy.logits = lambda inputs: logits[: len(inputs)]
    target = LabelledData(torch.zeros(1, 2), torch.tensor([1]), torch.zeros(1))
    terms = strategy.losses(Batch(None, target, torch.zeros(2, 2)))
    entropy = (-0.25 * np.log(0.25) - 0.75 * np.log(0.75) + np.log(2)) / 2
    np.testing.assert_allclose(
        [terms["target"].item(), terms["entropy"].item()], [np.log(2), weight * entropy], rtol=1e-6
    )


def test_the_entropy_changes_what_is_trained(finished):
    with_it = finished("strategy=target_ssl")
    without = finished("strategy=target_ssl", "strategy.entropy_weight=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
