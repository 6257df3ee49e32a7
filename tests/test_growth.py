"""A store that is read, grows and is read again: through `compare` as it is called, on planted runs."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from store_fixture import write_plan, write_run, write_runs
from transferscope.cli.main import main
from transferscope.comparison.advice import advice
from transferscope.comparison.compare import compare
from transferscope.statistics import verdict

LATER = "2125-01-01T00:00:00+00:00"  # a plan that is made after the first reading


def grow(store: Path, seeds: int, skill: float = 0.9, created: str = LATER, name: str | None = None) -> None:
    """As a command with so many seeds leaves it."""
    jobs = write_runs(store, "scratch", 0.5, seeds=seeds) + write_runs(
        store, "fine_tuning", skill, seeds=seeds
    )
    write_plan(store, name or f"to{seeds}", jobs, created)


def said(capsys: pytest.CaptureFixture, store: Path, *options: str) -> dict:
    assert main(["compare", str(store), *options, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def table(capsys: pytest.CaptureFixture, store: Path) -> str:
    assert main(["compare", str(store)]) == 0
    return " ".join(capsys.readouterr().out.split())


@contextlib.contextmanager
def read_only(store: Path) -> Iterator[None]:
    """Really so, for root too, who is somebody else meanwhile."""
    here, user = os.getcwd(), os.geteuid()
    os.chdir(store)
    store.chmod(0o555)
    for path in store.glob("readings"):
        path.chmod(0o555)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        os.chdir(here)
        store.chmod(0o755)


def test_seeds_added_after_a_reading_are_judged_at_a_fifth_of_the_level(tmp_path, capsys):
    grow(tmp_path, 5, created="2025-01-01T00:00:00+00:00", name="first")
    assert said(capsys, tmp_path)["cells"][0]["readings"] == 0
    grow(tmp_path, 6)
    grow(tmp_path, 7, created="2125-01-02T00:00:00+00:00")  # not read in between
    shutil.copytree(tmp_path, tmp_path / "unread", ignore=shutil.ignore_patterns("readings", "sweeps"))
    [cell], [unread] = said(capsys, tmp_path)["cells"], said(capsys, tmp_path / "unread")["cells"]
    assert (cell["seeds"], cell["readings"], unread["seeds"], unread["readings"]) == (7, 1, 7, 0)
    assert cell["p_adjusted"] == pytest.approx(min(1, 5 * unread["p_adjusted"]))
    evidence = compare(tmp_path).cells[0].evidence
    at_a_fifth = verdict.interval(evidence.strategy_scores - evidence.baseline_scores, 0.05 / 5)
    assert cell["ci"] == pytest.approx(at_a_fifth)
    assert "read once before its seeds grew: judged at alpha / 5" in table(capsys, tmp_path)
    grow(tmp_path, 10, created="2125-01-03T00:00:00+00:00")
    for _ in range(2):  # the same reading again is none
        assert said(capsys, tmp_path)["cells"][0]["readings"] == 2
    assert "read 2 times before its seeds grew: judged at alpha / 25" in table(capsys, tmp_path)


def test_a_plan_read_in_pieces_is_no_growth(tmp_path, capsys):
    everything = write_runs(tmp_path, "scratch", 0.5, seeds=10) + write_runs(
        tmp_path, "fine_tuning", 0.9, seeds=10
    )
    write_plan(tmp_path, "ten", everything)
    late = tmp_path.with_name(f"{tmp_path.name}-late")
    late.mkdir()
    for job in everything:
        if job["seed"] >= 5:
            (tmp_path / job["fingerprint"]).rename(late / job["fingerprint"])
    assert said(capsys, tmp_path)["cells"][0]["seeds"] == 5
    for folder in list(late.iterdir()):
        folder.rename(tmp_path / folder.name)
    [cell] = said(capsys, tmp_path)["cells"]
    assert (cell["seeds"], cell["readings"]) == (10, 0)


def test_a_plan_that_was_made_longer_after_a_reading_is_growth(tmp_path, capsys):
    grow(tmp_path, 5, name="study")
    said(capsys, tmp_path)
    grow(tmp_path, 10, name="study")
    assert said(capsys, tmp_path)["cells"][0]["readings"] == 1


def test_without_a_log_every_plan_is_taken_to_have_been_read(tmp_path, capsys):
    for number, seeds in enumerate((5, 7, 10)):
        grow(tmp_path, seeds, created=f"2025-01-0{number + 1}T00:00:00+00:00")
    for _ in range(2):  # which the log, begun meanwhile, does not make undone
        assert said(capsys, tmp_path)["cells"][0]["readings"] == 2


def test_a_reading_against_another_baseline_is_one_of_another_cell_and_in_another_metric_of_the_same(
    tmp_path, capsys
):
    def more(seeds: int) -> None:
        grow(tmp_path, seeds)
        write_runs(tmp_path, "source_only", 0.2, seeds=seeds)

    more(5)
    said(capsys, tmp_path, "--baseline", "source_only")
    more(7)
    assert [cell["readings"] for cell in said(capsys, tmp_path)["cells"]] == [0, 0]
    more(9)
    assert [cell["readings"] for cell in said(capsys, tmp_path, "--metric", "brier")["cells"]] == [1, 1]


def test_only_what_is_shown_is_read(tmp_path, capsys):
    grow(tmp_path, 5, name="first")
    write_plan(tmp_path, "other", write_runs(tmp_path, "linear_probe", 0.6), LATER)
    said(capsys, tmp_path / "sweeps" / "other")
    grow(tmp_path, 7, name="second", created="2125-02-01T00:00:00+00:00")
    readings = {cell["strategy"]: cell["readings"] for cell in said(capsys, tmp_path)["cells"]}
    assert readings == {"fine_tuning": 0, "linear_probe": 0}


def test_a_comparison_that_is_refused_has_read_nothing(tmp_path, capsys):
    grow(tmp_path, 5, name="first")
    write_runs(tmp_path, "dann", 0.9, source="faxes", protocol="transductive")
    assert main(["compare", str(tmp_path)]) == 2
    assert "--protocol" in capsys.readouterr().err
    grow(tmp_path, 7)
    assert [cell["readings"] for cell in said(capsys, tmp_path, "--protocol", "inductive")["cells"]] == [0]


def test_a_claim_that_more_seeds_undo_is_taken_back(tmp_path, capsys):
    write_plan(
        tmp_path, "lucky", write_runs(tmp_path, "scratch", 0.5) + write_runs(tmp_path, "fine_tuning", 2.0)
    )
    assert said(capsys, tmp_path)["cells"][0]["verdict"] == "positive"
    turned = write_runs(tmp_path, "scratch", 0.5, seeds=10)
    for seed in range(5, 10):  # the same arm, on seeds that do badly
        turned += [job for job in write_runs(tmp_path, "fine_tuning", -1.0, seeds=10) if job["seed"] == seed]
    write_runs(tmp_path, "fine_tuning", 2.0)
    write_plan(tmp_path, "more", turned, LATER)
    answer = said(capsys, tmp_path)
    [row], [cell] = answer["taken_back"], answer["cells"]
    assert cell["verdict"] == "undecided"
    assert [row[key] for key in ("strategy", "told", "told_seeds", "verdict", "seeds")] == [
        "fine_tuning",
        "positive",
        5,
        "undecided",
        10,
    ]
    line = (
        "taken back: fine_tuning, printed → handwritten, labels 10: positive at 5 seeds, undecided now at 10"
    )
    assert line in table(capsys, tmp_path)
    assert said(capsys, tmp_path, "--alpha", "0.04")["taken_back"] == []  # by other rules nothing was told
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "page.html")]) == 0
    assert "positive at 5 seeds, undecided now at 10" in (tmp_path / "page.html").read_text()


def test_a_claim_that_a_grown_family_undoes_is_taken_back(tmp_path, capsys):
    grow(tmp_path, 5, name="sweep-00000001", skill=0.9)
    [alone] = compare(tmp_path).cells
    alpha = str(1.5 * alone.p_adjusted)
    assert said(capsys, tmp_path, "--alpha", alpha)["cells"][0]["verdict"] == "positive"
    for number in range(8):
        write_runs(tmp_path, "dann", 0.5, consumed={"strategy": {"trade_off": number}})
    answer = said(capsys, tmp_path, "--alpha", alpha)
    assert [(row["told_family_size"], row["family_size"]) for row in answer["taken_back"]] == [(1, 9)]
    assert {cell["readings"] for cell in answer["cells"]} == {0}


def test_a_store_that_can_only_be_read_is_judged_as_if_read_once_more(tmp_path, capsys):
    grow(tmp_path, 5)
    with read_only(tmp_path):
        answer = said(capsys, Path("."))
    [warning] = answer["warnings"]
    assert warning == (
        "readings: cannot be written (Permission denied): every cell is judged as if it had been read "
        "once more"
    )
    assert answer["cells"][0]["readings"] == 1
    assert (
        "read once before its seeds grew, one of these for the log of readings"
        in answer["cells"][0]["flags"][0]
    )
    grow(tmp_path, 7)
    assert said(capsys, tmp_path)["cells"][0]["readings"] == 0  # nobody knows of the first


def test_a_damaged_log_is_said_and_what_is_left_of_it_counts(tmp_path, capsys):
    grow(tmp_path, 5)
    said(capsys, tmp_path)
    (tmp_path / "readings" / "half.jsonl").write_text('{"read": "ab", "seeds": [0, 1')
    grow(tmp_path, 7)
    answer = said(capsys, tmp_path)
    assert answer["cells"][0]["readings"] == 2
    assert [warning.partition(": ")[2] for warning in answer["warnings"]] == [
        "damaged: every cell is judged as if it had been read once more"
    ]


def test_a_copy_takes_its_log_along(tmp_path, capsys):
    grow(tmp_path / "a", 5)
    said(capsys, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    grow(tmp_path / "b", 7)
    assert said(capsys, tmp_path / "b")["cells"][0]["readings"] == 1


def test_contrasts_pay_for_readings_too(tmp_path, capsys):
    def grown(seeds: int) -> None:
        grow(tmp_path, seeds)
        write_runs(tmp_path, "fine_tuning", 0.6, seeds=seeds, consumed={"source_label_noise": 1.0})

    grown(5)
    said(capsys, tmp_path)
    grown(7)
    shutil.copytree(tmp_path, tmp_path / "unread", ignore=shutil.ignore_patterns("readings", "sweeps"))
    [row, *_], [unread, *_] = (said(capsys, store)["contrasts"] for store in (tmp_path, tmp_path / "unread"))
    assert any("judged at alpha / 5" in note for note in row["notes"])
    assert row["p_adjusted"] == pytest.approx(min(1, 5 * unread["p_adjusted"]))


def test_who_wants_seeds_is_told_the_better_command_first(tmp_path, capsys):
    jobs = [write_run(tmp_path, "scratch", seed, 0.5, n=2000, item_effect=0.0) for seed in range(5)]
    for seed, skill in enumerate((0.9, 0.4, 1.2, 0.5, 0.8)):
        jobs.append(write_run(tmp_path, "fine_tuning", seed, skill, n=2000, item_effect=0.0))
    write_plan(tmp_path, "study", jobs)
    assert said(capsys, tmp_path)["cells"][0]["reason"].startswith("more seeds: about ")
    expected = table(capsys, tmp_path)
    best = expected.index("--until-decided 'until_decided.looks=[5,10,20]'")
    other = expected.index("judged at a fifth of this one's level")
    assert best < other
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "page.html")]) == 0
    assert "--until-decided" in (tmp_path / "page.html").read_text()


def test_looks_are_advised_as_far_as_seeds_are_wanted():
    def cell(reason: str) -> SimpleNamespace:
        return SimpleNamespace(reason=reason)

    assert advice([cell(""), cell("budget: more than 100 seeds")]) == []
    assert (
        "looks=[15,30,60]'"
        in advice([cell("more seeds: about 12 in all"), cell("more seeds: about 57 in all; few items: 3")])[0]
    )
