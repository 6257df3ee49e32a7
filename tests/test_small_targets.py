"""Targets of few items: what their labels allow is run, what they do not is listed, and no budget is asked
for that nobody gave."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from transferscope.cli.main import main
from transferscope.store import record

SMALL = [
    "trainer.steps=2",
    "trainer.source_steps=2",
    "trainer.evaluations=1",
    "trainer.accelerator=cpu",
    "tracking=off",
]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Domains of two classes with 3 and with 20 items a class, half of them for testing."""
    (tmp_path / "conf" / "domain").mkdir(parents=True)
    for name, items in (("few", 3), ("some", 20)):
        yaml = (
            f"# {items} a class\n_target_: transferscope.data.shifted_blobs.load\nclasses: 2\nper_class: "
            f"{items}\n"
        )
        (tmp_path / "conf" / "domain" / f"{name}.yaml").write_text(yaml)
    return tmp_path / "conf"


@pytest.mark.parametrize(
    "flag", [[], ["--until-decided", "until_decided.looks=[2,3]"]], ids=["sweep", "until decided"]
)
def test_a_budget_that_is_too_large_leaves_the_rest_of_the_sweep(
    flag: list[str], registry: Path, tmp_path: Path, capsys
) -> None:
    seeds = [] if flag else ["seed=0,1"]
    (registry / "domain" / "near.yaml").write_text(
        (registry / "domain" / "some.yaml").read_text() + "draw: 1\n"
    )
    words = [
        "target=few,some",
        "source=near",
        "backbone=mlp",
        "strategy=scratch,joint",
        "label_budget=1,5,20",
        *seeds,
        *flag,
    ]
    store = tmp_path / "runs"
    assert main(["run", "-m", *words, *SMALL, f"store={store}", f"--config-dir={registry}"]) == 0
    cells = {
        (entry["cell"]["target"], entry["cell"]["label_budget"])
        for entry in map(record.read_record, record.run_folders(store))
    }
    assert cells == {("few", 1), ("some", 1), ("some", 5)}
    [plan] = record.read_plans(store)
    barred = {
        (job["cell"]["target"], job["cell"]["label_budget"]): job["reason"]
        for job in plan["jobs"]
        if job["status"] == "not_applicable"
    }
    assert set(barred) == {("few", "5"), ("few", "20"), ("some", "20")}
    assert barred["some", "20"] == (
        "label_budget=20: class 'blob-0' of target some has 10 labelled training items; give at most 10 "
        "or 'full'"
    )
    said = capsys.readouterr()
    assert "not applicable (" in said.out + said.err


def test_alone_it_is_refused(registry: Path, tmp_path: Path, capsys) -> None:
    words = [
        "target=some",
        "backbone=mlp",
        "strategy=scratch",
        *SMALL,
        f"store={tmp_path / 'runs'}",
        f"--config-dir={registry}",
    ]
    assert main(["run", *words, "label_budget=20"]) == main(["run", "-m", *words, "label_budget=20,30"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all("label_budget=20" in line and "at most 10" in line for line in said)


def test_sources_are_ranked_for_six_items(registry: Path, tmp_path: Path, capsys) -> None:
    words = ["rank", "target=few", "source=blobs_shifted,some", "backbone=mlp", "trainer.source_steps=3",
        f"store={tmp_path / 'runs'}",
             f"--config-dir={registry}", "--format=json"]  # fmt: skip
    assert main(words) == 0
    expected = json.loads(capsys.readouterr().out)
    assert (
        expected["label_budget"] == 1
        and expected["items"]["target_labelled"] == 2
        and len(expected["sources"]) == 2
    )
    assert main([*words, "label_budget=10"]) == 2  # which somebody gave
    assert (
        "label_budget=10: class 'blob-0' of target few has 1 labelled training items"
        in capsys.readouterr().err
    )


def test_the_sweep_of_the_readme_runs_on_thirty_pictures_a_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8").replace("\\\n", " ")
    command = shlex.split(
        re.search(r"^transferscope (run -m --config-dir my_conf .*)$", readme, re.MULTILINE)[1]
    )
    draw = np.random.default_rng(0)
    for number in range(60):
        folder = tmp_path / "photos" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(
            draw.integers(100 * (number % 2), 150 + 100 * (number % 2), (40, 32, 3), dtype=np.uint8)
        ).save(folder / f"{number}.png")
    yaml = re.search(r"```yaml\n(# my_conf/domain/mine.yaml\n.*?)```", readme, re.DOTALL)[1]
    (tmp_path / "my_conf" / "domain").mkdir(parents=True)
    (tmp_path / "my_conf" / "domain" / "mine.yaml").write_text(
        yaml.replace("/path/to/photos", "photos").replace("size: 64", "size: 32")
    )
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.safetensors")
    quick = {"backbone.model": "test_resnet", "backbone.weights": "weights.safetensors", "seed": "0"}
    words = [
        f"{key}={quick.get(key, value)}" if sign else key
        for key, sign, value in (word.partition("=") for word in command)
    ]
    monkeypatch.chdir(tmp_path)
    assert main([*words, *SMALL]) == 0
    entries = [record.read_record(folder) for folder in record.run_folders(tmp_path / "runs")]
    assert {entry["status"] for entry in entries} <= {"done", "collapsed"} and len(entries) == 6
