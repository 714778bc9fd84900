"""A call that trains, as a transaction."""

from functools import wraps

import numpy as np


def transaction(method):
    """Decorate a method that trains: whatever is raised, the estimator is as it was before.

    What callbacks raise as they put their things away belongs to the call, too. RandomState objects
    that the caller owns, as `random_state` or in a splitter, are set back: so the same call gives
    the same once its cause of failure is gone.
    """

    @wraps(method)
    def inner(estimator, *args, **kwargs):
        before = vars(estimator).copy()
        streams = [(stream, stream.get_state(legacy=False)) for stream in _streams(estimator)]
        try:
            return method(estimator, *args, **kwargs)
        except BaseException:
            estimator.__dict__ = before  # in one step, which no interrupt divides
            for stream, state in streams:
                stream.set_state(state)
            raise

    return inner


def _streams(estimator):
    """Return the RandomState objects that a training draws from; NumPy's own is everybody's."""
    splitter = getattr(estimator, "validation_fraction", None)
    owners = estimator.random_state, getattr(splitter, "random_state", None)
    return [
        one
        for one in owners
        if isinstance(one, np.random.RandomState) and one is not np.random.mtrand._rand
    ]
