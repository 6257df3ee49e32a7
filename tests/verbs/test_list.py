import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from transferscope.catalog import yamls
from transferscope.catalog.shelves import IDEAS, SHELVES, header
from transferscope.cli import strategy_page
from transferscope.cli.main import main


@pytest.mark.parametrize("shelf", SHELVES)
def test_every_yaml_of_a_shelf_has_a_line_with_its_description(shelf, capsys):
    assert main(["list", shelf]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == sorted(
        path.stem for path in (yamls.own_folder() / SHELVES[shelf]).glob("*.yaml")
    )
    assert not any("@package" in text or "no description" in text for _, text in lines)


def test_what_a_strategy_sees_is_what_its_class_declares(capsys):
    main(["list", "strategies"])
    for line in capsys.readouterr().out.splitlines():
        name, text = line.split(maxsplit=1)
        declared = get_class(OmegaConf.load(yamls.find("strategy", name))["_target_"]).sees
        assert set(text.rpartition("; sees ")[2].split(", ")) - {"model of the source"} == declared


def test_a_shelf_of_ones_own_is_listed_and_inherits_what_it_sees(tmp_path, capsys, monkeypatch):
    (tmp_path / "strategy").mkdir()
    (tmp_path / "strategy" / "mine.yaml").write_text(
        "# of my own\n_target_: strategies_of_my_shelf.Mine\nname: mine\nstarts_from: weights\n"
    )
    (tmp_path / "strategies_of_my_shelf.py").write_text(
        "from transferscope.strategies.dann import DANN\nclass Mine(DANN):\n    version = 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["list", "strategies", "--config-dir", str(tmp_path)]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mine ")]
    assert (
        line.split(maxsplit=1)[1]
        == "of my own; sees source_inputs, source_labels, target_inputs, target_labels"
    )


def test_in_a_pipe_a_strategy_is_found_by_its_idea_and_its_paper(capsys):
    main(["list", "strategies"])
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("dann ")]
    assert "; idea: adversarial alignment; paper: Ganin" in line and "arXiv:1505.07818; sees" in line


@pytest.mark.parametrize("columns", [80, 120])
def test_in_a_terminal_strategies_stand_under_their_ideas(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["list", "strategies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    under, idea, order = {}, None, []
    for line in lines:
        if line in IDEAS:
            idea = line
            order.append(idea)
        elif found := re.match(r"  (\w+) ", line):
            under[found[1]] = (idea, line)
    assert order == [idea for idea in IDEAS if idea in order]
    assert {name: idea for name, (idea, _) in under.items()} == {
        path.stem: header(path, "idea") for path in (yamls.own_folder() / "strategy").glob("*.yaml")
    }
    assert under["dann"][1].split()[1:3] == ["Sxy", "Txy"] and under["tent"][1].split()[1:3] == ["M", "Tx"]


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


def test_a_narrow_terminal_gets_hanging_lines(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    main(["list", "domains"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert any(line.startswith(" " * 20) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["strategie"], "did you mean 'strategies'?"),
        ([], "strategies, domains, backbones"),
        (["domains", "--format", "markdown"], "--format markdown is for strategies"),
        (["domains", "--config-dir", "nowhere"], "--config-dir nowhere: no such folder"),
    ],
)
def test_a_wrong_request_is_one_line(arguments, expected, capsys):
    assert main(["list", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line


def test_what_reads_only_files_imports_no_torch(trained):
    """Nor does `import transferscope`: load_run and compare come when asked for."""
    code = (
        "import sys, transferscope\n"
        "from transferscope.cli.main import main\n"
        f"codes = [main(words) for words in (['list', 'strategies'], ['status', {str(trained)!r}], "
        f"['prune', {str(trained)!r}])]\n"
        "assert codes == [0, 0, 0] and 'torch' not in sys.modules and callable(transferscope.compare)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("shelf", "some"), [("distances", "mmd"), ("validators", "entropy"), ("transferability", "logme")]
)
def test_functions_are_listed_by_their_files(shelf, some, capsys):
    assert main(["list", shelf]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert any(line.startswith(f"{some} ") for line in lines) and all(
        len(line.split(maxsplit=1)[1]) > 10 for line in lines
    )
