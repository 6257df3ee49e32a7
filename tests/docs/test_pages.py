"""The pages of docs/: all of them are in the site's navigation, and what `make site` writes into them is
whole."""

import importlib.util
import re
import runpy
from pathlib import Path
from types import ModuleType

import pytest

from transferscope.catalog import registry
from transferscope.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_navigation_names_every_page_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    named = re.findall(r"(\S+\.md)$", navigation, re.MULTILINE)
    assert sorted(named) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", prose)
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_the_written_pages_leave_nothing_out(hooks: ModuleType) -> None:
    asked = [name for page in PAGES for name in hooks.ASKED.findall(page.read_text("utf-8"))]
    assert sorted(asked) == sorted(hooks.WRITERS)
    headings = {
        name: re.findall(r"^##+ (.+)$", write(), re.MULTILINE) for name, write in hooks.WRITERS.items()
    }
    assert set(COMMANDS) <= set(headings["commands"])
    assert {name for kind in registry.MODULES for name in registry.functions(kind)} <= set(
        headings["measures"]
    )
    assert {f"domain={name}" for name in registry.choices("domain")} <= set(headings["keys"])


def test_a_link_out_of_docs_becomes_a_path_and_a_dead_one_stays(hooks: ModuleType) -> None:
    def told(markdown: str) -> str:
        return hooks.LINK.sub(lambda link: hooks.outside(link, ROOT / "docs" / "how-to"), markdown)

    assert told("[README](../../README.md)") == "`README.md`"
    assert told("[the front page](../../README.md#x)") == "the front page (`README.md`)"
    for kept in ("[a](../../nothing.md)", "[a](search.md)", "[a](https://example.org/)", "[a](#here)"):
        assert told(kept) == kept


def test_the_picture_of_the_architecture_is_drawn_from_the_imports_of_today() -> None:
    drawing = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    picture = (ROOT / "docs" / "explanation" / "architecture.svg").read_text("utf-8")
    assert picture == drawing["draw"](drawing["imports"]()), "`make docs` draws it anew"
