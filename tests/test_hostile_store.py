"""A store may come from anywhere: what reads one runs nothing of it, leads nowhere out of it, and is neither
broken nor misled by its text."""

import io
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from store_fixture import write_plan, write_runs, write_store
from transferscope.cli import compare as compare_verb
from transferscope.cli.main import main
from transferscope.store import record

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "label_budget=5", "trainer.steps=20",
    "trainer.source_steps=20",
         "trainer.evaluations=2", "tracking=off"]  # fmt: skip
EVIL = "dann\x1b[2J\x9b31m\r\n| positive |\u202e\ud800[/red]<script>alert(1)</script>${oc.env:HOME}"
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


class Planted:
    """Touches a file where it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def put(*keys: str, value: object) -> Callable[[Path], None]:
    """An edit of a run folder's record."""

    def change(folder: Path) -> None:
        path = folder / "record.json"
        content = json.loads(path.read_text())
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        path.write_text(json.dumps(content))

    return change


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content)


def members(**changed: np.ndarray) -> Callable[[Path], None]:
    """An edit of the test set's members, by their last part."""

    def change(folder: Path) -> None:
        with np.load(folder / "evaluations.npz") as found:
            arrays = {name: found[name] for name in found.files}
        arrays |= {f"handwritten/test/{name.replace('__', '/')}": array for name, array in changed.items()}
        np.savez(folder / "evaluations.npz", **arrays)

    return change


def too_large(folder: Path) -> None:
    """A member that says it holds more than any memory."""
    with zipfile.ZipFile(folder / "evaluations.npz", "a") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
        )
        archive.writestr("handwritten/test/groups.npy", header.getvalue())


def elsewhere(folder: Path) -> None:
    """The run lies in another place, a link leads to it."""
    outside = folder.parents[1] / "victim" / folder.name
    folder.rename(outside)
    folder.symlink_to(outside)


def linked_history(folder: Path) -> None:
    (folder / "history.csv").unlink()
    (folder / "history.csv").symlink_to(folder.parents[1] / "victim" / "secret")


def a_pipe(folder: Path) -> None:
    (folder / "record.json").unlink()
    os.mkfifo(folder / "record.json")


