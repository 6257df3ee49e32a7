"""Mistakes in a user's own yamls and modules: one line that names the choice, the file and what is allowed,
exit status 2, nothing trained."""

from collections.abc import Callable
from pathlib import Path

import pytest

from transferscope.cli.main import main
from transferscope.data import load
from transferscope.store import record

BLOBS = "_target_: transferscope.data.shifted_blobs.load\n"
MODULE = """
import torch
from torch import nn
from transferscope.backbones.base import Backbone
from transferscope.data.domain import Domain

def tokens(name: str, count: int) -> Domain:
    inputs = torch.arange(4 * count).reshape(count, 4) % 7
    labels = ["even" if i % 2 else "odd" for i in range(count)]
    return Domain.build(name, inputs, labels, [str(i) for i in range(count)])

def breaking(name: str, path: str):
    return open(path)

def numbers(name: str):
    return [1, 2, 3]

def short(name: str) -> Domain:
    whole = tokens(name, 40)
    return Domain(name, whole.inputs[:30].float(), whole.labels, whole.classes, whole.ids, whole.split)

class Plain(nn.Module):
    def __init__(self, input_shape):
        super().__init__()
        self.layer = nn.Linear(input_shape[0], 3)

class Clumsy(Backbone):
    def __init__(self, input_shape, width: int = 4):
        super().__init__()
        self.features = width
        self.layer = nn.Linear(input_shape[0], 3 // (width - 3))

class Mean(Backbone):
    def __init__(self, input_shape):
        super().__init__()
        self.features = 1
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, inputs):
        return self.scale * inputs.float().mean(1, keepdim=True)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Writes a yaml, or bytes, and runs with the folder as --config-dir."""
    (tmp_path / "own_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    load._load_domain.cache_clear()

    def run(path: str, content: str | bytes, *words: str) -> int:
        file = tmp_path / "conf" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        given = {word.partition("=")[0] for word in words}
        usual = [
            "target=mine",
            "strategy=scratch",
            "backbone=mlp",
            "label_budget=5",
            "trainer.steps=2",
            "trainer.evaluations=1",
            "tracking=off",
        ]
        words = [*(word for word in usual if word.partition("=")[0] not in given), *words]
        return main(["run", *words, f"store={tmp_path / 'runs'}", f"--config-dir={tmp_path / 'conf'}"])

    return run


# a sweep loads by the same code; here a wrong key, a yaml that is none, and a loader that breaks
IN_A_SWEEP = [
    BLOBS + "fetaures: 4\n",
    BLOBS + "features: 4\nfeatures: 5\n",
    "- a\n- b\n",
    "_target_: own_parts.breaking\npath: /nowhere/x\n",
    "_target_: own_parts.tokens\ncount: 40\n",
]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (BLOBS + "fetaures: 4\n", ["domain/mine.yaml: fetaures=4: load takes features,", ("did you mean "
            "'features'?")]),
        (BLOBS + 'features: "4"\n', ["features=4: int is needed, not str"]),
        (BLOBS + "features: 4.0\n", ["features=4.0: int is needed, not float"]),
        (BLOBS + "features:\n", ["features=null: int is needed"]),
        (BLOBS + "name: other\n", ["name=other", "leave the key out"]),
        (BLOBS + "features: 4\n\tclasses: 3\n", ["mine.yaml, line 3: ", "spaces"]),
        (BLOBS + 'root: "C:\\Users\\me"\n', ["mine.yaml, line 2: ", "single quotes"]),
        (BLOBS + "features: [4\n", ["mine.yaml, line 3: "]),
        (BLOBS + "features: 4\nfeatures: 5\n", ["mine.yaml, line 3: ", "duplicate key features"]),
        (BLOBS + "features: ${oc.env:NO_SUCH_VARIABLE}\n", ["mine.yaml: ", "'NO_SUCH_VARIABLE' not found"]),
        (BLOBS + "features: ${feature}\n", ["mine.yaml: ", "'feature' not found"]),
        ("# nothing yet\n", ["mine.yaml: _target_=None: a loader is needed"]),
        ("- a\n- b\n", ["mine.yaml: keys and their values are needed"]),
        ("text\n", ["mine.yaml: _target_=None: a loader is needed"]),
        (b"# gr\xfc\xdfe\n" + BLOBS.encode(), ["mine.yaml: is no UTF-8 text"]),
        ("_target_: transferscope.data.shifted_blobs.laod\n",
         ["_target_=transferscope.data.shifted_blobs.laod: cannot be imported"]),
        ("_target_: no_such_module.load\n",
         ["cannot be imported (No module named 'no_such_module')", "PYTHONPATH"]),
        ("_target_: transferscope.data.image_folders.load\nroot: nowhere\n", [("mine.yaml: size: a value is "
            "needed (int)")]),
        ("_target_: transferscope.data.image_folders.load\nroot: nowhere\nsize: 8\n", [("root=nowhere is no "
            "folder")]),
        ("_target_: own_parts.breaking\npath: /nowhere/x\n",
         ["own_parts.breaking raised FileNotFoundError", "own_parts.py, line 13)"]),
        ("_target_: own_parts.numbers\n", ["its loader returned list"]),
        ("_target_: own_parts.short\n", ["30 inputs, 40 labels"]),
        ("_target_: own_parts.tokens\ncount: 40\n", [("backbone=mlp: takes float32 inputs, those of target "
            "mine are int64")]),
    ],
)  # fmt: skip
def test_a_mistake_in_a_domain(
    content: str | bytes,
    expected: list[str],
    own: Callable[..., int],
    tmp_path: Path,
    capsys,
) -> None:
    for sweep in ([], ["-m", "seed=0,1"]) if content in IN_A_SWEEP else ([],):
        assert own("domain/mine.yaml", content, *sweep) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 and "mine" in said and all(part in said for part in expected), said
    assert not (tmp_path / "runs").exists()


