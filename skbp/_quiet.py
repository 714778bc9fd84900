"""NumPy's floating-point settings, for as long as a method works."""

from contextvars import copy_context
from functools import wraps
from typing import Literal

import numpy as np

#: How NumPy is set meanwhile. Some kernels of OpenBLAS compute on lanes of a register that hold
#: nothing, and so raise the "invalid" flag for products of finite numbers; where training really
#: leaves the finite numbers, we say so ourselves.
SETTINGS: dict[str, Literal["ignore"]] = {"under": "ignore", "invalid": "ignore"}


def quiet(function):
    """Decorate a function, so that NumPy says nothing of underflow and invalid operations in it.

    A probability that underflows to zero is right; ``np.seterr(under="raise")``, or "warn", is
    meant for the caller's own numbers. The setting lives in a copy of the caller's context: nothing
    is to be set back, so that no interrupt can keep it from being set back.
    """

    @wraps(function)
    def inner(*args, **kwargs):
        return quiet_context().run(function, *args, **kwargs)

    return inner


def quiet_context(**more):
    """Return a copy of the caller's context, for its method ``run``; see `quiet`.

    Parameters
    ----------
    **more : str
        Further settings of `numpy.seterr`.
    """
    context = copy_context()
    context.run(np.seterr, **SETTINGS, **more)
    return context