ATTACKS = {
    "text": lambda folder: [put(*keys, value=EVIL)(folder) for keys in (("reason",), ("cell", "strategy"),
    ("versions", EVIL), ("consumed", EVIL))],
    "more_text": lambda folder: [put(*keys, value=EVIL)(folder) for keys in (("status",), ("cell", "target"),
    ("consumed", "backbone", "name"))], "fingerprint": put("fingerprint", value="../../victim"),
    "digest": put("consumed", "target", "digest", value="../../../victim/pictures"),
    "target": put("cell", "target", value="../../victim/domain"),
    "budget": put("cell", "label_budget", value="ten"), "seed": put("seed", value=True),
    "result": put("result", value=[]), "metrics": put("result", "metrics",
    value={"handwritten/test/accuracy": EVIL}), "noise": put("consumed", "source_label_noise", value="much"),
    "folds": put("consumed", "folds", value=EVIL),
    "steps": put("consumed", "trainer", value={"steps": "many"}),
    "time": put("timings", "wall_seconds", value=float("inf")),
    "sections": put("config", value={"backbone": 3}), "schema": put("schema", value=EVIL),
    "no_object": write("record.json", b"[]"), "no_text": write("record.json", b"\xff\xfe\x00"),
    "depth": write("record.json", b'{"schema": 1, "cell": ' + b"[" * 100_000),
    "number": write("record.json", b'{"schema": 1, "seed": ' + b"9" * 10_000 + b"}"), "pipe": a_pipe,
    "elsewhere": elsewhere, "history": write("history.csv", b"step,seconds\n0,0,0,0\n\x00,x\n"),
    "endless_history": write("history.csv", b"step,seconds,handwritten/test/accuracy\n0,0,1e308\n"),
    "linked_history": linked_history, "evaluations": write("evaluations.npz", b"PK\x03\x04" + bytes(100)),
    "objects": members(ids=np.array([Planted(Path("MARK"))], dtype=object)),
    "texts": members(probabilities__000300=np.full((60, 10), "x")), "labels": members(labels=np.full(60, 99)),
    "columns": members(metadata__column=np.zeros((3, 3))),
    "names": members(classes=np.array([EVIL.replace("\ud800", "") + str(c) for c in range(10)])),
    "too_large": too_large,
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("sound") / "runs", seeds=3, n=60)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cell and its baseline."""
    store = tmp_path_factory.mktemp("few") / "runs"
    runs = [
        job
        for strategy in ("scratch", "fine_tuning")
        for job in write_runs(store, strategy, 0.5, seeds=2, n=60, steps=(0, 100, 300))
    ]
    write_plan(store, "demo", runs)
    return store


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound store `runs`, and a folder `victim` beside it that nothing may read or change; planted code
    would leave the file MARK."""
    shutil.copytree(
        request.getfixturevalue("sound" if "hostile" in request.fixturenames else "few"), tmp_path / "runs"
    )
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "secret").write_text("step,seconds\nsecret,secret\n")
    (tmp_path / "victim" / "domain.yaml").write_text("_target_: subprocess.Popen\nargs: [touch, MARK]\n")
    np.savez(
        tmp_path / "victim" / "pictures.npz",
        ids=np.array(["handwritten-0-00000"]),
        images=np.zeros((1, 4, 4), np.uint8),
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def victims(store: Path) -> list[Path]:
    """Folders of finished fine-tuning runs with a source, which all verbs read."""
    folders = (path.parent for path in sorted(store.glob("*/evaluations.npz")))
    return [f for f in folders if json.loads((f / "record.json").read_text())["cell"]["source"] == "printed"]


@pytest.fixture
def hostile(place: Path) -> Path:
    """Every attack at once, each on a run of its own, and hostile files around them."""
    store = place / "runs"
    folders = [path.parent for path in sorted(store.glob("*/evaluations.npz"))]
    for folder, attack in zip(folders[1::2], ATTACKS.values(), strict=False):
        attack(folder)
    surround(store)
    return store


def surround(store: Path) -> None:
    """What is hostile beside the runs: work in progress, caches, links."""
    name = sorted(store.glob("[0-9a-f]*"))[0].name
    running = store / ".running"
    victim = store.parent / "victim"
    code = pickle.dumps(Planted(Path("MARK")))
    for claim in (
        "[]",
        "{",
        json.dumps({"host": EVIL, "pid": 1, "since": EVIL, "step": 1, "steps": 0, "cell": [], "ended": EVIL}),
    ):
        folder = running / f"{len(list(store.glob('.running/*'))):016x}"
        folder.mkdir(parents=True)
        (folder / "claim.json").write_text(claim)
        (folder / "checkpoint.ckpt").write_bytes(code)
    (running / name).symlink_to(victim)
    (running / f"{name}.lock").symlink_to(victim / "secret")
    (running / f"{name}.draft-1").symlink_to(victim)
    models = store / ".cache" / "source_models"
    models.mkdir(parents=True)
    (models / "0123456789abcdef.safetensors").write_bytes(code)
    (models / "0123456789abcdef.lock").symlink_to(victim / "secret")
    (store / ".cache" / "features").symlink_to(victim)
    for folder in store.glob("*/record.json"):
        if (
            folder.is_file()
            and b'"digest"' in (content := folder.read_bytes())
            and (digest := re.search(rb'"digest": "(\w+)"', content))
        ):
            (store / ".cache" / "thumbnails").mkdir(exist_ok=True)
            (store / ".cache" / "thumbnails" / f"{digest[1].decode()}.npz").write_bytes(code)
    (store / "predictions").mkdir()
    (store / "predictions" / "a.json").write_text(
        json.dumps({"schema": 1, "kind": EVIL, "consumed": {"target": EVIL}})
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def call(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str]:
    """(exit status, all that was said): never a traceback, nothing that steers a terminal, no planted code
    run, the victim as it was."""
    victim = Path("victim")
    before = tree(victim)
    status = main(list(words))
    said = "".join(capsys.readouterr())
    assert not STEERING.search(said), STEERING.search(said)
    assert (
        "Traceback" not in said
        and "secret,secret" not in said
        and os.environ["HOME"] not in said.replace(str(Path.cwd()), "")
    )
    assert tree(victim) == before and not Path("MARK").exists()
    return status, said


WALK = [
    *(("compare", "runs", "--format", form) for form in compare_verb.FORMATS),
    ("compare", "runs", "--selection", "target_val,last", "--metric", "nll", "--baseline", "target_only"),
    ("compare", "runs", "--selection", "snd"),
    ("status", "runs"),
    ("status", "runs", "--format", "json"),
    ("rank", "--pairs", "store=runs"),
    ("prune", "runs", "--yes"),
]


@pytest.mark.parametrize("words", WALK, ids=" ".join)
def test_a_hostile_store(words: tuple[str, ...], hostile: Path, capsys: pytest.CaptureFixture) -> None:
    status, said = call(capsys, *words)
    if words[0] in ("compare", "status"):
        assert status == 0
    else:
        # what to remove is not told from records that cannot be read
        assert status == 2 and len(said.splitlines()) == 1
    if words[-1] == "csv":
        rows = [line for line in said.splitlines() if line]
        assert len({line.count(",") for line in rows[:1]}) == 1 and len(rows) == said.count("\n")
    if words[-1] == "markdown":
        table = [line for line in said.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in table}) == 1 and "<script" not in said


def test_the_page_of_a_hostile_store(hostile: Path, capsys: pytest.CaptureFixture) -> None:
    status, said = call(capsys, "report", "runs")
    while status == 2:  # names one file after another until all that is left can be read
        bad = Path(re.search(r"transferscope: (\S+)", said)[1])
        shutil.rmtree(bad.parent)
        status, said = call(capsys, "report", "runs")
    page = Path("report.html").read_text()
    assert status == 0 and not STEERING.search(page)
    assert page.count("<script") == 1 and "alert(1)" in page  # the page's own; the planted one is text


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    "words",
    [("rank", "--pairs", "store=runs"), ("prune", "runs"), ("report", "runs"), ("compare", "runs")],
    ids=lambda w: w[0],
)
def test_each_attack_alone(
    attack: str, words: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture
) -> None:
    ATTACKS[attack](victims(place / "runs")[0])
    status, said = call(capsys, *words)
    assert status == 0 or (status == 2 and len(said.splitlines()) == 1)
    if (
        words[0] == "compare" and attack != "names"
    ):  # of other classes than the baseline's: nothing can be said
        assert status == 0


