"""The choices of each kind (strategies, domains, distances, ...), and what their files say. Reads yamls and
sources, imports none of them: that would take seconds of torch."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from transferscope.catalog import yamls

GROUPS = {
    "strategies": "strategy",
    "domains": "domain",
    "backbones": "backbone",
    "experiments": "experiment",
    "trainers": "trainer",
}
# of functions, and the config group of a user's own: being a file of the folder is being registered
MODULES = {"distances": "distance", "transferability": "transferability", "validators": "validator"}
IDEAS = (
    "baselines",
    "frozen features",
    "fine-tuning",
    "adversarial alignment",
    "moment and transport alignment",
    "sure predictions on the target",
    "source-free and test-time",
    "shallow adaptation of features",
    "several tasks and sources",
    "avoiding negative transfer",
)


def choices(group: str, config_dir: str | None = None) -> dict[str, Path]:
    """The yaml of every choice, by name. Of equal names the project's own holds, as in Hydra's search
    path."""
    return dict(sorted((of_user(group, config_dir) | _in(yamls.own_folder(), group)).items()))


def of_user(group: str, config_dir: str | None) -> dict[str, Path]:
    """The yamls of a user's own folder."""
    return {} if config_dir is None else _in(yamls.config_folder(config_dir), group)


def _in(folder: Path, group: str) -> dict[str, Path]:
    return {path.stem: path for path in sorted((folder / group).glob("*.yaml"))}


def functions(module: str) -> dict[str, Path]:
    """The source of every function of a kind, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parents[1] / module).glob("[a-z]*.py"))}


def describe(path: Path) -> str:
    """The first comment line of a yaml; Hydra's own `@package` line is none."""
    lines = (
        line.removeprefix("#").strip()
        for line in path.read_text("utf-8", "replace").splitlines()
        if line.startswith("#")
    )
    return next((line for line in lines if line and not line.startswith("@package")), "(no description)")


def header(path: Path, key: str) -> str:
    """What a yaml says in its line `# KEY: ...`, or ""."""
    found = re.search(rf"^# {key}: *(.+)$", path.read_text("utf-8", "replace"), re.MULTILINE)
    return found[1].strip() if found else ""


def idea(path: Path) -> str:
    """The idea of a strategy, one of IDEAS or of one's own; "others" where its yaml names none."""
    return header(path, "idea") or "others"


def place(path: Path) -> tuple[int, str]:
    """Where a strategy's idea stands among the others, for sorting."""
    return IDEAS.index(idea(path)) if idea(path) in IDEAS else len(IDEAS), idea(path)


def value(path: Path, key: str) -> str:
    """A plain value of a yaml's first level, or ""."""
    found = re.search(rf"^{key}: *([^\s#]+)", path.read_text("utf-8", "replace"), re.MULTILINE)
    return found[1] if found else ""


def sights(path: Path) -> list[str] | None:
    """What a strategy sees, the source's model first where that is how it knows of the source; None where no
    source says so."""
    node = declared(value(path, "_target_"), "sees")
    if node is None:
        return None
    seen = sorted(word.value for word in ast.walk(node) if isinstance(word, ast.Constant))
    return (
        ["model of the source"]
        if value(path, "starts_from") == "source" and "source_labels" not in seen
        else []
    ) + seen


def declared(target: str, attribute: str) -> ast.expr | None:
    """What the class of this dotted name, or the first of its bases that says so, sets this attribute to."""
    for node in _lineage(target):
        for line in node.body:
            goals = (
                line.targets
                if isinstance(line, ast.Assign)
                else [line.target]
                if isinstance(line, ast.AnnAssign) and line.value
                else []
            )
            if any(isinstance(goal, ast.Name) and goal.id == attribute for goal in goals):
                return line.value
    return None


def class_docstring(target: str) -> str:
    """The docstring of the class of this dotted name, or ""."""
    own = next(iter(_lineage(target)), None)
    return (ast.get_docstring(own) if own else None) or ""


def _lineage(target: str) -> list[ast.ClassDef]:
    """The class of this dotted name and its bases, the nearest first, as far as their sources are found. One
    that several bases have in common comes after all of them, as in Python."""
    module, _, name = target.rpartition(".")
    classes, imported = _classes(module)
    if name not in classes:
        return []
    bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
    found = [classes[name]] + [
        node for base in bases for node in _lineage(imported.get(base, f"{module}.{base}"))
    ]
    return [node for number, node in enumerate(found) if node not in found[number + 1 :]]


@cache
def _classes(module: str) -> tuple[dict[str, ast.ClassDef], dict[str, str]]:
    """The classes that a module defines, by name, and where the names come from that it imports."""
    try:
        tree = ast.parse(Path(find_spec(module).origin).read_text("utf-8"))
    except (ImportError, AttributeError, TypeError, ValueError, OSError, SyntaxError):
        return {}, {}
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    imported = {
        a.asname or a.name: f"{n.module}.{a.name}"
        for n in tree.body
        if isinstance(n, ast.ImportFrom)
        for a in n.names
    }
    return classes, imported
