"""Paths as people type them, output that cannot encode every sign, a home folder that is not there."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from store_fixture import write_runs
from transferscope.cli.main import main
from transferscope.store import record
from transferscope.training import paths

SMALL = ["target=blobs", "backbone=mlp", "strategy=scratch", "label_budget=3", "trainer.steps=2",
         "trainer.evaluations=1", "trainer.accelerator=cpu"]  # fmt: skip
NAMES = [
    "a b",
    "a=b",
    "a#b",
    "a[1]",
    "(x){y}",
    "ü 日本",
    "it's",
    'say "it"',
    "a,b",
    "a:b",
    "$x%20",
    "?*",
    "back\\slash",
    "ends\\",
    "\\'",
    "~",
]


def answer(*words: str, **environment: str | None) -> subprocess.CompletedProcess:
    asked = {key: value for key, value in (os.environ | environment).items() if value is not None}
    return subprocess.run([sys.executable, "-m", "transferscope.cli", *words], capture_output=True, env=asked)


@pytest.mark.parametrize("name", NAMES)
def test_hydra_reads_a_path_as_it_was_typed(name: str) -> None:
    for typed in (f"/tmp/{name}", f"some/{name}"):
        [word] = paths.for_hydra(paths.words([f"store={typed}"]))
        override = OverridesParser.create().parse_override(word)
        value = override.value()
        assert not override.is_sweep_override() and (value if isinstance(value, str) else value.text) == typed


def test_one_store_of_many_signs_serves_every_verb(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store, registry = tmp_path / "ü é [1]#=%,(it's){x}", tmp_path / "conf =[ü]'"
    (registry / "domain").mkdir(parents=True)
    (registry / "domain" / "mine.yaml").write_text(
        "# mine\n_target_: transferscope.data.shifted_blobs.load\n"
    )
    words = [*SMALL, "tracking=off", f"store={store}", "target=mine", "--config-dir", str(registry)]
    assert main(["run", *words]) == 0 and main(["run", "-m", *words, "seed=0,1"]) == 0
    assert len(record.run_folders(store)) == 2 and sorted(tmp_path.iterdir()) == sorted([store, registry])
    assert main(["status", str(store)]) == 0 and main(["compare", str(store)]) in (0, 2)
    assert main(["rank", "target=mine", "source=blobs_shifted", "backbone=mlp", "trainer.source_steps=2",
        f"store={store}",
                     f"--config-dir={registry}"]) == 0  # fmt: skip


SWEEP = ["-m", "seed=0,1"]
BASIC = [*SWEEP, "hydra/launcher=basic"]


@pytest.mark.parametrize(
    ("how", "sweep"),
    [
        pytest.param("word", [], id="word-run"),
        pytest.param("quoted", [], id="quoted-run"),
        pytest.param("yaml", [], id="yaml-run"),
        pytest.param("word", SWEEP, id="word-sweep"),
        pytest.param("quoted", SWEEP, id="quoted-sweep", marks=pytest.mark.slow),
        pytest.param("yaml", SWEEP, id="yaml-sweep"),
        pytest.param("word", BASIC, id="word-basic"),
        pytest.param("quoted", BASIC, id="quoted-basic", marks=pytest.mark.slow),
        pytest.param("yaml", BASIC, id="yaml-basic", marks=pytest.mark.slow),
    ],
)
def test_a_tilde_is_the_home_folder(
    how: str, sweep: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    (home / "conf" / "experiment").mkdir(parents=True)
    (home / "conf" / "experiment" / "own.yaml").write_text("# @package _global_\nstore: ~/runs\n")
    words = {
        "word": ["store=~/runs"],
        "quoted": ['store="~/runs"'],
        "yaml": ["experiment=own", "--config-dir=~/conf"],
    }[how]
    assert main(["run", *SMALL, "tracking=off", *words, *sweep]) == 0
    assert len(record.run_folders(home / "runs")) == (2 if sweep else 1)
    assert list(tmp_path.iterdir()) == [home]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("store=~nobody-of-this-name/runs", "whose home folder"),
        ("store=s3://bucket/runs", "a folder of this machine is needed, without s3://"),
        ("store=a::b", "without ::"),
        ("data_root=https://host/data", "without https://"),
        ("backbone.weights=my [1].pth", "stands in quotes, 'backbone.weights=\"my [1].pth\"'"),
    ],
)
def test_what_is_no_path_says_what_to_type(
    word: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *SMALL, "tracking=off", word]) == 2
    said = capsys.readouterr().err
    assert expected in said and len(said.splitlines()) == 1 and list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that a comparison needs other signs than ASCII for."""
    store = tmp_path_factory.mktemp("compared")
    runs = {"n": 30, "classes": 3, "label_budget": 2, "seeds": 5}
    write_runs(store, "scratch", 0.5, **runs)
    write_runs(store, "fine_tuning", 1.5, initialisation="source", **runs)
    return store


def said_in(encoding: str, *words: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a command whose output has this encoding."""
    with pytest.MonkeyPatch.context() as patch:
        streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
        for name, stream in zip(("stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        status = main(list(words))
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    return status, out, err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_output_cannot_encode_is_told_in_ascii(encoding: str, compared: Path) -> None:
    status, whole, _ = said_in("utf-8", "compare", str(compared))
    assert status == 0 and "Δ" in whole
    status, poor, err = said_in(encoding, "compare", str(compared))
    assert (status, err) == (0, "") and "delta" in poor and "?" not in poor.split("\n\n")[0]
    status, _, err = said_in(encoding, "run", "target=blobs", 'strategy="Δ"')
    assert status == 2 and err.startswith("transferscope: strategy=delta: not one of")


def test_a_process_is_told_its_encoding_by_the_environment(compared: Path) -> None:
    poor = answer("compare", str(compared), PYTHONIOENCODING="ascii")
    assert (poor.returncode, poor.stderr) == (0, b"") and "delta" in poor.stdout.decode("ascii")


def test_yamls_are_read_as_utf_8_whatever_the_locale() -> None:
    done = answer("list", "strategies", PYTHONUTF8="0", LC_ALL="C", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, b"") and b"fine_tuning" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("home", [None, "/proc"], ids=["none", "read-only"])
def test_without_a_home_no_library_logs_around_the_result(home: str | None, tmp_path: Path) -> None:
    done = answer(
        "run", *SMALL, "tracking=offline", f"store={tmp_path / 'runs'}", HOME=home, XDG_CACHE_HOME=None
    )
    assert done.returncode == 0 and done.stderr == b"" and len(done.stdout.splitlines()) == 2
    assert [path.name for path in (tmp_path / "runs" / "wandb").glob("offline-run-*")]
