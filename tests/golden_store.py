"""A small store, and what the commands say of it: what a change of the code's structure must leave as it is.

`python tests/golden_store.py` records the texts in golden/ anew, from the store there; without a store it
trains one first."""

import contextlib
import io
import json
import os
import re
import shutil
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

HERE = Path(__file__).parent / "golden"
NETWORK = ["target=blobs", "backbone=mlp", "backbone.hidden=[8]", "trainer.accelerator=cpu", "store=store"]
TRAINER = [
    "trainer.steps=200",
    "trainer.source_steps=200",
    "trainer.batch_size=16",
    "trainer.evaluations=3",
    "trainer.optimizer.lr=0.02",
]
RUN = ["run", "-m", *NETWORK, *TRAINER, "tracking=off", "source=blobs_shifted"]
SWEEPS = {
    "strategies": [
        "label_budget=20",
        "seed=range(0,5)",
        "strategy=scratch,fine_tuning,dann,source_only,coral",
    ],
    "folds": [
        "label_budget=2",
        "seed=range(0,2)",
        "fold=range(0,2)",
        "folds=2",
        "strategy=scratch,fine_tuning",
    ],
    "collapsed": ["label_budget=2", "seed=2,4", "strategy=scratch,fine_tuning", "trainer.optimizer.lr=1e-7"],
    "looks": [
        "label_budget=5",
        "strategy=scratch,fine_tuning",
        "--until-decided",
        "until_decided.looks=[2,3]",
    ],
}
TRAINING = [[*RUN, f"sweep={name}", *words] for name, words in SWEEPS.items()] + [
    ["rank", *NETWORK, *TRAINER, "source=blobs_shifted"]
]
TEXTS = {
    "compare.json": ["compare", "store", "--format", "json"],
    "compare.txt": ["compare", "store"],
    "compare_source_only.txt": ["compare", "store", "--baseline", "source_only"],
    "status.json": ["status", "store", "--format", "json"],
    "status.txt": ["status", "store"],
    **{f"dry_run_{name}.txt": [*RUN, f"sweep={name}", *words, "--dry-run"] for name, words in SWEEPS.items()},
    "rank.json": ["rank", *NETWORK, *TRAINER, "source=blobs_shifted", "--format", "json"],
    "report.txt": ["report", "store", "--output", "page.html"],
}


def say(words: list[str]) -> str:
    """What a command prints, on a terminal of 120 columns without colours."""
    from transferscope.cli.main import main

    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        mock.patch.dict(os.environ, {"COLUMNS": "120", "NO_COLOR": "1"}),
    ):
        status = main(words)
    assert status == 0, f"transferscope {' '.join(words)}: exit status {status}"
    return printed.getvalue()


def texts() -> dict[str, str]:
    """Of a copy of the store: a comparison leaves a note of itself in the store that it reads."""
    from transferscope import __version__

    found = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(HERE / "store", "store")
        for name, words in TEXTS.items():
            text = say(words)
            if name == "report.txt":
                text = sections(Path("page.html").read_text())
            found[name] = re.sub(rf"\b{re.escape(__version__)}\b", "VERSION", text)
        assert made("store") == made(HERE / "store"), "something was made again"
    return found


def made(store: Path | str) -> dict[str, bytes]:
    """The records and predictions of a store."""
    paths = [*Path(store).glob("*/record.json"), *Path(store).glob("predictions/*")]
    return {str(path.relative_to(store)): path.read_bytes() for path in paths}


def keys() -> dict[str, dict[str, str]]:
    """Of every strategy the key of a run on arrays and on pictures."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from transferscope.errors import RequestError
    from transferscope.training.request import resolve

    conf = HERE.parents[1] / "conf"
    inputs = {
        "arrays": NETWORK,
        "pictures": [
            "target=handwritten_digits",
            "backbone=small_cnn",
            "trainer.accelerator=cpu",
            "image_size=16",
        ],
    }
    sources = {"arrays": "blobs_shifted", "pictures": "printed_digits"}
    found = {}
    for name, words in inputs.items():
        with initialize_config_dir(str(conf), version_base="1.3"):
            config = compose("config", [*words, f"source={sources[name]}", "tracking=off"])
        OmegaConf.set_struct(config, False)
        for path in sorted(conf.glob("strategy/*.yaml")):
            config.strategy = OmegaConf.load(path)
            try:
                expected = resolve(config).fingerprint
            except RequestError:
                expected = "refused"
            found.setdefault(path.stem, {})[name] = expected
    return found


class _Sections(HTMLParser):
    def __init__(self):
        super().__init__()
        self.lines, self.hidden = [], 0

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in ("style", "script")
        if tag == "section":
            self.lines.append(f"\n== {dict(attributes).get('id')}")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("style", "script")

    def handle_data(self, data):
        if not self.hidden and data.strip():
            self.lines.append(" ".join(data.split()))


def sections(page: str) -> str:
    """The text of a report, section by section."""
    parser = _Sections()
    parser.feed(page)
    return "\n".join(parser.lines) + "\n"


def record() -> None:
    with contextlib.chdir(HERE):
        if not Path("store").exists():
            for words in TRAINING:
                say(words)
            for working in (".cache", ".running"):
                shutil.rmtree(f"store/{working}", ignore_errors=True)
    for name, text in {**texts(), "keys.json": json.dumps(keys(), indent=1)}.items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    record()
