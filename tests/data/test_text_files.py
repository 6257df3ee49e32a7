import csv
import gzip
import json
import zipfile
from pathlib import Path

import pytest

from transferscope.data import copies, some_classes, text_files
from transferscope.data.domain import Domain
from transferscope.data.load import load_domain
from transferscope.data.texts import Texts
from transferscope.errors import RequestError
from transferscope.store.manifest import manifest_path, write_manifest

LONG = "word " * 20_000  # 100,000 characters
TEXTS = ["so, so", 'she said "no"', "two\nlines", "🙂 مرحبا بالعالم", LONG, "a\x85b\u2028c"]
LABELS = ["bad", "good", "bad", "good", "bad", "good"]


def of_rows(path: Path, *rows: tuple, separator: str = ",") -> str:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return str(path)


def of_objects(path: Path, *objects: dict) -> str:
    path.write_text("\n".join(json.dumps(one) for one in objects) + "\n")
    return str(path)


def texts_of(domain: Domain) -> list[str]:
    assert isinstance(domain.inputs, Texts)
    return [text for (text,) in domain.inputs.items()]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "ndjson", "csv.gz", "jsonl.gz", "bom", "as gz"])
def test_texts_come_as_they_stand_in_the_file(kind, tmp_path):
    rows, gz = list(zip(TEXTS, LABELS, strict=True)), kind.endswith("gz")
    suffix = "csv" if kind in ("bom", "as gz") else kind.removesuffix(".gz")
    path = tmp_path / f"my.{suffix}"
    if suffix.endswith("json") or suffix in ("jsonl", "ndjson"):
        of_objects(path, *({"text": text, "label": label, "stars": 3} for text, label in rows))
    else:
        of_rows(path, ("text", "label"), *rows, separator="\t" if suffix == "tsv" else ",")
    octets = path.read_bytes()
    if kind == "bom":
        path.write_bytes(b"\xef\xbb\xbf" + octets)
    if gz:
        path.unlink()
        (tmp_path / f"my.{suffix}.gz").write_bytes(gzip.compress(octets))
        path = path if kind == "as gz" else tmp_path / f"my.{suffix}.gz"
    domain = text_files.load("mine", str(path))
    assert texts_of(domain) == TEXTS
    assert domain.classes == ("bad", "good") and domain.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert [item.rpartition("-")[2] for item in domain.ids.tolist()] == [f"{n:05d}" for n in range(6)]
    if not gz:
        assert domain.ids[0] == "my-00000"


def test_columns_of_all_kinds(tmp_path, capsys):
    head = ("no", "claim", "proof", "side", "who", "mark")
    rows = [
        (n, f"c{n}", f"p{n}" if n else "", ("train", "test")[n % 2], f"w{n // 2}", n % 2) for n in range(8)
    ]
    path = of_rows(tmp_path / "pairs.csv", head, *rows)
    domain = text_files.load(
        "mine", path, text="claim", text_b="proof", label="mark", ids="no", split="side", groups="who",
        classes={0: "no", 1: "yes"}, counts={"no": 4, "yes": 4}, whole=True,
    )  # fmt: skip
    assert domain.inputs.shape == (8, 2) and domain.inputs.items()[:2] == [("c0", ""), ("c1", "p1")]
    assert domain.classes == ("no", "yes") and domain.ids.tolist() == [str(n) for n in range(8)]
    assert domain.split[:2].tolist() == ["train", "test"] and domain.groups[:3].tolist() == ["w0", "w0", "w1"]
    assert domain.whole
    domain = text_files.load("mine", path, text="claim", text_b="who", label="who", groups="who", ids="claim")
    assert domain.inputs.items()[2] == ("c2", "w1") and domain.groups[2] == "w1"  # a column may be several
    assert capsys.readouterr().err == "domain mine: 1 of 8 items have an empty text\n"


def test_files_without_header_or_quoting_and_several_files(tmp_path):
    (tmp_path / "a.txt").write_bytes('"so it was\t1\r\nno" \x85 end\t0\n\n'.encode())
    (tmp_path / "b.txt").write_bytes(b"text\tlabel\nplain\t1\n")
    form = {"names": ["text", "label"], "separator": "\t", "quoted": False}
    paths = [str(tmp_path / name) for name in ("a.txt", "b.txt")]
    domain = text_files.load("mine", paths, **form)
    assert texts_of(domain) == ['"so it was', 'no" \x85 end', "plain"]  # names that stand there are no item
    assert domain.ids.tolist() == ["a-00000", "a-00001", "b-00000"]
    assert len(text_files.load("mine", paths, **form, header=True)) == 2 - 1 + 1
    semi = of_rows(tmp_path / "c.csv", ("text", "label"), ("a;b", "x"), ("c", "y"), separator=";")
    assert texts_of(text_files.load("mine", semi, separator=";")) == ["a;b", "c"]


