"""What `make site` writes into pages: the help of every command, the keys of every yaml, the docstrings of
every measure. A page asks for it with a line `<!-- write: NAME -->`. Links that lead out of docs/ become the
path that they lead to, since those files are not part of the site."""

import ast
import importlib
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
sys.path.insert(0, str(REPOSITORY / "src"))

from transferscope.catalog import registry, yamls  # noqa: E402
from transferscope.cli.main import COMMANDS, MODULES, USAGE  # noqa: E402
from transferscope.cli.strategy_page import prose  # noqa: E402

ASKED = re.compile(r"^<!-- write: (\w+) -->$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```.*?^```)$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, page, config, files) -> str:
    """mkdocs calls this for every page."""
    folder = Path(page.file.abs_src_path).parent
    parts = FENCE.split(ASKED.sub(lambda asked: WRITERS[asked[1]](), markdown))  # text and code in turn
    parts[::2] = [LINK.sub(lambda link: outside(link, folder), text) for text in parts[::2]]
    return "".join(parts)


def outside(link: re.Match, folder: Path) -> str:
    """A link to a file of the repository beside docs/, as text; any other link, as it is."""
    if "://" in link[2]:
        return link[0]
    path = (folder / link[2]).resolve()
    if path.is_relative_to(HERE) or not path.is_relative_to(REPOSITORY) or not path.exists():
        return link[0]
    place = path.relative_to(REPOSITORY).as_posix()
    return f"`{place}`" if link[1].strip("`") in place else f"{link[1]} (`{place}`)"


def commands() -> str:
    """The help of every command, as the terminal shows it."""
    sections = [fenced(USAGE.strip())]
    for command, line in COMMANDS.items():
        text = importlib.import_module(f"transferscope.cli.{MODULES.get(command, command)}").HELP.strip()
        sections.append(f"## {command}\n\n{line[0].upper()}{line[1:]}.\n\n{fenced(text)}")
    return "\n\n".join(sections)


def keys() -> str:
    """Every yaml of conf/, as it stands there: its comments explain its keys. Strategies have a page."""
    folder = yamls.own_folder()
    sections = ["## A run\n\n" + fenced((folder / "config.yaml").read_text("utf-8"), "yaml")]
    for group in ("trainer", "tracking", "backbone", "experiment", "domain"):
        sections.append(f"## {group}")
        for name, path in registry.choices(group).items():
            sections.append(f"### {group}={name}\n\n" + fenced(path.read_text("utf-8"), "yaml"))
    return "\n\n".join(sections)


def measures() -> str:
    """Every distance, transferability score and validator, from its docstring."""
    sections = []
    for kind in registry.MODULES:
        sections.append(f"## {kind.capitalize()}")
        sections += [measure(name, path) for name, path in registry.functions(kind).items()]
    return "\n\n".join(sections)


def measure(name: str, path: Path) -> str:
    """One file: its paper; of each public function the signature, equation, notes and example."""
    tree = ast.parse(path.read_text("utf-8"))
    parts = [f"### {name}", escaped(ast.get_docstring(tree) or "")]
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_"):
            text, _, example = (ast.get_docstring(function) or "").partition("\n>>> ")
            equation, _, notes = text.partition("\n\n")
            parts += [fenced(signature(function), "python"), fenced(equation), escaped(notes)]
            parts += [fenced(">>> " + example, "pycon")] if example else []
    return "\n\n".join(parts)


def signature(function: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"{function.name}({ast.unparse(function.args)}){returns}"


def escaped(text: str) -> str:
    return prose(re.sub(r"(`[^`]*`)|([*<_])", lambda found: found[1] or "\\" + found[2], text))


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text.rstrip()}\n```"


WRITERS = {writer.__name__: writer for writer in (commands, keys, measures)}
