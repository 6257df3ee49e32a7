"""Encoders of transformers as backbones: held against the models themselves."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModel, PreTrainedTokenizerFast

from tiny_encoders import FAMILIES, TEXTS, encoder
from transferscope.backbones.transformer import Transformer
from transferscope.errors import RequestError
from transferscope.networks.tokens import PAD

DATA_ROOT = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("encoders")
    return {family: encoder(root / family, family) for family in FAMILIES}


def build(folder: str, weights: str = "pretrained", max_tokens: int = 64, **arguments: object) -> Transformer:
    return Transformer((1,), folder, weights, max_tokens=max_tokens, **arguments).eval()


def rows(folder: str, items: list[tuple[str, ...]], max_tokens: int = 64) -> Tensor:
    return Transformer.reader(model=folder, max_tokens=max_tokens).read(items).rows(np.arange(len(items)))


@torch.no_grad()
def of_itself(folder: str, family: str, items: list[tuple[str, ...]], pooling: str, side: str) -> Tensor:
    """By the model alone, padded on one side, positions counted from each text's first token."""
    model = AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if family == "t5" else model
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
    encoded = [tokenizer(*item, return_token_type_ids=True) for item in items]
    longest = max(len(one["input_ids"]) for one in encoded)
    padding = model.config.pad_token_id or 0
    ids = torch.full((len(items), longest), padding)
    there, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, one in enumerate(encoded):
        length = len(one["input_ids"])
        place = slice(0, length) if side == "right" else slice(longest - length, longest)
        ids[row, place], there[row, place] = torch.tensor(one["input_ids"]), 1
        types[row, place] = torch.tensor(one["token_type_ids"])
    given = {"input_ids": ids, "attention_mask": there}
    if (
        family in ("bert", "gpt2") and side == "left"
    ):  # others have no absolute positions, or count themselves
        given["position_ids"] = (there.cumsum(1) - 1).clamp(min=0)
    if family == "bert":
        given["token_type_ids"] = types
    states = model(**given).last_hidden_state
    pooled = {
        "mean": lambda own: own.mean(0),
        "cls": lambda own: own[0],
        "last": lambda own: own[-1],
    }[pooling]
    return torch.stack([pooled(one[mask.bool()]) for one, mask in zip(states, there, strict=True)])


@EACH_FAMILY
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_features_are_those_of_the_model_itself(folders, family, pooling):
    items = [(text,) for text in TEXTS]
    backbone = build(folders[family], pooling=pooling)
    with torch.no_grad():
        together = backbone(rows(folders[family], items))
        alone = torch.cat([backbone(rows(folders[family], [item])) for item in items])
    assert together.shape == (4, backbone.features)
    # of distilbert padding moves the positions on the left: the library itself offers no others
    sides = ["right"] if family in ("distilbert", "deberta-v2") else ["right", "left"]
    for side in sides:
        torch.testing.assert_close(
            together, of_itself(folders[family], family, items, pooling, side), atol=1e-5, rtol=0
        )
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_two_texts_of_an_item_are_read_as_the_tokenizer_reads_a_pair(folders, family):
    items = [("a plain text", "the last one"), ("of", "and one that is longer")]
    with torch.no_grad():
        ours = build(folders[family])(rows(folders[family], items))
    torch.testing.assert_close(
        ours, of_itself(folders[family], family, items, "mean", "right"), atol=1e-5, rtol=0
    )


