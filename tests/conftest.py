"""What all tests run under."""

import signal

import numpy as np
import pytest

from skbp._quiet import SETTINGS


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_as_in_a_terminal():
    """Take Ctrl-C as Python does; a shell has what runs in its background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def settings_of_our_methods():
    """Set NumPy as our methods do, for the tests that call the engine without one."""
    with np.errstate(**SETTINGS):
        yield
