"""Intervals of shares: scipy's, and how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import binomtest

from skbp.text import share_interval


@pytest.mark.parametrize("count, n", [(0, 1), (0, 20), (3, 20), (20, 20), (500, 1000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson(count, n, confidence):
    share, low, high = share_interval(count, n, confidence=confidence)
    expected = binomtest(count, n).proportion_ci(confidence, "wilson")
    assert share == pytest.approx(count / n)
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=1e-12)


def test_arrays_and_no_texts():
    share, low, high = share_interval([0, 3, 0], [0, 20, 20])
    assert np.isnan(share[0]) and (low[0], high[0]) == pytest.approx((0, 1))
    assert share[1] == 0.15 and abs(low[2]) < 1e-15 and high[2] > 0.1
    low, high = share_interval(0, 0, sensitivity=0.8, specificity=0.8)[1:]
    assert (low, high) == pytest.approx((0, 1))


def test_counts_of_a_classifier_hold_the_true_share():
    rng, n, true = np.random.default_rng(0), 200, 0.15
    sensitivity, specificity = np.array([0.7, 0.9]), np.array([0.9, 0.95])
    observed = sensitivity * true + (1 - specificity) * (1 - true)
    counts = rng.binomial(n, observed, (4000, 2))
    share, low, high = share_interval(counts, n, sensitivity=sensitivity, specificity=specificity)
    np.testing.assert_allclose(share.mean(axis=0), true, atol=0.003)
    inside = ((low <= true) & (true <= high)).mean(axis=0)
    assert (abs(inside - 0.95) < 0.02).all()
    plain = share_interval(counts, n)
    assert not ((plain[1] <= true) & (true <= plain[2])).mean(axis=0).min() > 0.9


@pytest.mark.parametrize(
    "given, message",
    [
        ({"count": 3, "n": 2}, "count must be at least 0 and at most n"),
        ({"count": -1, "n": 2}, "count must be"),
        ({"count": np.nan, "n": 2}, "count must be"),
        ({"count": 1, "n": 2, "confidence": 1}, r"confidence must lie in \(0, 1\). Got 1"),
        ({"count": 1, "n": 2, "sensitivity": 0}, r"sensitivity must lie in \(0, 1\]. Got 0.0"),
        ({"count": 1, "n": 2, "specificity": 1.1}, "specificity must lie"),
        ({"count": 1, "n": 2, "sensitivity": 0.5, "specificity": 0.5}, "must be above 1. Got 1.0"),
    ],
)
def test_bad_input(given, message):
    with pytest.raises(ValueError, match=message):
        share_interval(**given)
