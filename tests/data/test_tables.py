"""Tables with categories and missing values: what they become, what is refused, and the official ones."""

import gzip
import os
from pathlib import Path

import pandas
import pytest
import torch

from data.test_shelf import load as from_shelf
from transferscope.data import tables
from transferscope.errors import RequestError

LINES = """age,sex,stay,ward,kind
63,f,1.5,a,ill
41,m,?,b,well
-9,?,2,a,ill
30,f,0,b,well
"""
ASKED = {"label": "kind", "categorical": {"sex": ["m", "f"], "ward": ["a", "b", "c"]}}
GIVEN = {**ASKED, "missing": {"*": ["?", -9], "stay": [0]}}
NAN = float("nan")


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "t.csv").write_text(LINES)
    return str(tmp_path / "t.csv")


def assert_inputs(domain, expected: list[list[float]]) -> None:
    torch.testing.assert_close(domain.inputs, torch.tensor(expected), equal_nan=True, rtol=0, atol=0)


def test_a_category_is_its_place_and_what_is_missing_is_nan(table: str) -> None:
    domain = tables.load("mine", table, **GIVEN)
    assert_inputs(domain, [[63, 1, 1.5, 0], [41, 0, NAN, 1], [NAN, NAN, 2, 0], [30, 1, NAN, 1]])
    assert domain.columns == {"age": (), "sex": ("m", "f"), "stay": (), "ward": ("a", "b", "c")}
    assert domain.categorical == ["sex", "ward"] and domain.gaps == ["age", "sex", "stay"]
    assert domain.inputs.dtype == torch.float32 and domain.classes == ("ill", "well")


def test_categories_that_are_not_listed_are_those_of_the_table_in_order(table: str, tmp_path: Path) -> None:
    domain = tables.load("mine", table, **{**GIVEN, "categorical": ["sex", "ward", "age"]})
    assert domain.columns == {"age": ("30", "41", "63"), "sex": ("f", "m"), "stay": (), "ward": ("a", "b")}
    # what codes stand for is part of what a run consumes
    other = tables.load(
        "mine", table, **{**GIVEN, "categorical": {"sex": ["m", "f"], "ward": ["a", "b", "d"]}}
    )
    assert other.digest != tables.load("mine", table, **GIVEN).digest


def test_numbers_are_one_category_however_they_are_written(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"pain": ["1.0", " 2", "?"], "slope": [3.0, 10, None], "label": [0, 1, 1]})
    options = {"categorical": ["pain", "slope"], "missing": ["?"], "classes": {0: "well", 1: "ill"}}
    domain = tables.from_frame("mine", frame, **options)
    assert domain.columns == {"pain": ("1", "2"), "slope": ("3", "10")} and domain.classes == ("ill", "well")
    assert_inputs(domain, [[0, 0], [1, 1], [NAN, NAN]])


def test_rows_are_picked_by_a_condition_and_keep_their_ids(table: str) -> None:
    options = {**GIVEN, "categorical": ["sex"], "leave_out": ["ward"], "where": "age > 35 or ward == 'b'"}
    domain = tables.load("mine", table, **options)
    assert domain.ids.tolist() == ["t-00000", "t-00001", "t-00003"]
    assert list(domain.columns) == ["age", "sex", "stay"]


def test_several_files_with_and_without_a_header_under_given_names(tmp_path: Path) -> None:
    names = ["age", "sex", "stay", "ward", "kind"]
    body = LINES.split("\n", 1)[1]
    (tmp_path / "one.data").write_text("X1,X2,X3,X4,X5\n" + body)
    (tmp_path / "two.data").write_text(body)
    (tmp_path / "three.data.gz").write_bytes(
        gzip.compress(b"|said first\n" + body.replace(",", ", ").encode())
    )
    given = {**GIVEN, "names": names}
    with_header = tables.load("mine", str(tmp_path / "one.data"), **given)
    without = tables.load("mine", str(tmp_path / "two.data"), **given)
    spaced = tables.load("mine", str(tmp_path / "three.data"), **given, separator=", ", comment="|")
    both = tables.load("mine", [str(tmp_path / f"{n}.data") for n in ("one", "two")], **given)
    for domain in (without, spaced):
        torch.testing.assert_close(domain.inputs, with_header.inputs, equal_nan=True)
    torch.testing.assert_close(both.inputs, without.inputs.repeat(2, 1), equal_nan=True)
    assert both.ids[[0, 4]].tolist() == ["one-00000", "two-00000"] and len(both) == 8
    first_is_no_header = tables.load("mine", str(tmp_path / "two.data"), **given, header=True)
    assert len(first_is_no_header) == 3


