"""What is known of users or items beside their behaviour: a row of numbers for each."""

import numpy as np
from scipy.linalg import svd
from sklearn.utils import check_array

from skbp._forms import TEXT, Array, Is
from skbp._numbers import check_numbers
from skbp._plain import kept
from skbp._warnings import warn
from skbp.recommendation._ids import Factor, read_ids

#: Components that are smaller than this, beside the largest, are rounding.
LEAST_SPREAD = 1e-7


@kept(name="IdFeatures")
class Features:
    """Rows of numbers by id.

    Parameters
    ----------
    given : DataFrame or (ids, matrix)
        A frame has the ids as its index.
    what : str
        What an error is to call it.

    Attributes
    ----------
    ids : Factor
    rows : ndarray of shape (n_ids, n_features), float64

    Raises
    ------
    ValueError
        If there are not as many ids as rows, if an id comes twice, or rows are no finite numbers.
    """

    _form = {"_what": TEXT, "ids": Is(Factor), "rows": Array("f", 2)}

    def __init__(self, given, what):
        if hasattr(given, "index") and hasattr(given, "to_numpy"):
            given = given.index, given.to_numpy()
        if not isinstance(given, list | tuple) or len(given) != 2:
            raise ValueError(
                f"{what} must be a DataFrame whose index holds the ids, or a pair (ids, matrix). "
                f"Got a {type(given).__name__} instead."
            )
        self._what = what
        ids, rows = given
        try:
            check_numbers(rows, what)
            rows = check_array(rows, accept_sparse="csr", dtype=np.float64, input_name=what)
        except ValueError as error:
            if "could not convert string" not in str(error):
                raise ValueError(f"{what} must hold finite numbers. {error}") from error
            raise ValueError(
                f"{what} holds strings ({error}), and needs numbers: pandas.get_dummies for "
                "categories, a TfidfVectorizer or TextEncoder for texts."
            ) from error
        self.rows = rows if isinstance(rows, np.ndarray) else rows.toarray()
        self.ids = read_ids(ids, f"the ids of {what}")
        if len(self.ids.codes) != len(self.rows):
            raise ValueError(
                f"{what} has {len(self.ids.codes)} ids and {len(self.rows)} rows of numbers."
            )
        if len(self.ids.values) != len(self.rows):
            twice = self.ids.values[int(np.bincount(self.ids.codes).argmax())]
            raise ValueError(f"{what} has more than one row for {twice!r}.")

    def warn_unless_of(self, factor):
        """Warn if none of the rows is of an id in a factor: nothing can be learned of features."""
        if set(self.ids.values).isdisjoint(factor.values):
            warn(
                f"none of the ids of {self._what}, such as {self.ids.values[0]!r}, is in X, where "
                f"they are such as {factor.values[0]!r}: what the features say cannot be learned. "
                "Give ids of the same type."
            )

    def table(self, ids, most):
        """Return features of ids, as few as possible.

        The columns are the principal components of the rows given, at most `most`, scaled as a
        whole so that the mean squared norm of a row is 1. An id without a row has zeros: the mean.

        Parameters
        ----------
        ids : Ids
        most : int

        Returns
        -------
        table : ndarray of shape (n_ids, n_components), float32

        Raises
        ------
        ValueError
            If all rows are the same.
        """
        centred = self.rows - self.rows.mean(axis=0)
        u, s, _ = svd(centred, full_matrices=False)
        n = min(most, np.count_nonzero(s > LEAST_SPREAD * max(s[0], np.abs(self.rows).max())))
        if n == 0:
            raise ValueError(f"{self._what} has the same numbers in all rows, which tell nothing.")
        rows = u[:, :n] * s[:n]
        rows /= np.sqrt((rows**2).sum() / len(rows))
        table = np.zeros((len(ids), n), np.float32)
        numbers = ids.codes(self.ids)
        table[numbers[numbers >= 0]] = rows[numbers >= 0]
        return table
