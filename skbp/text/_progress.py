"""Lines that say how many texts are done."""

from threading import Lock
from time import perf_counter

#: Seconds between two lines.
EVERY = 2.0


class Progress:
    """Prints from time to time how many of some texts are encoded; several threads may tell it.

    Parameters
    ----------
    n : int
        Number of texts.
    name : str
        Of the estimator.
    """

    def __init__(self, n, name):
        self._n, self._name, self._done = n, name, 0
        self._start = self._told = perf_counter()
        self._lock = Lock()

    def add(self, n):
        """Note that n more texts are done."""
        with self._lock:
            self._done += n
            now = perf_counter()
            if self._done == self._n or now - self._told >= EVERY:
                self._told = now
                seconds = now - self._start
                print(f"[{self._name}] {self._done} of {self._n} texts, {seconds:.1f} s")
