"""Joint training: the weighted sum, by hand."""

import numpy as np
import torch

from transferscope.backbones.mlp import MLP
from transferscope.data.splits import LabelledData
from transferscope.networks.classifier import Classifier
from transferscope.strategies.base import Batch
from transferscope.strategies.joint import Joint


def test_terms_are_the_mean_cross_entropies_and_the_source_is_weighted():
    torch.manual_seed(0)
    strategy = Joint(Classifier(MLP((2,), hidden=[4]), classes=2), source_weight=0.25)
    logits = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])  # one target item, then two source items
    strategy.logits = lambda inputs: logits[: len(inputs)]
    target = LabelledData(torch.zeros(1, 2), torch.tensor([0]), torch.zeros(1))
    source = LabelledData(torch.zeros(2, 2), torch.tensor([0, 0]), torch.zeros(2))
    terms = strategy.losses(Batch(source, target, None))
    by_hand = 0.25 * (np.log(1 + np.exp(-2)) + np.log(1 + np.exp(1))) / 2
    np.testing.assert_allclose(
        [float(terms["target"]), float(terms["source"])], [np.log(2), by_hand], rtol=1e-6
    )


def test_both_pass_the_network_in_one_batch():
    torch.manual_seed(0)
    strategy = Joint(Classifier(MLP((2,), hidden=[4]), classes=2))
    near, far = torch.randn(8, 2), torch.randn(8, 2) + 100
    labels = torch.zeros(8, dtype=torch.int64)
    strategy.losses(Batch(LabelledData(far, labels, labels), LabelledData(near, labels, labels), None))
    seen = strategy.network.backbone.standardise.running_mean / 0.1  # torch's momentum, from 0
    torch.testing.assert_close(seen, torch.cat([near, far]).mean(0))


def test_the_source_term_changes_what_is_trained(finished):
    with_it, without = finished("strategy=joint"), finished("strategy=joint", "strategy.source_weight=0")
    assert with_it.on_test().tobytes() != without.on_test().tobytes()