def test_labels_of_json_numbers_and_nothing(tmp_path):
    marks = [1, 2.0, None, True, "x"]
    path = of_objects(
        tmp_path / "a.jsonl", *({"text": str(n), "label": m} for n, m in enumerate(marks)), {"text": "e"}
    )
    domain = text_files.load("mine", path, unlabelled="nan")
    assert domain.classes == ("1", "2", "True", "x")
    assert domain.labels.tolist() == [0, 1, -1, 2, 3, -1]
    assert text_files.load("mine", path, unlabelled="").digest == domain.digest


def test_numbers_and_several_labels(tmp_path):
    path = of_rows(
        tmp_path / "a.csv", ("text", "stars", "b", "a"), ("x", 1.5, 1, 0), ("y", 4, 0, 1), ("z", "", "", "")
    )
    numbers = text_files.load("mine", path, label="stars", task="regression", unit="stars", unlabelled="nan")
    assert (
        numbers.labels[:2, 0].tolist() == [1.5, 4] and numbers.labels[2].isnan() and numbers.unit == "stars"
    )
    tags = text_files.load("mine", path, label=["b", "a"], task="multi_label", unlabelled="nan")
    assert tags.tags == ("a", "b") and tags.labels[:2].tolist() == [[0, 1], [1, 0]]
    with pytest.raises(RequestError, match="stars of .* has nothing in line 4, which is no number"):
        text_files.load("mine", path, label="stars", task="regression")


def test_folders_are_classes(tmp_path, capsys):
    for part, name, text in [
        ("train/pos", "1.txt", "good\n"), ("train/neg", "deep/1.txt", "\ufeffbad\r\n"),
        ("test/pos", "1.TXT", "fine"), ("test/neg", "1.txt", "poor"), ("unlabelled", "1.txt", "who knows"),
        ("train", "urls.txt", "http"), ("train/pos", "notes.md", "no"),
    ]:  # fmt: skip
        path = tmp_path / "root" / part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
    (tmp_path / "root" / "README.txt").write_text("about these texts")
    classes = {"pos": "positive", "neg": "negative"}
    domain = text_files.load(
        "mine", str(tmp_path / "root"), classes=classes, counts={"positive": 2, "negative": 2}
    )
    assert dict(zip(domain.ids.tolist(), texts_of(domain), strict=True)) == {
        "train/neg/deep/1.txt": "bad", "train/pos/1.txt": "good", "test/neg/1.txt": "poor",
        "test/pos/1.TXT": "fine", "unlabelled/1.txt": "who knows",
    }  # fmt: skip
    assert domain.classes == ("negative", "positive") and domain.labels.tolist().count(-1) == 1
    assert sorted(set(domain.split)) == ["test", "train"]
    assert "3 files left out: 2 text in no class folder, 1 .md" in capsys.readouterr().err
    for options, says in [
        ({"groups": "who"}, "groups=who: .* is a folder"), ({"text": "said"}, "text=said: .* is a folder"),
        ({"task": "regression"}, "task=regression: the folders"),
        ({"classes": {"pos": "good"}}, "has neg; classes"),
    ]:  # fmt: skip
        with pytest.raises(RequestError, match=says):
            text_files.load("mine", str(tmp_path / "root"), **options)
    (tmp_path / "root/train/neg/deep/1.txt").write_bytes(b"caf\xe9")
    with pytest.raises(RequestError, match=r"1.txt, line 1: the byte 0xe9 is no UTF-8"):
        text_files.load("mine", str(tmp_path / "root"))


GOOD = b"text,label\na,x\nb,y\n"


