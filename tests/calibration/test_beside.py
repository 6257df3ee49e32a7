"""The study of what stands beside the verdict, in small: what is held to a bar, and that the forms it
replaced leave it."""

import numpy as np

from transferscope.calibration import beside


def test_signs_at_several_rates_hold_their_rate_where_raw_signs_do_not():
    found = list(beside.rates(60))
    assert all(one.ok for one in found)
    changes = [one.detail["as it was"] for one in found if "changes" in one.setting]
    assert min(changes) > max(one.detail["bar"] for one in found)


def test_a_mean_error_is_held_to_what_is_allowed():
    errors = np.random.default_rng(0).normal(0.3, 0.1, 100).tolist()
    assert beside.bias("one", errors, 0.3).ok and not beside.bias("one", errors, 0.2).ok
    assert not beside.rate("one", 0.05, 20, 100).ok and beside.rate("one", 0.05, 5, 100).ok
