"""The files in sweeps/: what W&B's agent would start of them is a request this project can serve, and a
search learns what it maximises."""

import itertools
import os
import random
import re
from functools import partial
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from forked import exit_code, forked
from test_tracking import KEY, nobodys_account, read, server  # noqa: F401  (fixtures)
from transferscope.catalog import yamls
from transferscope.cli.main import main
from transferscope.training.request import resolve

SWEEPS = Path(__file__).parents[1] / "sweeps"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(SWEEPS.glob("*.yaml"))}
# https://docs.wandb.ai/guides/sweeps/sweep-config-keys; W&B's own schema is in the package `sweeps`, which
# asks for numpy below 2
KEYS = {
    "program",
    "method",
    "name",
    "project",
    "entity",
    "description",
    "run_cap",
    "metric",
    "early_terminate",
    "command",
    "parameters",
}
SHORT = ["trainer.steps=4", "trainer.source_steps=4", "trainer.evaluations=2"]


def test_a_search_maximises_no_test_score_and_no_name_of_one_target():
    for name, sweep in FILES.items():
        if sweep["method"] != "grid":
            assert re.fullmatch(r"(target|source)/val/\w+", sweep["metric"]["name"]), name
            assert sweep["metric"]["goal"] == "maximize"


def draw(parameter: dict, chance: random.Random) -> object:
    """A value as W&B draws it."""
    match parameter:
        case {"values": values, **rest} if not rest:
            return chance.choice(values)
        case {"distribution": "uniform", "min": low, "max": high, **rest} if not rest:
            return chance.uniform(low, high)
        case {"distribution": "log_uniform_values", "min": low, "max": high, **rest} if not rest:
            return low * (high / low) ** chance.random()
    raise AssertionError(f"{parameter}: not one of the documented forms")


def points(sweep: dict) -> list[dict]:
    """What the server hands out: of a grid all but the seeds between the first and the last; of a search the
    corners and some draws."""
    parameters = sweep["parameters"]
    if sweep["method"] == "grid":
        of_each = {name: parameter["values"] for name, parameter in parameters.items()}
        of_each["seed"] = [of_each["seed"][0], of_each["seed"][-1]]
        return [dict(zip(of_each, values, strict=True)) for values in itertools.product(*of_each.values())]
    chance = random.Random(0)
    corners = itertools.product(*([p["min"], p["max"]] for p in parameters.values()))
    draws = [{name: draw(parameter, chance) for name, parameter in parameters.items()} for _ in range(3)]
    return draws + [dict(zip(parameters, corner, strict=True)) for corner in corners]


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """W&B's agent, up to where it starts the process: sweep, values -> the words of the command."""
    from wandb import wandb_agent

    started = []
    monkeypatch.setattr(
        wandb_agent, "AgentProcess", lambda command, **_: started.append(command) or type("Process", (), {})()
    )
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))

    def command(sweep: dict, values: dict) -> list[str]:
        w_and_b = wandb_agent.Agent(api=None, queue=None)
        w_and_b._sweep_command = sweep["command"]
        handed = {
            "run_id": "r",
            "program": sweep["program"],
            "args": {key: {"value": value} for key, value in values.items()},
        }
        w_and_b._command_run(handed)
        for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):  # meant for the process
            monkeypatch.delenv(name)
        return started[-1]

    return command


@pytest.mark.parametrize("name", FILES)
def test_every_command_of_the_agent_is_a_request_that_can_be_served(name: str, agent) -> None:
    sweep = FILES[name]
    assert sweep.keys() <= KEYS and sweep["method"] in ("grid", "random", "bayes")
    assert sweep["method"] != "bayes" or sweep["metric"]
    asked = points(sweep)
    served = set()
    with initialize_config_dir(str(yamls.own_folder().resolve()), version_base="1.3"):
        for values in asked:
            env, program, verb, *overrides = agent(sweep, values)
            assert (env, program, verb) == ("/usr/bin/env", "transferscope", "run")
            assert all(f"{key}={value}" in overrides for key, value in values.items())
            request = resolve(compose("config", overrides=overrides))
            assert (
                request.config["tracking"]["mode"] == "online"
                and request.config["tracking"]["project"] == sweep["project"]
            )
            assert request.config["role"] == ("run" if sweep["method"] == "grid" else "trial")
            served.add(request.fingerprint)
    seen_by_some = {"source", "label_budget"}  # a strategy that sees no source is one run for all sources
    assert len(served) == len(asked) or seen_by_some & sweep["parameters"].keys()


def test_a_search_learns_what_it_maximises_and_that_is_no_test_score(
    agent,
    tmp_path: Path,
    nobodys_account,
) -> None:
    for name in ("random", "bayes"):
        sweep, store = FILES[name], tmp_path / name
        _, _, *words = agent(sweep, points(sweep)[0])
        assert main([*words, *SHORT, "tracking=offline", f"store={store}"]) == 0
        [folder] = store.glob("*/record.json")
        run = read(store, folder.parent.name)
        metric = sweep["metric"]["name"]
        assert metric in run.summary and 0 <= run.summary[metric] <= 1
        assert sweep["metric"]["goal"] == "maximize" and "/test/" not in metric


@pytest.mark.parametrize("path", sorted((SWEEPS / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_can_be_planned(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    asked = ["run", "--config-dir", str(SWEEPS), f"experiment={path.stem}", "--dry-run"]
    assert main([*asked, f"store={tmp_path}"]) == 0
    output = capsys.readouterr().out
    grid = yaml.safe_load(path.read_text())["hydra"]["sweeper"]["params"]
    sizes = [
        len(range(*map(int, found[1].split(","))))
        if (found := re.match(r"range\((.*)\)", v))
        else v.count(",") + 1
        for v in grid.values()
    ]
    product = 1
    for size in sizes:
        product *= size
    assert f"{product} runs: 0 done, {product} to run" in output and output.endswith("0 not applicable\n")


def test_the_readme_shows_every_file() -> None:
    text = (SWEEPS / "README.md").read_text()
    assert all(f"({path.relative_to(SWEEPS)})" in text for path in SWEEPS.rglob("*.yaml"))


def test_a_run_that_the_store_has_is_told_to_the_agent_that_asks_again(
    server,
    tmp_path: Path,
    nobodys_account,
) -> None:
    """As the agent starts it: a process with the sweep's and the run's id in its environment."""
    sweep = FILES["bayes"]
    overrides = [word for word in sweep["command"] if "=" in word] + [
        "trainer.optimizer.lr=0.001",
        *SHORT,
        f"store={tmp_path / 'runs'}",
    ]
    metric = sweep["metric"]["name"]
    expected = []
    for run_id in ("first", "second"):
        environment = {
            "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_DIR": str(tmp_path),
            "WANDB_SWEEP_ID": "abc", "WANDB_RUN_ID": run_id,
        }  # fmt: skip
        process = forked("run", *overrides, first=partial(os.environ.update, environment))
        assert exit_code(process, 300) == 0
        run = server.runs[run_id]  # W&B's run, not a second one by our fingerprint
        assert run.described["sweep"] == "abc" and run.exit_code == 0
        expected.append(run.summary[metric])
    assert expected[0] == expected[1]
