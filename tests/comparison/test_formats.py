"""What `transferscope compare` prints, and how it refuses."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from store_fixture import write_store
from transferscope.cli.main import main
from transferscope.comparison.baselines import BASELINES
from transferscope.comparison.compare import compare
from transferscope.report.page import render
from transferscope.tasks.metrics import judged_metrics

FIXED_KEYS = {
    "source", "target", "label_budget", "backbone", "initialisation", "strategy", "variant", "baseline",
    "metric", "selection", "protocol", "delta", "ci", "p_adjusted", "verdict", "mde", "seeds", "items",
    "item_unit", "ci_simultaneous", "reason", "conditional_on",
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "runs")


def test_json_has_the_fixed_keys_and_plain_values(store):
    answer = json.loads(
        compare(store).to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON")
    )
    assert {"cells", "missing", "failed", "not_applicable", "settings", "warnings"} <= answer.keys()
    assert all(cell.keys() >= FIXED_KEYS for cell in answer["cells"])
    assert all("evidence" not in cell for cell in answer["cells"])
    budgets = {cell["label_budget"] for cell in answer["cells"]}
    assert budgets == {2, 10}
    assert answer["cells"][0]["ci"][0] < answer["cells"][0]["delta"] < answer["cells"][0]["ci"][1]


def test_csv_reads_back(store):
    comparison = compare(store)
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert [row["verdict"] for row in rows] == [cell.verdict for cell in comparison]
    assert {row["unit"] for row in rows} == {"points"}
    assert [float(row["ci_low"]) for row in rows] == pytest.approx(
        [100 * cell.ci[0] for cell in comparison], abs=1e-4
    )


@pytest.mark.parametrize("metric", ["macro_f1", "nll"])
def test_terminal_page_and_csv_show_the_same_numbers(store, metric):
    comparison = compare(store, metric=metric)
    table, page = " ".join(comparison.to_table(200).split()), render(comparison)
    for row in csv.DictReader(io.StringIO(comparison.to_csv())):
        digits = 1 if row["unit"] == "points" else 3
        low, delta, high = (
            f"{float(row[key]):+.{digits}f}".replace("-", "−")
            for key in ("ci_simultaneous_low", "delta", "ci_simultaneous_high")
        )
        assert f"{delta} [{low}, {high}]" in table
        assert delta in page and f"[{low}, {high}]" in page
        assert f"Δ {row['unit']} [95 %]" in table


def test_markdown_is_one_table(store):
    lines = [line for line in compare(store).to_markdown().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 15
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_reads_without_colour_and_fits(store, width):
    text = compare(store).to_table(width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    for verdict in ("positive", "negative", "undecided"):
        assert verdict in text
    assert "baseline scratch · metric accuracy · selection last · margin ±1 point" in text
    assert "…" not in text
    flowing = re.sub(r"\s+", " ", text)
    assert "Against scratch, transfer helps in 3 cells, hurts in 3 (negative transfer)" in flowing
    assert "missing: fine_tuning, letters → handwritten, labels 10, seed 4" in flowing
    assert (
        "failed: fine_tuning, letters → handwritten, labels 10, seed 3: RuntimeError: the disk is full"
        in flowing
    )


def test_colour_is_only_added(store):
    comparison = compare(store)
    coloured = comparison.to_table(140, colour=True)
    assert "\x1b[32m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == comparison.to_table(140)


def test_the_verb_prints_json_alone(store, capsys):
    assert main(["compare", str(store), "--format", "json"]) == 0
    out = capsys.readouterr()
    assert len(json.loads(out.out)["cells"]) == 15 and out.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "RUNS=nowhere: no such folder"),
        (["."], "holds no runs"),
        (["STORE", "--baseline", "scrach"], "did you mean 'scratch'?"),
        (["STORE", "--baseline", "scratch:trainer.step=3"], "did you mean 'trainer.steps'?"),
        (["STORE", "--baseline", "scratch:trainer.steps"], "not KEY=VALUE"),
        (
            ["STORE", "--metric", "f1"],
            "accuracy, macro_f1, balanced_accuracy, macro_precision, auroc, nll, brier",
        ),
        (["STORE", "--metric", "ece"], "never judged"),
        (["STORE", "--selection", "best"], "last, source_val, target_val, oracle"),
        (["STORE", "--format", "yaml"], "table, json, csv, markdown"),
        (["STORE", "--alpha", "5"], "between 0 and 1"),
        (["STORE", "--margin", "nan"], "--margin nan"),
        (["STORE", "--margin", "wide"], "--margin wide"),
        (["STORE", "--margin", "1"], "at least 0 and below 1"),
        (["STORE", "--margin", "relative:2"], "relative:0.1 for a tenth"),
        (["STORE", "--items", "fix"], "did you mean 'fixed'?"),
        (["STORE", "--correction", "bonferroni"], "holm, bh"),
        (["STORE", "--wide"], "unrecognized arguments: --wide"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(store, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["compare", *(str(store) if argument == "STORE" else argument for argument in arguments)]) == 2
    )
    out = capsys.readouterr()
    assert out.out == "" and out.err.count("\n") == 1 and said in out.err


def test_help_names_the_verb_and_every_option(capsys):
    assert main(["compare", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Verdicts from run records")
    assert all(
        f"--{option}" in text
        for option in (
            "baseline",
            "metric",
            "selection",
            "margin",
            "alpha",
            "items",
            "correction",
            "format",
            "track",
        )
    )
    assert all(name in text.split() for name in (*BASELINES, *judged_metrics()))


def test_nothing_heavy_is_imported(store):
    code = (
        "import sys; from transferscope.cli.main import main; [main(['compare', sys.argv[1], '--format', "
        "f]) for f in ('table', 'json')];"
        "heavy = {'torch', 'pytorch_lightning', 'wandb', 'pandas', 'matplotlib', 'hydra', 'omegaconf', "
        "'sklearn'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2] / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(store)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
