"""What is known of every choice, as data: `transferscope list` prints it as a table or as JSON. Reads yamls
and sources, imports none of them."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from transferscope.catalog import registry, yamls
from transferscope.catalog.registry import GROUPS, MODULES

KINDS = (*GROUPS, *MODULES)


def entries(kind: str, config_dir: str | None = None) -> list[dict[str, Any]]:
    """One object for each choice of a kind, by name; None stands for what no file says."""
    if kind in MODULES:
        found = [entry for path in registry.functions(kind).values() for entry in _functions(kind, path)]
        own = registry.of_user(MODULES[kind], config_dir)
        found += [{"name": name, "description": registry.describe(path), "signature": None, "docstring": None,
                   "file": str(path)} for name, path in own.items()]  # fmt: skip
        return sorted(found, key=lambda entry: entry["name"])
    more = FIELDS.get(kind, lambda path: {})
    return [
        {"name": name, "description": registry.describe(path), **more(path), "file": str(path)}
        for name, path in registry.choices(GROUPS[kind], config_dir).items()
    ]


def _strategy(path: Path) -> dict[str, Any]:
    target = registry.value(path, "_target_")
    return {
        "idea": registry.header(path, "idea") or None,
        "paper": registry.header(path, "paper") or None,
        "compared": registry.header(path, "compared") or None,
        "sees": _words(target, "sees"),
        "starts_from": registry.value(path, "starts_from") or None,
        "needs_target_labels": _constant(target, "needs_target_labels"),
        "needs_source_model": _constant(target, "needs_source_model"),
        "shares_classes": _constant(target, "shares_classes"),
        "class": target or None,
    }


def _domain(path: Path) -> dict[str, Any]:
    return {"loader": registry.value(path, "_target_") or None}


def _backbone(path: Path) -> dict[str, Any]:
    target = registry.value(path, "_target_")
    return {
        "takes": _words(target, "takes"),
        "weights": registry.value(path, "weights") or None,
        "class": target or None,
    }


def _experiment(path: Path) -> dict[str, Any]:
    """published: whether its folder has published numbers, which `transferscope reproduce` compares with."""
    numbers = yamls.own_folder().parent / "experiments" / path.stem / "published.csv"
    return {"published": numbers.is_file()}


FIELDS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "strategies": _strategy,
    "domains": _domain,
    "backbones": _backbone,
    "experiments": _experiment,
}


def _functions(kind: str, path: Path) -> Iterator[dict[str, Any]]:
    """The public functions of a file. Of validators only the one that is named as its file is a choice."""
    module = ast.parse(path.read_text("utf-8"))
    for node in module.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        is_main = node.name == path.stem
        if is_main or kind != "validators":
            yield {
                "name": node.name,
                "description": _first_paragraph(module if is_main else node) or "(no description)",
                "signature": _signature(node),
                "docstring": _first_paragraph(node) or None,
                "file": str(path),
            }


def _first_paragraph(node: ast.Module | ast.FunctionDef) -> str:
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def _signature(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){returns}"


def _words(target: str, attribute: str) -> list[str] | None:
    """The strings in what a class declares, or None where no source declares it."""
    node = registry.declared(target, attribute)
    if node is None:
        return None
    found = [word.value for word in ast.walk(node) if isinstance(word, ast.Constant)]
    return sorted(word for word in found if isinstance(word, str))


def _constant(target: str, attribute: str) -> Any:
    node = registry.declared(target, attribute)
    return node.value if isinstance(node, ast.Constant) else None
