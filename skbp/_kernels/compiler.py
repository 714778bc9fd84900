"""How kernels are compiled."""

from typing import Any

import numba

# Sums may be reordered (so that they run in vector registers) and products fused with sums;
# nothing else: NaN and infinity must come through, and roots and quotients stay exact.
FASTMATH = {"reassoc", "contract", "nsz"}
#: For sums of differences: in another order they would lose what the differences are for.
IN_ORDER = FASTMATH - {"reassoc"}


def compiled(function, fastmath=FASTMATH):
    """Compile a kernel when it is first called; cache it if that is possible."""
    options: Any = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no writable cache folder
        return numba.njit(**options)(function)
