"""Warnings that point at the caller's line."""

import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

from sklearn.exceptions import InconsistentVersionWarning

from skbp._version import __version__

#: Code between a caller's line and ours, by the beginning of its module's name: Pipelines and
#: searches too, in which nobody looks for the reason of a warning.
BETWEEN = ("skbp.", "sklearn.", "joblib.", "contextlib")

_silent = ContextVar("silent", default=False)


@contextmanager
def silent():
    """Let `warn` say nothing, in this thread: of what a caller has been told before."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def warn(message, category=UserWarning):
    """Warn at the first line, from here up, that is neither ours nor scikit-learn's around us."""
    if _silent.get():
        return
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(BETWEEN):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


class VersionWarning(InconsistentVersionWarning):
    """A pickle of another version of skbp; like scikit-learn's warning of its own.

    Parameters
    ----------
    estimator_name : str
    original : str
        The version that wrote the pickle.
    """

    def __init__(self, estimator_name, original):
        self.estimator_name, self.original_skbp_version = estimator_name, original
        self.current_skbp_version = __version__

    def __str__(self):
        return (
            f"Trying to unpickle estimator {self.estimator_name} from skbp "
            f"{self.original_skbp_version} when using {self.current_skbp_version}. This might "
            "break, or give invalid results. Use skbp.save and skbp.load for files that last."
        )
