import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from transferscope.catalog import registry, yamls
from transferscope.catalog.registry import GROUPS, IDEAS
from transferscope.cli import strategy_page
from transferscope.cli.list import HELP, author_year
from transferscope.cli.main import main

EXPECTED = {
    kind: sorted(path.stem for path in (yamls.own_folder() / group).glob("*.yaml"))
    for kind, group in GROUPS.items()
} | {kind: sorted(importlib.import_module(f"transferscope.{kind}").available()) for kind in registry.MODULES}
NAME = re.compile(r"  (\w+)( |$)")


def as_json(capsys, *words: str) -> dict[str, dict]:
    """The objects of `list --format json`, by name."""
    assert main(["list", *words, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len({entry["name"] for entry in found}) == len(found)
    return {entry["name"]: entry for entry in found}


def as_table(capsys, *words: str) -> list[str]:
    assert main(["list", *words]) == 0
    return capsys.readouterr().out.splitlines()


def under_headings(lines: list[str]) -> list[tuple[str, str]]:
    """(heading, name) of every choice in the tables, in their order."""
    heading, found = "", []
    for line in lines:
        if name := NAME.match(line):
            found.append((heading, name[1]))
        elif line and not line.startswith(" "):
            heading = line
    return found


@pytest.mark.parametrize("columns", ["60", "80", "200", None])
@pytest.mark.parametrize("kind", EXPECTED)
def test_tables_name_every_choice_once_within_80_columns(kind, columns, capsys, monkeypatch):
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    else:
        monkeypatch.delenv("COLUMNS", raising=False)
    lines = as_table(capsys, kind)
    assert max(map(len, lines)) <= min(int(columns or 80), 80)
    assert not any(line.endswith(" ") or "@package" in line or "no description" in line for line in lines)
    assert sorted(name for _, name in under_headings(lines)) == EXPECTED[kind]


@pytest.mark.parametrize("kind", EXPECTED)
def test_json_has_every_choice(kind, capsys):
    found = as_json(capsys, kind)
    assert list(found) == EXPECTED[kind]
    assert all(len(entry["description"]) > 10 and Path(entry["file"]).is_file() for entry in found.values())


def test_json_says_of_a_strategy_what_its_class_declares(capsys):
    for name, entry in as_json(capsys, "strategies").items():
        path = yamls.find("strategy", name)
        declared = get_class(OmegaConf.load(path)["_target_"])
        assert set(entry["sees"]) == declared.sees
        for key in ("needs_target_labels", "needs_source_model", "shares_classes"):
            assert entry[key] == getattr(declared, key), (name, key)
        assert entry["paper"] == (registry.header(path, "paper") or None)
        assert entry["starts_from"] == OmegaConf.load(path)["starts_from"]


def test_json_says_of_a_backbone_which_inputs_it_takes(capsys):
    for name, entry in as_json(capsys, "backbones").items():
        assert entry["class"] == OmegaConf.load(yamls.find("backbone", name))["_target_"]
        assert set(entry["takes"]) == set(get_class(entry["class"]).takes)


def test_json_says_of_a_domain_its_loader_and_of_an_experiment_whether_numbers_are_published(capsys):
    assert as_json(capsys, "domains")["usps"]["loader"] == "transferscope.data.usps.load"
    experiments = as_json(capsys, "experiments")
    assert experiments["office_caltech_surf"]["published"] and not experiments["demo"]["published"]


@pytest.mark.parametrize("kind", registry.MODULES)
def test_json_has_the_signature_of_a_function(kind, capsys):
    functions = importlib.import_module(f"transferscope.{kind}").available()
    for name, entry in as_json(capsys, kind).items():
        code = ast.parse(f"def {entry['signature']}: ...").body[0]
        assert [argument.arg for argument in code.args.args] == list(
            inspect.signature(functions[name]).parameters
        )
        assert " ".join(functions[name].__doc__.split()).startswith(entry["docstring"])


def test_strategies_stand_under_their_ideas_with_sight_and_paper(capsys):
    lines = as_table(capsys, "strategies")
    found = under_headings(lines)
    assert dict.fromkeys(heading for heading, _ in found) == dict.fromkeys(IDEAS)
    for idea, name in found:
        assert idea == registry.header(yamls.find("strategy", name), "idea")
    rows = {name[1]: line.split() for line in lines if (name := NAME.match(line))}
    assert (
        rows["cdan_e"][-6:] == ["Sxy", "Txy", "Long", "et", "al.", "2018"] and rows["cdan_e"][1] == "CDAN+E:"
    )
    assert rows["tent"][-6:-4] == ["M", "Tx"] and rows["scratch"][-1] == "Ty"


def test_domains_backbones_and_experiments_stand_under_what_they_share(capsys):
    domains = dict(map(reversed, under_headings(as_table(capsys, "domains"))))
    assert domains["nt_moon3"] == "loader transferscope.data.arrays.load_csv"
    backbones = dict(map(reversed, under_headings(as_table(capsys, "backbones"))))
    assert backbones["mlp"] == "for arrays" and backbones["timm"] == "for images"
    experiments = dict(map(reversed, under_headings(as_table(capsys, "experiments"))))
    assert experiments["digits_lenet"].startswith("with published numbers")
    assert experiments["demo"] == "without published numbers"


@pytest.mark.parametrize(
    ("paper", "cited"),
    [
        ("Sun, Feng & Saenko 2016, Return of Frustratingly Easy Domain Adaptation", "Sun et al. 2016"),
        ("Sohn et al. 2020, FixMatch: Simplifying", "Sohn et al. 2020"),
        ("Cover & Hart 1967, Nearest neighbor, DOI 10.1109/TIT.1967.1053964", "Cover & Hart 1967"),
        ("Caruana, 1997. Multitask Learning", "Caruana 1997"),
        ("our own", "our own"),
        ("", ""),
    ],
)
def test_a_paper_is_cited_by_authors_and_year(paper, cited):
    assert author_year(paper) == cited


@pytest.mark.parametrize(("kind", "text"), [("experiments", "MNIST -> USPS"), ("distances", "1/2 sum_c")])
def test_tables_in_ascii_keep_to_80_columns(kind, text):
    """An arrow is wider there, as `->`."""
    done = subprocess.run(
        [sys.executable, "-m", "transferscope.cli", "list", kind],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    lines = done.stdout.decode("ascii").splitlines()
    assert max(map(len, lines)) <= 80 and any(text in line for line in lines)


def test_a_strategy_of_ones_own_is_listed_and_inherits_what_it_sees(tmp_path, capsys, monkeypatch):
    (tmp_path / "strategy").mkdir()
    (tmp_path / "strategy" / "mine.yaml").write_text(
        "# of my own\n_target_: strategies_of_mine.Mine\nname: mine\nstarts_from: weights\n"
    )
    (tmp_path / "strategies_of_mine.py").write_text(
        "from transferscope.strategies.dann import DANN\nclass Mine(DANN):\n    version = 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = as_json(capsys, "strategies", "--config-dir", str(tmp_path))["mine"]
    assert mine["sees"] == ["source_inputs", "source_labels", "target_inputs", "target_labels"]
    assert (mine["description"], mine["idea"], mine["paper"]) == ("of my own", None, None)
    found = under_headings(as_table(capsys, "strategies", "--config-dir", str(tmp_path)))
    assert found[-1] == ("others", "mine") and len(found) == len(EXPECTED["strategies"]) + 1


def test_what_no_file_says_is_a_question_mark_and_null(tmp_path, capsys):
    for group in ("strategy", "domain", "backbone"):
        (tmp_path / group).mkdir()
        (tmp_path / group / "mine.yaml").write_text("_target_: nowhere.Mine\n")
    own = ("--config-dir", str(tmp_path))
    assert as_json(capsys, "strategies", *own)["mine"]["sees"] is None
    lines = as_table(capsys, "strategies", *own)
    assert any(line.startswith("  mine  (no description)") and line.endswith(" ?") for line in lines)
    assert any("A ? means" in line for line in lines)
    assert under_headings(as_table(capsys, "backbones", *own))[-1] == ("others", "mine")
    assert ("loader nowhere.Mine", "mine") in under_headings(as_table(capsys, "domains", *own))


def test_the_page_of_strategies_is_what_the_files_give_now(capsys):
    """Else: make docs."""
    assert main(["list", "strategies", "--format", "markdown"]) == 0
    page = Path(__file__).parents[2] / "docs" / "reference" / "strategies.md"
    assert capsys.readouterr().out == page.read_text()


COLUMNS = (
    "source,target,label_budget,backbone,initialisation,strategy,"
    "value,unit,n_test,seeds,tolerance,protocol,source"
)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """The folder of the only experiment there is; its published.csv has two tasks and their mean for dann,
    one task for dan."""
    folder = tmp_path / "experiments" / "digits"
    (folder / "results").mkdir(parents=True)
    of = "0,lenet,random,{},{},accuracy,2007,1,0.02,inductive,a table"
    tasks = (
        ("mnist,usps", "dann", 0.917),
        ("usps,mnist", "dann", 0.952),
        ("mean,mean", "dann", 0.9345),
        ("mnist,usps", "dan", 0.86),
    )
    (folder / "published.csv").write_text(
        "\n".join([COLUMNS, *(f"{task},{of.format(name, value)}" for task, name, value in tasks)])
    )
    monkeypatch.setattr(yamls, "own_folder", lambda: tmp_path / "conf")
    return folder


def test_the_page_holds_equation_and_keys():
    text = strategy_page.page({"dann": yamls.find("strategy", "dann")})
    equation, keys = re.findall(r"```(?:text|yaml)\n(.*?)\n```", text, re.DOTALL)
    assert (
        equation.startswith("min over f, h; max over D of  E_S [ -log h_y(f(x)) ]") and "\n\n" not in equation
    )
    assert [line.split(":")[0] for line in keys.splitlines()] == ["trade_off", "hidden"]
    assert "Labels: works without. Classes: must be shared." in text and "arXiv:1505.07818" in text


def test_before_a_reproduction_the_page_shows_what_was_published(experiment):
    place = "| [digits](../../experiments/digits)"
    assert strategy_page.numbers("dann").splitlines()[2:] == [
        f"{place} | mean of 2 | 0 | lenet | 0.934 |  |  | not reproduced yet |"
    ]
    assert strategy_page.numbers("dan").splitlines()[2:] == [
        f"{place} | mnist → usps | 0 | lenet | 0.860 |  |  | not reproduced yet |"
    ]
    assert strategy_page.numbers("mdd") == ""


def test_after_it_ours_stands_beside_it_and_a_miss_is_one(experiment):
    def row(source: str, target: str, strategy: str, published: float, ours: float | None) -> dict:
        cell = {
            "source": source,
            "target": target,
            "label_budget": 0,
            "backbone": "lenet",
            "initialisation": "random",
            "strategy": strategy,
        }
        found = {
            "ours": ours,
            "ci": ours and [ours - 0.01, ours + 0.01],
            "inside": ours is not None and abs(ours - published) <= 0.02,
        }
        return {"cell": cell, "published": published, "tolerance": 0.02, **found}

    rows = [
        row("mnist", "usps", "dann", 0.917, 0.92),
        row("usps", "mnist", "dann", 0.952, 0.9),
        row("mean", "mean", "dann", 0.9345, 0.91),
    ]
    rows += [row("mnist", "usps", "dan", 0.86, None)]
    (experiment / "results" / "reproduced.json").write_text(json.dumps(rows))
    [mean] = strategy_page.numbers("dann").splitlines()[2:]
    assert mean.endswith("| 0.934 | 0.910 | 0.900 to 0.920 | miss (± 0.02), 1 of 2 tasks inside |")
    [task] = strategy_page.numbers("dan").splitlines()[2:]
    assert task.endswith("| mnist → usps | 0 | lenet | 0.860 |  |  | no result |")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["strategie"], "did you mean 'strategies'?"),
        (["strategis"], "did you mean 'strategies'?"),
        (
            [],
            f"strategies ({len(EXPECTED['strategies'])}), domains ({len(EXPECTED['domains'])}), backbones (",
        ),
        (
            ["domains", "--format", "jsn"],
            "--format jsn: not one of table, json, markdown; did you mean 'json'?",
        ),
        (["domains", "--format", "markdown"], "--format markdown is for strategies"),
        (["domains", "--config-dir", "nowhere"], "--config-dir nowhere: no such folder"),
    ],
)
def test_a_wrong_request_is_one_line(arguments, expected, capsys):
    assert main(["list", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line


def test_help_keeps_to_80_columns():
    assert max(map(len, HELP.splitlines())) <= 80


def test_what_reads_only_files_imports_no_torch(trained):
    """Nor does `import transferscope`: load_run and compare come when asked for."""
    code = (
        "import sys, transferscope\n"
        "from transferscope.cli.main import main\n"
        f"lists = [['list', kind] for kind in {list(EXPECTED)}]\n"
        f"codes = {{main(words) for words in (*lists, ['status', {str(trained)!r}], "
        f"['prune', {str(trained)!r}])}}\n"
        "assert codes == {0} and 'torch' not in sys.modules and callable(transferscope.compare)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
