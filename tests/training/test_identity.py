"""What a class is called in a fingerprint: by name and version, or by name and source, not by where its file
lies."""

import importlib
import sys

import pytest

from transferscope.strategies.dann import DANN
from transferscope.strategies.fine_tuning import FineTuning
from transferscope.training.identity import identity

OWN = (
    "from transferscope.strategies.fine_tuning import FineTuning\n\n\nclass Mine(FineTuning):\n    pull = "
    "{pull}\n"
)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """written(module, text): the class Mine of a file of one's own, imported as Python imports from the
    current folder."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(module: str, text: str) -> type:
        (tmp_path / f"{module}.py").write_text(text)
        sys.modules.pop(module, None)
        importlib.invalidate_caches()
        return importlib.import_module(module).Mine

    return write


def test_a_class_of_the_project_is_known_by_one_name_wherever_its_file_lies(monkeypatch):
    before = identity(DANN)
    identity.cache_clear()
    monkeypatch.setattr(DANN, "__module__", "transferscope.elsewhere.adversarial")
    assert identity(DANN) == before == ("transferscope.strategies.dann.DANN", None)


def test_one_that_stores_have_not_seen_is_known_by_its_name(monkeypatch):
    later = type("Later", (FineTuning,), {"__module__": "transferscope.strategies.later"})
    assert identity(later) == ("Later", None)


def test_a_class_of_ones_own_is_known_by_its_source(written):
    first = identity(written("mine_a", OWN.format(pull=1)))
    assert first == identity(written("mine_b", OWN.format(pull=1)))  # moved
    assert first[0] == "Mine" and first[1] != identity(written("mine_c", OWN.format(pull=2)))[1]


def test_and_by_that_of_its_own_bases(written):
    found = []
    for pull in (1, 2):
        written("own_base", OWN.format(pull=pull))
        found.append(
            identity(
                written("mine_d", "from own_base import Mine as Base\n\n\nclass Mine(Base):\n    pass\n")
            )
        )
    assert found[0] != found[1]
