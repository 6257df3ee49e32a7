"""What runs leave in W&B is enough to rebuild their store: from a server, through `wandb sync` and the public
API, and from offline folders."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import wandb_stub
from store_fixture import write_run
from transferscope import compare, tracking
from transferscope.cli.main import main
from transferscope.errors import RequestError
from transferscope.store.record import run_folders
from wandb_stub import Artifact, Run, Server

KEY = "0123456789" * 4
PATH = os.pathsep.join(str(Path(__file__).parents[number] / name) for number, name in ((0, ""), (1, "src")))
SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "label_budget=5", "trainer.steps=4",
    "trainer.source_steps=4",
         "trainer.evaluations=2"]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def nobodys_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        for name, value in {
            "HOME": str(home),
            "NETRC": str(home / "netrc"),
            "WANDB_ERROR_REPORTING": "false",
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("sweep") / "runs"
    grid = [
        "strategy=scratch,fine_tuning,feature_extraction",
        "seed=0,1",
        "sweep=small",
        "tracking.group=mine",
        "keep=selected",
    ]
    assert main(["run", "-m", *SMALL, *grid, f"store={store}"]) == 0
    return store


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[Server]:
    """What `wandb sync` has brought the runs to."""
    with wandb_stub.serving() as server:
        sync(server, store)
        yield server
        assert (server.unknown, server.errors) == (set(), [])


def sync(server: Server, store: Path) -> None:
    wandb(server, "-m", "wandb", "sync", "--include-synced", str(store / "wandb"))


def wandb(server: Server, *command: str) -> str:
    """In a process of its own, as W&B settles its server and account once a process."""
    environment = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "PYTHONPATH": PATH}
    settings = {"env": environment, "stdin": subprocess.DEVNULL, "timeout": 300}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers(server: Server, *runs: str) -> list[dict | str]:
    """`answer` of each, through the public API."""
    each = (
        "import sys, json, test_wandb_artifacts as here\nfor runs in sys.argv[1:]:\n    "
        "print(json.dumps(here.answer(runs)))"
    )
    return [json.loads(line) for line in wandb(server, "-c", each, *runs).splitlines()]


def answer(runs: str | Path) -> dict | str:
    """All that `compare` says, but for where it looked; or why it refuses."""
    try:
        said = json.loads(compare(runs).to_json())
    except RequestError as refusal:
        return str(refusal)
    del said["settings"]["runs"]
    return said


EVIL = {
    "outside": {"name": "../../record.json"}, "absolute": {"name": "/planted"}, "other": {"name": "code.py"},
    "reference": {"ref": "file:secret"}, "huge": {"size": 2**40},
    "changed": {"digest": "AAAAAAAAAAAAAAAAAAAAAA=="},
}  # fmt: skip


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mine") / "secret"
    path.write_text("secret")
    return path


@pytest.fixture(scope="module")
def said(server: Server, secret: Path) -> dict[str, dict | str]:
    """By RUNS: of honest projects, and of those whose one run has a manifest that says something else of its
    record."""
    for project, change in EVIL.items():
        honest = server.of("transferscope", "predictions")[0]
        artifact = copy.deepcopy(honest)
        artifact.id, artifact.project = f"{honest.id}{project}", project
        entry = {**artifact.manifest["contents"].pop("record.json"), **change}
        artifact.manifest["contents"][entry.pop("name", "record.json")] = {
            **entry,
            **({"ref": secret.as_uri()} if "ref" in entry else {}),
        }
        server.artifacts.append(artifact)
        server.runs[project] = Run(project, project)
    for artifact in server.of("transferscope", "predictions"):  # of runs that no sweep planned
        server.artifacts.append(replace(artifact, id=f"{artifact.id}alone", project="alone"))
    server.runs["alone"] = Run("alone", "alone")
    asked = [
        "transferscope",
        "transferscope/small",
        "transferscope/mine",
        "transferscope/other",
        "alone/mine",
        "nothing",
        *EVIL,
    ]
    asked = ["wandb:me", *(f"wandb:me/{project}" for project in asked)]
    return dict(zip(asked, answers(server, *asked), strict=True))


def named(artifacts: list[Artifact], kind: str) -> list[str]:
    return sorted(artifact.name for artifact in artifacts if artifact.kind == kind)


def contents(folder: Path, *names: str) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def test_offline_runs_arrive_whole(store: Path, server: Server) -> None:
    folders = run_folders(store)
    assert len(folders) == 6 and server.runs.keys() == {folder.name for folder in folders}
    # each run of the sweep is one there
    written = sorted(path.name.rsplit("-", 1)[1] for path in (store / "wandb").glob("offline-run-*"))
    assert written == sorted(folder.name for folder in folders)
    for folder in folders:
        run, record = server.runs[folder.name], json.loads((folder / "record.json").read_text())
        assert run.config.items() >= record["config"].items() and run.config["fingerprint"] == folder.name
        assert (
            run.summary.items() >= {"status": "done", **record["result"]["metrics"]}.items()
            and run.exit_code == 0
        )
        assert [row["step"] for row in run.history if "blobs/test/accuracy" in row] == record["result"][
            "evaluations"
        ]
        (predictions,) = server.of("transferscope", name=f"predictions-{folder.name}")
        (model,) = server.of("transferscope", name=f"model-{folder.name}")
        assert predictions.contents == contents(folder, "record.json", "evaluations.npz", "history.csv")
        assert model.contents == contents(folder, "model.safetensors")
    (plan,) = server.of("transferscope", "sweep")
    assert plan.contents == contents(store / "sweeps" / "small", "plan.json")


def test_lineage_leads_from_the_data_over_the_source_model_to_the_predictions(
    store: Path, server: Server
) -> None:
    makers, users = {}, {}
    for folder in run_folders(store):
        run, record = server.runs[folder.name], json.loads((folder / "record.json").read_text())
        domains = [record["consumed"]["target"], *record["consumed"]["sources"]]
        assert named(run.inputs, "dataset") == sorted(f"dataset-{domain['name']}" for domain in domains)
        assert named(run.inputs, "sweep") == ["sweep-small"]
        assert (named(run.outputs, "predictions"), named(run.outputs, "model")) == (
            [f"predictions-{folder.name}"],
            [f"model-{folder.name}"],
        )
        for place, found in ((makers, run.outputs), (users, run.inputs)):
            for name in named(found, "source_model"):
                place.setdefault(name, []).append(record["seed"])
    # trained once, by the first
    assert sorted(makers.values()) == sorted(users.values()) == [[0], [1]] and makers.keys() == users.keys()
    for name in makers:
        (model,) = server.of("transferscope", name=name)
        file = f"{name.removeprefix('source_model-')}.safetensors"
        assert model.contents == contents(store / ".cache" / "source_models", file)


def test_a_dataset_is_one_version_for_each_state_of_the_data_and_tells_its_items(
    store: Path, server: Server
) -> None:
    (dataset,) = server.of("transferscope", name="dataset-blobs")
    record = json.loads((run_folders(store)[0] / "record.json").read_text())
    summary = json.loads(dataset.contents["summary.json"])
    header, *items = dataset.contents["items.csv"].decode().splitlines()
    assert (
        summary["digest"]
        == json.loads(dataset.sent["metadata"])["digest"]
        == record["consumed"]["target"]["digest"]
    )
    assert header == "id,class,split,group" and len(items) == summary["items"] == sum(
        summary["items_by_class"].values()
    )
    assert {item.split(",")[1] for item in items} == set(summary["classes"])


def test_verdicts_from_the_server_are_those_of_the_store(store: Path, said: dict[str, dict | str]) -> None:
    whole = said["wandb:me/transferscope"]
    assert (
        whole == answer(store)
        and len(whole["cells"]) == 2
        and set(whole["settings"]["families"].values()) == {2}
    )
    assert (
        said["wandb:me/transferscope/small"]
        == said["wandb:me/transferscope/mine"]
        == answer(store / "sweeps" / "small")
    )


def test_a_group_that_no_sweep_planned_is_compared_by_itself(
    store: Path, said: dict[str, dict | str], tmp_path: Path
) -> None:
    shutil.copytree(store, tmp_path / "runs", ignore=shutil.ignore_patterns("wandb", "sweeps"))
    assert (
        said["wandb:me/alone/mine"] == answer(tmp_path / "runs")
        and len(said["wandb:me/alone/mine"]["cells"]) == 2
    )


def test_verdicts_from_the_offline_folders_alone_are_those_of_the_store(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store / "wandb", tmp_path / "wandb", symlinks=True)
    expected = answer(store)
    store.rename(store.with_name("away"))
    try:
        assert answer(tmp_path / "wandb") == expected
    finally:
        store.with_name("away").rename(store)


def test_a_report_is_written_from_the_offline_folders(store: Path, tmp_path: Path) -> None:
    assert main(["report", str(store / "wandb"), "-o", str(tmp_path / "report.html")]) == 0
    assert "fine_tuning" in (tmp_path / "report.html").read_text()


def test_what_no_run_leaves_is_refused_in_one_line_and_nothing_is_fetched(
    said: dict[str, dict | str], secret: Path
) -> None:
    refused = {project: said[f"wandb:me/{project}"] for project in EVIL}
    assert all(isinstance(why, str) and "\n" not in why for why in refused.values())
    assert all(
        "no file that a run leaves" in refused[project] for project in ("outside", "absolute", "other")
    )
    assert (
        "a way to something else" in refused["reference"]
        and "more than" in refused["huge"]
        and "mismatch" in refused["changed"]
    )
    assert os.listdir(secret.parent) == ["secret"]


def test_a_request_that_cannot_be_served_is_refused_in_one_line_without_a_prompt(
    said: dict[str, dict | str],
) -> None:
    assert "me/nothing is no project there" in said["wandb:me/nothing"]
    assert said["wandb:me/transferscope/other"].endswith("no such sweep or group there; its sweeps: small")
    assert said["wandb:me"] == "RUNS=wandb:me: wandb:ENTITY/PROJECT or wandb:ENTITY/PROJECT/GROUP is needed"
    assert (
        answer("wandb:me/p")
        == "RUNS=wandb:me/p: reading from W&B needs an API key: run `wandb login` or set WANDB_API_KEY"
    )


@pytest.mark.parametrize("change", ["link", "linked folder", "pipe", "other"])
def test_a_folder_of_offline_runs_leads_nowhere_out_of_it(store: Path, tmp_path: Path, change: str) -> None:
    folder = tmp_path / "wandb"
    shutil.copytree(store / "wandb", folder, symlinks=True)
    artifact = next(folder.glob("offline-run-*/artifacts/predictions-*"))
    place = artifact / "record.json"
    if change == "linked folder":
        artifact.rename(tmp_path / "elsewhere")
        artifact.symlink_to(tmp_path / "elsewhere")
    else:
        place.unlink()
        (tmp_path / "secret").write_text("{}")
        if change == "link":
            place.symlink_to(tmp_path / "secret")
        elif change == "pipe":
            os.mkfifo(place)
        else:
            (artifact / "a.py").touch()
    assert ("no file that a run leaves" if change == "other" else "no file of its own") in answer(folder)


@pytest.mark.slow
def test_a_comparison_leaves_its_verdicts_made_of_the_predictions(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # a rebuilt store is gone afterwards: beside the default one
    assert main(["compare", str(store / "wandb"), "--track"]) == 0
    (tracked,) = tmp_path.glob("runs/wandb/offline-run-*")
    with wandb_stub.serving() as server:
        sync(server, tmp_path / "runs")
    (run,) = server.runs.values()
    assert named(run.inputs, "predictions") == sorted(
        f"predictions-{folder.name}" for folder in run_folders(store)
    )
    (report,) = [artifact for artifact in run.outputs if artifact.kind == "report"]
    assert (
        json.loads(report.contents["verdicts.json"])["cells"] == answer(store)["cells"]
        and b"fine_tuning" in report.contents["report.html"]
    )


def test_without_artifacts_there_is_nothing_to_compare(tmp_path: Path) -> None:
    job = write_run(tmp_path, "scratch", 0, 0.5)
    settings = {
        "mode": "offline",
        "project": "p",
        "entity": None,
        "group": None,
        "tags": [],
        "directory": tmp_path,
        "artifacts": False,
    }
    assert tracking.log_run(tmp_path / job["fingerprint"], **settings) == job["fingerprint"]
    assert list(tmp_path.glob("wandb/offline-run-*")) and not list(
        tmp_path.glob("wandb/offline-run-*/artifacts")
    )
    assert "holds no runs" in answer(tmp_path / "wandb")
    assert main(["run", *SMALL, "strategy=scratch", "tracking.artifacts=maybe", "--dry-run"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--until-decided", "--search"])
def test_what_a_sweep_notes_while_it_runs_arrives_as_well(tmp_path: Path, flag: str) -> None:
    """The looks that hold a verdict, the trials that tuned an arm."""
    store = tmp_path / "runs"
    more = {
        "--until-decided": ["strategy=scratch,feature_extraction", "until_decided.looks=[2,3]"],
        "--search": [
            "strategy=scratch,fine_tuning",
            "search.trials=2",
            "search.runs=2",
            "trainer.optimizer.lr=tag(log, interval(1e-4, 1e-1))",
        ],
    }[flag]
    assert main(["run", "-m", flag, *SMALL, *more, "sweep=noted", f"store={store}"]) == 0
    expected = answer(store)
    assert answer(store / "wandb") == expected
    with wandb_stub.serving() as server:
        sync(server, store)
        assert answers(server, "wandb:me/transferscope") == [expected]
    states = server.of("transferscope", "sweep")
    assert (store / "sweeps" / "noted" / "plan.json").read_bytes() in [
        state.contents["plan.json"] for state in states
    ]


@pytest.mark.slow
def test_a_sweep_that_another_one_trained_arrives_though_no_run_carried_it(
    store: Path, tmp_path: Path
) -> None:
    shutil.copytree(store, tmp_path / "runs", symlinks=True)
    grid = [
        "strategy=scratch,fine_tuning",
        "seed=0,1",
        "sweep=part",
        "keep=selected",
        f"store={tmp_path / 'runs'}",
    ]
    for _ in range(2):
        assert main(["run", "-m", *SMALL, *grid]) == 0
    assert len(list(tmp_path.glob("runs/wandb/offline-run-*/artifacts/sweep-part"))) == 1
    assert answer(tmp_path / "runs" / "wandb") == answer(tmp_path / "runs")
