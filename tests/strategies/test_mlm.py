"""Masked language modelling as an initialisation: its loss by hand, which tokens it hides, what reaches it,
and that it is trained once."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu

from tiny_encoders import TEXTS, encoder
from tiny_texts import pair, trained
from transferscope.backbones.transformer import Transformer
from transferscope.data.splits import LabelledData, Pools
from transferscope.errors import NotApplicable
from transferscope.networks.classifier import Classifier
from transferscope.networks.tokens import NUMBER, PAD, SECOND, SPECIAL
from transferscope.store.record import read_record
from transferscope.strategies import mlm
from transferscope.strategies.base import Batch
from transferscope.strategies.mlm import MaskedLanguageModel, masked
from transferscope.training.fit import fit
from transferscope.training.settings import FitSettings

SMALL = ["backbone=small_transformer", "backbone.layers=1", "backbone.width=64", "backbone.buckets=64",
    "backbone.max_tokens=8", "initialisation=mlm", "label_budget=3"]  # fmt: skip


def test_a_seventh_of_the_tokens_is_chosen_and_four_in_five_of_these_hidden():
    torch.manual_seed(0)
    rows = torch.randint(10, 60, (400, 42), dtype=torch.int32)
    rows[:, 0] |= SPECIAL
    rows[:, 20:] |= SECOND
    rows[:200, 41] = PAD
    chosen, changed = masked(rows, mask=5, vocabulary=10_000)
    assert not chosen[:, 0].any() and not (chosen & (rows == PAD)).any()
    assert (chosen[:200].sum(1) == 6).all() and (chosen[200:].sum(1) == 6).all()  # 0.15 of 40, of 41
    assert torch.equal(changed[~chosen], rows[~chosen])
    assert torch.equal(changed[chosen] & ~NUMBER, rows[chosen] & ~NUMBER)
    hidden = (changed[chosen] & NUMBER) == 5
    stays = changed[chosen] == rows[chosen]
    assert float(hidden.float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float(stays.float().mean()) == pytest.approx(0.1, abs=0.03)
    assert chosen[:, 1:].float().mean(0).std() < 0.03  # wherever a token stands
    one = torch.tensor([[1 | SPECIAL, 30, PAD], [1 | SPECIAL, PAD, PAD]], dtype=torch.int32)
    assert masked(one, 5, 100)[0].tolist() == [[False, True, False], [False, False, False]]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_the_loss_is_the_cross_entropy_of_hidden_tokens(family, tmp_path, monkeypatch):
    folder = encoder(tmp_path, family)
    reader = Transformer.reader(model=folder, max_tokens=32)
    network = Classifier(Transformer((32,), folder, "pretrained", max_tokens=32), classes=1)
    network.reader = reader
    strategy = MaskedLanguageModel(network).eval()
    with torch.no_grad():
        strategy.bias.normal_()
    rows = reader.read([(text,) for text in TEXTS]).rows(np.arange(len(TEXTS)))
    chosen, changed = masked(rows, reader.mask, 90)
    monkeypatch.setattr(mlm, "masked", lambda *_: (chosen, changed))
    loss = strategy.losses(Batch(LabelledData(rows, torch.zeros(4), torch.zeros(4)), None, None))["masked"]
    expected = []
    for row, asked, shown in zip(rows, chosen, changed, strict=True):
        ids = (shown[shown != PAD] & NUMBER).long()[None]
        states = network.backbone.model(input_ids=ids).last_hidden_state[0]
        table = network.backbone.model.get_input_embeddings().weight
        for place in asked.nonzero().flatten():
            logits = strategy.norm(gelu(strategy.transform(states[place]))) @ table.T + strategy.bias
            expected.append(-logits.log_softmax(0)[int(row[place]) & NUMBER].item())
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_training_lowers_the_loss(tmp_path):
    folder = encoder(tmp_path)
    reader = Transformer.reader(model=folder, max_tokens=32)
    torch.manual_seed(0)
    network = Classifier(Transformer((32,), folder, "pretrained", max_tokens=32), classes=1)
    network.reader = reader
    rows = reader.read([(text,) for text in TEXTS]).rows(np.arange(len(TEXTS)))
    pools = Pools(source=LabelledData(rows, torch.full((4,), -1), torch.zeros(4)))
    adam = partial(torch.optim.AdamW, lr=0.005)
    strategy = MaskedLanguageModel(network)
    outcome = fit(strategy, pools, {}, FitSettings(60, 4, 6, adam, "constant", "cpu", "32-true"), (0, "test"))
    losses = [row["loss/masked"] for row in outcome.history if "loss/masked" in row]
    assert losses[-1] < 0.7 * losses[0]


def test_it_is_trained_once_for_runs_on_one_target(tmp_path):
    runs = [
        read_record(trained(*SMALL, f"strategy={name}", store=tmp_path))
        for name in ("fine_tuning", "target_only", "nearest_mean")
    ]
    made = [run["source_model"]["made"] for run in runs]
    assert made == [True, False, False] and len({run["source_model"]["key"] for run in runs}) == 1
    assert runs[0]["cell"]["initialisation"] == "mlm"
    plain = trained(*SMALL, "strategy=target_only", "initialisation=random", store=tmp_path)
    assert read_record(plain)["fingerprint"] != runs[1]["fingerprint"]


def kept(store):
    [path] = (store / ".cache" / "source_models").glob("*.safetensors")
    return path.read_bytes()


def test_what_reaches_it_is_the_texts_that_may_be_seen(tmp_path):
    """The target's training texts, and its test texts where the protocol says so; no label."""
    run = [*SMALL, "strategy=dann"]
    trained(*run, store=tmp_path / "a")
    as_it_was = kept(tmp_path / "a")
    trained(*run, store=tmp_path / "b", domains=pair(poison="zyx"))  # in test texts alone
    assert kept(tmp_path / "b") == as_it_was
    trained(*run, "protocol=transductive", store=tmp_path / "c")
    trained(*run, "protocol=transductive", store=tmp_path / "d", domains=pair(poison="zyx"))
    assert kept(tmp_path / "c") != as_it_was and kept(tmp_path / "c") != kept(tmp_path / "d")
    others = pair()
    here = others["here"]
    others["here"] = replace(
        here, labels=torch.where(torch.arange(60) % 2 == 0, 1 - here.labels, here.labels)
    )
    trained(*run, store=tmp_path / "e", domains=others)
    assert kept(tmp_path / "e") == as_it_was


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["backbone=tfidf"], "backbone tfidf has no token that stands for a hidden one"),
        (["source=null"], "there is no source"),
    ],
)
def test_what_cannot_be_pre_trained_is_refused_in_one_line(words, said, tmp_path):
    with pytest.raises(NotApplicable) as refusal:
        trained(*SMALL[:1], "initialisation=mlm", *words, "strategy=target_only", store=tmp_path)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
