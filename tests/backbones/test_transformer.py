"""Encoders of transformers as backbones: held against the models themselves."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from tiny_encoders import FAMILIES, SMALL, TEXTS, encoder
from transferscope.backbones.transformer import Transformer
from transferscope.errors import RequestError
from transferscope.networks.tokens import PAD

DATA_ROOT = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
RARE = {"electra", "albert", "bart"}
EACH_FAMILY = pytest.mark.parametrize(
    "family", [pytest.param(family, marks=[pytest.mark.slow] * (family in RARE)) for family in FAMILIES]
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    class Made(dict):
        def __missing__(self, family: str) -> str:
            self[family] = encoder(tmp_path_factory.mktemp(family), family)
            return self[family]

    return Made()


def build(folder: str, weights: str = "pretrained", max_tokens: int = 64, **arguments: object) -> Transformer:
    return Transformer((1,), folder, weights, max_tokens=max_tokens, **arguments).eval()


def rows(folder: str, items: list[tuple[str, ...]], max_tokens: int = 64) -> Tensor:
    return Transformer.reader(model=folder, max_tokens=max_tokens).read(items).rows(np.arange(len(items)))


@torch.no_grad()
def of_itself(folder: str, family: str, items: list[tuple[str, ...]], pooling: str, side: str) -> Tensor:
    """By the model alone, padded on one side, positions counted from each text's first token."""
    model = AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
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
    # others have no absolute positions, or count themselves
    if family in ("bert", "electra", "albert", "gpt2") and side == "left":
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
    # of these padding moves the positions on the left: the library itself offers no others
    sides = ["right"] if family in ("distilbert", "deberta", "deberta-v2", "bart") else ["right", "left"]
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
    own = Path(folders[family]) / "model.safetensors"
    state = load_file(own)
    files = [own]
    for prefix in ("model.", "encoder."):
        files.append(tmp_path / f"{prefix}safetensors")
        save_file({f"{prefix}{key}": tensor.contiguous() for key, tensor in state.items()}, files[-1])
    inputs = rows(folders[family], [(text,) for text in TEXTS])
    with torch.no_grad():
        expected = build(folders[family])(inputs)
        for file in files:
            assert torch.equal(build(folders[family], str(file))(inputs), expected)


PREFIXES = {"bert": "bert.", "roberta": "roberta.", "distilbert": "distilbert.", "deberta": "deberta.",
    "deberta-v2": "deberta.", "gpt2": "transformer.", "t5": "transformer.encoder.", "electra": "electra.",
    "albert": "albert.", "bart": "model.encoder."}  # fmt: skip


@EACH_FAMILY
def test_a_file_of_a_model_with_a_head_gives_the_features_of_that_model(folders, family, tmp_path):
    torch.manual_seed(1)
    AutoModelForSequenceClassification.from_config(
        AutoConfig.from_pretrained(folders[family])
    ).save_pretrained(tmp_path)
    assert any(key.startswith(PREFIXES[family]) for key in load_file(tmp_path / "model.safetensors"))
    shutil.copy(f"{folders[family]}/tokenizer.json", tmp_path)
    items = [(text,) for text in TEXTS]
    with torch.no_grad():
        found = build(folders[family], str(tmp_path / "model.safetensors"))(rows(folders[family], items))
    expected = of_itself(str(tmp_path), family, items, "mean", "right")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


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


def test_weights_of_two_models_that_fit_alike_are_refused_in_one_line(folders, tmp_path):
    state = load_file(f"{folders['bert']}/model.safetensors")
    two = {f"{name}.{key}": tensor.clone() for key, tensor in state.items() for name in ("query", "answer")}
    save_file(two, tmp_path / "two.safetensors")
    said = refused(folder=folders["bert"], weights=str(tmp_path / "two.safetensors"))
    assert "hold answer. and query., which fit alike" in said


def test_positions_that_begin_behind_padding_or_that_have_no_end_are_counted(tmp_path):
    mpnet = encoder(tmp_path / "mpnet", "mpnet", **SMALL, max_position_embeddings=66)
    assert build(mpnet, "random", max_tokens=64)(torch.zeros(1, 64, dtype=torch.int32)).isfinite().all()
    assert "takes 2 to 64 tokens" in refused(folder=mpnet, weights="random", max_tokens=65)
    xlnet = encoder(tmp_path / "xlnet", "xlnet", d_model=16, n_layer=1, n_head=2, d_inner=16)
    assert build(xlnet, "random", max_tokens=500).features == 16
    assert "takes 2 to any number of tokens" in refused(folder=xlnet, weights="random", max_tokens=1)


def test_a_model_that_does_not_tell_padding_from_texts_is_refused_in_one_line(tmp_path):
    sizes = {key: value for key, value in SMALL.items() if key != "num_attention_heads"}
    fnet = encoder(tmp_path, "fnet", **sizes)
    assert "fnet does not tell padding from texts" in refused(folder=fnet, weights="random")


def test_a_model_that_leaves_fewer_states_than_tokens_is_refused_in_one_line(tmp_path):
    sizes = {"d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32, "block_sizes": [1, 1]}
    folder = encoder(tmp_path, "funnel", architectures=["FunnelBaseModel"], **sizes)
    backbone = build(folder, "random")
    with pytest.raises(RequestError, match=r"of 28 tokens funnel leaves \d+") as refusal:
        backbone(rows(folder, [(TEXTS[2],)])[:, :28])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("vit", "it takes pixel_values"),
        ("whisper", "it takes input_features"),
        ("clip", "it has no vocabulary of its own"),
        ("vision-encoder-decoder", "it takes other inputs"),
    ],
)
@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_what_is_no_model_of_texts_is_refused_in_one_line(folders, tmp_path, kind, why, with_tokenizer):
    if with_tokenizer:
        shutil.copytree(folders["bert"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    expected = f"backbone.model={tmp_path}: {kind} is no model of texts alone ({why}); allowed: encoders such"
    assert refused(folder=str(tmp_path), weights="random").startswith(expected)
    with pytest.raises(RequestError, match="no model of texts alone"):  # texts are read before it is built
        Transformer.reader(model=str(tmp_path))


def test_a_folder_that_is_not_there_or_is_of_no_known_model_is_refused_in_one_line(tmp_path):
    assert "no such folder" in refused(folder=str(tmp_path / "none"))
    (tmp_path / "config.json").write_text('{"model_type": "unheard_of"}')
    assert "its config.json is none that transformers" in refused(folder=str(tmp_path))


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
