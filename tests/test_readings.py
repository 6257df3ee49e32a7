"""The log of readings: what counts as one, and that nothing which happens to its files is passed over."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from transferscope.comparison import readings
from transferscope.comparison.readings import begin, open_log, times


def read(cell: str, seeds: int, planned: int = 0) -> dict:
    return {"read": cell, "family": "demo", "seeds": list(range(seeds)), "planned": list(range(planned))}


def test_a_reading_counts_where_seeds_have_come_since():
    at_5, at_7, at_10 = range(5), range(7), range(10)
    assert [times(at_5, []), times(at_7, [at_5]), times(at_10, [at_5, at_7])] == [0, 1, 2]
    assert times(at_10, [at_5, at_7, at_7, at_10]) == 2  # the same reading again is none
    assert times(at_5, [at_10]) == 0  # seeds were taken away
    assert times(range(5, 10), [at_5]) == 1  # other seeds in place of those that were read


def test_readings_without_end_are_counted_up_to_where_nothing_can_be_claimed():
    assert times(range(1000), [range(n) for n in range(900)]) == readings.MOST
    assert 1e-15 * 5**readings.MOST > 0.05


def test_what_was_planned_at_a_reading_is_no_growth(tmp_path):
    log = open_log(tmp_path)
    log.note([read("ab", 5, planned=10)])
    assert (log.before("ab", range(7)), log.before("ab", range(10)), log.before("ab", range(12))) == (0, 0, 1)
    log.note([read("ab", 7, planned=10), read("ab", 12, planned=10)])
    assert log.before("ab", range(15)) == 2  # the plan read in pieces, and what came on top of it


def test_the_log_is_read_again_as_it_was_written(tmp_path):
    log = open_log(tmp_path)
    log.note([read("ab", 5), read("cd", 5)])
    again = open_log(tmp_path)
    assert (again.read, again.began, again.trouble) == (log.read, log.began, "")
    before = list((tmp_path / "readings").iterdir())
    again.note([read("ab", 5)])
    assert list((tmp_path / "readings").iterdir()) == before  # nothing new, nothing written


def test_a_log_begins_with_the_first_plan_of_a_store_or_when_it_is_first_read(tmp_path):
    begin(tmp_path / "new")
    began = open_log(tmp_path / "new").began
    assert began and len(list((tmp_path / "new" / "readings").iterdir())) == 1
    (tmp_path / "old" / "sweeps" / "demo").mkdir(parents=True)
    (tmp_path / "old" / "sweeps" / "demo" / "plan.json").touch()
    begin(tmp_path / "old")
    assert not (tmp_path / "old" / "readings").exists()


DAMAGE = ["{", "[]", '{"read": "ab"}', ('{"read": "../x", "family": "", "seeds": [], "planned": [], "when": '
    '""}'), "[" * 100_000, "", "\x1b[2J",
          '{"read": "ab", "family": "", "seeds": [true], "planned": [], "when": ""}']  # fmt: skip


@pytest.mark.parametrize("line", DAMAGE)
def test_a_damaged_line_is_said_and_the_others_count(tmp_path, line):
    open_log(tmp_path).note([read("ab", 5)])
    (tmp_path / "readings" / "torn.jsonl").write_text(
        json.dumps({**read("ab", 7), "when": ""}) + "\n" + line + "\n"
    )
    log = open_log(tmp_path)
    assert (
        log.trouble
        == f"{tmp_path}/readings/torn.jsonl: damaged: every cell is judged as if it had been read once more"
    )
    assert log.before("ab", range(10)) == 3 and log.before("ef", range(10)) == 1
    log.note([read("ef", 5)])
    assert open_log(tmp_path).before("ef", range(10)) == 2  # it is written on all the same


def test_an_emptied_file_is_damage_and_a_line_of_two_kinds_is_a_beginning(tmp_path):
    open_log(tmp_path).note([read("ab", 5)])
    (tmp_path / readings.FOLDER / "odd.jsonl").write_text('{"began": "2024-01-01T00:00:00", "read": "ab"}\n')
    log = open_log(tmp_path)
    assert (log.trouble, log.began[:4], log.before("ab", range(7))) == ("", "2024", 1)
    max((tmp_path / readings.FOLDER).glob("2*.jsonl")).write_text("")
    assert "damaged" in open_log(tmp_path).trouble


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_file_of_the_log_is_damage_and_not_waited_for(tmp_path, make):
    open_log(tmp_path)
    make(tmp_path / "readings" / "odd.jsonl")
    assert "odd.jsonl: damaged" in open_log(tmp_path).trouble


def test_a_log_that_leads_out_of_the_store_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "readings").symlink_to(tmp_path / "elsewhere")
    log = open_log(tmp_path)
    log.note([read("ab", 5)])
    assert "a symbolic link" in log.trouble and not list((tmp_path / "elsewhere").iterdir())


def test_a_log_that_cannot_be_written_is_said_and_counts_once_more(tmp_path):
    (tmp_path / "readings").write_text("")
    log = open_log(tmp_path)
    assert f"{tmp_path}/readings: cannot be written (" in log.trouble and "\n" not in log.trouble
    assert log.before("ab", range(5)) == 1


def test_a_disk_that_fills_meanwhile_is_said(tmp_path, monkeypatch):
    log = open_log(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(readings, "write_atomically", full)
    log.note([])
    assert log.before("ab", range(5)) == 0
    log.note([read("ab", 5)])
    assert "No space left" in log.trouble and log.before("ab", range(5)) == 1


def write_many(store: Path, name: int) -> None:
    for seeds in range(2, 40):
        open_log(store).note([read(f"{name:x}", seeds), read("ff", seeds)])


def test_processes_that_note_at_once_lose_nothing(tmp_path):
    open_log(tmp_path)
    workers = [
        multiprocessing.get_context("fork").Process(target=write_many, args=(tmp_path, name))
        for name in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    log = open_log(tmp_path)
    assert not log.trouble and [len(log.read[name]) for name in ("0", "1", "2", "ff")] == [38] * 4
