"""No function takes more than six arguments by their place: what more it needs is given by name."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "transferscope"
PACKAGES = ("statistics", "comparison", "report", "tracking", "calibration", "sweeps", "cli", "store")
MOST = 6


def too_long(path: Path) -> list[str]:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    given = {
        function: [argument.arg for argument in [*function.args.posonlyargs, *function.args.args]]
        for function in functions
    }
    return [
        f"{path.relative_to(SOURCE)}:{function.lineno} {function.name}: {len(names)} arguments by their place"
        for function, names in given.items()
        if len([name for name in names if name not in ("self", "cls")]) > MOST
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_few_arguments_go_by_their_place(package):
    paths = sorted((SOURCE / package).rglob("*.py"))
    assert paths
    assert not [line for path in paths for line in too_long(path)]