@pytest.mark.parametrize(
    ("old", "new", "options", "says"),
    [
        ("", "", {"categorical": ["sexe", "ward"]}, "categorical: no column 'sexe' in .*did you mean 'sex'"),
        ("", "", {"missing": {"weight": [0]}}, "missing: no column 'weight' in the features of .*t.csv"),
        ("", "", {"where": "agee > 3"}, "where=agee > 3: cannot be asked of .*t.csv .*'agee'.* age > 60"),
        ("", "", {"where": "age + 1"}, "where=age \\+ 1: cannot be asked .*it is no condition"),
        ("", "", {"where": "age > 99"}, "where=age > 99: holds of none of the 4 rows of .*t.csv"),
        ("41", "old", {}, "column age of .*t.csv has 'old' in row 1, which is no number; name it in missing"),
        ("30,", "inf,", {}, "column age of .*t.csv is infinite in row 3"),
        ("41,m", "41,x", {}, "column sex of .* has x in row 1; its categories are m, f; list it"),
        ("", "", {"categorical": {"sex": ["m", "f", "m"]}}, "column sex .*m, f, m: one is there twice"),
        ("", "", {"missing": None}, "column sex of .* has \\? in row 2; its categories are m, f"),
        ("41", "", {"missing": None}, "column age of .* has nothing in row 1; say missing: \\[\\]"),
        ("", "", {"categorical": None}, "column sex of .* no numbers; .* it in categorical or leave_out"),
        ("", "", {"classes": {"ill": "yes"}}, "kind in .* has well; classes says what becomes of ill"),
        ("", "", {"classes": {"ill": "a", "well": "b", "no": "c"}}, "classes: no row of .* is of class 'c'"),
        ("", "", {"where": "kind == 'ill'"}, "only class 'ill' in .*t.csv; at least two classes"),
        ("", "", {"names": ["a", "b"]}, "names: 2 are given, and .*t.csv has 5 columns"),
        ("", "", {"header": False}, "header=False: without a first line .* names is needed"),
        (LINES, "", {}, "t.csv cannot be read \\(No columns"),
        (LINES, "age,kind\n", {}, "t.csv has no row"),
        (LINES, "\udcff", {}, "t.csv cannot be read \\("),
    ],
)  # fmt: skip
def test_what_makes_no_domain_is_said_in_one_line(
    old: str, new: str, options: dict, says: str, table: str
) -> None:
    text = LINES.replace(old, new, 1) if old else LINES
    Path(table).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RequestError, match=says) as refusal:
        tables.load("mine", table, **{**GIVEN, **options})
    assert "\n" not in str(refusal.value)


def test_of_several_files_the_one_is_named_and_their_columns_must_agree(table: str, tmp_path: Path) -> None:
    second = tmp_path / "u.csv"
    second.write_text(LINES.replace("63", "x"))
    with pytest.raises(RequestError, match="'x' in row 0 of .*u.csv, which is no number"):
        tables.load("mine", [table, str(second)], **GIVEN)
    second.write_text(LINES.replace("age", "years"))
    with pytest.raises(RequestError, match="u.csv has other columns than .*t.csv"):
        tables.load("mine", [table, str(second)], **GIVEN)


def test_a_missing_file_is_fetched_where_that_was_asked_for(table: str, tmp_path: Path) -> None:
    (web := tmp_path / "web").mkdir()
    Path(table).rename(web / "t.csv")
    options = {**GIVEN, "origin": web.as_uri()}
    with pytest.raises(
        RequestError, match=r"no file .*t.csv; it comes from file://.*/web/t.csv; .*download=true"
    ):
        tables.load("mine", table, **options)
    assert len(tables.load("mine", table, **options, download=True)) == 4 and Path(table).is_file()
    with pytest.raises(RequestError, match="download=true: file://.*u.csv: "):
        tables.load("mine", str(tmp_path / "u.csv"), **options, download=True)


@pytest.mark.skipif(
    "TRANSFERSCOPE_DATA_ROOT" not in os.environ, reason="TRANSFERSCOPE_DATA_ROOT is unset: no official tables"
)
@pytest.mark.parametrize(
    ("names", "counts", "missing"),
    [
        (["heart_cleveland"], {"disease": 139, "healthy": 164}, {"thal": 2}),
        (["heart_hungarian"], {"disease": 106, "healthy": 188}, {"cholesterol": 23, "thal": 266}),
        (["heart_switzerland"], {"disease": 115, "healthy": 8}, {"cholesterol": 123, "thal": 52}),
        (["heart_va"], {"disease": 149, "healthy": 51}, {"cholesterol": 56, "thal": 166}),
        # 32,561 + 16,281
        (["adult_women", "adult_men"], {"<=50K": 37155, ">50K": 11687}, {"work_class": 2799}),
    ],
)
def test_official_tables_have_the_counts_of_their_documentation(
    names: list[str], counts: dict[str, int], missing: dict[str, int]
) -> None:
    domains = [from_shelf(name) for name in names]
    found = dict.fromkeys(counts, 0)
    gaps = dict.fromkeys(missing, 0)
    for domain in domains:
        for number, label in enumerate(domain.classes):
            found[label] += int((domain.labels == number).sum())
        for column in missing:
            gaps[column] += int(domain.inputs[:, list(domain.columns).index(column)].isnan().sum())
        assert domain.columns == domains[0].columns
    assert found == counts and gaps == missing
    if names[0].startswith("heart"):
        assert domains[0].columns == from_shelf("heart_va").columns and domains[0].inputs.shape[1] == 13
