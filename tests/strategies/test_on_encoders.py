"""Strategies that treat layers differently, on tiny encoders: what they train, and what stays."""

import copy
from functools import cache, partial

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor

from tiny_encoders import TEXTS, encoder
from tiny_texts import CONF
from transferscope.backbones.transformer import Transformer
from transferscope.data.splits import LabelledData, Pools
from transferscope.networks.classifier import Classifier
from transferscope.strategies.lora import LoRA
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

NAMES = ["layer_decay", "discriminative", "lora"]
EACH_FAMILY = pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
LABELS = torch.tensor([0, 1, 0, 1])


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    @cache
    def of(family: str) -> tuple[Classifier, Tensor]:
        folder = encoder(tmp_path_factory.mktemp(family), family)
        rows = Transformer.reader(model=folder, max_tokens=32).read([(text,) for text in TEXTS])
        torch.manual_seed(0)
        network = Classifier(Transformer((32,), folder, "pretrained", max_tokens=32), classes=2)
        return network.eval(), rows.rows(np.arange(len(TEXTS)))

    return of


@EACH_FAMILY
@pytest.mark.parametrize("name", NAMES)
def test_it_trains_what_it_says(networks, family, name):
    network, rows = networks(family)
    section = OmegaConf.to_container(OmegaConf.load(CONF / "strategy" / f"{name}.yaml"))
    arguments = {
        key: value for key, value in section.items() if key not in ("name", "starts_from", "_target_")
    }
    strategy = get_class(section["_target_"])(network=copy.deepcopy(network), **arguments)
    before = {key: value.clone() for key, value in strategy.network.named_parameters()}
    pools = Pools(target=LabelledData(rows, LABELS, torch.zeros(4)))
    adam = partial(torch.optim.AdamW, lr=0.01)
    fit(strategy, pools, {}, FitSettings(6, 4, 2, adam, "constant", "cpu", "32-true"), (0, "test"))
    changed = {
        key for key, value in strategy.network.named_parameters() if not torch.equal(value, before[key])
    }
    backbone = {key for key in changed if key.startswith("backbone.")}
    assert backbone and "head.weight" in changed
    assert all(value.isfinite().all() for value in strategy.network.parameters())
    if name == "lora":
        assert all(".lora_" in key for key in backbone)


@EACH_FAMILY
def test_lora_begins_as_the_transferred_network_and_every_factor_gets_a_gradient(networks, family):
    network, rows = networks(family)
    strategy = LoRA(copy.deepcopy(network)).eval()
    with torch.no_grad():
        torch.testing.assert_close(strategy.logits(rows), network(rows), rtol=0, atol=1e-6)
    factors = {name: part for name, part in strategy.network.named_parameters() if ".lora_B" in name}
    assert len(factors) == {"bert": 12, "gpt2": 8, "t5": 12}[family]
    torch.nn.functional.cross_entropy(strategy.logits(rows), LABELS).backward()
    assert all(part.grad is not None and part.grad.any() for part in factors.values())
