"""experiments/peers/peers.py on one task: ours is the reference's, and the table that is committed is of this
script."""

import csv
import importlib.util
from pathlib import Path

import pytest

from transferscope.training.request import load_domain

FOLDER = Path(__file__).parents[1] / "experiments" / "peers"


@pytest.fixture
def peers():
    pytest.importorskip("skada")
    spec = importlib.util.spec_from_file_location("peers", FOLDER / "peers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_on_one_task_ours_predicts_what_the_reference_does(peers, data_root) -> None:
    domains = tuple(
        load_domain("source", f"office_caltech_surf_{name}_whole", str(data_root))
        for name in ("dslr", "webcam")
    )
    settings = [
        setting
        for setting in peers.SETTINGS
        if setting.name in ("tca, gaussian kernel", "optimal_transport, class_weight=0")
    ]
    lines = list(peers.rows(domains, settings))
    assert len(lines) == 2 and all(line["ours_not_reference"] == 0 for line in lines)
    by_name = {line["setting"]: line for line in lines}
    assert by_name["optimal_transport, class_weight=0"]["ours_not_theirs"] == 0
    assert by_name["tca, gaussian kernel"]["theirs_not_reference"] > 0.02
    assert len(list(peers.summary(lines))) == 3


def test_the_committed_table_has_every_setting_on_each_task(peers) -> None:
    with (FOLDER / "results" / "peers.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == peers.COLUMNS
    assert {line["setting"] for line in lines} == {setting.name for setting in peers.SETTINGS}
    tasks, arms = (
        {(line[a], line[b]) for line in lines} for a, b in (("source", "target"), ("setting", "skada"))
    )
    assert len(tasks) == 12 and len(lines) == len(tasks) * len(arms)
