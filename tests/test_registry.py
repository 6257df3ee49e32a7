"""Every choice that ships can be asked for, from a checkout and from an installed wheel."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from tiny_encoders import encoder
from transferscope.catalog import registry
from transferscope.cli.main import main
from transferscope.store import record


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.mark.parametrize(
    "name", [path.stem for path in sorted((Path(__file__).parents[1] / "conf" / "backbone").glob("*.yaml"))]
)
def test_every_backbone_can_be_asked_for(name: str, store: Path) -> None:
    of_texts = get_class(OmegaConf.load(registry.choices("backbone")[name])["_target_"]).takes == ("text",)
    if name in ("minilm", "word_vectors") and "TRANSFERSCOPE_DATA_ROOT" not in os.environ:
        pytest.skip("TRANSFERSCOPE_DATA_ROOT is unset: pretrained weights are not at hand")
    target = "blobs" if name in ("identity", "mlp", "tabular") else "texts" if of_texts else "printed_digits"
    weights = ["backbone.weights=random"] if name == "mobilenetv1" else []
    if of_texts:
        rows = "".join(f"some {word} text,{word}\n" for word in ("good", "bad") * 24)
        (store.parent / "texts.csv").write_text(f"text,label\n{rows}")
        yaml = f"_target_: transferscope.data.text_files.load\npath: {store.parent / 'texts.csv'}\n"
        (store.parent / "conf" / "domain").mkdir(parents=True)
        (store.parent / "conf" / "domain" / "texts.yaml").write_text(yaml)
        weights = [f"--config-dir={store.parent / 'conf'}"]
        root = os.environ.get("TRANSFERSCOPE_DATA_ROOT")
        weights += [f"data_root={root}"] if root else []
    if name == "transformer":
        weights += [f"backbone.model={encoder(store.parent / 'bert')}", "backbone.max_tokens=16"]
    asked = [
        f"target={target}",
        f"backbone={name}",
        "image_size=32",
        "strategy=scratch",
        "trainer.steps=1",
        "trainer.evaluations=1",
    ]
    assert main(["run", *asked, *weights, "tracking=off", f"store={store}"]) == 0
    [folder] = record.run_folders(store)
    assert record.read_record(folder)["status"] in ("done", "collapsed")


@pytest.mark.parametrize(("name", "path"), registry.choices("strategy").items())
def test_every_strategy_names_its_idea_its_paper_and_its_equation(name: str, path: Path) -> None:
    described, *rest = path.read_text().splitlines()
    assert described.startswith("# ") and described[2:3].isupper() and not described.endswith(".")
    assert rest[0].removeprefix("# idea: ") in registry.IDEAS
    assert re.search(r"^# compared: [a-z].*[^.]$", path.read_text(), re.M), (
        "what its numbers were held against, or that nothing is needed"
    )
    if rest[1].startswith("# paper: "):
        assert re.search(r" \d{4}, [A-Z].+, ", rest[1]), "authors year, title, venue"
    else:
        assert registry.idea(path) in ("baselines", "frozen features")
    equation = registry.class_docstring(registry.value(path, "_target_")).split("\n\n")[0]
    assert re.search(r"\bmin\b|\bmax\b|=|←", equation), "the docstring of its class begins with the equation"


def test_several_sources_are_pooled(store: Path) -> None:
    asked = [
        "target=handwritten_digits",
        "source=[printed_digits,handwritten_digits_rotated]",
        "strategy=joint",
        "trainer.steps=2",
    ]
    assert main(["run", *asked, "trainer.evaluations=1", "tracking=off", f"store={store}"]) == 0
    [folder] = record.run_folders(store)
    entry = record.read_record(folder)
    assert entry["cell"]["source"] == "printed_digits+handwritten_digits_rotated"
    with np.load(folder / "evaluations.npz") as members:
        assert {"printed_digits/val/ids", "handwritten_digits_rotated/val/ids"} <= set(members.files)


@pytest.mark.slow
def test_an_installed_wheel_brings_its_shelves(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, root],
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", tmp_path / "site", wheel], check=True, capture_output=True
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    where = (
        "import transferscope.catalog.yamls as c; print(c.own_folder()); print(len(c.names('domain')), "
        "len(c.names('strategy')))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", where],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert seen.splitlines()[0] == str(tmp_path / "site" / "transferscope" / "conf")
    assert all(int(number) > 5 for number in seen.splitlines()[1].split())
    asked = [
        "target=blobs",
        "backbone=mlp",
        "strategy=scratch",
        "trainer.steps=2",
        "trainer.evaluations=1",
        "tracking=off",
    ]
    module = [sys.executable, "-m", "transferscope.cli", "run", *asked]
    subprocess.run(module, env=environment, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "runs").is_dir()
