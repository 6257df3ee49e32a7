"""Runs in which nothing is drawn from the seed: which they are, that several seeds are one run, and what a
comparison makes of them."""

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from scipy import stats

from transferscope.cli.main import main
from transferscope.comparison.compare import compare
from transferscope.store import record
from transferscope.training.request import Request, resolve

CONF = Path(__file__).parents[1] / "conf"
PAIR = (
    "target=blobs",
    "source=blobs_shifted",
    "trainer.steps=1",
    "trainer.evaluations=1",
    "trainer.source_steps=2",
    "tracking=off",
)


def asked(*overrides: str) -> Request:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return resolve(
            compose(
                "config",
                overrides=[*PAIR, "backbone=identity", "strategy=coral", "label_budget=0", *overrides],
            )
        )


def test_every_seed_of_a_closed_form_on_given_features_is_one_run():
    one, other = asked("seed=0"), asked("seed=4")
    assert one.deterministic and one.fingerprint == other.fingerprint
    assert one.consumed["seed"] is None and other.config["seed"] == 0


@pytest.mark.parametrize(
    "drawn",
    [
        ["label_budget=2"],  # which items are labelled
        ["label_budget=full"],  # which are set aside for validation
        ["source_label_noise=0.5"],
        ["fold=0"],
        ["initialisation=source"],
        ["backbone=mlp"],
        ["strategy=source_only"],
        ["strategy=dann"],
    ],
)
def test_what_draws_from_the_seed_is_another_run_for_another_seed(drawn):
    one, other = asked(*drawn, "seed=0"), asked(*drawn, "seed=4")
    assert not one.deterministic and one.fingerprint != other.fingerprint
    assert one.consumed["seed"] == 0 and other.config["seed"] == 4


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Two deterministic arms and one that is not, three seeds asked for."""
    store = tmp_path_factory.mktemp("runs")
    sweep = ("label_budget=0", "backbone=identity", "seed=range(0,3)", f"store={store}")
    assert main(["run", "-m", *PAIR, "strategy=coral,source_nearest_neighbour,source_only", *sweep]) == 0
    return store


def test_a_sweep_over_seeds_runs_it_once_and_its_record_says_so(store):
    found = {}
    for folder in record.run_folders(store):
        entry = record.read_record(folder)
        found.setdefault(entry["cell"]["strategy"], []).append(
            (entry["seed"], entry.get("deterministic", False))
        )
    assert sorted(found["source_only"]) == [(0, False), (1, False), (2, False)]
    assert found["coral"] == found["source_nearest_neighbour"] == [(0, True)]
    [plan] = record.read_plans(store)
    assert len(plan["jobs"]) == len({job["fingerprint"] for job in plan["jobs"]}) == 5


def test_between_two_of_them_only_the_test_items_are_left_to_chance(store):
    (cell,) = compare(store, baseline="source_nearest_neighbour")
    d = (cell.evidence.strategy_scores - cell.evidence.baseline_scores)[0]
    assert (cell.strategy, cell.seeds) == ("coral", 1) and cell.delta == pytest.approx(d.mean())
    assert cell.ci is not None and "training_set" in cell.conditional_on
    assert any(flag.startswith("given the training set") for flag in cell.flags)
    # scores of 0 and 1: their squares and fourth powers are one
    padded, differing = (np.r_[d, 1, -1], np.sum(d**2))
    half = stats.t.ppf(0.975, min(len(d) + 1, 2 + differing)) * padded.std(ddof=1) / len(padded) ** 0.5
    assert cell.ci == pytest.approx((d.mean() - half, d.mean() + half))


def test_beside_an_arm_that_draws_it_stands_for_every_seed(store):
    cells = {cell.strategy: cell for cell in compare(store, baseline="source_only")}
    assert cells["coral"].seeds == 3 and "training_set" not in cells["coral"].conditional_on
    assert np.ptp(cells["coral"].evidence.strategy_scores, axis=0).max() == 0


def test_seeds_until_decided_asks_for_it_once(tmp_path, capsys):
    words = [
        "label_budget=0",
        "backbone=identity",
        f"store={tmp_path}",
        "until_decided.looks=[3]",
        "until_decided.baseline=source_only",
    ]
    assert main(["run", "-m", *PAIR, "strategy=coral,source_only", *words, "--until-decided"]) == 0
    assert len(record.run_folders(tmp_path)) == 4