PLANS = {
    "fingerprint": lambda job: job.update(fingerprint="../../victim"),
    "cell": lambda job: job.update(cell=[]),
    "status": lambda job: job.update(status=EVIL),
    "text": lambda job: job.update(overrides=EVIL, reason=EVIL, variant={EVIL: EVIL}),
}


@pytest.mark.parametrize("change", PLANS)
@pytest.mark.parametrize("verb", ["compare", "report", "status", "prune"])
def test_a_hostile_plan(change: str, verb: str, place: Path, capsys: pytest.CaptureFixture) -> None:
    path = place / "runs" / "sweeps" / "demo" / "plan.json"
    plan = json.loads(path.read_text())
    for job in plan["jobs"]:
        PLANS[change](job)
    path.write_text(json.dumps({**plan, "name": EVIL}))
    status, said = call(capsys, verb, "runs")
    assert status == 0 if change == "text" or verb == "status" else status == 2 and "plan.json" in said


def test_prune_removes_links_and_nothing_beyond_them(place: Path, capsys: pytest.CaptureFixture) -> None:
    surround(place / "runs")
    shutil.rmtree(place / "runs" / "predictions")
    (place / "victim" / "0123456789abcdef").mkdir()
    (place / "victim" / "0123456789abcdef" / "x.safetensors").write_text("mine")
    shutil.rmtree(place / "runs" / "sweeps")  # no planned run is unfinished: caches may go
    shutil.rmtree(place / "runs" / ".cache" / "source_models")
    assert call(capsys, "prune", "runs", "--yes")[0] == 0
    assert not [path for path in (place / "runs" / ".running").iterdir() if path.is_symlink()]


