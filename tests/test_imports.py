"""Who imports whom, read from the sources: nothing is imported, so nothing hides behind an `if` or inside a function."""

import ast
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "transferscope"
MODULES = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in sorted(SOURCE.rglob("*.py"))
}
SHELVES = ("data", "backbones", "networks", "distances", "validators")


@cache
def imports(module: str) -> frozenset[str]:
    """All that a module imports, at its head or inside functions, but for type checkers; modules of the project down to the file."""
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
    """What a module imports directly or through others of the project, less what the package itself hands out when asked for."""
    todo, found = [module], set()
    while todo:
        new = imports(todo.pop()) - found
        found |= new
        todo += new & MODULES.keys() - {"transferscope"}
    return frozenset(found)


def within(part: str) -> list[str]:
    """The modules of a folder or file: "strategies" or "training"."""
    return [name for name in MODULES if f"{name}.".startswith(f"transferscope.{part}.")]


def is_of(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


def test_the_reading_finds_what_there_is():
    assert {"transferscope.training", "omegaconf"} <= imports("transferscope.run")
    assert "transferscope.data.domain" in reached("transferscope.run")
    assert "wandb" in imports("transferscope.tracking.place")  # inside a function
    assert "transferscope.compare" not in imports("transferscope.tracking.comparisons")  # for type checkers alone


TRAINING = ("strategies", "training", "run", "sweeps", "verbs")
COMPARING = ("record", "verdict", "compare", "report", "verbs")  # the verdict is pure statistics, which `compare` applies to the records


@pytest.mark.parametrize(
    ("lower", "higher"),
    [(shelf, part) for shelf in SHELVES for part in TRAINING]
    + [(low, high) for chain in (TRAINING, COMPARING) for place, low in enumerate(chain) for high in chain[place + 1 :]]
    + [("training", part) for part in ("record", "request", "values", "compatibility", "artifacts", "evaluate", "sweeps", "cli")]
    + [("strategies", part) for part in ("record", "request", "values", "compatibility", "artifacts", "evaluate")],
)
def test_what_is_lower_never_reaches_what_is_higher(lower, higher):
    for module in within(lower):
        upward = [name for name in reached(module) if is_of(name, f"transferscope.{higher}")]
        assert not upward, f"{module} reaches {', '.join(upward)}"


def test_training_never_compares_and_comparing_never_trains():
    parts = (*SHELVES, "strategies", "training", "request", "values", "compatibility", "artifacts", "evaluate", "run", "sweeps.sweep")
    training = {module for part in parts for module in within(part)}
    comparing = {module for part in ("compare", "verdict", "report") for module in within(part)}
    for module in training:
        assert comparing.isdisjoint(reached(module)), module
    shared = set(within("validators"))  # pure functions of arrays: `compare` calls those that are made of stored features
    for module in comparing:
        assert (training - shared).isdisjoint(reached(module)), module


def test_only_tracking_imports_wandb():
    importing = {module for module in MODULES if any(is_of(name, "wandb") for name in imports(module))}
    assert importing and importing <= set(within("tracking"))


def test_what_trains_and_what_compares_import_wandb_only_when_they_call_for_it():
    """Without a `wandb:` and with tracking=off it is never loaded; `tracking` itself imports it inside functions."""
    for path in (SOURCE / "tracking").glob("*.py"):
        heads = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [node for node in heads if "import wandb" in ast.unparse(node) or ast.unparse(node).startswith("from wandb")], path


HEAVY = ("torch", "pytorch_lightning", "lightning", "torchmetrics", "torchvision", "timm", "safetensors")


@pytest.mark.parametrize("part", ["record", "compare", "verdict", "report", "verbs.compare", "verbs.report", "verbs.status"])
def test_an_analysis_needs_no_torch(part):
    assert within(part)
    for module in within(part):
        heavy = [name for name in reached(module) if name.split(".")[0] in HEAVY]
        assert not heavy, f"{module} reaches {heavy}"