@EACH_FAMILY
def test_twenty_steps_lower_the_loss_and_every_parameter_is_in_one_group(folders, family):
    backbone = build(folders[family]).train()
    groups = backbone.layer_groups()
    assert groups[0][0] == "embeddings" and len(groups) == 3
    grouped = [id(parameter) for _, parameters in groups for parameter in parameters]
    assert sorted(grouped) == sorted(id(parameter) for parameter in backbone.parameters())
    torch.manual_seed(0)
    head = torch.nn.Linear(backbone.features, 2)
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=0.01)
    inputs, labels = rows(folders[family], [(text,) for text in TEXTS]), torch.tensor([0, 1, 0, 1])
    losses = []
    for _ in range(20):
        loss = cross_entropy(head(backbone(inputs)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@EACH_FAMILY
def test_a_file_of_weights_loads_under_the_names_of_a_larger_model_too(folders, family, tmp_path):
    state = load_file(Path(folders[family]) / "model.safetensors")
    save_file(
        {f"model.{key}": tensor.contiguous() for key, tensor in state.items()},
        tmp_path / "larger.safetensors",
    )
    inputs = rows(folders[family], [(text,) for text in TEXTS])
    with torch.no_grad():
        expected = build(folders[family])(inputs)
        for file in (Path(folders[family]) / "model.safetensors", tmp_path / "larger.safetensors"):
            assert torch.equal(build(folders[family], str(file))(inputs), expected)


def test_the_longest_text_of_a_batch_is_as_wide_as_it_gets(folders):
    inputs = rows(folders["bert"], [("of",), ("of " * 1000,)], max_tokens=16)
    assert inputs.shape == (2, 16) and (inputs != PAD).sum(1).tolist() == [3, 16]
    cut = Transformer.reader(model=folders["bert"], max_tokens=16).read([("of",), ("of " * 1000,)]).cut
    assert cut.tolist() == [False, True]


def test_a_text_without_a_token_has_one_all_the_same(folders):
    for family in ("bert", "gpt2"):
        inputs = rows(folders[family], [("",), (" \N{ZERO WIDTH SPACE}\t",), ("of",)])
        assert ((inputs != PAD).sum(1) > 0).all()
        assert build(folders[family])(inputs).isfinite().all()


def refused(**arguments: object) -> str:
    with pytest.raises(RequestError) as refusal:
        build(**arguments)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_what_does_not_fit_together_is_refused_in_one_line(folders, tmp_path):
    bert = folders["bert"]
    assert "pooling=men; allowed: mean, cls, last; did you mean 'mean'?" in refused(
        folder=bert, pooling="men"
    )
    assert "max_tokens=65" in refused(
        folder=folders["roberta"], max_tokens=65
    )  # two positions are for padding
    assert "no such file" in refused(folder=bert, weights=str(tmp_path / "none.safetensors"))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    assert "cannot be read" in refused(folder=bert, weights=str(broken))
    assert "lack" in refused(folder=bert, weights=f"{folders['gpt2']}/model.safetensors")
    state = load_file(f"{bert}/model.safetensors")
    state["embeddings.word_embeddings.weight"][3, 3] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    assert "not finite in embeddings.word_embeddings.weight" in refused(
        folder=bert, weights=str(tmp_path / "nan.safetensors")
    )
    wider = encoder(tmp_path / "wider", "bert", hidden_size=32)
    assert "shape" in refused(folder=bert, weights=f"{wider}/model.safetensors")
    few = encoder(tmp_path / "few", "bert", vocab_size=50)
    assert "vocabulary of 50" in refused(folder=few)


def test_a_folder_that_lacks_a_file_is_refused_in_one_line(folders, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no config.json" in refused(folder=str(empty))
    (empty / "config.json").write_bytes((Path(folders["bert"]) / "config.json").read_bytes())
    assert "no tokenizer" in refused(folder=str(empty), weights="random")
    (empty / "tokenizer.json").write_text("{")
    tokenizer_config = (Path(folders["bert"]) / "tokenizer_config.json").read_text()
    (empty / "tokenizer_config.json").write_text(tokenizer_config)
    assert "no tokenizer" in refused(folder=str(empty), weights="random")


@pytest.mark.skipif(DATA_ROOT is None, reason="TRANSFERSCOPE_DATA_ROOT is unset: MiniLM is not at hand")
def test_minilm_gives_the_features_that_are_published_with_it():
    folder = Path(DATA_ROOT or "") / "pretrained" / "minilm_l6"
    expected = json.loads((folder / "expected.json").read_text())
    inputs = rows(str(folder), [(text,) for text in expected["texts"]])
    with torch.no_grad():
        found = build(str(folder), str(folder / "model_fp16.safetensors"))(inputs)
    torch.testing.assert_close(found[:, :8], torch.tensor(expected["mean_pooled_first_8"]), atol=1e-3, rtol=0)
