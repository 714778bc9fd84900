"""How kernels are compiled."""

import logging
from typing import Any

import numba
from numba.core import event

# Sums may be reordered (so that they run in vector registers) and products fused with sums;
# nothing else: NaN and infinity must come through, and roots and quotients stay exact.
FASTMATH = {"reassoc", "contract", "nsz"}
#: For sums of differences: in another order they would lose what the differences are for.
IN_ORDER = FASTMATH - {"reassoc"}


class Announcement(event.Listener):
    """Says, once a process, that kernels are being compiled and not found in the cache."""

    def __init__(self):
        self._told = False

    def on_start(self, event):
        """Look at a compilation that begins; numba calls this."""
        function = event.data["dispatcher"].py_func
        if self._told or not function.__module__.startswith("skbp."):
            return
        self._told = True
        logging.getLogger("skbp").warning(
            "skbp compiles its kernels, which takes some seconds; they are then kept for later. "
            "SKBP_KERNELS=numpy does without."
        )

    def on_end(self, event):
        """Let the end of a compilation pass; numba calls this."""


event.register("numba:compile", Announcement())


def compiled(function, fastmath=FASTMATH):
    """Compile a kernel when it is first called; cache it if that is possible.

    The cache is beside the package, or, where that cannot be written to, in the user's own folder
    for caches.
    """
    options: Any = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no writable cache folder
        return numba.njit(**options)(function)
