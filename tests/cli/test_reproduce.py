"""transferscope reproduce: published numbers beside ours."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from store_fixture import write_plan, write_run, write_runs
from transferscope.cli import reproduce
from transferscope.cli.main import main
from transferscope.errors import RequestError
from transferscope.statistics.effect import estimate, estimate_over_items
from transferscope.store.record import read_plans

SURF = "office_caltech_surf"
ROW = {
    "source": "printed", "target": "handwritten", "label_budget": "10", "backbone": "small_cnn",
    "initialisation": "random", "strategy": "dann", "value": "0.8", "unit": "accuracy", "n_test": "300",
    "seeds": "5", "tolerance": "0.02", "protocol": "inductive", "cited": "table 1",
}  # fmt: skip


@pytest.fixture
def published(tmp_path):
    """published(row, ...): read back from a file of these rows, each ROW with changes. header: in the place
    of the columns."""

    def read(*rows: dict, header: tuple[str, ...] = reproduce.COLUMNS) -> list[reproduce.Published]:
        path = tmp_path / "published.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *([*(ROW | row).values()][: len(header)] for row in rows)])
        return reproduce.read_published(path)

    return read


def ours(store: Path, strategy: str, skill: float, seeds: int = 5, **choices) -> np.ndarray:
    """Runs of one cell, in the plan "paper" beside what is there; their scores [K, n]."""
    jobs = [write_run(store, strategy, seed, skill, **choices) for seed in range(seeds)]
    before = [job for plan in read_plans(store) for job in plan["jobs"]]
    write_plan(store, "paper", [*before, *jobs])
    scores = []
    for job in jobs:
        with np.load(store / job["fingerprint"] / "evaluations.npz") as members:
            scores.append(
                members["handwritten/test/probabilities/000300"].argmax(1)
                == members["handwritten/test/labels"]
            )
    return np.array(scores, dtype=float)


def test_a_cell_is_the_mean_over_seeds_with_the_interval_of_the_verdicts(tmp_path, published):
    scores = ours(tmp_path, "dann", 1.0)
    (row,) = reproduce.compared_rows(published({"value": f"{scores.mean() + 0.01:.6f}"}), tmp_path, "paper")
    assert row["cell"] == {key: ROW[key] for key in reproduce.CELL} | {
        "label_budget": 10,
        "protocol": "inductive",
    }
    assert row["ours"] == pytest.approx(scores.mean()) and row["ci"] == pytest.approx(
        estimate(scores).interval(0.05)
    )
    assert row["inside"] and row["tolerance"] == 0.02


@pytest.mark.parametrize(
    ("off", "tolerance", "inside"),
    [(0.02, "0.02", True), (0.021, "0.02", False), (-0.03, "0.02", False), (0, "0", True)],
)
def test_inside_is_a_distance_of_at_most_the_tolerance(tmp_path, published, off, tolerance, inside):
    scores = ours(tmp_path, "dann", 1.0, seeds=1)
    (row,) = reproduce.compared_rows(
        published({"value": repr(float(scores.mean() + off)), "tolerance": tolerance}), tmp_path, "paper"
    )
    assert row["inside"] is inside
    assert row["ci"] == pytest.approx(estimate_over_items(scores[0]).interval(0.05))


def test_a_mean_is_over_the_cells_of_its_strategy(tmp_path, published):
    means = [
        ours(tmp_path, "dann", skill, source=source).mean()
        for skill, source in ((0.5, "printed"), (1.5, "drawn"))
    ]
    ours(tmp_path, "joint", 0.0)
    mean = {"source": "mean", "target": "mean"}
    rows = reproduce.compared_rows(
        published({}, {"source": "drawn"}, mean, {"strategy": "joint"}), tmp_path, "paper"
    )
    assert rows[2]["ours"] == pytest.approx(np.mean(means)) and rows[2]["cell"]["source"] == "mean"


def test_a_selection_rule_is_compares_and_an_arm_that_it_cannot_choose_for_says_so(tmp_path, published):
    ours(tmp_path, "dann", 1.0, peak=200)  # best at step 200, evaluated to 300
    ours(tmp_path, "scratch", 1.0, source=None, peak=200)
    rows = published({}, {"strategy": "scratch", "source": ""})
    last, by_oracle, by_source = (
        reproduce.compared_rows(rows, tmp_path, "paper", rule) for rule in ("last", "oracle", "source_val")
    )
    assert [[row["selection"] for row in made] for made in (last, by_oracle, by_source)] == [
        ["last"] * 2,
        ["oracle"] * 2,
        ["source_val", "last"],
    ]
    assert all(best["ours"] > end["ours"] for best, end in zip(by_oracle, last, strict=True))
    assert by_source[1] == last[1]
    with pytest.raises(RequestError, match="line 2: .*strategy=dann .*: snd: "):
        reproduce.compared_rows(rows, tmp_path, "paper", "snd")  # these runs kept no label-free value


def test_items_in_groups_count_once_each_and_are_no_more_evidence_than_their_groups(tmp_path, published):
    scores = ours(tmp_path, "dann", 1.0, group_size=10)
    (row,) = reproduce.compared_rows(published({}), tmp_path, "paper")
    assert row["ours"] == pytest.approx(scores.mean())
    assert row["ci"][1] - row["ci"][0] > np.diff(estimate(scores).interval(0.05))[0]


def test_what_the_sweep_did_not_ask_for_is_no_part_of_it(tmp_path, published):
    scores = ours(tmp_path, "dann", 1.0)
    write_runs(tmp_path, "dann", 0.0, consumed={"trainer": {"steps": 999}})  # the same cell from elsewhere
    (row,) = reproduce.compared_rows(published({}), tmp_path, "paper")
    assert row["ours"] == pytest.approx(scores.mean())


def test_a_cell_without_a_result_is_a_miss(tmp_path, published):
    write_plan(tmp_path, "paper", [write_run(tmp_path, "dann", 0, 1.0, status="failed", reason="memory")])
    (row,) = reproduce.compared_rows(published({}), tmp_path, "paper")
    assert (row["ours"], row["ci"], row["inside"]) == (None, None, False)
    reproduce.print_table([row])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"value": "80.3"}, "line 2: value=80.3; a fraction between 0 and 1 is needed, not percent: 0.803"),
        ({"tolerance": "2"}, "line 2: tolerance=2; a fraction between 0 and 1 is needed"),
        ({"value": "high"}, "line 2: value=high; a number is needed"),
        ({"unit": "percent"}, "line 2: unit=percent; allowed: accuracy"),
        ({"protocol": "both"}, "line 2: protocol=both; allowed"),
        ({"n_test": ""}, "line 2: n_test="),
        ({"source": "mean"}, "line 2: source=mean, target=handwritten; mean stands for both"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(published, row, said):
    with pytest.raises(RequestError, match=said):
        published(row)


@pytest.mark.parametrize("column", ["tolerance", "source"])
def test_a_missing_column_is_named(published, column):
    header = list(reproduce.COLUMNS)
    header.remove(column)
    with pytest.raises(RequestError, match=f"column {column} is missing; needed: source,target,"):
        published({}, header=tuple(header))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"strategy": "dan"}, "line 2: .*strategy=dan protocol=inductive: the experiment has no such cell"),
        ({"protocol": "transductive"}, "the experiment has no such cell"),
        ({"n_test": "301"}, "n_test=301, and the experiment tests on 300 items"),
        ({"source": "mean", "target": "mean"}, "line 2: mean of no cell"),
    ],
)
def test_a_line_that_is_no_cell_of_the_experiment_is_refused(published, row, said):
    cell = {key: ROW[key] for key in reproduce.CELL} | {"label_budget": 10, "protocol": "inductive"}
    reproduce.check_cells(published({}), [(cell, 300)])
    with pytest.raises(RequestError, match=said):
        reproduce.check_cells(published(row), [(cell, 300)])


def test_a_cell_that_the_sweep_has_not_or_has_in_two_variants_is_refused(tmp_path, published):
    ours(tmp_path, "dann", 1.0)
    with pytest.raises(RequestError, match="line 2: .*the sweep has no such cell"):
        reproduce.compared_rows(published({"strategy": "dan"}), tmp_path, "paper")
    ours(tmp_path, "dann", 1.0, consumed={"trainer": {"steps": 999}})
    with pytest.raises(RequestError, match="line 2: .*the sweep has 2 variants of it"):
        reproduce.compared_rows(published({}), tmp_path, "paper")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["demo"], f"no experiment with published values ({', '.join(reproduce.reproducible())})"),
        (["office_caltech_serf"], f"did you mean '{SURF}'?"),
        ([], f"one experiment is needed, of {', '.join(reproduce.reproducible())}"),
        ([SURF, "--format", "xml"], "--format xml: not one of table, json"),
        (
            [SURF, "--selection", "orakel"],
            "--selection orakel: not one of last, source_val, target_val, oracle",
        ),
        ([SURF, "trainer.stops=3"], "trainer.stops: no such key; did you mean 'steps'?"),
        ([SURF, "data_root=nowhere"], "no file nowhere/office_caltech10_surf/"),
    ],
)
def test_a_wrong_request_is_one_line(words, said, tmp_path, capsys):
    assert main(["reproduce", *words, f"store={tmp_path}"]) == 2
    out, err = capsys.readouterr()
    assert said in err and len(err.splitlines()) == 1 and not out


@pytest.mark.parametrize("name", reproduce.reproducible())
def test_without_the_data_it_says_where_to_get_it_and_where_it_goes(name, tmp_path, capsys):
    """And nothing has been trained."""
    assert main(["reproduce", name, f"data_root={tmp_path}/data", f"store={tmp_path}/runs"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert f"{tmp_path}/data" in err and "comes from http" in err and "data_root=FOLDER" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("source,target,", "source,"), "column target is missing"),
        ((",pca,", ",pla,"), "strategy=pla protocol=transductive: the experiment has no such cell"),
        (("0.2370", "23.70"), "a fraction between 0 and 1 is needed, not percent: 0.237"),
    ],
)
def test_a_damaged_table_is_one_line_before_anything_is_trained(
    change, said, data_root, tmp_path, monkeypatch, capsys
):
    text = reproduce.table_of(SURF).read_text()
    (tmp_path / "published.csv").write_text(text.replace(*change, 1))
    monkeypatch.setattr(reproduce, "table_of", lambda name: tmp_path / "published.csv")
    assert main(["reproduce", SURF, f"data_root={data_root}", f"store={tmp_path}/runs"]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_two_strategies_of_the_surf_table_on_one_task(data_root, tmp_path, monkeypatch, capsys):
    """Webcam to dslr, the published table's own lines; the grid is cut to it."""
    lines = reproduce.table_of(SURF).read_text().splitlines()
    task = f"{SURF}_webcam_whole,{SURF}_dslr_whole"
    chosen = [
        line
        for line in lines
        if line.startswith(task) and line.split(",")[5] in ("source_nearest_neighbour", "pca")
    ]
    (tmp_path / "published.csv").write_text("\n".join([lines[0], *chosen]))
    monkeypatch.setattr(reproduce, "table_of", lambda name: tmp_path / "published.csv")
    pair = f"source:{SURF}_webcam_whole,target:{SURF}_dslr_whole"
    grid = f"hydra.sweeper.grids=[{{{pair},strategy:'source_nearest_neighbour,pca'}}]"
    assert (
        main(
            [
                "reproduce",
                SURF,
                grid,
                f"data_root={data_root}",
                f"store={tmp_path / 'runs'}",
                "--format",
                "json",
            ]
        )
        == 0
    )
    rows = json.loads(capsys.readouterr().out)
    assert [row["inside"] for row in rows] == [True, True]
    assert [row["ours"] for row in rows] == pytest.approx([93 / 157, 121 / 157])
    assert all(row["ci"][0] < row["ours"] < row["ci"][1] for row in rows)


