"""Each tutorial followed to the letter in an empty folder.

A block ```LANGUAGE title="FILE" is a file. In a block ```console each line after `$ ` is a command, with its
continuation lines, and what follows is its output; `...` stands for lines left out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?((?:(?!\$ ).*\n?)*)", re.MULTILINE)
VERDICT = re.compile(
    r"^(\w+ .*?)\b(positive|negative|equivalent|undecided)\b.*[+−-]\d.*\n(?:source (\w+))?", re.MULTILINE
)


def verdicts(output: str) -> list[tuple[str, ...]]:
    """(strategy or whatever names the row, verdict, source) of every row of an output."""
    return [(" ".join(name.split()), verdict, source) for name, verdict, source in VERDICT.findall(output)]


def test_verdicts_are_found_in_an_output() -> None:
    rows = "joint   negative * [1]  −16.6 [−27.3, −6.0]\nsource archive\nnear mcc  positive  +11.1 points\n"
    assert verdicts(rows) == [("joint", "negative", "archive"), ("near mcc", "positive", "")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "tutorials").glob("*.md")), ids=lambda path: path.stem
)
def test_a_tutorial_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    root = os.environ.get("TRANSFERSCOPE_DATA_ROOT", "")
    if "$DATA" in text and not root:
        pytest.skip("TRANSFERSCOPE_DATA_ROOT is unset: texts and an encoder are not at hand")
    for name, content in FILE.findall(text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "COLUMNS": "100",  # what the page shows
        "DATA": root,
    }
    told = []
    for command, shown in COMMAND.findall("".join(CONSOLE.findall(text))):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert verdicts(done.stdout) == verdicts(shown), f"{command}\n{done.stdout}"
        told += verdicts(shown)
    assert {"positive", "negative"} <= {verdict for _, verdict, _ in told}
