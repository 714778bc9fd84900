"""What goes with scikit-learn's searches: splits of rows in time, and what to search."""

from math import ceil

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import indexable

from skbp._component import AnyOf, OneOf, Range, Whole
from skbp._numbers import group_labels

SIZES = AnyOf(Range(0, 1, low_open=True, high_open=True), Whole(1))
GROUPS = OneOf(("each", "whole"))

__all__ = ["LastFraction", "search_space"]


def search_space(estimator):
    """Return the published search space of a network: distributions of its hyperparameters.

    Parameters
    ----------
    estimator : estimator
        A `BackpropClassifier` or `BackpropRegressor` of dense layers, an estimator for tables, or
        what holds one: a Pipeline, or an estimator around another one.

    Returns
    -------
    space : dict of str to distribution or list
        For scikit-learn's RandomizedSearchCV and HalvingRandomSearchCV: names of parameters, and
        lists or distributions to draw from. Change, add and leave out what you like.

    Raises
    ------
    ValueError
        If the estimator's network has layers of its own, for which there is no published space.
    TypeError
        If there is no network of ours in it.

    References
    ----------
    Y. Gorishniy, I. Rubachev, V. Khrulkov, A. Babenko (2021), "Revisiting deep learning models for
    tabular data", tables 14, 15 and 18: perceptrons, ResNet and FT-Transformer.
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", appendix C: RealMLP. How numbers are embedded, and whether
    there is a scaling layer, is searched there too.
    D. Holzmüller and others, pytabkit: TabM.

    Examples
    --------
    >>> from sklearn.model_selection import RandomizedSearchCV
    >>> from skbp import search_space
    >>> from skbp.tabular import TabularClassifier
    >>> space = search_space(TabularClassifier("realmlp-td"))
    >>> space["preset__dropout"]
    [0.0, 0.0, 0.0, 0.15, 0.15, 0.15, 0.15, 0.15, 0.3, 0.3]
    >>> search = RandomizedSearchCV(TabularClassifier("realmlp-td"), space, n_iter=20)
    """
    space = _space_of(estimator)
    if not space:
        raise TypeError(
            f"search_space knows networks of skbp, and what holds one. Got {estimator!r}."
        )
    return space


def _space_of(estimator):
    if hasattr(estimator, "_search_space"):
        return estimator._search_space()
    parts = dict(getattr(estimator, "steps", ()))
    parts |= estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    return {
        f"{name}__{key}": values
        for name, part in parts.items()
        if name != "steps"
        for key, values in _space_of(part).items()
    }


class LastFraction(BaseCrossValidator):
    """Holds out the last rows, in one split: for rows in the order of time.

    For ``cv=`` of a search or of `cross_val_score`, and for `validation_fraction`. It counts from
    the end of the rows it is given, so it can stand in both at once, one inside the other, where
    numbers of rows would be out of range. Validation comes after training, as it will in use.

    Parameters
    ----------
    test_size : float or int, default=0.2
        What is held out: a share in (0, 1), rounded up, or a number of at least 1.
    groups : {"each", "whole"}, default="each"
        What groups mean, where ``fit(..., groups=...)`` gives them. "each": rows of one group are a
        series of their own, such as a shop's days, and the last of each are held out; its first
        row is always trained on. "whole": rows of one group stay together, such as those of a day,
        and the last groups are held out, in the order of their first rows; `test_size` counts
        groups.

    Raises
    ------
    ValueError
        If a parameter is not allowed.

    See Also
    --------
    sklearn.model_selection.TimeSeriesSplit : Several splits, of which the first trains on few rows.

    Notes
    -----
    Rows must be in the order of time, with "each" those of each group. With metadata routing
    ``groups`` is requested.

    Examples
    --------
    >>> [(train, held_out)] = LastFraction(0.3).split(range(10))
    >>> held_out
    array([7, 8, 9])
    >>> shops = ["a", "a", "a", "b", "b", "b"]
    >>> [(train, held_out)] = LastFraction(1).split(shops, groups=shops)
    >>> held_out
    array([2, 5])
    >>> [(train, held_out)] = LastFraction(1, groups="whole").split(shops, groups=shops)
    >>> held_out
    array([3, 4, 5])
    """

    # scikit-learn reads it: a search routes `groups` to its splitter.
    __metadata_request__split = {"groups": True}

    def __init__(self, test_size=0.2, groups="each"):
        for name, value, allowed in (("test_size", test_size, SIZES), ("groups", groups, GROUPS)):
            if value not in allowed:
                raise ValueError(
                    f"The {name!r} parameter of LastFraction must be {allowed}. Got {value!r} "
                    "instead."
                )
        self.test_size = test_size
        self.groups = groups

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits, which is 1; what is given does not matter."""
        return 1

    def split(self, X, y=None, groups=None):
        """Yield the numbers of the rows to train and to validate on, once.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Only the number of rows matters.
        y : object
            Not used.
        groups : array-like of shape (n,), default=None
            A label for each row; None means one group, that of all rows.

        Yields
        ------
        train, held_out : ndarray of intp
            In increasing order.

        Raises
        ------
        ValueError
            If nothing would be left to train or to validate on; if `groups` has another length than
            X, more than one axis, or labels that are missing; or if there are none for "whole".
        """
        groups = None if groups is None else group_labels(groups)
        X, groups = indexable(X, groups)
        n = X.shape[0] if hasattr(X, "shape") else len(X)
        if groups is None and self.groups == "whole":
            raise ValueError(
                "LastFraction(groups='whole') holds out whole groups and was given none: give "
                "fit(..., groups=...), a label for each row, or use groups='each'. A search hands "
                "groups on to the network only with sklearn.set_config(enable_metadata_routing="
                "True) and net.set_fit_request(groups=True)."
            )
        held_out = np.zeros(n, bool)
        by_group = None if groups is None else _rows_of_groups(groups)
        if by_group is None:
            held_out[self._begin(n) :] = True
        elif self.groups == "each":
            for rows in by_group:
                held_out[rows[max(1, self._begin(len(rows))) :]] = True
        else:
            for rows in by_group[self._begin(len(by_group)) :]:
                held_out[rows] = True
        if held_out.all() or not held_out.any():
            raise ValueError(
                f"{self!r} leaves nothing to {'train' if held_out.any() else 'validate'} on, of "
                f"{n} rows{'' if by_group is None else f' in {len(by_group)} groups'}. Give more "
                "rows, or another test_size."
            )
        yield np.flatnonzero(~held_out), np.flatnonzero(held_out)

    def _begin(self, n):
        """Return the number, of n, from which on they are held out."""
        if self.test_size in Whole(1):
            return max(0, n - self.test_size)
        return n - ceil(round(float(self.test_size) * n, 6))  # .1 * 30 is a little more than 3


def _rows_of_groups(groups):
    """Return the numbers of the rows of each group; groups in the order of their first rows."""
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    rows = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    return [rows[group] for group in np.argsort(first)]
