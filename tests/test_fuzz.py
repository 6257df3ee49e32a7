"""Requests and records that nobody would write: refused in one line or answered, never a traceback and never
half a store."""

import contextlib
import copy
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from store_fixture import write_plan, write_runs
from transferscope.cli.main import main
from transferscope.comparison import readings

FEW = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
MANY = settings(FEW, max_examples=600)

SMALL = ["target=blobs", "source=blobs_shifted", "backbone=mlp", "strategy=fine_tuning", "label_budget=5",
    "trainer.steps=2",
         "trainer.source_steps=2", "trainer.evaluations=1", "tracking=off"]  # fmt: skip
KEYS = [
    "target", "source", "strategy", "backbone", "trainer", "tracking", "label_budget", "initialisation",
    "protocol", "source_label_noise", "image_size", "channels", "seed", "split_seed", "fold", "folds", "twin",
    "role", "keep", "outputs", "selection", "keep_features", "reverse_validation", "data_root", "download",
    "sweep",
    "trainer.steps", "trainer.source_steps", "trainer.batch_size", "trainer.evaluations", "trainer.optimizer",
    "trainer.optimizer.lr", "trainer.optimizer._target_", "trainer.schedule", "trainer.precision",
    "trainer.augmentation", "trainer.label_smoothing", "trainer.patience", "trainer.threads", "strategy.name",
    "strategy._target_", "strategy.starts_from", "strategy.x", "backbone.hidden", "backbone._target_",
    "backbone.name", "tracking.mode", "tracking.tags", "experiment", "hydra.job.num", "hydra/launcher",
    "hydra.launcher.n_jobs", "x",
]  # fmt: skip
TEXT = st.text(st.characters(exclude_characters="\x00"), max_size=12)  # no process is given a NUL
ODD = [
    "null", "true", "false", "[]", "{}", "[a,b]", "{a:1}", "a,b", "range(0,3)", "choice(1,2)", "''", "???",
    "full", "scratch", "dann", "blobs", "../x", ".", "/", "${x}", "${oc.env:HOME}", "-1", "0", "1e400", "nan",
    "inf", "99999999999999999999", "torch.optim.SGD", "os.system", "gpu", "[1,[2]]", "\\", "'", "\"", "=",
    "@", "%", "~", "+", ":",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(ODD),
    st.integers(-3, 10).map(str), st.floats().map(str), TEXT,
)  # fmt: skip
SIGNS = st.sampled_from(["", "", "", "", "+", "++", "~"])
OVERRIDES = st.builds(lambda sign, key, value: f"{sign}{key}={value}", SIGNS, st.sampled_from(KEYS), VALUES)
WORDS = st.one_of(
    OVERRIDES,
    st.sampled_from(
        [
            "-m",
            "--until-decided",
            "until_decided.looks=[2,3]",
            "--config-dir=nowhere",
            "--format",
            "json",
            "-x",
            "a",
        ]
    ),
    TEXT,
)


def answered(*words: str) -> None:
    """Exit 0 or 1 with an answer, or 2 with one line on stderr and nothing else. An exception fails the test
    by itself."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(words))
    said = err.getvalue()
    assert status in (0, 1, 2) and "Traceback" not in said + out.getvalue(), (words, said)
    assert status != 2 or (len(said.splitlines()) == 1 and said.startswith("transferscope")), (words, said)


def fuzz_requests(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        answered("run", *SMALL, "--dry-run", "store=runs", *words)
        assert not [path for path in Path().rglob("*") if path.is_file()]  # a dry run leaves nothing


def times(store: Path) -> dict[Path, int]:
    """Of all but the log of readings, which a reading is noted in."""
    return {path: path.stat().st_mtime_ns for path in store.rglob("*") if readings.FOLDER not in path.parts}


def fuzz_options(verb: str, words: list[str], store: Path) -> None:
    before = times(store)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        answered(verb, *([str(store)] if verb != "rank" else ["--pairs", f"store={store}"]), *words)
    assert times(store) == before


OPTION_NAMES = [
    "baseline", "metric", "selection", "margin", "alpha", "items", "correction", "format", "protocol",
    "config-dir",
]  # fmt: skip
OPTION_VALUES = [
    "scratch:seed=1",
    "target_only:x=",
    "relative:0.1",
    "relative:",
    "both",
    "bh",
    "nll",
    "csv",
    "1e-9",
]
OPTIONS = st.lists(
    st.one_of(
        st.builds(lambda key, value: f"--{key}={value}",
                  st.sampled_from(OPTION_NAMES),
                  st.one_of(VALUES, st.sampled_from(OPTION_VALUES))),
        WORDS,
    ),
    max_size=3,
)  # fmt: skip
COMMANDS = st.sampled_from(["compare", "report", "status", "prune", "rank"])

# --- records and plans

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=8))
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: object, at: tuple = ()) -> list[tuple]:
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    )
    return (
        [at, *(place for key, item in inner for place in places(item, (*at, key)))]
        if at
        else [p for k, i in inner for p in places(i, (k,))]
    )


@st.composite
def mutations(draw: st.DrawFn, content: dict) -> dict:
    """Some of its values replaced by others, or taken out."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(content)))
        place = content
        for key in way:
            place = place[key]
        if draw(st.booleans()) and isinstance(place, dict):
            del place[last]
        else:
            place[last] = draw(JSON)
    return content


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("fuzz") / "runs"
    own = {"n": 30, "classes": 3, "label_budget": 2}
    jobs = write_runs(store, "scratch", 0.5, seeds=2, **own) + write_runs(
        store, "fine_tuning", 1.5, seeds=2, initialisation="source", **own
    )
    write_plan(store, "demo", jobs)
    return store


def fuzz_store(data: st.DataObject, store: Path) -> None:
    path = data.draw(
        st.sampled_from(sorted([*store.glob("*/record.json"), store / "sweeps" / "demo" / "plan.json"]))
    )
    before = path.read_text()
    changed = json.dumps(data.draw(mutations(json.loads(before))))
    path.write_text(
        changed[: data.draw(st.integers(0, len(changed)))] if data.draw(st.integers(0, 9)) == 0 else changed
    )
    try:
        for words in (
            ["compare"],
            ["compare", "--format=json"],
            ["status"],
            ["prune"],
            ["report", "-o", str(store.parent / "page.html")],
        ):
            answered(words[0], str(store), *words[1:])
    finally:
        path.write_text(before)


# --- few of each here, many where slow tests are asked for


@FEW
@given(words=st.lists(WORDS, min_size=1, max_size=3))
@example(words=["sweep=[/red]", "-m"])
@example(words=["sweep=../x", "-m"])
def test_requests(words: list[str]) -> None:
    fuzz_requests(words)


@FEW
@given(verb=COMMANDS, words=OPTIONS)
def test_options(verb: str, words: list[str], store: Path) -> None:
    fuzz_options(verb, words, store)


@FEW
@given(data=st.data())
def test_records_and_plans(data: st.DataObject, store: Path) -> None:
    fuzz_store(data, store)


@pytest.mark.slow
@MANY
@given(words=st.lists(WORDS, min_size=1, max_size=4))
def test_many_requests(words: list[str]) -> None:
    fuzz_requests(words)


@pytest.mark.slow
@MANY
@given(verb=COMMANDS, words=OPTIONS)
def test_many_options(verb: str, words: list[str], store: Path) -> None:
    fuzz_options(verb, words, store)


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_many_records_and_plans(data: st.DataObject, store: Path) -> None:
    fuzz_store(data, store)
