"""Functions that a value is given to, and that raise an AssertionError if it is wrong."""

import numpy as np


def finite(value):
    """Check that all numbers are finite."""
    assert np.isfinite(np.asarray(value, dtype=np.float64)).all(), "not finite"


def same(value):
    """Check that what came is the second part of a pair, save for rounding in float32."""
    got, expected = value
    finite(got)
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)


def equal(value):
    """Check that both parts of a pair are the same to the bit."""
    got, expected = value
    np.testing.assert_array_equal(got, expected)


def anything(value):
    """Check nothing: the case has its own assertions."""


def nothing_but(classes):
    """Return a check that all labels are among some, and of their type."""

    def check(value):
        labels = set(np.asarray(value).ravel().tolist())
        assert labels <= set(classes), f"{labels - set(classes)} is no class"

    return check
