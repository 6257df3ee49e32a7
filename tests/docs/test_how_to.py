"""Pages that tell how to add a part of one's own: their files are written and their commands run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.test_tutorials import COMMAND, CONSOLE, FILE
from forked import exit_code, forked

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in sorted((ROOT / "docs" / "how-to").glob("*.md"))
    if CONSOLE.search(page.read_text("utf-8"))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_commands_do_what_it_shows(page: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    text = page.read_text("utf-8")
    for name, content in FILE.findall(text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    commands = [
        (words, shown)
        for words, shown in COMMAND.findall("".join(CONSOLE.findall(text)))
        if words != "export PYTHONPATH=."
    ]
    assert commands
    for words, shown in commands:
        program, *arguments = words.split()
        if program == "python":
            subprocess.run([sys.executable, *arguments], check=True)
            continue
        assert program == "transferscope"
        assert exit_code(forked(*arguments), 60) == 0, capfd.readouterr().err
        said = capfd.readouterr().out
        for line in filter(None, shown.splitlines()):
            pattern = ".*".join(map(re.escape, line.split("...")))
            assert re.search(pattern, said), said
