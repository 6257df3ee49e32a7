"""What the commands say of a stored sweep stays as it was recorded, and its runs are known by the keys that
they had."""

import json

import pytest

import golden_store


@pytest.fixture(scope="module")
def texts():
    return golden_store.texts()


def alike(now, then) -> bool:
    """Equal, but for the last digits that another processor's arithmetic gives."""
    if isinstance(then, dict):
        return (
            isinstance(now, dict)
            and now.keys() == then.keys()
            and all(alike(now[key], then[key]) for key in then)
        )
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(alike, now, then))
    return now == pytest.approx(then, rel=1e-9, abs=1e-12) if isinstance(then, float) else now == then


@pytest.mark.parametrize("name", golden_store.TEXTS)
def test_a_command_says_of_the_golden_store_what_it_said(texts, name):
    recorded = (golden_store.HERE / name).read_text()
    if name.endswith(".json"):
        assert alike(json.loads(texts[name]), json.loads(recorded))
    else:
        assert texts[name] == recorded


def test_every_strategy_is_known_by_the_key_that_it_had():
    """A run that is finished is not trained again because code was moved. A strategy whose results change has
    another `version`."""
    recorded = json.loads((golden_store.HERE / "keys.json").read_text())
    now = golden_store.keys()
    assert {name: now.get(name) for name in recorded} == recorded
