"""What the transformers share."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skbp._component import check_allowed
from skbp._plain_state import PlainState


class Dtype(tuple):
    """Some of NumPy's dtypes, by whatever name."""

    def __contains__(self, value):
        try:
            return value is not None and np.dtype(value) in [np.dtype(one) for one in self]
        except TypeError:
            return False

    def __str__(self):
        return " or ".join(np.dtype(one).name for one in self)


FLOATS = Dtype((np.float32, np.float64))
NUMBERS = Dtype((np.int16, np.int32, np.int64, np.float32, np.float64))


class Preparation(PlainState, TransformerMixin, BaseEstimator):
    """Base class of the transformers of this room.

    Attributes
    ----------
    allowed : dict of str to container
        What each parameter may be.
    """

    allowed: dict = {}

    def _check_parameters(self):
        check_allowed(self, self.allowed)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def unique_names(names):
    """Return names as an array of objects; of equal ones all but the first get a number."""
    taken, result = set(names), []
    given = set()
    for name in names:
        number, one = 1, name
        while one in given or (number > 1 and one in taken):
            number += 1
            one = f"{name}_{number}"
        given.add(one)
        result.append(one)
    return np.array(result, dtype=object)


def objects(values):
    """Return values as an array of objects, whatever they are."""
    array = np.empty(len(values), object)
    for i, value in enumerate(values):
        array[i] = value
    return array
