"""Ctrl-C between two updates, never in the middle of one."""

import signal
import threading


class Interruptible:
    """While entered, Ctrl-C sets `requested` instead of raising; a second one raises as usual.

    Works where Python delivers signals, in the main thread, and only while Python's own handler
    is in place; elsewhere it does nothing.
    """

    def __init__(self):
        self.requested = False
        self._previous = None

    def __enter__(self):
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def _request(self, signum, frame):
        if self.requested:
            signal.default_int_handler(signum, frame)
        self.requested = True

    def __exit__(self, *exception):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
