"""`transferscope calibrate` as it is called: what it prints, writes and refuses."""

import csv
import importlib
import json

import pytest

from transferscope.calibration import signs
from transferscope.calibration.findings import Finding
from transferscope.cli import calibrate
from transferscope.errors import RequestError


@pytest.fixture
def two_findings(monkeypatch):
    sizes = []

    def study(size):
        sizes.append(size)
        yield Finding("signs", "concept shift", -1, -1.0, True, 5, detail={"delta": -0.5})
        yield Finding("signs", "no shift", 1, 0.25, False, 5)

    monkeypatch.setattr(signs, "study", study)
    return sizes


def test_json_has_the_fixed_keys_and_a_miss_is_no_failure(two_findings, capsys):
    assert calibrate.main(["--study", "signs", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert [row["ok"] for row in rows] == [True, False]
    assert {"study", "setting", "nominal", "measured", "ok"} <= set(rows[1])
    assert rows[0]["delta"] == -0.5
    assert "1 of 2 findings are inside their bars; outside: signs: no shift" in err


def test_a_known_limit_is_told_apart():
    rows = [
        Finding("a", "b", 0.05, rate, rate < 0.06, 100, limit=limit).to_dict()
        for rate, limit in ((0.01, False), (0.5, True), (0.03, True))
    ]
    assert (
        calibrate.closing(rows)
        == "1 of 1 findings are inside their bars; known limits: 1 of 2 are beyond theirs"
    )
    assert rows[1]["limit"] is True


def test_table_and_csv(two_findings, capsys, tmp_path):
    assert calibrate.main(["--study", "signs", "-o", str(tmp_path / "new")]) == 0
    out = capsys.readouterr().out
    assert "concept shift" in out and "outside: signs: no shift" in out
    with (tmp_path / "new" / "signs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["setting"], row["measured"], row["ok"]) for row in rows] == [
        ("concept shift", "-1", "yes"),
        ("no shift", "0.25", "no"),
    ]


def test_quick_and_draws_set_the_size_and_all_studies_run_without_a_name(two_findings, monkeypatch, capsys):
    for name in calibrate.STUDIES:
        monkeypatch.setattr(
            importlib.import_module(f"transferscope.calibration.{name}"), "study", signs.study
        )
    assert calibrate.main(["--quick", "--draws", "123"]) == 0
    assert len(two_findings) == len(calibrate.STUDIES)
    assert two_findings[0].draws == 123
    calibrate.main(["--study", "signs"])
    assert two_findings[0].seeds < two_findings[-1].seeds


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--study", "covarage"], "did you mean 'coverage'"),
        (["--draws", "3"], "at least 10"),
        (["--draws", "many"], "invalid int value"),
        (["--format", "yaml"], "not one of table, json"),
        (["power"], "unrecognized arguments"),
    ],
)
def test_refused(argv, words):
    with pytest.raises(RequestError, match=words):
        calibrate.main(argv)


def test_o_names_a_file(tmp_path):
    (tmp_path / "there").write_text("")
    with pytest.raises(RequestError, match="is a file"):
        calibrate.main(["-o", str(tmp_path / "there")])
