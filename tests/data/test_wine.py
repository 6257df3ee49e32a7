"""Wine as UCI has it: counts, and how often each quality was given (Cortez et al. 2009, figure 1)."""

import os

import numpy as np
import pytest

from transferscope.data.load import load_domain
from transferscope.data.tables import load
from transferscope.errors import RequestError

QUALITIES = {
    "wine_red": {3: 10, 4: 53, 5: 681, 6: 638, 7: 199, 8: 18},
    "wine_white": {3: 20, 4: 163, 5: 1457, 6: 2198, 7: 880, 8: 175, 9: 5},
}


@pytest.mark.parametrize("name", QUALITIES)
def test_it_is_what_its_authors_describe(name):
    try:
        domain = load_domain("target", name, os.environ.get("TRANSFERSCOPE_DATA_ROOT", "unset"))
    except RequestError as refusal:
        pytest.skip(f"TRANSFERSCOPE_DATA_ROOT: {refusal}")
    values, counts = np.unique(domain.labels.numpy(), return_counts=True)
    assert dict(zip(values.astype(int).tolist(), counts.tolist(), strict=True)) == QUALITIES[name]
    assert domain.inputs.shape == (sum(QUALITIES[name].values()), 11) and domain.unit == "quality points"


def test_an_altered_copy_is_refused(tmp_path):
    for name, rows in {"classes": ["1,a", "2,b", "3,b"], "numbers": ["1,3", "2,4", "3,4"]}.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y", *rows]))
    classes, numbers = (str(tmp_path / f"{name}.csv") for name in ("classes", "numbers"))
    assert len(load("d", classes, label="y", counts={"a": 1, "b": 2})) == 3
    assert len(load("d", numbers, label="y", task="regression", counts={3: 1, 4: 2})) == 3
    with pytest.raises(
        RequestError, match="classes.csv has 1 items of a, and counts says 2: an altered copy"
    ):
        load("d", classes, label="y", counts={"a": 2, "b": 1})
    with pytest.raises(RequestError, match="has 2 items of 4, and counts says 0"):
        load("d", numbers, label="y", task="regression", counts={3: 1})
