"""What is said of texts: flipped items on the page, in W&B, in the store; those whose ends were left out."""

import json
from pathlib import Path

import pytest

from tiny_texts import pair, trained
from transferscope.cli.main import main
from transferscope.comparison.compare import compare
from transferscope.store.excerpts import MOST, excerpt, path, read_excerpts, write_excerpts

HOSTILE = "<script>alert(1)</script> \x1b[31m \u202e\"quoted'\n\n" + "long " * 20_000


def test_an_excerpt_is_one_short_line_that_steers_nothing():
    found = excerpt(HOSTILE)
    assert len(found) <= MOST + 1 and found.endswith("…") and found.isprintable()
    assert excerpt("short\ttext\n") == "short text"


def test_the_store_keeps_them_once_and_takes_no_damaged_file(tmp_path: Path):
    write_excerpts(tmp_path, "abc", {"1": ("one",), "2": (HOSTILE, "b")})
    write_excerpts(tmp_path, "abc", {"3": ("three",)})
    found = read_excerpts(tmp_path, "abc")
    assert found["1"] == ["one"] and found["3"] == ["three"] and found["2"] == [excerpt(HOSTILE), "b"]
    path(tmp_path, "abc").write_bytes(b"no gzip")
    assert read_excerpts(tmp_path, "abc") == {}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Scratch and, from a source whose classes are the other way round, what loses items, five seeds."""
    folder = tmp_path_factory.mktemp("texts") / "runs"
    domains = pair(items=120)
    every = list(domains["here"].inputs.every)
    every[1::2] = [(f"{text} {HOSTILE[:40]}",) for (text,) in every[1::2]]
    object.__setattr__(domains["here"].inputs, "every", tuple(every))
    domains["there"].labels.copy_(1 - domains["there"].labels)
    for seed in range(5):
        for words in (["strategy=scratch", "source=null"], ["strategy=fine_tuning"]):
            asked = ["backbone=tfidf", "label_budget=5", "trainer.source_steps=200", *words]
            trained(*asked, f"seed={seed}", store=folder, domains=domains)
    return folder


def test_the_page_shows_the_texts_of_lost_items_escaped(store: Path, tmp_path: Path):
    page = tmp_path / "page.html"
    assert main(["report", str(store), "-o", str(page)]) == 0
    shown = page.read_text()
    assert '<ul class="texts">' in shown and "&lt;script&gt;alert(1)" in shown
    assert "<script>alert(1)" not in shown and "\x1b" not in shown and "\u202e" not in shown


CUT = (
    "16 of 24 texts of here are longer than backbone.max_tokens=8 (small_transformer): "
    "their ends were left out"
)


def test_texts_that_were_cut_are_told_of_once_a_domain_and_backbone(tmp_path: Path, capsys):
    """Two seeds of two strategies; of `there`, the source of one of them, no text is cut."""
    store, domains = tmp_path / "runs", pair(items=24)
    every = [(f"{text} and so on and on",) for (text,) in domains["here"].inputs.every]
    every[::3] = [("good",)] * 8
    object.__setattr__(domains["here"].inputs, "every", tuple(every))
    small = ["backbone=small_transformer", "backbone.layers=1", "backbone.width=64", "backbone.buckets=64"]
    for seed in range(2):
        for words in (["strategy=scratch", "source=null"], ["strategy=fine_tuning"]):
            asked = [*small, "backbone.max_tokens=8", "label_budget=3", f"seed={seed}", *words]
            trained(*asked, store=store, domains=domains)
    [line] = [line for line in compare(store).warnings if "texts of" in line]
    assert line == CUT
    for form in ("table", "markdown", "json"):
        assert main(["compare", str(store), "--format", form]) == 0
        assert " ".join(capsys.readouterr().out.split()).count(CUT) == 1
    page = tmp_path / "page.html"
    assert main(["report", str(store), "-o", str(page)]) == 0
    assert page.read_text().count(CUT) == 1

    for file in store.glob("*/record.json"):  # a store from anywhere
        record = json.loads(file.read_text())
        counts = record["result"]["texts"].pop("here")
        record["result"]["texts"]["<script>alert(2)</script>\x1b[31m"] = counts
        file.write_text(json.dumps(record))
    assert main(["report", str(store), "-o", str(page)]) == 0
    shown = page.read_text()
    assert "16 of 24 texts of &lt;script&gt;alert(2)" in shown
    assert "<script>alert(2)" not in shown and "\x1b" not in shown


def test_nothing_is_said_where_no_text_was_cut(store: Path):
    assert not [line for line in compare(store).warnings if "texts of" in line]
