"""`transferscope predict` of a run on texts: a tiny encoder with random weights and a few words."""

import contextlib
import csv
import io
import json
import random
import re
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

import transferscope
from transferscope.cli.main import main
from transferscope.data import text_files
from transferscope.data.texts import Texts
from transferscope.errors import RequestError
from transferscope.store.record import read_record

WORDS = {"good": ["fine", "great", "lovely"], "bad": ["dull", "poor", "weak"]}
COMMON = ["film", "plot", "cast", "really", "very", "and", "the"]
ASKED = [
    "target=films", "source=plays", "strategy=fine_tuning", "backbone=transformer", "backbone.max_tokens=16",
    "backbone.model=bert", "label_budget=5", "keep=selected", "trainer.steps=4", "trainer.source_steps=4",
    "trainer.evaluations=2", "trainer.accelerator=cpu", "tracking=off", "--config-dir", "conf",
]  # fmt: skip


def tiny_encoder(folder: Path) -> None:
    """A BERT of two layers, 16 wide, whose words are those above."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = [*special, *WORDS["good"], *WORDS["bad"], *COMMON, "##s"]
    tokenizer = Tokenizer(
        models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)


def sentences(seed: int) -> list[tuple[str, str]]:
    """(text, label) of 40, of one to nine words."""
    draw = random.Random(seed)
    found = []
    for number in range(40):
        label = ("good", "bad")[number % 2]
        words = [*draw.choices(COMMON, k=draw.randrange(9)), draw.choice(WORDS[label])]
        found.append((f"{' '.join(draw.sample(words, len(words)))} {'!' * number}", label))
    return found


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """A run of `films`, whose folder has the files that it read."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("films")
    (folder / "conf/domain").mkdir(parents=True)
    for seed, name in enumerate(("films", "plays")):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("said", "mark"), *sentences(seed)])
        (folder / f"conf/domain/{name}.yaml").write_text(
            f"# {name}\n_target_: transferscope.data.text_files.load\npath: {folder}/{name}.csv\n"
            "text: said\nlabel: mark\n"
        )
    tiny_encoder(folder / "bert")
    with contextlib.chdir(folder), patch.object(sys, "argv"):
        assert main(["run", *ASKED]) == 0
    return next((folder / "runs").glob("*/model.safetensors")).parent


def of_test(run: Path) -> tuple[list[str], np.ndarray]:
    """(the texts of the test items, their recorded probabilities)"""
    members = transferscope.load_run(run).evaluations
    recorded = members[f"films/test/outputs/{read_record(run)['result']['evaluations'][-1]:06d}"]
    every = [text for text, _ in sentences(0)]
    return [every[int(item.rpartition("-")[2])] for item in members["films/test/ids"]], recorded


def predictions(said: str) -> tuple[list[str], list[str], np.ndarray]:
    rows = list(csv.reader(io.StringIO(said)))[1:]
    return [row[0] for row in rows], [row[1] for row in rows], np.array([row[2:] for row in rows], float)


def test_a_kept_encoder_predicts_what_the_record_holds(films):
    run, (texts, recorded) = transferscope.load_run(films), of_test(films)
    assert len(np.unique(recorded)) > len(texts) / 2  # not one answer for all
    assert run.texts == 1 and run.input_shape == (16,) and run.classes == ("bad", "good")
    assert np.array_equal(run.predict(texts).numpy(), recorded)
    assert np.array_equal(run.predict(Texts.of([(text,) for text in texts])).numpy(), recorded)
    np.testing.assert_allclose(run.predict(texts[3:5]).numpy(), recorded[3:5], atol=1e-6)  # in another batch
    for wrong, says in [
        ("a text", "a list, not one str"), ([], "no text"), (torch.zeros(1, 16), "a list, not one Tensor"),
        ([("a", "b")], "a text an item"), ([1], "a text an item"),
        (["a\ud800"], "half a surrogate pair"),
    ]:  # fmt: skip
        with pytest.raises(RequestError, match=says):
            run.predict(wrong)


