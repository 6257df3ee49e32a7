"""What makes a table no results is said in one line: file, column or row, what is allowed."""

import pytest

from tables_of_results import Rows, prediction_rows, probability_rows, score_rows, scores, write
from transferscope.cli.main import main

FOUND = scores(seeds=2, items=20, scratch=0.5, fine_tuning=0.7)


def refused(capsys, *arguments: str) -> str:
    assert main(["compare", *arguments]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1
    return said.err


def changed(rows: Rows, row: int, **values: object) -> Rows:
    return [*rows[:row], rows[row] | values, *rows[row + 1 :]]


def without(rows: Rows, row: int) -> Rows:
    return [*rows[:row], *rows[row + 1 :]]


ROWS, NAMED, LIKELY = score_rows(FOUND), prediction_rows(FOUND), probability_rows(FOUND)
TRUTHS = [
    {key: row[key] for key in ("item", "seed", "strategy")} | {"truth": 1.5, "prediction": row["score"]}
    for row in ROWS
]
BAD = {
    "missing item": (
        without(ROWS, 45),
        ["item 'item_5' is not in all runs", "fine_tuning, seed 0", "--common-items"],
    ),
    "doubled item": ([*ROWS, ROWS[3]], ["item 'item_3' is in scratch, seed 0 twice", "row 4"]),
    "other label": (changed(NAMED, 45, label="cat"), ["row 46", "item 'item_5'", "label 'cat'", "'dog'"]),
    "1 and 1.0": (
        [row | {"label": 1, "prediction": "1.0" if row["strategy"] == "fine_tuning" else 1} for row in NAMED],
        ["prediction '1.0', and label '1' elsewhere"],
    ),
    "cat and Cat": (changed(NAMED, 45, prediction="Cat"), ["row 46", "'Cat', and label 'cat'"]),
    "no prediction is a label": (
        [row | {"prediction": "cow" if row["strategy"] == "fine_tuning" else "cat"} for row in NAMED],
        ["none of the 20 predictions of fine_tuning, seed 0, is a label", "'cow'"],
    ),
    "seed 0 and 00": (
        [*ROWS, *({**row, "seed": "00"} for row in ROWS if row["seed"] == 0)],
        ["row 81", "is that of", "row 1", "written in another way"],
    ),
    "some without a group": (
        [row | {"group": "" if row["item"] == "item_3" else "a"} for row in ROWS],
        ["row 4", "group is empty"],
    ),
    "split Test": ([row | {"split": "Test"} for row in ROWS], ["split 'Test'", "'test' is what is judged"]),
    "a seed of split dev": (
        [row | {"split": "dev" if row["seed"] == 1 else "test"} for row in ROWS],
        ["scratch, seed 1, has no row of split 'test', only of 'dev'"],
    ),
    "nan": (changed(ROWS, 7, score="nan"), ["column 'score', row 8", "nan, no finite number"]),
    "empty score": (changed(ROWS, 7, score=""), ["column 'score', row 8", "empty"]),
    "text for a number": (
        changed(TRUTHS, 7, prediction="high"),
        ["'prediction', row 8", "'high' is no number"],
    ),
    "score of 1.5": (changed(ROWS, 7, score=1.5), ["row 8", "1.5 is outside of 0 to 1", "--score-range"]),
    "sum of 0.9": (changed(LIKELY, 7, p_cat=0.65, p_dog=0.25), ["row 8", "sum to 0.9, not to 1"]),
    "probability of 1.2": (changed(LIKELY, 7, p_cat=1.2, p_dog=-0.2), ["row 8", "probability of"]),
    "label without p": (changed(LIKELY, 7, label="cow"), ["row 8", "label 'cow' has no column p_CLASS"]),
    "seed no number": (changed(ROWS, 7, seed="one"), ["row 8", "seed 'one'", "whole number"]),
    "no strategy": (changed(ROWS, 7, strategy=""), ["row 8", "strategy is empty"]),
    "budget": ([row | {"label_budget": "few"} for row in ROWS], ["label_budget 'few'", "full"]),
    "no column strategy": (
        [{key: row[key] for key in ("item", "seed", "score")} for row in ROWS],
        ["has no column 'strategy'", "--map strategy=COLUMN"],
    ),
    "no outcome": (
        [{key: row[key] for key in ("item", "seed", "strategy", "label")} for row in NAMED],
        ["it has label alone", "label and prediction"],
    ),
    "two outcomes": ([row | {"score": 1} for row in NAMED], ["says more than one thing", "--ignore"]),
    "unknown column": (
        [row | {"sede": 1} for row in ROWS],
        ["column 'sede' is not known; did you mean 'seed'?", "--metadata sede", "--ignore sede"],
    ),
    "no row of split test": ([row | {"split": "val"} for row in ROWS], ["no row is of split 'test'", "val"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bad_rows(kind, suffix, tmp_path, capsys):
    rows, says = BAD[kind]
    if suffix == "parquet":  # a column of it has one type
        mixed = {key for key in rows[0] if len({type(row[key]) for row in rows}) > 1}
        rows = [row | {key: str(row[key]) for key in mixed} for row in rows]
    path = write(tmp_path / f"bad.{suffix}", rows)
    line = refused(capsys, str(path))
    assert "bad." in line
    for words in says:
        assert words in line


FILES = {
    "empty": (b"", "holds no rows"),
    "only a header": (b"item,seed,strategy,score\n", "holds no rows"),
    "one column twice": (b"item,strategy,score,score\na,b,1,1\n", "two columns are named 'score'"),
    "ragged": (b"item,strategy,score\na,b,1\na,b\n", "Expected 3 columns"),
    "an open quote": (
        b'item,strategy,score,target\na,b,1,"x\nb,b,1,y\nc,b,1,"z\nd,b,0,z\n',
        "a quote that nothing",
    ),
    "no utf-8": (b"item,strategy,score\n\xff\xfe,b,1\n", "UTF8"),
    "terminal codes": (b"item,strategy,\x1b[2Jscore\na,b,1\n", "is not known"),
}


@pytest.mark.parametrize("kind", FILES)
def test_bad_files(kind, tmp_path, capsys):
    content, says = FILES[kind]
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    line = refused(capsys, str(path))
    assert says in line and "\x1b" not in line


def test_files_that_are_no_tables(tmp_path, capsys):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "a.jsonl").write_text('{"item": 1}\n{"item": \n')
    (tmp_path / "list.jsonl").write_text('[{"item": 1}]\n')
    for name in ("a.parquet", "a.jsonl"):
        assert name in refused(capsys, str(tmp_path / name))
    assert "an object a line" in refused(capsys, str(tmp_path / "list.jsonl"))
    assert "no such file" in refused(capsys, str(tmp_path / "none.csv"))


def test_formulas_and_terminal_codes_in_names_stay_text(tmp_path, capsys):
    rows = [row | {"strategy": row["strategy"].replace("fine", "=cmd()\x1b[2J<b>")} for row in ROWS]
    assert main(["compare", str(write(tmp_path / "a.csv", rows))]) == 0
    said = capsys.readouterr()
    assert "\x1b[2J" not in said.out + said.err


def test_common_items_leaves_out_what_some_runs_lack_and_says_so(tmp_path, capsys):
    path = write(tmp_path / "a.csv", without(ROWS, 45))
    assert main(["compare", str(path), "--common-items", "--format", "json"]) == 0
    assert '"items": 19' in (said := capsys.readouterr().out)
    assert "1 item" in said


OPTIONS = {
    ("--map", "strategie=model"): ["'strategie' is none of our columns", "did you mean 'strategy'?"],
    ("--map", "strategy=modle"): ["no such column"],
    ("--map", "strategy"): ["OUR=THEIRS is needed"],
    ("--map", "score={stratgy}"): ["{stratgy} is none of", "did you mean 'strategy'?"],
    ("--map", "seed=a", "--map", "seed=b"): ["seed is given twice"],
    ("--metadata", "hospital"): ["has no such column"],
    ("--score-range", "1,0"): ["--score-range 1,0"],
    ("--score-range", "one"): ["LOW,HIGH is needed"],
    ("--cap", "3"): ["--cap: is for predicted numbers"],
    ("--baseline", "scrach"): ["scrach", "scratch"],
}


@pytest.mark.parametrize("options", OPTIONS)
def test_bad_options(options, tmp_path, capsys):
    line = refused(capsys, str(write(tmp_path / "a.csv", ROWS)), *options)
    for words in OPTIONS[options]:
        assert words in line


def test_what_is_said_of_files_is_not_said_of_a_store(tmp_path, capsys):
    (tmp_path / "runs").mkdir()
    assert "is said of files of results" in refused(capsys, str(tmp_path / "runs"), "--common-items")
    assert "one store, or files of results" in refused(
        capsys, str(write(tmp_path / "a.csv", ROWS)), str(tmp_path / "runs")
    )
