import json
import re
import time
from datetime import UTC, datetime

import pytest

from transferscope.cli import status
from transferscope.cli.main import main
from transferscope.store import lease as underway
from transferscope.store import record


def jobs(store):
    """The planned runs with labels, by strategy."""
    [plan] = record.read_plans(store)
    return {
        job["cell"]["strategy"]: job
        for job in plan["jobs"]
        if job["fingerprint"] and job["cell"]["label_budget"] == 2
    }


def drop(store, strategy):
    """Takes a planned run out of the store, gives its fingerprint."""
    name = jobs(store)[strategy]["fingerprint"]
    (store / name).rename(store.parent / name)
    return name


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_done_and_not_applicable(trained, capsys):
    assert main(["status", str(trained)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep small  3 of 3 done"
    assert lines[1].startswith(
        "  not applicable: (1) label_budget=0: strategy scratch learns from target labels"
    )
    assert lines[2].startswith("outside sweeps  ") and "of 2 done" in lines[2]


def test_a_missing_run_is_named_by_its_cell_and_seeds(store, capsys):
    drop(store, "scratch")
    main(["status", str(store)])
    out = capsys.readouterr().out
    assert re.search(r"2 of 3 done, 1 missing; \d+:\d\d to go, none is running", out)
    assert "  missing: scratch  blobs  2 labels  seed 0\n" in out


def test_a_failed_run_says_why(store, capsys):
    rewrite(
        store / jobs(store)["dann"]["fingerprint"] / "record.json",
        status="failed",
        reason="RuntimeError: out of memory",
    )
    main(["status", str(store)])
    assert (
        "  failed: dann  blobs_shifted → blobs  2 labels  seed 0: RuntimeError: out of memory\n"
        in capsys.readouterr().out
    )


def test_running_says_where_and_which_step_and_crashed_once_nobody_holds_it(store, capsys):
    name = drop(store, "scratch")
    with underway.Lease(store, name, {}, 0, steps=20) as lease:
        lease.claim(step=0)
        lease.claim(step=10)
        main(["status", str(store)])
        assert (
            ": on " in (out := capsys.readouterr().out)
            and "step 10 of 20" in out
            and "2 of 3 done, 1 running" in out
        )
    main(["status", str(store)])
    assert (
        "  crashed: scratch  blobs  2 labels  seed 0: stopped at step 10 of 20 on" in capsys.readouterr().out
    )


def test_the_time_left_follows_the_pace_of_the_runs(store, capsys):
    for strategy in ("scratch", "dann"):
        name = drop(store, strategy)
    for folder in record.run_folders(store):
        rewrite(folder / "record.json", timings={"wall_seconds": 40.0})
    with underway.Lease(store, name, {}, 0, steps=20) as lease:
        lease.claim(step=0)
        lease.claim(step=5)
        since = datetime.fromtimestamp(time.time() - 10, UTC).isoformat()
        rewrite(lease.folder / "claim.json", since=since)
        main(["status", str(store), "--format", "json"])
    [small, _] = json.loads(capsys.readouterr().out)["sweeps"]
    assert small["counts"] == {"done": 1, "not_applicable": 1, "missing": 1, "running": 1}
    # 40 s for the missing one, 30 of 40 s for the one that has done a quarter of its steps
    assert 65 < small["eta_seconds"] < 75


def test_json_has_every_run_once(trained, capsys):
    assert main(["status", str(trained), "--format", "json"]) == 0
    small, outside = json.loads(capsys.readouterr().out)["sweeps"]
    assert (small["name"], outside["name"]) == ("small", None)
    names = [job["fingerprint"] for job in small["jobs"] + outside["jobs"] if job["fingerprint"]]
    assert sorted(names) == [folder.name for folder in record.run_folders(trained)]


def test_what_another_version_wrote_is_left_out_in_one_line_and_the_rest_shown(store, capsys):
    for strategy in ("scratch", "dann"):
        rewrite(store / jobs(store)[strategy]["fingerprint"] / "record.json", schema=8)
    (store / "sweeps" / "later").mkdir()
    (store / "sweeps" / "later" / "plan.json").write_text('{"schema": 9}')
    assert main(["status", str(store)]) == 0
    out = capsys.readouterr().out
    assert "sweep small  1 of 3 done, 2 unreadable" in out
    left_out = [line for line in out.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == 2
    assert "later/plan.json: schema version 9" in left_out[0]
    assert "record.json and 1 more: schema version 8" in left_out[1]


def test_an_empty_store_and_none(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 0
    assert "no runs yet" in capsys.readouterr().out
    assert main(["status", str(tmp_path / "runs")]) == 2
    assert "no such store" in capsys.readouterr().err


def test_watching_ends_when_the_last_run_is_there(store, monkeypatch):
    name = drop(store, "scratch")
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            (store.parent / name).rename(store / name)

    monkeypatch.setattr(status.time, "sleep", sleep)
    assert main(["status", str(store), "--watch"]) == 0
    assert len(looks) == 2


def test_ctrl_c_while_watching(store, monkeypatch):
    drop(store, "scratch")

    def sleep(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(status.time, "sleep", sleep)
    assert main(["status", str(store), "--watch"]) == 130


@pytest.mark.parametrize("arguments", [["--format", "jsn"], ["--watch", "--format", "json"], ["--follow"]])
def test_a_wrong_request_is_one_line(arguments, trained, capsys):
    assert main(["status", str(trained), *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
