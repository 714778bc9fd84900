"""Ctrl-C between two updates, never in the middle of one."""

import signal
import threading


class Interruptible:
    """After `begin`, Ctrl-C sets `requested` instead of raising; a second one raises as usual.

    Works where Python delivers signals, in the main thread, and only while Python's own handler
    is in place; elsewhere it does nothing.
    """

    def __init__(self):
        self.requested = False
        self._begun = False

    def begin(self):
        """Take over Ctrl-C."""
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._begun = True  # before it is so: `end` may be called in between
            signal.signal(signal.SIGINT, self._request)

    def end(self):
        """Give Ctrl-C back; a second call does nothing."""
        if self._begun:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._begun = False

    def _request(self, signum, frame):
        if self.requested:
            signal.default_int_handler(signum, frame)
        self.requested = True


def interruptible(work):
    """Call ``work(interrupt)``, with an `Interruptible` that has begun and then ends.

    Parameters
    ----------
    work : callable

    Returns
    -------
    result : object
        What `work` returned.
    """
    interrupt = Interruptible()
    try:
        try:
            interrupt.begin()
            return work(interrupt)
        finally:
            interrupt.end()
    finally:
        interrupt.end()  # an interrupt of another kind may have come at the first one's first line
