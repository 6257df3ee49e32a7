"""Flipped items of texts: on the page, in W&B, in the store."""

from pathlib import Path

import pytest

from tiny_texts import pair, trained
from transferscope.cli.main import main
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
    """Five seeds of a source whose classes are the other way round, so that items are lost, and of scratch."""
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
