"""Word vectors, tf-idf and hashed words: held against sums by hand, and against what they must not know."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file

from tiny_texts import pair, trained
from transferscope.backbones.tfidf import TfIdf
from transferscope.backbones.word_vectors import WordVectors, read_vectors
from transferscope.backbones.words import HashedWords, words_of
from transferscope.errors import RequestError
from transferscope.networks.tokens import NUMBER, PAD, SECOND, SPECIAL

LINES = "good 1 2\nbad -1 0.5\n. 0 4\n"


def vectors(tmp_path: Path, content: str = LINES, name: str = "vectors.txt") -> str:
    (tmp_path / name).write_text(content, encoding="utf-8")
    return str(tmp_path / name)


def features(path: str, texts: list[str], **arguments: object) -> torch.Tensor:
    backbone = WordVectors((1,), path, **arguments)
    rows = WordVectors.reader(vectors=path, **arguments).read([(text,) for text in texts])
    return backbone(rows.rows(np.arange(len(texts)))).detach()


def test_words_are_lower_cased_and_signs_are_words():
    assert words_of("It's GOOD\N{GRINNING FACE}, really_good!") == [
        "it", "'", "s", "good", "\N{GRINNING FACE}", ",", "really_good", "!",
    ]  # fmt: skip
    assert words_of("\u05d0\u05d1 \u05d2") == ["\u05d0\u05d1", "\u05d2"]


def test_features_are_the_mean_of_the_vectors_of_known_words(tmp_path):
    found = features(vectors(tmp_path), ["Good, bad good.", "unknown words", "", "bad"])
    expected = [[(1 - 1 + 1 + 0) / 4, (2 + 0.5 + 2 + 4) / 4], [0, 0], [0, 0], [-1, 0.5]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_every_format_gives_the_same_vectors(tmp_path):
    texts = ["good bad", "bad ."]
    expected = features(vectors(tmp_path), texts)
    assert torch.equal(features(vectors(tmp_path, f"3 2\n{LINES}", "word2vec.vec"), texts), expected)
    assert torch.equal(
        features(vectors(tmp_path, f"\N{BYTE ORDER MARK}{LINES}", "marked.txt"), texts), expected
    )
    vectors(tmp_path, "good\nbad\n.\n", "words.txt")
    save_file({"any": np.array([[1, 2], [-1, 0.5], [0, 4]], np.float16)}, tmp_path / "matrix.safetensors")
    assert torch.equal(features(str(tmp_path / "matrix.safetensors"), texts), expected)


def test_a_word_may_hold_a_space_and_the_first_of_two_counts(tmp_path):
    found = read_vectors(vectors(tmp_path, "good 1 2\nat name@x.org 3 4\ngood 5 6\n"))
    assert found.values[found.places["at name@x.org"]].tolist() == [3, 4]
    assert found.values[found.places["good"]].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("good 1 2\nbad 1\n", "line 2"),
        ("good 1 2\nbad 1 x\n", "line 2"),
        ("good 1 2\n\n", "line 2"),
        ("good 1 nan\n", "'good' is not finite"),
        ("good 1 inf\n", "'good' is not finite"),
        ("", "no word"),
        ("3 2\n", "no word"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path, content, said):
    with pytest.raises(RequestError) as refusal:
        read_vectors(vectors(tmp_path, content))
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_matrix_without_its_words_is_refused(tmp_path):
    save_file({"any": np.ones((3, 2), np.float32)}, tmp_path / "matrix.safetensors")
    with pytest.raises(RequestError, match=r"words\.txt"):
        read_vectors(str(tmp_path / "matrix.safetensors"))
    vectors(tmp_path, "good\nbad\n", "words.txt")
    with pytest.raises(RequestError, match="3 vectors, .* 2 words"):
        read_vectors(str(tmp_path / "matrix.safetensors"))


def test_random_vectors_are_of_the_same_words_and_of_no_file(tmp_path):
    path = vectors(tmp_path)
    torch.manual_seed(0)
    assert not torch.isclose(WordVectors((1,), path, "random").table, WordVectors((1,), path).table).any()


def test_hashed_words_are_the_same_for_every_set_of_texts():
    rows = (
        HashedWords(64, 6).read([("Good good", "bad"), ("one two three four five six",)]).rows(np.arange(2))
    )
    first = rows[0].tolist()
    assert first[0] == SPECIAL and first[1] == first[2] and first[3] & SECOND and first[4:] == [PAD, PAD]
    assert all(2 <= token & NUMBER < 64 for token in first[1:4]) and (rows[1] != PAD).all()


def test_tf_idf_is_that_of_the_formula():
    reader = TfIdf.reader(most_terms=6, pairs=False).fit([("a b b",), ("a c",)])
    rows = reader.read([("b b a",), ("d",), ("c d",)]).rows(np.arange(3)).numpy()
    # smoothed: ln((1 + texts) / (1 + texts that have the term)) + 1; sublinear: 1 + ln(count)
    rare = np.log(3 / 2) + 1
    row = np.array([1.0, (1 + np.log(2)) * rare, 0, 0, 0, 0])
    np.testing.assert_allclose(rows[0], row / np.linalg.norm(row), rtol=1e-6)
    assert rows[1].tolist() == [0] * 6 and rows[2].tolist() == [0, 0, 1, 0, 0, 0]


def test_texts_without_a_word_are_refused():
    with pytest.raises(RequestError, match="have no word"):
        TfIdf.reader().fit([("",), (" ",)])


@pytest.mark.parametrize(
    "words",
    [
        ["strategy=scratch", "source=null", "label_budget=5"],
        ["strategy=dann", "label_budget=0"],
        ["strategy=fine_tuning", "label_budget=5"],
    ],
)
def test_test_texts_count_in_no_term_and_no_weight(words: list[str], tmp_path: Path):
    states = []
    for poison in ("", "never_seen_before"):
        folder = trained(
            "backbone=tfidf", "keep=selected", *words, domains=pair(poison), store=tmp_path / f"store{poison}"
        )
        states.append(load_file(folder / "model.safetensors"))
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    terms = bytes(states[1]["network.backbone.counted.terms"].tolist()).decode()
    assert "never_seen_before" not in terms and "bad" in terms
    # of a run that starts from a source model, the source's words; of one without a source, the target's
    assert ("there" in terms) == ("scratch" not in words[0])
    assert ("here" in terms.replace("there", "")) == ("fine_tuning" not in words[0])
