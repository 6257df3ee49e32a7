"""transferscope list: what stands on a shelf, one line each. Reads yamls and sources, imports none of them."""

import ast
import shutil
import textwrap
from importlib.util import find_spec
from pathlib import Path

from transferscope import conf
from transferscope.arguments import Parser
from transferscope.errors import Refused, nearest

SHELVES = {"strategies": "strategy", "domains": "domain", "backbones": "backbone", "experiments": "experiment", "trainers": "trainer"}
MODULES = ("distances", "transferability", "validators")  # shelves of functions: being a file of the folder is being on it
HELP = """
usage: transferscope list SHELF [--config-dir DIR]

SHELF is one of strategies, domains, backbones, experiments, trainers, or of
functions: distances, transferability, validators. One line
for each choice: the name that goes after `strategy=`, `target=` and `source=`,
`backbone=`, `experiment=` or `trainer=`, what it is, and what a strategy sees.
`model of the source`: it starts from a model trained on the labelled source.

  --config-dir DIR  a folder with shelves of your own (strategy/, domain/, ...),
                    as for `transferscope run`
"""


def main(argv: list[str]) -> int:
    parser = Parser("list")
    parser.add_argument("shelf", nargs="?", default="")
    parser.add_argument("--config-dir")
    arguments = parser.parse_args(argv)
    known = [*SHELVES, *MODULES]
    if arguments.shelf not in known:
        said = f"{arguments.shelf}: no such shelf{nearest(arguments.shelf, known)}" if arguments.shelf else "list: of what"
        raise Refused(f"{said} ({', '.join(known)})")
    if arguments.shelf in MODULES:
        folder = Path(__file__).parents[1] / arguments.shelf
        choices = {path.stem: path for path in sorted(folder.glob("[a-z]*.py"))}
    else:
        choices = shelf(SHELVES[arguments.shelf], arguments.config_dir)
    margin = max(map(len, choices), default=0) + 2
    columns = shutil.get_terminal_size((1000, 40)).columns  # in a pipe a line stays a line
    for name, path in choices.items():
        text = docstring(path) if arguments.shelf in MODULES else describe(path)
        if arguments.shelf == "strategies":
            text += f"; sees {sight(path)}"
        print(textwrap.fill(text, columns, initial_indent=name.ljust(margin), subsequent_indent=" " * margin, break_on_hyphens=False))
    return 0


def shelf(group: str, config_dir: str | None) -> dict[str, Path]:
    """The yaml of every choice, by name. Of equal names the project's own holds, as in Hydra's search path."""
    if config_dir is not None and not Path(config_dir).is_dir():
        raise Refused(f"--config-dir {config_dir}: no such folder; give one with shelves (strategy/, domain/, ...) in it")
    folders = [Path(config_dir)] if config_dir is not None else []
    paths = {path.stem: path for folder in (*folders, conf.own_folder()) for path in (folder / group).glob("*.yaml")}
    return dict(sorted(paths.items()))


def describe(path: Path) -> str:
    """The first comment line of a yaml; Hydra's own `@package` line is none."""
    lines = (line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#"))
    return next((line for line in lines if line and not line.startswith("@package")), "(no description)")


def docstring(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "(no description)").split("\n")[0]


def sight(path: Path) -> str:
    """What a strategy sees, as its source declares it: importing it would take seconds of torch."""
    from omegaconf import OmegaConf

    yaml = OmegaConf.load(path)
    sights = _declared(yaml.get("_target_", ""))
    if sights is None:
        return f"? (no `sees` found in {yaml.get('_target_')})"
    model = ["model of the source"] if yaml.get("starts_from") == "source" and "source_inputs" not in sights else []
    return ", ".join(model + sights)


def _declared(target: str) -> list[str] | None:
    """The words of `sees` in the class of this dotted name, or in the first of its bases that has them."""
    module, _, name = target.rpartition(".")
    try:
        tree = ast.parse(Path(find_spec(module).origin).read_text())
    except (ImportError, AttributeError, TypeError, ValueError, OSError):
        return None
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    imported = {a.asname or a.name: f"{n.module}.{a.name}" for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
    if name not in classes:
        return None
    for node in classes[name].body:
        goals = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) and node.value else []
        if any(isinstance(goal, ast.Name) and goal.id == "sees" for goal in goals):
            return sorted(word.value for word in ast.walk(node.value) if isinstance(word, ast.Constant))
    bases = (base.id for base in classes[name].bases if isinstance(base, ast.Name))
    found = (_declared(imported.get(base, f"{module}.{base}")) for base in bases)
    return next((sights for sights in found if sights is not None), None)
