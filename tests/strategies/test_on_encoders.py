"""Strategies that treat layers differently, on tiny encoders: what they train, and what stays."""

import copy
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor

from tiny_encoders import TEXTS, encoder
from tiny_texts import CONF
from transferscope.backbones.identity import Identity
from transferscope.backbones.transformer import Transformer
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.strategies.lora import LoRA
from transferscope.strategies.partial_fine_tuning import BiasOnly
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings, Monitoring

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


OF_THE_RUN = ("name", "starts_from", "_target_", "backbone_rate")  # what a strategy itself is not given


def strategy_of(name: str, network: Classifier, **changed: float) -> FineTuning:
    section = OmegaConf.to_container(OmegaConf.load(CONF / "strategy" / f"{name}.yaml"))
    given = {key: value for key, value in section.items() if key not in OF_THE_RUN}
    return get_class(section["_target_"])(network=copy.deepcopy(network), **given | changed)


def steps_moving(strategy: FineTuning, rows: Tensor, optimizer=torch.optim.AdamW) -> dict[str, list[int]]:
    """Of eight steps, those that changed a parameter; those that stayed are not named."""
    states = []

    def note(*_) -> None:
        states.append({key: value.detach().clone() for key, value in strategy.network.named_parameters()})

    note()
    pools = Pools(target=LabelledData(rows, LABELS, torch.zeros(4)))
    settings = FitSettings(
        8, 4, 8, partial(optimizer, lr=0.01, weight_decay=0.0), "constant", "cpu", "32-true"
    )
    fit(strategy, pools, {}, settings, (0, "test"), Monitoring(after_interval=note))
    found = {
        key: [
            step for step, (then, now) in enumerate(pairwise(states)) if not torch.equal(then[key], now[key])
        ]
        for key in states[0]
    }
    return {key.removeprefix("backbone.model."): steps for key, steps in found.items() if steps}


TOP = {"bert": "encoder.layer.1.", "gpt2": ("h.1.", "ln_f"), "t5": ("encoder.block.1.", "encoder.final_")}
BOTTOM = {"bert": "encoder.layer.0.", "gpt2": "h.0.", "t5": "encoder.block.0."}
NORMS = {"bert": "LayerNorm.", "gpt2": "ln_", "t5": "layer_norm."}
ONE_OFTEN = pytest.mark.parametrize(
    "family", [pytest.param(family, marks=[pytest.mark.slow] * (family != "bert")) for family in TOP]
)
HEAD = {"head.weight", "head.bias"}
# to which attention is blind: its gradient is rounding, or nothing
BLIND = "attention.self.key.bias"


def names_of(network: Classifier) -> set[str]:
    named = {key.removeprefix("backbone.model.") for key, _ in network.named_parameters()}
    return {key for key in named if not key.endswith(BLIND)} - HEAD


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("bias_only", "bert"),
        ("norm_only", "bert"),
        ("norm_only", "t5"),  # whose norms are of its own
        ("last_groups", "bert"),
        pytest.param("bias_only", "gpt2", marks=pytest.mark.slow),
        pytest.param("norm_only", "gpt2", marks=pytest.mark.slow),
        pytest.param("last_groups", "gpt2", marks=pytest.mark.slow),
        pytest.param("last_groups", "t5", marks=pytest.mark.slow),
    ],
)
def test_exactly_the_parameters_of_its_part_and_the_head_move(networks, name, family):
    network, rows = networks(family)
    part = {
        "bias_only": lambda key: key.endswith("bias"),
        "norm_only": lambda key: NORMS[family] in key,
        "last_groups": lambda key: key.startswith(TOP[family]),
    }[name]
    expected = {key for key in names_of(network) if part(key)}
    moved = {key for key in steps_moving(strategy_of(name, network), rows) if not key.endswith(BLIND)}
    assert expected and moved == expected | HEAD


def test_only_biases_of_an_encoder_without_any_are_refused_in_one_line(networks):
    with pytest.raises(
        NotApplicable, match=r"^strategy=bias_only: the backbone has no bias, .* last_groups"
    ) as no:
        strategy_of("bias_only", networks("t5")[0])
    assert "\n" not in str(no.value)
    BiasOnly(Classifier(Identity((3,)), classes=2))  # nothing there is left out


@ONE_OFTEN
def test_gradual_unfreezing_moves_the_top_layer_first_and_the_embeddings_last(networks, family):
    network, rows = networks(family)
    moved = steps_moving(strategy_of("gradual_unfreezing", network, unfrozen_by=0.5), rows)
    assert names_of(network) | HEAD <= moved.keys()
    for key in names_of(network):
        first = 2 if key.startswith(TOP[family]) else 3 if key.startswith(BOTTOM[family]) else 4
        assert moved[key] == list(range(first, 8)), key
    assert moved["head.weight"] == list(range(8))


@ONE_OFTEN
def test_lp_ft_moves_the_head_alone_and_then_everything(networks, family):
    network, rows = networks(family)
    moved = steps_moving(strategy_of("lp_ft", network, probe_share=0.5), rows)
    assert {key: moved[key] for key in names_of(network)} == dict.fromkeys(names_of(network), [4, 5, 6, 7])
    assert moved["head.weight"] == list(range(8))


def away(strategy: FineTuning, start: dict[str, Tensor]) -> float:
    """The squared distance of the backbone's parameters from those of a start."""
    found = strategy.network.named_parameters()
    return sum((now - start[key]).square().sum().item() for key, now in found if key.startswith("backbone."))


@ONE_OFTEN
def test_l2_sp_pulls_the_encoder_to_its_start(networks, family):
    network, rows = networks(family)

    def distance(alpha: float) -> tuple[float, float]:
        """From the start, before training and after it, of weights that were moved away by hand."""
        strategy = strategy_of("l2_sp", network, alpha=alpha)
        start = dict(network.named_parameters())
        with torch.no_grad():
            for parameter in strategy.network.backbone.parameters():
                parameter += 0.1
        before = away(strategy, start)
        steps_moving(strategy, rows, torch.optim.SGD)
        return before, away(strategy, start)

    before, pulled = distance(10.0)
    assert pulled == pytest.approx(before * 0.9**16, rel=0.1)  # (1 - lr alpha)² a step
    assert distance(0.0)[1] > 0.9 * before
