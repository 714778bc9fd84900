"""Warnings that point at the caller's line."""

import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

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