def test_a_mistake_in_the_source_names_the_source(own: Callable[..., int], capsys) -> None:
    assert own("domain/mine.yaml", BLOBS + "drew: 1\n", "target=blobs", "source=mine", "strategy=joint") == 2
    assert "source=mine: " in (said := capsys.readouterr().err) and "did you mean 'draw'?" in said


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("domain/mine.yml", "ends in .yaml; rename it"),
        ("mine.yaml", "it belongs into"),
        ("domain/main.yaml", "did you mean 'main'?"),
    ],
)
def test_a_yaml_where_none_is_looked_for(path: str, expected: str, own: Callable[..., int], capsys) -> None:
    assert own(path, BLOBS) == 2
    assert "target=mine: " in (said := capsys.readouterr().err) and expected in said


@pytest.mark.parametrize("group", ["strategy", "backbone", "trainer"])
def test_choices_of_hydras_own_are_told_alike(group: str, own: Callable[..., int], capsys) -> None:
    assert own(f"{group}/mine.yml", "name: x\n", "target=blobs", f"{group}=mine") == 2
    assert f"{group}=mine: " in (said := capsys.readouterr().err) and "ends in .yaml" in said
    assert own(f"{group}/mine.yaml", "name: x\n\tkey: 1\n", "target=blobs", f"{group}=mine") == 2
    assert "mine.yaml, line 2: " in (said := capsys.readouterr().err) and len(said.splitlines()) == 1
    assert own(f"{group}/mine.yaml", b"# gr\xfc\xdfe\nname: x\n", "target=blobs", f"{group}=mine") == 2
    assert "mine.yaml: is no UTF-8 text" in (said := capsys.readouterr().err) and len(said.splitlines()) == 1
    if group == "trainer":
        return
    assert own(f"{group}/mine.yaml", "# nothing yet\n", "target=blobs", f"{group}=mine") == 2
    assert f"{group}._target_=None: the class" in capsys.readouterr().err
    assert (
        own(f"{group}/mine.yaml", "name: ${oc.env:NO_SUCH_VARIABLE}\n", "target=blobs", f"{group}=mine") == 2
    )
    assert "'NO_SUCH_VARIABLE' not found" in (said := capsys.readouterr().err) and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "_target_: own_parts.Plain\n",
            [
                (
                    "backbone._target_=own_parts.Plain: a subclass of transferscope.backbones.base.Backbone "
                    "is "
                    "needed"
                )
            ],
        ),
        ("_target_: torch.nn.Flatten\nname: mine\n", ["a subclass of"]),
        ("_target_: own_parts.Nowhere\n", ["backbone._target_=own_parts.Nowhere: cannot be imported"]),
        (
            "_target_: own_parts.Clumsy\nwidth: 3\n",
            ["the network cannot be built (ZeroDivisionError: ", "backbone=mine"],
        ),
        ("_target_: own_parts.Mean\nname: 3\n", ["backbone.name=3"]),
    ],
)
def test_a_network_that_is_no_backbone(
    content: str, expected: list[str], own: Callable[..., int], tmp_path: Path, capsys
) -> None:
    assert own("backbone/mine.yaml", content, "target=blobs", "backbone=mine") == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and all(part in said for part in expected), said
    assert not (tmp_path / "runs").exists()


def test_a_backbone_without_a_name_has_that_of_its_file(
    own: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert own("backbone/mine.yaml", "_target_: own_parts.Mean\n", "target=blobs", "backbone=mine") == 0
    [alone] = record.run_folders(tmp_path / "runs")
    assert (
        own("backbone/other.yaml", "_target_: own_parts.Mean\n", "target=blobs", "-m", "backbone=mine,other")
        == 0
    )
    found = {folder: record.read_record(folder) for folder in record.run_folders(tmp_path / "runs")}
    assert found[alone]["cell"]["backbone"] == "mine" and len(found) == 2
    assert {entry["cell"]["backbone"] for entry in found.values()} == {"mine", "other"}
    assert (
        own("backbone/mine.yaml", "_target_: own_parts.Mean\nname: mine\n", "target=blobs", "backbone=mine")
        == 0
    )
    assert len(record.run_folders(tmp_path / "runs")) == 2  # the same run as with the name written out
