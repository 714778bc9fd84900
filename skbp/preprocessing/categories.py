"""Categories to whole numbers."""

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import check_array, check_is_fitted

from skbp._component import AnyOf, Maybe, Range, Whole
from skbp._forms import Each, Is, fits_form, require
from skbp._quiet import quiet
from skbp.preprocessing._base import NUMBERS, Preparation, objects
from skbp.preprocessing._coder import FIRST, Coder, least_count
from skbp.preprocessing._table import read_table

#: What `min_frequency` may be.
FREQUENCY = Maybe(AnyOf(Whole(1), Range(0, 1, low_open=True, high_open=True)))


class CategoryCodes(OneToOneFeatureMixin, Preparation):
    """Numbers the categories of each column, with codes for missing, unseen and rare ones.

    The codes are 0 for a missing value, 1 for one that was not there in `fit`, 2 for a rare one,
    and from 3 on the categories in sorted order.

    Parameters
    ----------
    min_frequency : int or float, default=None
        Categories of fewer rows are rare: a number of rows, or their share in (0, 1). None means
        that none is.
    max_categories : int, default=None
        At most so many categories get codes of their own; the less frequent ones are rare. None
        means no limit.
    dtype : str or numpy dtype, default="int32"
        Of the codes: int16, int32, int64, float32 or float64.

    Attributes
    ----------
    categories_ : list of ndarray, object
        Of each column the categories with codes of their own, in order: ``categories_[j][i]`` has
        the code ``i + 3``.
    rare_categories_ : list of ndarray, object
        Of each column the rare ones.
    cardinalities_ : list of int
        Of each column the number of codes, those of 0 to 2 included: the size of its embedding.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if all are strings.

    See Also
    --------
    TableEncoder : Prepares whole tables, with few categories one-hot.
    sklearn.preprocessing.OrdinalEncoder : Without codes for rare and missing ones.

    Notes
    -----
    Categories are values of any type that can be hashed, also of several types in one column; they
    are sorted by their texts where they cannot be compared. Missing are None, NaN, NaT and NA.

    Numbers are the same category if Python calls them equal: 1, 1.0, True and ``Decimal(1)``. The
    text "1" is another one where both occur in the training data. Where only one of them does, it
    has the code of both: a column of numbers that comes as text, or the other way round, is
    understood.

    Examples
    --------
    >>> from skbp.preprocessing import CategoryCodes
    >>> codes = CategoryCodes().fit([["red"], ["green"], ["red"], [None]])
    >>> codes.transform([["green"], ["red"], ["blue"], [None]]).ravel()
    array([3, 4, 1, 0], dtype=int32)
    >>> codes.inverse_transform([[3], [1]]).ravel()
    array(['green', None], dtype=object)
    """

    allowed = {"min_frequency": FREQUENCY, "max_categories": Maybe(Whole(1)), "dtype": NUMBERS}

    def __init__(self, min_frequency=None, max_categories=None, dtype="int32"):
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.dtype = dtype

    def _check_parts(self):
        if fits_form(self, {"_coders": Each(Is(Coder)), "cardinalities_": Each(Is(int))}):
            require(len(self._coders) == self.n_features_in_, self, "codes of other columns")
            sizes = [coder.n_codes for coder in self._coders]
            require(self.cardinalities_ == sizes, self, "other cardinalities than codes")

    @quiet
    def fit(self, X, y=None):
        """Find the categories of each column.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
        y : object
            Not used.

        Returns
        -------
        self : CategoryCodes

        Raises
        ------
        TypeError
            If a value cannot be hashed; names its column.
        ValueError
            If a parameter is not allowed, or X is no table.
        """
        self._fit(X)
        return self

    @quiet
    def fit_transform(self, X, y=None):
        """Find the categories of each column, and return their codes.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
        y : object
            Not used.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_features), of `dtype`
        """
        return self._codes(self._fit(X))

    def _fit(self, X):
        self._check_parameters()
        table = read_table(self, X, reset=True)
        least = least_count(self.min_frequency, table.n_rows)
        self._coders = [
            Coder(table[j].factor, least, self.max_categories) for j in range(len(table))
        ]
        self.categories_ = [objects(coder.values) for coder in self._coders]
        self.rare_categories_ = [objects(coder.rare) for coder in self._coders]
        self.cardinalities_ = [coder.n_codes for coder in self._coders]
        return table

    @quiet
    def transform(self, X):
        """Return the codes of categories.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Values of any type; those that were not there in `fit` have the code 1.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_features), of `dtype`

        Raises
        ------
        ValueError
            If X has other columns than in fit.
        """
        check_is_fitted(self)
        return self._codes(read_table(self, X, reset=False))

    def _codes(self, table):
        codes = np.empty((table.n_rows, len(table)), self.dtype)
        for j, coder in enumerate(self._coders):
            codes[:, j] = coder.codes(table[j].factor)
        return codes

    @quiet
    def inverse_transform(self, X):
        """Return the categories of codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Codes, as `transform` returns them.

        Returns
        -------
        categories : ndarray of shape (n_samples, n_features), object
            None for a value that was missing, unseen or rare.

        Raises
        ------
        ValueError
            If a number is no code of its column.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=None)
        if codes.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {codes.shape[1]} columns of codes, expected {self.n_features_in_}."
            )
        result = np.empty(codes.shape, object)
        for j, values in enumerate(self.categories_):
            whole = codes[:, j].astype(np.intp)
            if (whole != codes[:, j]).any() or whole.min() < 0 or whole.max() >= len(values) + 3:
                raise ValueError(
                    f"Column {j} has numbers that are no codes: expected whole numbers from 0 to "
                    f"{len(values) + FIRST - 1}."
                )
            result[:, j] = np.concatenate([objects([None] * FIRST), values])[whole]
        return result

    def __sklearn_tags__(self):
        """Return scikit-learn's tags: it takes categories."""
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags
