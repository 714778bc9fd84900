"""Pairs of user and item, whatever their ids are, as whole numbers."""

import numpy as np

from skbp._forms import Is, require
from skbp._plain import kept
from skbp.preprocessing._table import read_table
from skbp.preprocessing._values import Factor, factorize, in_order


@kept
class Ids:
    """Ids and their numbers.

    Parameters
    ----------
    ids : list
        Unique; their places are their numbers.
    """

    _form = {"_number": Is(dict)}

    def __init__(self, ids):
        self._number = {one: number for number, one in enumerate(ids)}

    def _check_parts(self):
        numbers = list(self._number.values())
        fits = numbers == list(range(len(numbers))) and all(type(n) is int for n in numbers)
        require(fits, self, "numbers that are not those of its ids")

    def __len__(self):
        return len(self._number)

    def codes(self, factor):
        """Return the numbers of values, intp; -1 for those that are not known."""
        numbers = [self._number.get(value, -1) for value in factor.values]
        return np.array(numbers, np.intp)[factor.codes]

    def array(self):
        """Return the ids as an array: of numbers or texts if all are such, else of objects."""
        return as_array(list(self._number))


def as_array(ids):
    """Return a list of ids as an array that tells them apart."""
    if len({str if isinstance(one, str) else type(one) for one in ids}) <= 1:
        array = np.array(ids)
        if array.ndim == 1 and array.dtype.kind in "iufU":
            return array
    array = np.empty(len(ids), object)
    array[:] = ids
    return array


def union(*factors):
    """Return the ids that occur in some factors, sorted."""
    return in_order(list(dict.fromkeys(value for factor in factors for value in factor.values)))


def read_pairs(estimator, X, reset=False):
    """Return users and items of pairs.

    Parameters
    ----------
    estimator : estimator
        As for `read_table`.
    X : dataframe or array-like of shape (n, 2)
    reset : bool

    Returns
    -------
    users, items : Factor

    Raises
    ------
    ValueError
        If X has not two columns, or an id is missing.
    """
    table = read_table(estimator, X, reset)
    if len(table) != 2:
        raise ValueError(
            f"X has {len(table)} columns, expected two: the user's id and the item's id."
        )
    factors = []
    for number, what in enumerate(("user", "item")):
        factor = table[number].factor
        missing = factor.codes < 0
        if missing.any():
            raise ValueError(
                f"X has no id of the {what} in row {int(missing.argmax())} (missing value); leave "
                "such rows out."
            )
        factors.append(factor)
    return factors


def read_ids(ids, what):
    """Return a list of ids as a factor.

    Raises
    ------
    ValueError
        If it is no list, series or array of one dimension, or one is missing.
    """
    if isinstance(ids, str | bytes) or not hasattr(ids, "__len__"):
        raise ValueError(f"{what} must be a list or an array of ids. Got {ids!r} instead.")
    values = ids if isinstance(ids, list | tuple) else np.asarray(ids)
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise ValueError(f"{what} must have one dimension. Its shape is {values.shape}.")
    factor = factorize(values, None, what)
    if (factor.codes < 0).any():
        raise ValueError(f"{what} has a missing value at place {int((factor.codes < 0).argmax())}.")
    return factor


__all__ = ["Factor", "Ids", "as_array", "read_ids", "read_pairs", "union"]
