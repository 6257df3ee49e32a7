"""Files of word vectors as they come: whole, cut short, broken on some line; and readers that read alike."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tiny_texts import trained
from transferscope.backbones import word_vectors
from transferscope.backbones.tfidf import JOINT, TfIdf
from transferscope.backbones.word_vectors import WordVectors, read_vectors
from transferscope.backbones.words import HashedWords, KnownWords
from transferscope.data.texts import Texts
from transferscope.errors import RequestError
from transferscope.training import reading


def written(folder: Path, content: str, name: str = "some.vec") -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("one 1 2\ntwo 1 2 3\n", "line 2 is no word with 2 numbers"),
        ("one 1 2 3\ntwo 1 2\n", "line 2 is no word with 3 numbers"),
        ("2 3\none 1 2\ntwo 3 4\n", "line 2 is no word with 3 numbers"),
        ("9 2\none 1 2\ntwo 3 4\n", "line 1 says 9 words, and 2 are there"),
        ("2 2\none 1 2\ntwo 1_0 4\n", "line 3 is no word with 2 numbers"),
        ("one 1 2\ntwo inf 4\n", "line 2: the vector of 'two' is not finite"),
        ("one\t1\t2\n", "with one space between"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(content: str, said: str, tmp_path: Path):
    with pytest.raises(RequestError) as refusal:
        read_vectors(written(tmp_path, content))
    assert said in str(refusal.value) and "some.vec" in str(refusal.value)


def test_lines_are_counted_over_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(word_vectors, "BLOCK", 2)
    content = "".join(f"w{n} {n} 0.5\n" for n in range(5))
    found = read_vectors(written(tmp_path, f"5 2\n{content}"))
    assert found.values.tolist() == [[n, 0.5] for n in range(5)] and list(found.places)[4] == "w4"
    with pytest.raises(RequestError, match="line 5 "):
        read_vectors(written(tmp_path, content.replace("w4 4", "w4 x"), "broken.vec"))


def test_an_empty_line_among_the_words_of_a_matrix_is_refused(tmp_path: Path):
    save_file({"any": np.ones((3, 2), np.float32)}, tmp_path / "matrix.safetensors")
    written(tmp_path, "one\n\nthree\n", "words.txt")
    with pytest.raises(RequestError, match=r"line 2 of words\.txt is empty"):
        read_vectors(str(tmp_path / "matrix.safetensors"))


def test_words_said_again_are_counted_and_a_length_of_none_is_refused(tmp_path: Path):
    path = written(tmp_path, "one 1 2\ntwo 3 4\none 5 6\n")
    assert WordVectors((1,), path).loaded == {"taken": 2, "of": 2, "left_out": 1}
    assert WordVectors((1,), path, "random").loaded is None
    with pytest.raises(RequestError, match="max_tokens=0"):
        WordVectors((1,), path, max_tokens=0)


def test_readers_of_one_key_are_equal():
    assert KnownWords({"a": 0}, 4, "x") == KnownWords({"a": 0}, 4, "x") != KnownWords({"a": 0}, 5, "x")
    assert len({HashedWords(64, 4), HashedWords(64, 4), HashedWords(32, 4)}) == 2
    assert TfIdf.reader(most_terms=3) != TfIdf.reader(most_terms=4)


def test_a_fit_to_the_same_texts_is_made_once_and_to_others_anew():
    texts, others = Texts.of([("a b",), ("c",)]), Texts.of([("a b",), ("d",)])
    first = reading.fitted_to(TfIdf.reader(most_terms=8), texts)
    assert reading.fitted_to(TfIdf.reader(most_terms=8), texts[[1, 0]]) is first
    assert reading.fitted_to(TfIdf.reader(most_terms=8), others) != first


@pytest.mark.parametrize(("strategy", "sees_target"), [("source_only", False), ("dann", True)])
def test_unlabelled_texts_count_for_who_sees_them(strategy: str, sees_target: bool, tmp_path: Path):
    words = ["backbone=tfidf", f"strategy={strategy}", "label_budget=0", "keep=selected"]
    state = load_file(trained(*words, store=tmp_path) / "model.safetensors")
    terms = bytes(state["network.backbone.counted.terms"].tolist()).decode().split(JOINT)
    assert "there" in terms and ("here" in terms) == sees_target
