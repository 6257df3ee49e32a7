"""Who imports whom, read from the sources: nothing is imported, so nothing hides behind an `if` or inside a
function."""

import ast
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "transferscope"
MODULES = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}
# What the files of a folder may import of the others. Training and comparing meet in a store: neither is
# among what the other may import.
MEASURES = {"distances", "transferability", "validators"}
MAY_IMPORT = {
    "errors": set(),
    "catalog": {"errors"},
    "statistics": {"errors"},
    "distances": {"errors"},
    "transferability": {"errors", "distances"},
    "validators": {"errors", "distances"},
    "store": {"errors"},
    "tasks": {"errors", "statistics", "store"},
    "external": {"errors", "store", "tasks", "tracking"},  # W&B's tables are asked for there
    "data": {"errors", "catalog", "store", "tasks"},
    "networks": {"errors"},
    "backbones": {"errors", "networks"},
    "strategies": {"errors", "data", "tasks", "networks", "distances"},
    "tracking": {"errors", "store"},
    "training": {
        "errors",
        "catalog",
        "store",
        "tasks",
        "data",
        "networks",
        "backbones",
        "strategies",
        "tracking",
        *MEASURES,
    },
    "comparison": {"errors", "statistics", "store", "tasks", "validators", "tracking", "external"},
    "report": {"errors", "statistics", "store", "tasks", "comparison"},
    "sweeps": {
        "errors",
        "catalog",
        "statistics",
        "store",
        "tasks",
        "data",
        "tracking",
        "training",
        "comparison",
    },
    "calibration": {
        "statistics",
        "tasks",
        "data",
        "networks",
        "backbones",
        "strategies",
        "training",
        "comparison",
    },
    "cli": {
        "errors",
        "external",
        "catalog",
        "statistics",
        "store",
        "tasks",
        "data",
        "tracking",
        "training",
        "comparison",
        "report",
        "sweeps",
        "calibration",
    },
}


@cache
def imports(module: str) -> frozenset[str]:
    """All that a module imports, at its head or inside functions, but for type checkers; modules of the
    project down to the file."""
    found = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found.update(inner or {node.module})
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(MODULES[module].read_text()))
    return frozenset(found)


@cache
def reached(module: str) -> frozenset[str]:
    """What a module imports directly or through others of the project, less what the package itself hands out
    when asked for."""
    todo, found = [module], set()
    while todo:
        new = imports(todo.pop()) - found
        found |= new
        todo += new & MODULES.keys() - {"transferscope"}
    return frozenset(found)


def within(part: str) -> list[str]:
    """The modules of a folder or file: "strategies" or "training.fit"."""
    return [name for name in MODULES if f"{name}.".startswith(f"transferscope.{part}.")]


def is_of(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def folder_of(module: str) -> str:
    return module.split(".")[1]


def test_the_reading_finds_what_there_is():
    assert {"transferscope.training.settings", "hydra.utils"} <= imports("transferscope.training.request")
    assert "transferscope.data.domain" in reached("transferscope.training.run")
    assert "wandb" in imports("transferscope.tracking.place")  # inside a function
    # for type checkers alone
    assert "transferscope.comparison.comparison" not in imports("transferscope.tracking.comparisons")


def test_every_folder_has_its_place():
    assert {folder_of(module) for module in MODULES if module != "transferscope"} == MAY_IMPORT.keys()


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_what_it_may(folder: str):
    for module in within(folder):
        others = {folder_of(name) for name in imports(module) if name.startswith("transferscope.")} - {folder}
        assert others <= MAY_IMPORT[folder], (
            f"{module} imports of {', '.join(sorted(others - MAY_IMPORT[folder]))}"
        )


def test_what_may_be_imported_is_drawn_without_a_circle():
    placed: set[str] = set()
    while ready := [
        folder for folder, below in MAY_IMPORT.items() if folder not in placed and below <= placed
    ]:
        placed |= set(ready)
    assert placed == MAY_IMPORT.keys()


def test_no_modules_import_each_other_in_a_circle():
    for module in MODULES:
        assert module not in reached(module), module


def test_only_tracking_imports_wandb():
    importing = {module for module in MODULES if any(is_of(name, "wandb") for name in imports(module))}
    assert importing and importing <= set(within("tracking"))


def test_what_trains_and_what_compares_import_wandb_only_when_they_call_for_it():
    """Without a `wandb:` and with tracking=off it is never loaded; `tracking` itself imports it inside
    functions."""
    for path in (SOURCE / "tracking").glob("*.py"):
        heads = [
            node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert not [
            node
            for node in heads
            if "import wandb" in ast.unparse(node) or ast.unparse(node).startswith("from wandb")
        ], path


HEAVY = ("torch", "pytorch_lightning", "lightning", "torchmetrics", "torchvision", "timm", "safetensors")


@pytest.mark.parametrize(
    "part", ["store", "statistics", "comparison", "report", "cli.compare", "cli.report", "cli.status"]
)
def test_an_analysis_needs_no_torch(part):
    assert within(part)
    for module in within(part):
        heavy = [name for name in reached(module) if name.split(".")[0] in HEAVY]
        assert not heavy, f"{module} reaches {heavy}"