def test_the_published_tables_can_be_read_and_their_strategies_are_there():
    from transferscope.catalog import registry

    for name in reproduce.reproducible():
        rows = reproduce.read_published(reproduce.table_of(name))
        assert {row.cell["strategy"] for row in rows} <= registry.choices("strategy").keys()


MADE = sorted(Path(__file__).parents[2].glob("experiments/*/results/reproduced.json"))


@pytest.mark.parametrize("path", MADE, ids=[path.parts[-3] for path in MADE])
def test_a_committed_reproduction_is_of_the_published_values_as_they_are_now(path):
    """Else: transferscope reproduce NAME --format json > experiments/NAME/results/reproduced.json, and make
    docs."""
    rows = reproduce.read_published(path.parents[1] / "published.csv")
    made = [(row["cell"], row["published"], row["tolerance"]) for row in json.loads(path.read_text())]
    assert made == [({**row.cell, "protocol": row.protocol}, row.value, row.tolerance) for row in rows]


def test_a_committed_reproduction_calls_inside_what_is():
    for path in MADE:
        for row in json.loads(path.read_text()):
            near = row["ours"] is not None and abs(row["ours"] - row["published"]) <= row["tolerance"] + 1e-9
            assert row["inside"] is near, f"{path}: {row['cell']}"
