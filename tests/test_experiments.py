"""Every experiment of conf/experiment: its grid can be planned and holds the published cells, and one run of
it goes through, shortened."""

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from transferscope.catalog import registry
from transferscope.cli import reproduce, run
from transferscope.cli.main import main
from transferscope.store import record

if TYPE_CHECKING:
    from transferscope.sweeps.job import Job

EXPERIMENTS = registry.choices("experiment")
SHORT = [
    "trainer.steps=2",
    "trainer.source_steps=2",
    "trainer.evaluations=1",
    "trainer.threads=1",
    "tracking=off",
]


# grids that take seconds to plan
LARGE = {
    "amazon_reviews", "amazon_text", "amazon_text_lora", "amazon_text_scratch", "backbone_rate",
    "colored_mnist", "digits_cnn", "digits_lenet", "digits_pairs", "moons", "office_caltech_imagenet",
    "sentences",
}  # fmt: skip


def some_slowly(names: Iterable[str], slow: Callable[[str], bool] = LARGE.__contains__) -> list:
    return [pytest.param(name, marks=[pytest.mark.slow] if slow(name) else []) for name in names]


def domains_of(name: str) -> list[str]:
    """The yamls of the domains that an experiment names."""
    text = EXPERIMENTS[name].read_text()
    return [
        yaml.read_text()
        for domain, yaml in registry.choices("domain").items()
        if re.search(rf"\b{domain}\b", text)
    ]


def reads_pictures(name: str) -> bool:
    """Of a data set, which takes seconds."""
    return any("${data_root}" in yaml and "arrays" not in yaml for yaml in domains_of(name))


@pytest.fixture
def jobs(name: str, request: pytest.FixtureRequest) -> "list[Job]":
    """Of one seed; without its data files an experiment is skipped."""
    needs_files = any("${data_root}" in yaml for yaml in domains_of(name))
    return planned(name, *([f"data_root={request.getfixturevalue('data_root')}"] if needs_files else []))


@functools.cache
def planned(name: str, *root: str) -> "list[Job]":
    return run.planned([f"experiment={name}", "seed=0", *root])


@pytest.mark.parametrize("name", some_slowly(EXPERIMENTS))
def test_its_grid_can_be_planned_and_holds_the_published_cells(name: str, jobs: "list[Job]") -> None:
    assert jobs
    if name in reproduce.reproducible():
        cells = [(job.request.cell, reproduce.tested_items(job.request)) for job in jobs]
        reproduce.check_cells(reproduce.read_published(reproduce.table_of(name)), cells)


@pytest.mark.parametrize("name", some_slowly(reproduce.reproducible()))
def test_a_published_table_pins_its_scaling(name: str, jobs: "list[Job]") -> None:
    """So that the table stays as it is when a strategy's default is another one."""
    scaled = [job for job in jobs if "scaling" in job.request.consumed["strategy"]]
    assert [
        job for job in scaled if not any(text.startswith("strategy.scaling=") for text in job.overrides)
    ] == []


@pytest.mark.parametrize("name", ["office_caltech_surf"])
def test_a_table_made_with_the_linear_kernel_keeps_it(name: str, jobs: "list[Job]") -> None:
    """TCA's default is the gaussian one since."""
    kernels = {
        job.request.consumed["strategy"]["kernel"] for job in jobs if job.request.cell["strategy"] == "tca"
    }
    assert kernels == {"linear"}


@pytest.mark.parametrize("name", some_slowly(EXPERIMENTS, lambda name: name in LARGE or reads_pictures(name)))
def test_a_shortened_run_of_it_goes_through(name: str, jobs: "list[Job]", tmp_path: Path) -> None:
    assert main(["run", *jobs[-1].overrides, *SHORT, "hydra.mode=RUN", f"store={tmp_path}"]) == 0
    [folder] = record.run_folders(tmp_path)
    assert record.read_record(folder)["cell"] == jobs[-1].request.cell


@pytest.mark.parametrize("name", reproduce.reproducible())
def test_what_was_published_has_a_page_with_question_and_command(name: str) -> None:
    page = reproduce.table_of(name).with_name("README.md").read_text()
    assert f"transferscope reproduce {name} data_root=FOLDER" in page and "**Question.**" in page
