"""Metrics by hand, and that a verdict does not depend on the unit its scores are written in."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferscope.comparison import formatting
from transferscope.comparison.margins import Margin
from transferscope.errors import RequestError
from transferscope.statistics.verdict import Pair, judge
from transferscope.tasks.metrics import METRICS, judged_metrics, log_likelihood


def test_clipped_log_likelihood_by_hand():
    p, labels = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], np.float32), np.array([0, 0, 0])
    assert log_likelihood(p, labels) == pytest.approx([math.log(0.5), math.log(0.999), math.log(0.001)])
    nll = METRICS["nll"]
    assert nll.per_item(p, labels) == pytest.approx(log_likelihood(p, labels))
    assert nll.clipped(nll.per_item(p, labels)) == pytest.approx(1 / 3)
    assert nll.unit == pytest.approx(3.45, abs=0.01) and nll.span == pytest.approx(2 * nll.unit)


OF_CLASSES = judged_metrics("classification")


@pytest.mark.parametrize("name", [name for name in OF_CLASSES if METRICS[name].kind == "items"])
def test_no_difference_of_two_scores_is_larger_than_the_span_nor_smaller_than_possible(name):
    rng, metric = np.random.default_rng(0), METRICS[name]
    p = np.vstack([np.eye(4), rng.dirichlet(np.full(4, 0.1), 200)])
    scores = np.concatenate([metric.per_item(p, np.full(len(p), label)) for label in range(4)])
    assert np.ptp(scores) == pytest.approx(metric.span)
    assert metric.unit == pytest.approx(1.0 if name == "accuracy" else metric.span / 2)


@given(
    name=st.sampled_from(OF_CLASSES),
    scale=st.sampled_from([1e-3, 0.1, 7.0, 1e3]),
    seeds=st.integers(2, 6),
    n=st.integers(1, 60),
    draw=st.integers(0, 10**6),
)
@settings(max_examples=150, deadline=None)
def test_the_same_data_in_another_unit_give_the_same_verdict(name, scale, seeds, n, draw):
    metric, rng = METRICS[name], np.random.default_rng(draw)
    d = metric.span * rng.choice(
        [0.0, 1.0, -1.0, 0.3, rng.random()], size=(seeds, n), p=[0.6, 0.15, 0.1, 0.1, 0.05]
    )
    w = rng.random() if metric.kind == "influence" else None
    never = np.zeros(seeds, bool)
    pair = Pair(d, never, never, 20, influence=w, unit=metric.unit, span=metric.span)
    scaled = replace(
        pair, d=scale * d, influence=w and scale * w, unit=scale * metric.unit, span=scale * metric.span
    )
    (one,), (other,) = judge([pair], metric.margin, 0.05, 3), judge([scaled], scale * metric.margin, 0.05, 3)
    assert one.verdict == other.verdict and one.p_adjusted == pytest.approx(other.p_adjusted, rel=1e-9)
    assert np.multiply(scale, one.ci_simultaneous) == pytest.approx(
        other.ci_simultaneous, rel=1e-9, abs=1e-12 * scale
    )
    assert (one.mde is None) == (other.mde is None) and (
        one.mde is None or scale * one.mde == pytest.approx(other.mde, rel=1e-9)
    )


def test_a_margin_is_in_the_metrics_unit():
    assert Margin.parse("2.0", "nll").value == 2.0  # nats: legal, where accuracy ends at 1
    assert Margin.parse(None, "accuracy").value == 0.01
    for margin, metric in (
        ("2.0", "accuracy"),
        ("7", "nll"),
        ("-1", "nll"),
        ("relative:1", "nll"),
        ("nan", "brier"),
        ("a point", "accuracy"),
    ):
        with pytest.raises(RequestError, match=f"--margin {margin}: the smallest difference that matters"):
            Margin.parse(margin, metric)


def test_numbers_are_told_in_the_metrics_unit():
    assert (formatting.signed(0.057, "macro_f1"), formatting.unit("macro_f1")) == ("+5.7", "points")
    settings = {"metric": "nll", "margin": 0.02}
    assert (formatting.signed(-0.057, "nll"), formatting.margin(settings)) == ("−0.057", "0.02 nats")
