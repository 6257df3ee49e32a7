"""Cells that were trained for longer: which length is compared, and what stays as it was."""

import numpy as np
import pytest

from store_fixture import accuracy, missing_job, write_plan, write_run, write_runs
from transferscope.comparison.compare import compare

SEEDS = 5


def longer(store, planned, strategy, skill, times, seeds=SEEDS, **choices):
    """The jobs of a plan for longer trainings of these planned ones, with their runs."""
    steps = tuple(times * step for step in (0, 100, 200, 300))
    jobs = [write_run(store, strategy, seed, skill, steps=steps, **choices) for seed in range(seeds)]
    return [
        {**job, "lengthens": {"run": base["fingerprint"], "times": times}}
        for job, base in zip(jobs, planned, strict=False)
    ]


@pytest.fixture
def settled(tmp_path):
    """(store, jobs by arm and length): scratch and fine_tuning at 1, 2 and 4 times the steps, dann as
    planned."""
    jobs = {
        (strategy, 1): write_runs(tmp_path, strategy, skill)
        for strategy, skill in (("scratch", 0.5), ("fine_tuning", 1.0), ("dann", -0.8))
    }
    for times in (2, 4):
        for strategy, skill in (("scratch", 0.5 + 0.2 * times), ("fine_tuning", 1.0 + 0.5 * times)):
            jobs[strategy, times] = longer(tmp_path, jobs[strategy, 1], strategy, skill, times)
    write_plan(tmp_path, "mine", [job for some in jobs.values() for job in some])
    return tmp_path, jobs


def cells_of(store, **options):
    return {cell.strategy: cell for cell in compare(store, **options)}


def score(store, jobs, step):
    return np.mean([accuracy(store, job["fingerprint"], step) for job in jobs])


def test_a_cell_is_held_to_the_longest_pair_and_says_so(settled):
    store, jobs = settled
    comparison = compare(store)
    assert len(comparison) == 2 and not comparison.missing  # the lengths of an arm are no cells of their own
    cells = {cell.strategy: cell for cell in comparison}
    tuned = cells["fine_tuning"]
    assert tuned.strategy_score == pytest.approx(score(store, jobs["fine_tuning", 4], 1200))
    assert tuned.baseline_score == pytest.approx(score(store, jobs["scratch", 4], 1200))
    assert (tuned.times_steps, tuned.family, tuned.family_size) == (
        4,
        "mine/handwritten/scratch/accuracy/inductive",
        2,
    )
    assert tuned.flags == [
        "both arms trained for 4 times the steps planned: at that length they had not finished (--settle)"
    ]
    assert cells["dann"].times_steps == 1 and not any(
        "times the steps" in flag for flag in cells["dann"].flags
    )
    assert cells["dann"].baseline_score == pytest.approx(score(store, jobs["scratch", 1], 300))
    assert tuned.variant == cells["dann"].variant == ""
    assert {cell.strategy for cell in compare(store / "sweeps" / "mine")} == {"fine_tuning", "dann"}


def test_half_a_longer_training_is_no_evidence_yet(settled):
    store, jobs = settled
    lost = jobs["fine_tuning", 4][3]
    for file in (store / lost["fingerprint"]).iterdir():
        file.unlink()
    (store / lost["fingerprint"]).rmdir()
    comparison = compare(store)
    cells = {cell.strategy: cell for cell in comparison}
    assert (
        cells["fine_tuning"].times_steps,
        cells["fine_tuning"].seeds,
        cells["fine_tuning"].family_size,
    ) == (2, SEEDS, 2)
    [missing] = comparison.missing
    assert (missing["fingerprint"], missing["seed"]) == (lost["fingerprint"], 3)


def test_a_longer_training_without_any_run_is_no_cell(tmp_path):
    base, tuned = write_runs(tmp_path, "scratch", 0.5), write_runs(tmp_path, "fine_tuning", 1.0)
    lost = missing_job(tmp_path, "fine_tuning", 0, consumed={"trainer": {"steps": 600}})
    write_plan(
        tmp_path, "mine", [*base, *tuned, {**lost, "lengthens": {"run": tuned[0]["fingerprint"], "times": 2}}]
    )
    comparison = compare(tmp_path)
    assert [(cell.strategy, cell.times_steps, cell.family_size) for cell in comparison] == [
        ("fine_tuning", 1, 1)
    ]
    assert [row["fingerprint"] for row in comparison.missing] == [lost["fingerprint"]]


def test_an_arm_that_has_more_seeds_than_it_shares_is_held_to_those(tmp_path):
    base, tuned = write_runs(tmp_path, "scratch", 0.5, seeds=8), write_runs(tmp_path, "fine_tuning", 1.0)
    more = [*longer(tmp_path, base, "scratch", 0.9, 2), *longer(tmp_path, tuned, "fine_tuning", 1.5, 2)]
    write_plan(tmp_path, "mine", [*base, *tuned, *more])
    assert cells_of(tmp_path)["fine_tuning"].times_steps == 2


def test_what_another_plan_asks_for_itself_is_a_cell_of_its_own_too(settled):
    store, jobs = settled
    asked = [
        {key: value for key, value in job.items() if key != "lengthens"}
        for job in [*jobs["scratch", 2], *jobs["fine_tuning", 2]]
    ]
    write_plan(store, "other", asked, created="2025-02-01T00:00:00+00:00")
    cells = {(cell.strategy, cell.variant): cell for cell in compare(store)}
    assert cells["fine_tuning", "trainer.steps=300"].times_steps == 4
    own = cells["fine_tuning", "trainer.steps=600"]
    assert (own.times_steps, own.family.partition("/")[0], own.family_size) == (1, "other", 1)
    assert own.strategy_score == pytest.approx(score(store, jobs["fine_tuning", 2], 600))


def test_without_such_a_plan_other_steps_are_other_cells(tmp_path):
    for times in (1, 2):
        for strategy, skill in (("scratch", 0.5), ("fine_tuning", 1.0)):
            write_runs(tmp_path, strategy, skill, steps=tuple(times * step for step in (0, 100, 200, 300)))
    assert [(cell.variant, cell.times_steps) for cell in compare(tmp_path)] == [
        ("trainer.steps=300", 1),
        ("trainer.steps=600", 1),
    ]


def test_contrasts_compare_the_longest_too(settled):
    store, jobs = settled
    noise = {"source_label_noise": 1.0}
    shuffled = write_runs(store, "fine_tuning", 0.2, consumed=noise)
    more = longer(store, shuffled, "fine_tuning", 0.4, 4, consumed={**noise})
    write_plan(store, "mine", [*(job for some in jobs.values() for job in some), *shuffled, *more])
    labels = next(
        row
        for row in compare(store).contrasts
        if row.strategy == "fine_tuning" and row.contrast == "strategy − shuffled_source"
    )
    assert labels.delta == pytest.approx(
        score(store, jobs["fine_tuning", 4], 1200) - score(store, more, 1200)
    )