@pytest.mark.parametrize(
    ("name", "content", "options", "says"),
    [
        ("a.csv", GOOD, {"text": "txt"}, "no column 'txt' in .*; there are: text, label; did you mean"),
        ("a.csv", GOOD, {"text_b": "proof"}, "no column 'proof'"),
        ("a.csv", b"text,label\na,x\nb\n", {}, "line 3: 1 cell, and its first line names 2 columns"),
        ("a.csv", b"text,label\na,x,\nb,y\n", {}, "line 2: 3 cells"),
        ("a.csv", b"text,label\na,x\n", {"names": ["text"]}, "line 1: 2 cells, and names has 1 columns"),
        ("a.csv", b"text,label\na,x\nb,\n", {}, "label of .* has nothing in line 3; say unlabelled: nan"),
        ("a.csv", b"text,label\na,x\nb,\nc,-1\n", {"unlabelled": -1}, "has nothing in line 3"),
        ("a.csv", b"text,label\na,x\nb,-1\n", {}, "label in .* has -1; say unlabelled: -1"),
        ("a.csv", b"text,label\na,x\nb,x\n", {}, "only class 'x'"),
        ("a.csv", b"text,label\n", {}, "has no row"),
        ("a.csv", b"", {}, "no column 'text'"),
        ("a.csv", b"text,label\na,x\ncaf\xe9,y\n", {}, "line 3: the byte 0xe9 is no UTF-8"),
        ("a.csv", "text,label\na,x\n".encode("utf-16"), {}, "line 1: the byte 0xff is no UTF-8"),
        ("a.csv", b"text,label\na,x\nb\0,y\n", {}, "line 3: a NUL character"),
        ("a.csv", b'text,label\n"a,x\nb,y\n', {}, "line 3: unexpected end of data; .* quoted: false"),
        ("a.csv", b'text,label\n"a"b,x\nc,y\n', {}, "line 2: .*quoted: false"),
        ("a.csv", b"text,text,label\na,b,x\n", {}, "has 2 columns named text"),
        ("a.csv", GOOD, {"separator": "||"}, "one character"),
        ("a.csv", GOOD, {"header": False}, "names is needed"),
        ("a.csv", GOOD, {"nested": True}, "is no folder"),
        ("a.csv", GOOD, {"counts": {"x": 2, "y": 1}}, "has 1 items of x, and counts says 2"),
        ("a.csv", GOOD, {"label": ["text", "label"]}, "one column of classes is needed"),
        ("a.csv", GOOD, {"task": "regression"}, "has 'x' in line 2, which is no number"),
        ("a.csv", GOOD, {"ids": "text", "groups": "label", "split": "label"}, "the split in .* has 'x'"),
        ("a.txt", GOOD, {}, "allowed: a .csv, .tsv"),
        ("a.csv.gz", GOOD, {}, "cannot be read"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": \n', {}, "line 2: no JSON"),
        ("a.jsonl", b'["a", 1]\n', {}, "line 1: .* is no JSON object"),
        ("a.jsonl", b'{"text": "a", "mark": 1}\n', {}, "no column 'label' in .*; there are: text, mark"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"label": 2}\n', {}, "text of .* has nothing in line 2"),
        ("a.jsonl", b'{"text": 5, "label": 1}\n', {}, "text of .* has a int in line 1; a text is needed"),
        ("a.jsonl", b'{"text": "a\\ud800", "label": 1}\n', {}, "half a surrogate pair in line 1"),
        ("a.jsonl", b'{"text": "a\\u0000", "label": 1}\n', {}, "a NUL character in line 1"),
        ("a.jsonl", b'{"text": "a", "label": [1]}\n', {}, "label of .* has a list in line 1"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n', {"names": ["text"]}, "names=.* lines of JSON"),
        ("a.jsonl", b"[" * 99999, {}, "line 1: no JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_one_line(name, content, options, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=says) as refusal:
        text_files.load("mine", str(tmp_path / name), **options)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


def test_a_missing_file_is_named_and_fetched_out_of_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("__MACOSX/of these/._mine.csv", b"\0")
        archive.writestr("of these/mine.csv", GOOD)
    origin, path = (tmp_path / "all.zip").as_uri(), str(tmp_path / "there/mine.csv")
    with pytest.raises(RequestError, match=r"it comes from file://.*all.zip; .*download=true"):
        text_files.load("mine", path, origin=origin)
    assert len(text_files.load("mine", path, origin=origin, download=True)) == 2
    with pytest.raises(RequestError, match="the archive has no other.csv"):
        text_files.load("mine", str(tmp_path / "there/other.csv"), origin=origin, download=True)


def test_copies_parts_and_manifests_of_texts(tmp_path, monkeypatch):
    """A text that is trained on is found among those that are tested on, in another domain too."""
    sides = ["train", "train", "test", "test"]
    rows = [("one", "x"), ("two", "y"), ("one", "x"), ("three", "y")]
    path = of_rows(
        tmp_path / "a.csv", ("text", "label", "side"), *((*r, s) for r, s in zip(rows, sides, strict=True))
    )
    target = text_files.load("mine", path, split="side")
    source = text_files.load(
        "other", of_rows(tmp_path / "b.csv", ("text", "label"), ("three", "y"), ("four", "x"))
    )
    found = copies.count(target, (source,), 0, None)
    assert (found.tested, found.train, found.sources) == (2, 1, {"other": 1})
    kept, (of_source,) = copies.dropped(target, (source,), 0)
    assert texts_of(kept) == ["two", "one", "three"] and texts_of(of_source) == ["four"]
    write_manifest(tmp_path, target)
    summary = json.loads((manifest_path(tmp_path, target.digest) / "summary.json").read_text())
    assert (summary["input_type"], summary["input_shape"], summary["items"]) == ("text", [1], 4)
    monkeypatch.setattr(some_classes, "load_domain", lambda *_: target)
    part = some_classes.load("part", "mine", ["y"], "data")
    assert texts_of(part) == ["two", "three"] and part.classes == ("x", "y")


def test_sentences_are_whole(data_root: Path):
    odd = {"amazon": '"', "imdb": "\x97", "yelp": "It's"}  # what other readers stumble over
    for name, character in odd.items():
        domain = load_domain("target", f"sentences_{name}", str(data_root))
        texts = texts_of(domain)
        assert domain.classes == ("negative", "positive") and domain.labels.bincount().tolist() == [500, 500]
        assert any(character in text for text in texts) and not any("\t" in text for text in texts)
    assert texts[:2] == ["Wow... Loved this place.", "Crust is not good."]
    assert domain.labels[:2].tolist() == [1, 0]