# --- predict


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one real run that kept its model, and its results undisturbed."""
    store = tmp_path_factory.mktemp("trained") / "runs"
    assert main(["run", *SMALL, "strategy=fine_tuning", "keep=selected", f"store={store}"]) == 0
    return store


@pytest.fixture
def copy(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "runs")
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "secret").write_text("mine")
    (tmp_path / "victim" / "domain.yaml").write_text("_target_: subprocess.Popen\nargs: [touch, MARK]\n")
    monkeypatch.chdir(tmp_path)
    return next(path.parent for path in (tmp_path / "runs").glob("*/record.json"))


APPLIED = {
    "a_class_of_no_shelf": put("config", "backbone", "_target_", value="subprocess.Popen"),
    "an_argument_that_builds": put(
        "config", "backbone", "hidden", value=[{"_target_": "subprocess.Popen", "args": ["touch", "MARK"]}]
    ),
    "a_text_that_resolves": put("config", "backbone", "hidden", value="${oc.env:HOME}"),
    "a_layer_of_negative_width": put("config", "backbone", "hidden", value=[-1]),
    "sections": put("config", value={}),
    "shape": put("result", "input_shape", value=[3, 10**9, 10**9]),
    "target": put("cell", "target", value="../../victim/domain"),
    "pickled_model": lambda folder: (folder / "model.safetensors").write_bytes(
        pickle.dumps(Planted(Path("MARK")))
    ),
    "evaluations": write("evaluations.npz", b"PK"),
    "text": put("reason", value=EVIL),
}


@pytest.mark.parametrize("attack", APPLIED)
def test_apply_runs_nothing_of_a_record(attack: str, copy: Path, capsys: pytest.CaptureFixture) -> None:
    APPLIED[attack](copy)
    width = record.read_record(copy)["result"]["input_shape"][0]
    np.savetxt("rows.csv", np.zeros((2, width)) if width < 1000 else [[0.0]], delimiter=",")
    status, said = call(capsys, "predict", str(copy), "rows.csv")
    assert status == 0 if attack == "text" else status == 2 and len(said.splitlines()) == 1


COMMAND = {"_target_": "subprocess.Popen", "args": ["touch", "MARK"]}
ASKED = {  # and what tells that it was seen
    "optimizer": (put("config", "trainer", "optimizer", value=COMMAND), "config.trainer.optimizer._target_"),
    "optimizer_that_looks_like_one": (
        put("config", "trainer", "optimizer", "_target_", value="torch.optim.os.system"),
        "._target_",
    ),
    "nested": (put("config", "trainer", "optimizer", "betas", value=COMMAND), "plain values"),
    "backbone": (
        put("config", "backbone", "_target_", value="subprocess.Popen"),
        "no yaml of config group backbone",
    ),
    "backbone_conversion": (put("config", "backbone", "_convert_", value=COMMAND), "plain values"),
    "backbone_argument": (put("config", "backbone", "hidden", value=[COMMAND]), "plain values"),
    "target_that_resolves": (put("config", "target", value="${oc.env:HOME}"), "plain values"),
    "argument_that_resolves": (
        put("config", "trainer", "optimizer", "lr", value="${oc.decode:'${oc.env:HOME}'}"),
        "plain values",
    ),
    "target_elsewhere": (
        lambda folder: put("config", "target", value=str(Path("victim/domain").resolve()))(folder),
        "no such domain",
    ),
    "source_elsewhere": (
        lambda folder: put("config", "source", value=str(Path("victim/domain").resolve()))(folder),
        "no such domain",
    ),
    "nothing": (put("config", value={}), "config.target"),
}


@pytest.mark.parametrize("attack", ASKED)
def test_predict_builds_nothing_that_a_record_asks_for(
    attack: str, copy: Path, capsys: pytest.CaptureFixture
) -> None:
    change, expected = ASKED[attack]
    change(copy)
    status, said = call(capsys, "rank", "--pairs", "store=runs")
    assert status == 2 and expected in said and len(said.splitlines()) == 1


# --- run: on top of what is damaged


def results(store: Path) -> dict[str, tuple]:
    found = {}
    for folder in record.run_folders(store):
        rows = [
            {key: value for key, value in row.items() if not key.endswith("seconds")}
            for row in record.read_history(folder)
        ]
        found[folder.name] = (
            (folder / "evaluations.npz").read_bytes(),
            rows,
            record.read_record(folder)["result"],
        )
    return found


def truncate(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-200])


def flip(name: str) -> Callable[[Path], None]:
    """One byte in the middle is another one."""

    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 255
        (folder / name).write_bytes(bytes(content))

    return change


def begun(checkpoint: bytes) -> Callable[[Path], None]:
    """In place of the run, what a killed process leaves of it."""

    def change(folder: Path) -> None:
        work = folder.parent / ".running" / folder.name
        work.mkdir(parents=True)
        (work / "checkpoint.ckpt").write_bytes(checkpoint)
        shutil.rmtree(folder)

    return change


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def source_model(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        [model] = folder.parent.glob(".cache/source_models/*.safetensors")
        model.rename(model.with_name("model.safetensors"))
        change(model.parent)
        model.with_name("model.safetensors").rename(model)
        shutil.rmtree(folder)

    return damage


def linked(*, lock: bool) -> Callable[[Path], None]:
    """Links where the run would lock, or leave its work in progress and its result."""

    def change(folder: Path) -> None:
        running, victim = folder.parent / ".running", folder.parents[1] / "victim"
        shutil.rmtree(folder)
        if lock:
            (running / f"{folder.name}.lock").symlink_to(victim / "secret")
        else:
            (running / folder.name).symlink_to(victim)
            folder.symlink_to(victim)

    return change


CODE = pickle.dumps(Planted(Path("MARK")))
KEYS = ("state_dict", "loops", "callbacks", "optimizer_states", "pytorch-lightning_version")
DAMAGES = {  # and what names it
    "record": (truncate("record.json"), "record.json: not a run record"),
    "record_without_a_field": (put("cell", value={}), "record.json: not a run record"),
    "evaluations": (truncate("evaluations.npz"), "evaluations.npz: damaged"),
    "evaluations_one_byte": (flip("evaluations.npz"), "evaluations.npz: damaged"),
    "no_evaluations": (lambda folder: (folder / "evaluations.npz").unlink(), "evaluations.npz: damaged"),
    "history": (write("history.csv", b"step,seconds\nx,0\n"), "history.csv: damaged"),
    "model": (truncate("model.safetensors"), "model.safetensors: damaged"),
    "checkpoint": (begun(saved(dict.fromkeys(KEYS))[:-100]), "checkpoint.ckpt: damaged"),
    "checkpoint_of_something_else": (begun(saved({"a": 1})), "checkpoint.ckpt: damaged"),
    "pickled_checkpoint": (begun(CODE), "checkpoint.ckpt: damaged"),
    "pickle_in_a_checkpoint": (
        begun(saved(dict.fromkeys(KEYS) | {"callbacks": Planted(Path("MARK"))})),
        "checkpoint.ckpt: damaged",
    ),
    "source_model": (source_model(truncate("model.safetensors")), ".safetensors: damaged"),
    "pickled_source_model": (source_model(write("model.safetensors", CODE)), ".safetensors: damaged"),
    "link_for_a_lock": (linked(lock=True), ""),
    "links_out_of_the_store": (linked(lock=False), ""),
    "elsewhere": (elsewhere, "a symbolic link"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_on_top_of_it_ends_right_and_says_what_it_set_aside(
    damage: str, copy: Path, trained: Path, capsys: pytest.CaptureFixture
) -> None:
    change, named = DAMAGES[damage]
    change(copy)
    status, said = call(capsys, "run", *SMALL, "strategy=fine_tuning", "keep=selected", "store=runs")
    assert status == 0
    assert (
        results(Path("runs")) == results(trained)
        and (copy / "model.safetensors").is_file()
        and not copy.is_symlink()
    )
    expected = [line for line in said.splitlines() if "set aside" in line]
    assert len(expected) == bool(named) and all(named in line for line in expected), said
    left = {path.name for path in Path("runs/.running").iterdir()}
    assert left <= {f"{copy.name}.damaged"}
    assert call(capsys, "prune", "runs", "--yes")[0] == 0
    assert not list(Path("runs").rglob("*.damaged")) and not list(Path("runs/.running").iterdir())
    assert results(Path("runs")) == results(trained)


def test_a_planted_pickle_is_one_that_would_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Planted(tmp_path / "MARK")))
    assert (tmp_path / "MARK").exists()


def test_another_runs_prediction_is_computed_again_where_its_file_is_damaged(
    copy: Path, capsys: pytest.CaptureFixture
) -> None:
    words = (
        "rank",
        "target=blobs",
        "source=blobs_shifted",
        "backbone=mlp",
        "trainer.source_steps=20",
        "store=runs",
        "--format",
        "json",
    )
    status, before = call(capsys, *words)
    for path in Path("runs/predictions").iterdir():
        path.write_text(path.read_text()[:-50])
    again, after = call(capsys, *words)
    assert (status, again) == (0, 0) and after.count("; made again") == 2
    first, second = (
        json.JSONDecoder().raw_decode(text)[0]["sources"][0] | {"source_seconds": None}
        for text in (before, after)
    )
    assert first == second and first["inputs"]
    for path in Path("runs/predictions").iterdir():
        json.loads(path.read_text())


def test_damaged_pictures_are_made_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["run", "target=handwritten_digits", "source=null", "strategy=scratch", "image_size=8",
        "trainer.steps=2", "trainer.evaluations=1",
             "tracking=off", f"store={tmp_path}"]  # fmt: skip
    assert main([*words, "seed=0"]) == 0
    [pictures] = tmp_path.glob(".cache/thumbnails/*.npz")
    before = len(np.load(pictures)["ids"])
    pictures.write_bytes(b"PK")
    capsys.readouterr()
    assert main([*words, "seed=1"]) == 0
    assert "damaged; made again" in capsys.readouterr().err and len(np.load(pictures)["ids"]) == before


def test_what_is_no_wandb_folder_is_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "wandb").write_text("no folder")
    small = [word for word in SMALL if not word.startswith("tracking")]
    assert main(["run", *small, "strategy=scratch", f"store={tmp_path}"]) == 0
    assert capsys.readouterr().err.count("set aside") == 1 and list(tmp_path.glob("wandb/offline-run-*"))


# --- what a store must not hold


def test_no_api_key_lands_in_a_record_a_log_or_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.chdir(tmp_path)
    small = [word for word in SMALL if not word.startswith("tracking")]
    assert main(["run", "-m", *small, "strategy=scratch,fine_tuning", "store=runs"]) == 0  # W&B offline
    assert main(["report", "runs"]) == 0 and main(["doctor"]) in (0, 1)
    assert key not in "".join(capfd.readouterr())
    assert [
        path for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()
    ] == []
    assert list(tmp_path.glob("runs/wandb/offline-run-*"))