def test_terms_that_were_counted_in_training_are_kept_with_the_model(films):
    words = [word for word in ASKED if not word.startswith("backbone")]
    with contextlib.chdir(films.parents[1]), patch.object(sys, "argv"):
        assert main(["run", *words, "backbone=tfidf", "backbone.most_terms=30", "store=counted"]) == 0
        [weights] = Path("counted").glob("*/model.safetensors")
        run, (texts, recorded) = transferscope.load_run(weights.parent), of_test(weights.parent)
    assert len(np.unique(recorded)) > 2 and run.input_shape == (30,)
    assert np.array_equal(run.predict(texts).numpy(), recorded)
    assert np.array_equal(run.predict(["word that nobody said"]).numpy(), run.predict([""]).numpy())


def test_files_and_folders_of_texts_are_predicted(films, tmp_path, capsys):
    texts, recorded = of_test(films)
    folder = tmp_path / "folder"
    for number, text in enumerate(texts):
        path = folder / f"part{number % 2}" / f"{number:02d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (folder / "notes.md").write_text("no text of these")
    with open(tmp_path / "new.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([("number", "said"), *enumerate(texts)])
    lines = [json.dumps({"said": text, "mark": None}) for text in texts]
    (tmp_path / "new.jsonl").write_text("\n".join(lines))
    for name in ("new.csv", "new.jsonl", "folder"):
        words = ["predict", str(films), str(tmp_path / name), "--config-dir", str(films.parents[1] / "conf")]
        assert main(words) == 0
        files, classes, found = predictions(capsys.readouterr().out)
        if name == "folder":
            assert files[0] == "part0/00.txt" and len(files) == len(texts)
            order = [int(file[-6:-4]) for file in files]
        else:
            assert files[:2] == ["new-00000", "new-00001"]
            order = list(range(len(texts)))
        np.testing.assert_allclose(found, recorded[order], atol=1e-6)
        assert classes == [("bad", "good")[row.argmax()] for row in found]


def test_texts_beside_other_inputs_are_refused_before_anything_is_trained(films, tmp_path, capsys):
    """Numbers in one column have the shape that texts have."""
    domains = films.parents[1] / "conf/domain"
    table = "number,mark\n" + "".join(f"{n},{('good', 'bad')[n % 2]}\n" for n in range(20))
    (tmp_path / "mixed.csv").write_text(table)
    for loader, key, texts in [
        ("tables", "source", "no texts"), ("text_files", "test_also", "2 texts an item"),
    ]:  # fmt: skip
        columns = "text: number\ntext_b: mark\n" if loader == "text_files" else ""
        (domains / f"mixed_{key}.yaml").write_text(
            f"# mixed\n_target_: transferscope.data.{loader}.load\npath: {tmp_path}/mixed.csv\n"
            f"label: mark\n{columns}"
        )
        words = [word for word in ASKED if not word.startswith((f"{key}=", "backbone"))]
        with contextlib.chdir(films.parents[1]), patch.object(sys, "argv"):
            assert main(["run", *words, f"{key}=[mixed_{key}]", "backbone=tfidf", "--dry-run"]) == 2
        assert f"{key}=mixed_{key}: holds {texts}, target films a text an item" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("new.csv", "sad,mark\na,good\n", "no column 'said' in .*did you mean 'sad'"),
        ("new.csv", "said,mark\na\n", "line 2: 1 cell"),
        ("new.pdf", "said", "allowed: a .csv"),
        ("empty", None, "no .txt file in it"),
    ],
)
def test_what_cannot_be_read_is_refused(films, tmp_path, capsys, name, content, says):
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text(content)
    words = ["predict", str(films), str(tmp_path / name), "--config-dir", str(films.parents[1] / "conf")]
    assert main(words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(says, line)


def test_a_file_without_header_may_have_the_label_or_not(tmp_path):
    loader = {"_target_": "transferscope.data.text_files.load", "path": "all.txt", "names": ["text", "label"],
              "separator": "\t", "quoted": False}  # fmt: skip
    for content in ('"so\tgood\nno\tbad\n', '"so\nno\n', 'label\ttext\n1\t"so\n2\tno\n'):
        (tmp_path / "new.txt").write_text(content)
        names, items = text_files.read_unlabelled(tmp_path / "new.txt", loader, 1)
        assert items == [('"so',), ("no",)] and names == ["new-00000", "new-00001"]
    (tmp_path / "two.csv").write_text("text,text_b\na,b\n")
    assert text_files.read_unlabelled(tmp_path / "two.csv", {}, 2)[1] == [("a", "b")]
    with pytest.raises(RequestError, match="takes 2 texts an item"):
        text_files.read_unlabelled(tmp_path / "new.txt", {}, 2)
