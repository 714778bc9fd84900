"""Ctrl-C between two updates, never in the middle of one."""

import signal
import sys
import threading
from types import FrameType

#: Code that calls fit several times, of which only the last would be ended by a flag: a search, an
#: ensemble, one model for each class or output.
SEVERAL_FITS = (
    "joblib.parallel",
    "sklearn.ensemble.",
    "sklearn.feature_selection._rfe",
    "sklearn.feature_selection._sequential",
    "sklearn.impute.",
    "sklearn.multiclass",
    "sklearn.multioutput",
    "sklearn.semi_supervised.",
)


def one_of_several():
    """Whether the fit that calls this is one of several that a search, or the like, does."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(SEVERAL_FITS):
            return True
        frame = frame.f_back
    return False


class Interruptible:
    """While entered, Ctrl-C sets `requested` instead of raising; a second one raises as usual.

    Works where Python delivers signals, in the main thread, and only while Python's own handler
    is in place; elsewhere it does nothing. Nor does it where the fit is `one_of_several`: there
    Ctrl-C is meant for all of them.

    Enter it twice, ``with Interruptible() as interrupt, interrupt:``. The inner one takes Ctrl-C;
    the outer one gives it back also if an interrupt of another kind comes as the inner one takes
    it, or at the first step out of that.
    """

    def __init__(self):
        self.requested = False
        self._entered = self._begun = False

    def __enter__(self):
        if not self._entered:
            self._entered = True
        elif (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
            and not one_of_several()
        ):
            self._begun = True  # before it is so: the outer exit may come in between
            signal.signal(signal.SIGINT, self._request)
        return self

    def _request(self, signum, frame):
        if self.requested:
            signal.default_int_handler(signum, frame)
        self.requested = True

    def __exit__(self, *exception):
        if self._begun:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._begun = False
