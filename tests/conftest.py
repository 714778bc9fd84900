"""What all tests run under."""

import numpy as np
import pytest

from skbp._quiet import SETTINGS


@pytest.fixture(autouse=True)
def settings_of_our_methods():
    """Set NumPy as our methods do, for the tests that call the engine without one."""
    with np.errstate(**SETTINGS):
        yield
