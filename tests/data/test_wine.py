"""Wine as UCI has it: counts, and how often each quality was given (Cortez et al. 2009, figure 1)."""

import os

import numpy as np
import pytest

from transferscope.data.load import load_domain
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
