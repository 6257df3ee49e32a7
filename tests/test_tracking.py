"""What W&B is told, read back with W&B's own reader (`wandb leet inspect`) from the files a run leaves."""

import inspect
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.metrics import precision_recall_fscore_support

import wandb_stub
from dropped_outputs import rewrite
from store_fixture import write_run
from transferscope import tracking
from transferscope.comparison.compare import compare
from transferscope.comparison.evidence import tables
from transferscope.errors import RequestError
from transferscope.store.excerpts import write_excerpts
from transferscope.store.record import read_record
from transferscope.tracking.aliases import with_aliases
from transferscope.tracking.charts import enlarged

ROOT = Path(__file__).parent.parent
KEY = "0123456789" * 4
TEST = "handwritten/test"
ACCURACY = f"{TEST}/accuracy"


@pytest.fixture(autouse=True)
def nobodys_account(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    (tmp_path / "home").mkdir()


@pytest.fixture
def store(tmp_path):
    return tmp_path / "runs"


def track(store: Path, job: dict, **changes) -> str | None:
    settings = {
        "mode": "offline",
        "project": "transferscope",
        "entity": None,
        "group": "demo",
        "tags": ["mine"],
        "directory": store,
    }
    return tracking.log_run(store / job["fingerprint"], **{**settings, **changes})


def run_folders(store: Path, key: str) -> list[Path]:
    return list((store / "wandb").glob(f"*run-*-{key}*"))


def read(store: Path, key: str) -> SimpleNamespace:
    """The one run with id `key`: run (its last description), config, history, summary, exit_code, folder."""
    from wandb.util import get_core_path

    (folder,) = run_folders(store, key)
    (file,) = folder.glob("*.wandb")
    # what `wandb leet inspect` starts, without the process that starts it
    reader = [get_core_path(), "leet", "inspect", "--no-observability", "--json"]
    command = [*reader, "--run-file", str(file), str(folder.parent)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    records = [json.loads(line) for line in output.splitlines()]
    found = SimpleNamespace(folder=folder, history=[], summary={}, metrics=[], stats=[], exit_code=None)
    for record in records:
        content = record.get(record["type"], {})
        if record["type"] == "run":
            found.run, found.config = content, content["config"]["update"]
        elif record["type"] == "history":
            found.history.append(content["item"])
        elif record["type"] == "summary":
            found.summary |= content["update"]
        elif record["type"] == "metric":
            found.metrics.append(content)
        elif record["type"] == "stats":
            found.stats.append(content["item"])
        elif record["type"] == "exit":
            found.exit_code = content.get("exit_code", 0)
    return found


def table(run: SimpleNamespace, key: str) -> list[dict]:
    content = json.loads((run.folder / "files" / run.summary[f"{key}.path"]).read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def answers(store: Path, job: dict, step: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    npz = np.load(store / job["fingerprint"] / "evaluations.npz")
    return npz[f"{TEST}/ids"], npz[f"{TEST}/labels"], npz[f"{TEST}/probabilities/{step:06d}"].argmax(1)


def test_a_run_carries_its_config_labels_history_and_result(store):
    job = write_run(store, "fine_tuning", 0, 0.8, source="printed+letters")
    record = json.loads((store / job["fingerprint"] / "record.json").read_text())
    assert track(store, job) == job["fingerprint"]
    run = read(store, job["fingerprint"])
    assert run.config.items() >= record["config"].items()
    assert (run.config["fingerprint"], run.config["cell"]) == (job["fingerprint"], job["cell"])
    assert (run.run["project"], run.run["run_group"], run.run["job_type"]) == (
        "transferscope",
        "demo",
        "fine_tuning",
    )
    assert run.run["display_name"] == "fine_tuning printed+letters→handwritten 10/class seed 0"
    assert set(run.run["tags"]) == {"done", "fine_tuning", "handwritten", "printed", "letters", "mine"}
    rows = [row for row in run.history if ACCURACY in row]
    assert [row["step"] for row in rows] == [0, 100, 200, 300]
    assert "loss/target" not in rows[0] and rows[1]["loss/target"] == 0.5
    assert rows[-1][ACCURACY] == pytest.approx(record["result"]["metrics"][ACCURACY], abs=1e-5)
    assert {"glob_name": "*", "step_metric": "step"}.items() <= run.metrics[0].items()
    assert run.summary.items() >= {"status": "done", **record["result"]["metrics"]}.items()
    assert run.exit_code == 0


def test_metrics_have_names_that_hold_for_every_target(store):
    job = write_run(store, "fine_tuning", 0, 0.8, source="printed+letters")
    run = read(store, track(store, job))
    rows = [row for row in run.history if ACCURACY in row]
    assert all(row["target/test/accuracy"] == row[ACCURACY] for row in rows)
    assert run.summary["target/test/accuracy"] == run.summary[ACCURACY]
    assert run.config["versions"] and "git" in run.config and run.config["host"]


def test_of_several_sources_the_alias_is_the_mean():
    cell = {"target": "t", "source": "a+ab"}
    values = {
        "step": 3,
        "t/test/accuracy": 0.5,
        "a/val/accuracy": 0.2,
        "ab/val/accuracy": 0.4,
        "loss/target": 1.0,
    }
    assert with_aliases(values, cell) == values | {
        "target/test/accuracy": 0.5,
        "source/val/accuracy": pytest.approx(0.3),
    }
    assert with_aliases({"t/test/accuracy": 0.5}, {"target": "t", "source": None}) == {
        "t/test/accuracy": 0.5,
        "target/test/accuracy": 0.5,
    }


def test_the_summary_has_the_difference_to_the_scratch_run_of_the_seed(store):
    baseline, job = write_run(store, "scratch", 0, 1.5), write_run(store, "fine_tuning", 0, 0.5)
    run = read(store, track(store, job, baseline=store / baseline["fingerprint"]))
    records = [read_record(store / one["fingerprint"]) for one in (job, baseline)]
    scores = [record["result"]["metrics"][ACCURACY] for record in records]
    assert run.summary["target/test/delta_vs_scratch"] == pytest.approx(scores[0] - scores[1], abs=1e-6)
    assert "target/test/delta_vs_scratch" not in read(store, track(store, job)).summary
    assert not [name for name in run.summary if "verdict" in name or "interval" in name]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [True, False])
def test_the_machine_is_sampled_while_a_run_trains_where_that_is_asked_for(store, asked):
    job = write_run(store, "scratch", 0, 0.5)
    folder, settings = store / job["fingerprint"], {"project": "p", "entity": None, "group": None, "tags": []}
    head = read_record(folder)
    with tracking.LiveRun(head, mode="offline", directory=store, system_metrics=asked, **settings) as live:
        time.sleep(8)  # the training: the machine is looked at every five seconds
        live.finish(folder)
    assert any("memory_percent" in item for item in read(store, job["fingerprint"]).stats) == asked


def test_small_pictures_are_enlarged_without_blurring():
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    large = np.asarray(enlarged(Image.fromarray(pixels)))
    assert large.shape == (128, 128) and (large == np.kron(pixels, np.ones((16, 16), dtype=np.uint8))).all()
    assert enlarged(Image.new("RGB", (224, 100))).size == (224, 100)


@pytest.mark.parametrize("kept", ["last", "none"])
def test_charts_are_of_outputs_that_were_kept(store, kept, capsys):
    job = write_run(store, "fine_tuning", 0, 0.8)
    rewrite(store / job["fingerprint"], kept)
    run = read(store, track(store, job))
    assert any(key.startswith(f"{TEST}/classes") for key in run.summary) == (kept == "last")
    said = [line for line in capsys.readouterr().err.splitlines() if "outputs=none" in line]
    assert len(said) == (kept == "none") and run.exit_code == 0


def test_the_tables_agree_with_the_stored_predictions(store):
    job = write_run(store, "scratch", 0, 0.3, n=90)
    run = read(store, track(store, job))
    _, labels, predicted = answers(store, job)
    cells = table(run, f"{TEST}/confusion_matrix_table")
    assert {(c["Actual"], c["Predicted"]): c["nPredictions"] for c in cells} == {
        (f"class{i}", f"class{j}"): ((labels == i) & (predicted == j)).sum()
        for i in range(10)
        for j in range(10)
    }
    classes = table(run, f"{TEST}/classes")
    assert [(row["class"], row["items"]) for row in classes] == [(f"class{i}", 9) for i in range(10)]
    expected = precision_recall_fscore_support(labels, predicted, labels=range(10), zero_division=0)
    for column, values in zip(("precision", "recall", "f1"), expected[:3], strict=True):
        assert [row[column] for row in classes] == pytest.approx(values)
    assert run.run["display_name"] == "scratch handwritten 10/class seed 0"


def test_at_most_32_images_of_items_lost_to_the_baseline(store):
    baseline, job = write_run(store, "scratch", 0, 1.5), write_run(store, "fine_tuning", 0, 0.0)
    ids, labels, mine = answers(store, job)
    lost = {str(item) for item in ids[(answers(store, baseline)[2] == labels) & (mine != labels)]}
    asked = []

    def images(ids: list[str]) -> list[np.ndarray]:
        asked.extend(ids)
        return [
            np.full((8, 8), i, np.uint8) if i % 2 else np.full((8, 8, 3), i, np.uint8)
            for i in range(len(ids))
        ]

    run = read(store, track(store, job, images=images, baseline=store / baseline["fingerprint"]))
    assert len(lost) > 32 and len(asked) == 32 and set(asked) <= lost
    won = (answers(store, baseline)[2] != labels) & (mine == labels)
    assert (
        run.summary[f"{TEST}/negative_flips"] == len(lost)
        and run.summary[f"{TEST}/positive_flips"] == won.sum()
    )
    captions = run.summary[f"{TEST}/negative_flip_images.captions"]
    first = list(ids).index(asked[0])
    assert captions[0] == (
        f"{asked[0]}: true class{labels[first]}, baseline class{labels[first]}, this run class{mine[first]}"
    )
    assert len(captions) == 32 == len(list(run.folder.rglob("*.png")))


def test_texts_of_items_lost_to_the_baseline_are_a_table(store):
    baseline, job = write_run(store, "scratch", 0, 1.5), write_run(store, "fine_tuning", 0, 0.0)
    ids, labels, mine = answers(store, job)
    lost = {str(item) for item in ids[(answers(store, baseline)[2] == labels) & (mine != labels)]}
    digest = read_record(store / job["fingerprint"])["consumed"]["target"]["digest"]
    write_excerpts(store, digest, {str(item): (f"<b>{item}</b>\x1b[31m", "second") for item in ids})
    run = read(store, track(store, job, baseline=store / baseline["fingerprint"]))
    rows = table(run, f"{TEST}/negative_flip_texts")
    assert len(rows) == 32 and {row["item"] for row in rows} <= lost
    for row in rows:
        at = list(map(str, ids)).index(row["item"])
        assert (row["true"], row["this run"]) == (f"class{labels[at]}", f"class{mine[at]}")
        assert row["text"] == f"<b>{row['item']}</b>\ufffd[31m | second"


def test_no_images_without_a_callback_and_no_flips_against_itself(store):
    job = write_run(store, "scratch", 0, 0.5)
    run = read(store, track(store, job, baseline=store / job["fingerprint"]))
    assert run.summary[f"{TEST}/negative_flips"] == 0
    assert not list(run.folder.rglob("*.png"))


def test_two_runs_of_one_process_stay_two_runs(store):
    jobs = [write_run(store, "scratch", seed, 0.5) for seed in (0, 1)]
    assert len({track(store, job) for job in jobs}) == 2
    for seed, job in enumerate(jobs):
        run = read(store, job["fingerprint"])
        assert run.run["display_name"].endswith(f"seed {seed}")
        assert len([row for row in run.history if ACCURACY in row]) == 4


def test_a_wandb_run_that_is_open_in_this_process_is_left_alone(store, tmp_path):
    import wandb

    job = write_run(store, "scratch", 0, 0.5)
    with wandb.init(
        mode="offline", dir=tmp_path, id="theirs", settings=wandb.Settings(silent=True, console="off")
    ) as theirs:
        assert track(store, job) == job["fingerprint"]
        theirs.log({"loss": 1.0})
        assert set(dict(theirs.summary)) & {"loss", ACCURACY} == {"loss"}
    assert len([row for row in read(store, job["fingerprint"]).history if ACCURACY in row]) == 4


def test_an_interrupted_run_is_closed_as_killed_and_the_next_one_is_its_own(store):
    baseline, first, second = (
        write_run(store, name, 0, skill)
        for name, skill in (("scratch", 1.5), ("fine_tuning", 0.0), ("dann", 0.0))
    )

    def interrupted(ids):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        track(store, first, images=interrupted, baseline=store / baseline["fingerprint"])
    assert track(store, second) == second["fingerprint"]
    assert read(store, first["fingerprint"]).exit_code == 255
    assert read(store, second["fingerprint"]).run["job_type"] == "dann"


def test_a_failed_run_says_why_and_its_retry_replaces_it(store):
    job = write_run(store, "dann", 0, 0.5, status="failed", reason="RuntimeError: the disk is full")
    key = track(store, job)
    run = read(store, key)
    assert (run.summary["status"], run.summary["reason"], run.exit_code) == (
        "failed",
        "RuntimeError: the disk is full",
        1,
    )
    assert "failed" in run.run["tags"]
    write_run(store, "dann", 0, 0.5)
    assert track(store, job) == key
    run = read(store, key)  # exactly one folder is left
    assert (run.summary["status"], run.exit_code) == ("done", 0)
    assert "reason" not in run.summary


def test_a_diverged_run_is_an_answer_shown_at_its_last_finite_evaluation(store):
    job = write_run(store, "dann", 0, 0.5, status="diverged", reason="loss is not finite", n=90)
    run = read(store, track(store, job))
    _, labels, predicted = answers(store, job, step=200)
    assert (run.summary["status"], run.exit_code) == ("diverged", 0)
    right = sum(
        c["nPredictions"]
        for c in table(run, f"{TEST}/confusion_matrix_table")
        if c["Actual"] == c["Predicted"]
    )
    assert right == (predicted == labels).sum()


def test_where_wandb_fails_one_line_says_so_and_nothing_is_raised(store, tmp_path, capfd):
    job = write_run(store, "scratch", 0, 0.5)
    (tmp_path / "file").write_text("")
    assert track(store, job, directory=tmp_path / "file" / "below") is None
    error = capfd.readouterr().err
    assert error.startswith("W&B failed") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "environment", "holds"),
    [
        ("offline", "", "offline"),
        ("offline", "online", "offline"),
        ("offline", "disabled", "off"),
        ("online", "offline", "offline"),
        ("online", "disabled", "off"),
        ("off", "online", "off"),
    ],
)
def test_the_environment_can_only_ask_for_less(monkeypatch, key, environment, holds):
    monkeypatch.setenv("WANDB_MODE", environment)
    assert tracking.effective_mode(key) == holds


def test_an_unknown_mode_is_refused_with_the_nearest():
    with pytest.raises(RequestError, match="tracking.mode=ofline .* did you mean 'offline'"):
        tracking.effective_mode("ofline")


@pytest.mark.parametrize("name", tracking.MODES)
def test_each_yaml_gives_what_log_run_takes(name):
    text = (ROOT / "conf" / "tracking" / f"{name}.yaml").read_text()
    choice = yaml.safe_load(text)
    assert text.startswith("# ") and choice["mode"] == name
    assert choice.keys() <= inspect.signature(tracking.log_run).parameters.keys()


def test_a_comparison_is_a_run_with_its_verdicts_evidence_and_report(store):
    for seed in range(3):
        write_run(store, "scratch", seed, 2.0, n=90)
        write_run(store, "dann", seed, -1.0, n=90)
    write_run(store, "scratch", 0, 2.0, n=90, label_budget="full")
    write_run(store, "dann", 0, 2.0, n=90, label_budget="full")
    comparison = compare(store)
    written = {"tables": tables.evidence_tables(comparison), "report": "<p>the report</p>"}
    key = tracking.track_comparison(comparison, store, **written)
    run = read(store, key)
    assert run.run["job_type"] == "comparison" and run.config["baseline"] == "scratch"
    rows = table(run, "verdicts")
    assert [(row["label_budget"], row["verdict"]) for row in rows] == [
        (10, "negative"),
        ("full", "undecided"),
    ]
    assert rows[0]["ci_low"] < rows[0]["ci_high"] < 0 and rows[1]["ci_low"] is None
    assert len(table(run, "classes")) == 10 and all(
        row["label_budget"] == 10 for row in table(run, "classes")
    )  # one seed: no interval
    (flips,) = table(run, "flips")
    assert flips["lost"] > 0.5 and flips["lost_excess"] > 0 and flips["lost_excess_ci_low"] > 0.5
    assert (
        run.summary.items()
        >= {"verdict/negative": 1, "verdict/undecided": 1, "missing": 0, "failed": 0}.items()
    )
    assert "<p>the report</p>" in (run.folder / "files" / run.summary["report.path"]).read_text()
    # the same verdicts are the same run
    assert tracking.track_comparison(comparison, store, **written) == key


def python(script: str, store: Path, **environment: str) -> subprocess.CompletedProcess:
    """`script` in a process of its own, as W&B settles its server and account once a process."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    head = (
        "import json, sys\nfrom pathlib import Path\nfrom transferscope import tracking\nstore = "
        f"Path({str(store)!r})\n"
    )
    settings = {
        "env": {**os.environ, "PYTHONPATH": path, **environment},
        "stdin": subprocess.DEVNULL,
        "timeout": 120,
    }
    return subprocess.run([sys.executable, "-c", head + script], capture_output=True, text=True, **settings)


def holds_key(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


OFFLINE = """
assert "wandb" not in sys.modules
settings = dict(project="p", entity=None, group=None, tags=[], directory=store)
(folder,) = [path.parent for path in store.glob("*/record.json")]
assert tracking.log_run(folder, mode="off", **settings) is None
assert "wandb" not in sys.modules and not (store / "wandb").exists()
print(tracking.log_run(folder, mode="offline", **settings))
"""


def test_offline_opens_no_connection_asks_nothing_and_keeps_no_key(store, monkeypatch):
    job = write_run(store, "scratch", 0, 0.5)
    monkeypatch.delenv("WANDB_ERROR_REPORTING")  # W&B's default: usage reports over the network
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        done = python(
            OFFLINE, store, WANDB_BASE_URL=f"http://127.0.0.1:{server.getsockname()[1]}", WANDB_API_KEY=KEY
        )
        assert (done.stdout, done.stderr) == (f"{job['fingerprint']}\n", "")
        with pytest.raises(TimeoutError):
            server.accept()
    assert holds_key(store) == []


def test_online_without_a_key_is_refused_without_a_prompt(store):
    done = python("tracking.effective_mode('online')", store)
    assert "RequestError: tracking.mode=online needs an API key: run `wandb login`" in done.stderr


ONLINE = """
(folder,) = [path.parent for path in store.glob("*/record.json")]
head = json.loads((folder / "record.json").read_text())
settings = dict(project="p", entity=None, group="demo", tags=[], directory=store)
with tracking.LiveRun(head, mode="online", **settings) as live:
    live.log(0, {"handwritten/test/accuracy": 0.125})
    live.log(100, {"handwritten/test/accuracy": 0.25})
    print(live.finish(folder))
"""


@pytest.fixture
def server():
    with wandb_stub.serving() as server:
        yield server


def test_online_a_run_is_live_and_completed_at_its_end(store, server):
    job = write_run(store, "fine_tuning", 0, 0.5)
    done = python(ONLINE, store, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert done.stdout == f"{job['fingerprint']}\n", done.stderr
    run = server.runs[job["fingerprint"]]
    # the live rows are not written again
    assert [row["step"] for row in run.history if ACCURACY in row] == [0, 100, 200, 300]
    assert [row[ACCURACY] for row in run.history[:2]] == [0.125, 0.25]
    assert (run.described["groupName"], run.described["jobType"], run.summary["status"]) == (
        "demo",
        "fine_tuning",
        "done",
    )
    assert any("confusion_matrix_table" in name for name in run.files)
    (predictions,) = server.of("p", "predictions")
    folder = store / job["fingerprint"]
    assert predictions in run.outputs and predictions.contents == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert run.exit_code == 0 and not server.errors
    assert holds_key(store) == []


@pytest.mark.slow
def test_online_without_a_server_the_run_is_written_offline(store):
    job = write_run(store, "fine_tuning", 0, 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nobody listens there once it is closed
    done = python(ONLINE, store, WANDB_BASE_URL=f"http://127.0.0.1:{port}", WANDB_API_KEY=KEY)
    assert done.stdout == f"{job['fingerprint']}\n", done.stderr
    assert "; writing it offline" in done.stderr
    assert [row["step"] for row in read(store, job["fingerprint"]).history if ACCURACY in row] == [
        0,
        100,
        200,
        300,
    ]
