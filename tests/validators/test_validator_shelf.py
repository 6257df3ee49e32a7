"""What every validator of the folder promises; one that is added is held to it by being there."""

import ast
import doctest
import importlib
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from transferscope import validators
from transferscope.errors import RequestError

ALL = validators.available()
ON_ARRAYS = {name: f for name, f in ALL.items() if "fit" not in validators.needs(f)}
FILES = sorted(
    path for path in Path(validators.__file__).parent.glob("*.py") if not path.stem.startswith("_")
)


def arrays(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """One of everything that a validator may ask for, of the same items."""
    draw = np.random.default_rng(seed)
    return {
        "probabilities": draw.dirichlet(np.full(4, 0.3), n).astype(np.float32),
        "features": draw.normal(size=(n, 6)).astype(np.float32),
        "losses": draw.exponential(size=n),
        "weights": draw.lognormal(size=n),
    }


def value(name: str, given: dict[str, np.ndarray]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return ALL[name](**{need: given[need] for need in validators.needs(ALL[name])})


def test_every_file_is_a_validator_and_numpy_is_all_it_loads():
    assert sorted(ALL) == [path.stem for path in FILES] and len(ALL) >= 8
    assert set(validators.label_free()) == {"bnm", "class_clustering", "entropy", "mutual_information", "snd"}
    for path in FILES:
        loaded = [
            node
            for node in ast.parse(path.read_text()).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in loaded}
        assert not {name for name in names if name.split(".")[0] in ("torch", "sklearn", "scipy")}, path.name


@pytest.mark.parametrize("name", ALL)
def test_it_names_its_paper_and_its_examples_are_true(name):
    module = importlib.import_module(ALL[name].__module__)
    assert re.search(r"\b(19|20)\d\d\b", module.__doc__), "year of the paper"
    assert (
        "igher is better" in ALL[name].__doc__
        and "→" in ALL[name].__doc__
        or "nan" in ALL[name].__doc__.lower()
    )
    failed, tried = doctest.testmod(module, extraglobs={"np": np})
    assert tried and not failed


@pytest.mark.parametrize("name", ON_ARRAYS)
@pytest.mark.parametrize("n", [2, 7, 300])
def test_the_order_of_the_items_does_not_matter(name, n):
    given, order = arrays(n), np.random.default_rng(1).permutation(n)
    expected = value(name, given)
    assert isinstance(expected, float)
    np.testing.assert_allclose(
        value(name, {key: array[order] for key, array in given.items()}), expected, rtol=1e-9
    )


@pytest.mark.parametrize("name", ON_ARRAYS)
def test_nan_gives_nan(name):
    for need in validators.needs(ALL[name]):
        given = arrays(20)
        given[need][3] = np.nan
        assert np.isnan(value(name, given)), need


@pytest.mark.parametrize("name", ON_ARRAYS)
def test_one_item(name):
    assert np.isnan(value(name, arrays(1))) == (name in ("snd", "class_clustering"))  # which compare items


@pytest.mark.parametrize("name", validators.label_free())
def test_one_class_for_all_is_no_error(name):
    certain = {"probabilities": np.eye(4)[np.full(20, 2)], "features": arrays(20)["features"]}
    expected = {
        "entropy": 0,
        "mutual_information": 0,
        "bnm": 1 / np.sqrt(20),
        "snd": np.log(19),
        "class_clustering": 0,
    }
    assert value(name, certain) == pytest.approx(expected[name], abs=1e-12)


@pytest.mark.parametrize("name", validators.label_free())
@pytest.mark.parametrize(
    "p", [np.ones(3) / 3, np.empty((0, 3)), np.array([[2.0, 1.0]]), np.array([[-0.5, 1.5]])]
)
def test_what_is_no_table_of_probabilities_is_refused(name, p):
    with pytest.raises(RequestError, match=f"{name}: .*needed"):
        value(name, {"probabilities": p, "features": np.zeros((len(p), 2))})


def test_reading_all_of_them_is_calling_each():
    given = arrays(50)
    read = validators.read(given["probabilities"], given["features"])
    assert read == {name: value(name, given) for name in validators.label_free()}


def test_a_file_put_into_the_folder_is_registered(monkeypatch, tmp_path):
    (tmp_path / "largest.py").write_text(
        "def largest(probabilities):\n    return float(probabilities.max(1).mean())\ndef "
        "threshold(labels):\n    return 0.0\n"
    )
    monkeypatch.setattr(validators, "__path__", [*validators.__path__, str(tmp_path)])
    assert set(validators.available()) == {*ALL, "largest"}
