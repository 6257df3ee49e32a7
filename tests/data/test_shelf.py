"""What every yaml of conf/domain promises."""

import os
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import get_method
from omegaconf import OmegaConf

from transferscope.data.domain import Domain
from transferscope.data.texts import Texts
from transferscope.errors import RequestError

SHELF = Path(__file__).parents[2] / "conf" / "domain"
NAMES = sorted(f.stem for f in SHELF.glob("*.yaml"))


# files that take a second and more to read or decode: the smallest of each data set is read by default
LARGE = {
    "mnist_m", "usps", "usps_padded", "amazon_books", "adult_men", "adult_us", "adult_women",
    *(f"office_caltech_{part}{size}"
    for part in ("amazon", "caltech10", "dslr", "webcam") for size in ("", "_96")),
} - {"office_caltech_webcam"}  # fmt: skip


def needs_files(name: str) -> bool:
    return "${data_root}" in (SHELF / f"{name}.yaml").read_text()


def load(name: str) -> Domain:
    """Skips where the files of the domain are absent."""
    root = os.environ.get("TRANSFERSCOPE_DATA_ROOT", "unset")
    config = OmegaConf.create(
        {"data_root": root, "download": False, "domain": OmegaConf.load(SHELF / f"{name}.yaml")}
    )
    arguments = OmegaConf.to_container(config, resolve=True)["domain"]
    try:
        return get_method(arguments.pop("_target_"))(name=name, **arguments)
    except RequestError as refusal:
        if not needs_files(name) or "data_root=" not in str(refusal):
            raise
        pytest.skip(f"TRANSFERSCOPE_DATA_ROOT: {refusal}")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in NAMES]
)
def test_domain_keeps_its_contract(name: str) -> None:
    domain = load(name)
    assert domain.name == name
    assert len(domain.inputs) == len(domain.labels) == len(domain.ids) == len(domain.split) > 0
    assert len(np.unique(domain.ids)) == len(domain)
    if isinstance(domain.inputs, Texts):
        assert all(text.strip() for item in domain.inputs.items() for text in item)
    elif not domain.is_images:
        assert domain.inputs.dtype.is_floating_point
        assert domain.inputs.isfinite().all() or domain.gaps and not domain.inputs.isinf().any()
    if domain.quantities:
        assert domain.classes == () and tuple(domain.labels.shape) == (len(domain), len(domain.quantities))
        assert domain.labels.isfinite().all() and (domain.labels.std(0) > 0).all()
    elif domain.tags:
        assert domain.classes == () and domain.tags == tuple(sorted(domain.tags))
        assert tuple(domain.labels.shape) == (len(domain), len(domain.tags))
        assert set(domain.labels.unique().tolist()) == {0, 1} and (domain.labels.std(0) > 0).all()
    else:
        assert domain.classes == tuple(sorted(set(domain.classes))) and len(domain.classes) >= 2
        with_items = set(domain.labels.unique().tolist()) - {-1}
        assert (
            with_items == set(range(len(domain.classes)))
            or len(with_items) >= 2
            and "some_classes" in (SHELF / f"{name}.yaml").read_text()
        )
    assert set(domain.split) <= {"train", "test", ""}
    assert {"train", "test"} <= set(domain.split) or 0 < domain.test_fraction < 1
    assert domain.groups is None or len(domain.groups) == len(domain)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if needs_files(n) else []) for n in NAMES]
)
def test_a_second_load_gives_the_same_content(name: str) -> None:
    assert load(name).digest == load(name).digest


@pytest.mark.parametrize("name", NAMES)
def test_yaml_opens_with_its_description(name: str) -> None:
    first = (SHELF / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ") and len(first) > 10
