import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from transferscope import conf, strategy_page
from transferscope.cli import main
from transferscope.shelves import IDEAS, SHELVES, header


@pytest.mark.parametrize("shelf", SHELVES)
def test_every_yaml_of_a_shelf_has_a_line_with_its_description(shelf, capsys):
    assert main(["list", shelf]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == sorted(path.stem for path in (conf.own_folder() / SHELVES[shelf]).glob("*.yaml"))
    assert not any("@package" in text or "no description" in text for _, text in lines)


def test_what_a_strategy_sees_is_what_its_class_declares(capsys):
    main(["list", "strategies"])
    for line in capsys.readouterr().out.splitlines():
        name, text = line.split(maxsplit=1)
        declared = get_class(OmegaConf.load(conf.find("strategy", name))["_target_"]).sees
        assert set(text.rpartition("; sees ")[2].split(", ")) - {"model of the source"} == declared


def test_a_shelf_of_ones_own_is_listed_and_inherits_what_it_sees(tmp_path, capsys, monkeypatch):
    (tmp_path / "strategy").mkdir()
    (tmp_path / "strategy" / "mine.yaml").write_text("# of my own\n_target_: strategies_of_my_shelf.Mine\nname: mine\nstarts_from: weights\n")
    (tmp_path / "strategies_of_my_shelf.py").write_text("from transferscope.strategies.dann import DANN\nclass Mine(DANN):\n    version = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["list", "strategies", "--config-dir", str(tmp_path)]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mine ")]
    assert line.split(maxsplit=1)[1] == "of my own; sees source_inputs, source_labels, target_inputs, target_labels"


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
        path.stem: header(path, "idea") for path in (conf.own_folder() / "strategy").glob("*.yaml")
    }
    assert under["dann"][1].split()[1:3] == ["Sxy", "Txy"] and under["tent"][1].split()[1:3] == ["M", "Tx"]


def test_the_page_of_strategies_is_what_the_files_give_now(capsys):
    """Else: make docs."""
    assert main(["list", "strategies", "--format", "markdown"]) == 0
    assert capsys.readouterr().out == (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()


def test_the_page_holds_equation_keys_and_published_numbers(tmp_path, monkeypatch):
    yaml = conf.find("strategy", "dann")
    folder = tmp_path / "experiments" / "digits"
    folder.mkdir(parents=True)
    (folder / "published.csv").write_text(
        "source,target,label_budget,backbone,initialisation,strategy,value,unit,n_test,seeds,tolerance,protocol,source\n"
        "mnist,usps,0,lenet,random,dann,91.7,%,2007,1,2,inductive,a table\nmnist,usps,0,lenet,random,dan,86.0,%,2007,1,2,inductive,a table\n"
    )
    monkeypatch.setattr(conf, "own_folder", lambda: tmp_path / "conf")
    text = strategy_page.page({"dann": yaml})
    equation, keys = re.findall(r"```(?:text|yaml)\n(.*?)\n```", text, re.DOTALL)
    assert equation.startswith("min over f, h; max over D of  E_S [ -log h_y(f(x)) ]") and "\n\n" not in equation
    assert [line.split(":")[0] for line in keys.splitlines()] == ["trade_off", "hidden"]
    assert "Labels: works without. Classes: must be shared." in text and "arXiv:1505.07818" in text
    [row] = [line for line in text.splitlines() if line.startswith("| [")]
    assert row == "| [digits](../experiments/digits/README.md) | mnist | usps | 0 | lenet | 91.7 | % |"


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
        "from transferscope.cli import main\n"
        f"codes = [main(words) for words in (['list', 'strategies'], ['status', {str(trained)!r}], ['prune', {str(trained)!r}])]\n"
        "assert codes == [0, 0, 0] and 'torch' not in sys.modules and callable(transferscope.compare)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(("shelf", "some"), [("distances", "mmd"), ("validators", "entropy"), ("transferability", "logme")])
def test_functions_are_listed_by_their_files(shelf, some, capsys):
    assert main(["list", shelf]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert any(line.startswith(f"{some} ") for line in lines) and all(len(line.split(maxsplit=1)[1]) > 10 for line in lines)
