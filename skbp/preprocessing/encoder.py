"""Whole tables to numbers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skbp._compat import check_feature_names_in
from skbp._component import Flag, Maybe, OneOf, Range, Whole
from skbp._forms import Each, Is, Values, fits_form, require
from skbp._quiet import quiet
from skbp.preprocessing._base import FLOATS, Preparation, objects, unique_names
from skbp.preprocessing._category_encoder import CategoryEncoder
from skbp.preprocessing._coder import Coder, least_count
from skbp.preprocessing._date_encoder import DateEncoder
from skbp.preprocessing._encoder import CODES, CYCLIC, ONE_HOT, Encoder, Settings
from skbp.preprocessing._number_encoder import DurationEncoder, NumberEncoder
from skbp.preprocessing._scales import Plain, Quantile, Robust, Standard, n_quantiles_for
from skbp.preprocessing._table import read_table
from skbp.preprocessing._text import warn_of_text
from skbp.preprocessing._which import CategoricalFeatures, categorical_columns
from skbp.preprocessing.categories import FREQUENCY

ENCODERS = {
    "number": NumberEncoder,
    "duration": DurationEncoder,
    "date": DateEncoder,
    "category": CategoryEncoder,
    "bool": CategoryEncoder,
}
#: The blocks of numbers that each way of `numeric` makes.
BLOCKS = {
    "quantile": ("quantile",),
    "robust": ("robust",),
    "both": ("quantile", "robust"),
    "standard": ("standard",),
    "none": ("none",),
}


class TableEncoder(Preparation):
    """Turns a raw table into numbers for a network: numbers, categories, dates and holes.

    It finds out what each column holds. Numbers and durations are scaled, missing ones replaced by
    the median and marked in a column of their own; few categories become columns of 0 and 1, many
    become codes for an embedding; dates become days and circles. Constant columns and exact copies
    of others are left out. The output has no NaN.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Which columns are categories, as in scikit-learn's HistGradientBoostingClassifier.
        "from_dtype": those of text, of a categorical dtype, and of objects of which some are no
        numbers, booleans, dates or durations. An array: names of columns, numbers of columns, or
        True and False for each; other columns may not hold text then. None: no column.
    numeric : {"quantile", "robust", "both", "standard", "none"}, default="quantile"
        How numbers are scaled: to a normal distribution, see `QuantileNormal`; robustly, see
        `RobustSmoothClip`; both, side by side; by mean and standard deviation; or not at all.
    one_hot_max : int or None, default=50
        With at most so many categories (all rare ones count as one) a column becomes columns of 0
        and 1, with more it becomes a column of codes. None means that all are one-hot.
    min_frequency : int or float, default=None
        Categories of fewer rows are taken as one, "rare": a number of rows, or a share in (0, 1).
    max_categories : int, default=None
        At most so many categories of a column are told apart; the less frequent ones are rare.
    missing_indicator : bool, default=True
        Whether numbers, durations and dates with missing values in `fit` get a column that is 1
        where they are missing, else 0.
    n_quantiles : int, default=1000
        At most so many, see `QuantileNormal`.
    clip : float, default=3.0
        Bound of what is scaled robustly, see `RobustSmoothClip`.
    dtype : str or numpy dtype, default="float32"
        Of the output: float32 or float64.

    Attributes
    ----------
    column_kinds_ : dict of str to str
        What each column holds: "number", "bool", "category", "date", "duration", or "missing" if
        it is a column of objects without any value. Columns of arrays are called "x0", "x1", ...
    dropped_ : dict of str to str
        Columns that are left out, and why: "constant", "all missing" or "copy of ...".
    n_numeric_ : int
        The first columns of the output are numbers: so many.
    numeric_blocks_ : dict of str to slice
        Blocks within them, in this order: "quantile", "robust", "standard" or "none", as `numeric`
        says; with "both" two blocks of the same numbers in the same order. Then "cyclic": sine and
        cosine of the parts of dates, which are not scaled.
    n_one_hot_ : int
        After the numbers come so many columns of 0 and 1, or of -1 and 1: categories, and what says
        that numbers are missing.
    cardinalities_ : list of int
        The last columns of the output are codes, as whole numbers: how many codes each may have,
        from 0 on. 0 is missing, 1 unseen in `fit`, 2 rare; see `CategoryCodes`.
    source_columns_ : ndarray of shape (n_features_out,), intp
        From which column of the table, counted from 0, each column of the output comes.
    categories_ : dict of str to ndarray, object
        Of each column of categories those that are told apart, in sorted order.
    n_features_in_ : int
        Number of columns of the table.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if all are strings.

    See Also
    --------
    CategoryCodes : Codes for categories, of a table that has nothing else.
    DateParts : Parts of dates.
    sklearn.compose.ColumnTransformer : To put together something of one's own.

    Notes
    -----
    Two categories become one column, -1 for the first and 1 for the second; so do booleans. A
    missing or unseen category is 0 in all columns; where there are rare categories, an unseen one
    is one of them. A missing date has 0 for sine and cosine. Days and seconds are scaled like
    numbers. Parts of dates that do not vary are left out.

    Missing are None, NaN, NaT and NA. Booleans among numbers in one column are numbers. Text is
    never read as a number or a date. If the training data are a single row, no column is taken for
    constant or for a copy.

    A sparse matrix holds numbers, and its output is dense.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp.preprocessing import TableEncoder
    >>> rows = [[1.5, "red", True], [None, "blue", False], [2.5, "red", True], [3.5, "green", None]]
    >>> encoder = TableEncoder(numeric="standard").fit(np.array(rows, dtype=object))
    >>> print(*encoder.get_feature_names_out())
    x0 x0_missing x1_blue x1_green x1_red x2_True
    >>> encoder.transform(np.array([[2.5, "violet", True], [None, "red", None]], dtype=object))
    array([[0., 0., 0., 0., 0., 1.],
           [0., 1., 0., 0., 1., 0.]], dtype=float32)
    >>> encoder.n_numeric_, encoder.n_one_hot_, encoder.cardinalities_
    (1, 5, [])
    """

    allowed = {
        "categorical_features": CategoricalFeatures(),
        "numeric": OneOf(BLOCKS),
        "one_hot_max": Maybe(Whole(0)),
        "min_frequency": FREQUENCY,
        "max_categories": Maybe(Whole(1)),
        "missing_indicator": Flag(),
        "n_quantiles": Whole(2),
        "clip": Range(0, low_open=True),
        "dtype": FLOATS,
    }

    def __init__(
        self,
        categorical_features="from_dtype",
        numeric="quantile",
        one_hot_max=50,
        min_frequency=None,
        max_categories=None,
        missing_indicator=True,
        n_quantiles=1000,
        clip=3.0,
        dtype="float32",
    ):
        self.categorical_features = categorical_features
        self.numeric = numeric
        self.one_hot_max = one_hot_max
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.missing_indicator = missing_indicator
        self.n_quantiles = n_quantiles
        self.clip = clip
        self.dtype = dtype

    def _check_parts(self):
        form = {
            "_encoders": Values(Is(Encoder)), "_coders": Values(Is(Coder)),
            "_places": Values(Each(Is(int))), "_sources": Each(Is(tuple)), "n_numeric_": Is(int),
            "n_one_hot_": Is(int), "cardinalities_": Each(Is(int)),
        }  # fmt: skip
        if not fits_form(self, form):
            return
        encoders, places, n = self._encoders, self._places, len(self._sources)
        fits = places.keys() == encoders.keys() and set(encoders) <= set(range(self.n_features_in_))
        # Each column of the output is written, once.
        fits = fits and sorted(one for own in places.values() for one in own) == list(range(n))
        fits = fits and all(
            len(at) == len(encoders[j].features)
            and (not isinstance(encoders[j], CategoryEncoder) or at == _side_by_side(at))
            for j, at in places.items()
        )
        fits = fits and self.n_numeric_ + self.n_one_hot_ + len(self.cardinalities_) == n
        require(fits and self.n_numeric_ >= 0 <= self.n_one_hot_, self, "places of other columns")

    @quiet
    def fit(self, X, y=None):
        """Find out what the columns hold, and how to encode them.

        Parameters
        ----------
        X : dataframe, array-like or sparse matrix of shape (n_samples, n_features)
            A frame of pandas, or of polars, Arrow and others that narwhals reads; rows of values of
            any type; or numbers.
        y : object
            Not used.

        Returns
        -------
        self : TableEncoder

        Raises
        ------
        TypeError
            If a value cannot be hashed; names its column.
        ValueError
            If a parameter is not allowed; if a column holds infinite or complex numbers, or values
            of mixed types of which one is a date or a duration; if two columns have the same name;
            if no column is left.

        Warns
        -----
        UserWarning
            If a column of text, with "from_dtype", looks like dates or numbers, or has another
            value in almost every row.
        """
        self._fit(X)
        return self

    @quiet
    def fit_transform(self, X, y=None):
        """Find out what the columns hold, and encode them.

        Parameters
        ----------
        X : dataframe, array-like or sparse matrix of shape (n_samples, n_features)
        y : object
            Not used.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features_out), of `dtype`
        """
        return self._encode(self._fit(X))

    @quiet
    def transform(self, X):
        """Encode a table.

        Parameters
        ----------
        X : dataframe, array-like or sparse matrix of shape (n_samples, n_features)
            With the columns of `fit`. A column may have another dtype, if it holds the same kind of
            values. Columns that are left out are not looked at.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features_out), of `dtype`

        Raises
        ------
        ValueError
            If columns are missing, new or in another order, or one of numbers, dates or durations
            holds something else; names them.
        """
        check_is_fitted(self)
        return self._encode(read_table(self, X, reset=False))

    def get_feature_names_out(self, input_features=None):
        """Return the names of the columns of the output.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of the table; those of `fit` if there were any.

        Returns
        -------
        names : ndarray of object
        """
        check_is_fitted(self)
        names = check_feature_names_in(self, input_features)
        return unique_names([f"{names[j]}{suffix}" for j, suffix in self._sources])

    def _fit(self, X):
        self._check_parameters()
        table = read_table(self, X, reset=True)
        chosen = self._chosen(table.names)
        settings = self._settings(table.n_rows)
        encoders: dict[int, Encoder] = {}
        kinds: dict[Any, str] = {}
        dropped: dict[Any, str] = {}
        seen: dict[bytes, Any] = {}
        for j, name in enumerate(table.names):
            column = table[j]
            kinds[name] = _kind_of(column, chosen if chosen is None else j in chosen)
            if column.kind == "missing":
                dropped[name] = "all missing"
                continue
            is_text = chosen is None and column.is_text
            encoder = ENCODERS[kinds[name]](column, settings)
            if is_text:
                warn_of_text(column.where, column.factor)
            copied = seen.setdefault(encoder.digest, name)
            if not encoder.features:
                dropped[name] = encoder.reason
            elif copied != name and table.n_rows > 1:
                dropped[name] = f"copy of {copied!r}"
            else:
                encoders[j] = encoder
        if not encoders:
            raise ValueError(
                f"No column of X is left, of {table.n_rows} rows: {dropped}. At least one must "
                "hold different values."
            )
        self.column_kinds_, self.dropped_ = kinds, dropped
        self._encoders = encoders
        self._coders = {j: e.coder for j, e in encoders.items() if hasattr(e, "coder")}
        self.categories_ = {table.names[j]: objects(c.values) for j, c in self._coders.items()}
        self._lay_out()
        return table

    def _chosen(self, names):
        """Return the numbers of the columns that are said to be categories; None if none is."""
        if isinstance(self.categorical_features, str):
            return None
        return categorical_columns(
            self.categorical_features, names, hasattr(self, "feature_names_in_")
        )

    def _settings(self, n_rows):
        makers: dict[str, Callable[..., Any]] = {
            "quantile": partial(Quantile, n_quantiles=n_quantiles_for(n_rows, self.n_quantiles)),
            "robust": partial(Robust, clip=self.clip),
            "standard": Standard,
            "none": Plain,
        }
        return Settings(
            scales={block: makers[block] for block in BLOCKS[self.numeric]},
            n_rows=n_rows,
            indicates=self.missing_indicator,
            one_hot_max=self.one_hot_max,
            least=least_count(self.min_frequency, n_rows),
            max_categories=self.max_categories,
        )

    def _lay_out(self):
        """Give each column of the output its place."""
        blocks = [*BLOCKS[self.numeric], CYCLIC, ONE_HOT, CODES]
        self._places = {j: [0] * len(e.features) for j, e in self._encoders.items()}
        self._sources: list[tuple[int, str]] = []
        ends = [0]
        for block in blocks:
            for j, encoder in self._encoders.items():
                for i, feature in enumerate(encoder.features):
                    if feature.block == block:
                        self._places[j][i] = len(self._sources)
                        self._sources.append((j, feature.suffix))
            ends.append(len(self._sources))
        slices = dict(zip(blocks, map(slice, ends, ends[1:]), strict=False))
        codes, one_hot = slices.pop(CODES), slices.pop(ONE_HOT)
        self.numeric_blocks_ = slices
        self.n_numeric_ = one_hot.start
        self.n_one_hot_ = one_hot.stop - one_hot.start
        self.cardinalities_ = [self._coders[j].n_codes for j, _ in self._sources[codes.start :]]
        self.source_columns_ = np.array([j for j, _ in self._sources], np.intp)

    def _encode(self, table):
        out = np.empty((table.n_rows, len(self._sources)), self.dtype)
        for j, encoder in self._encoders.items():
            encoder.write(table[j], out, self._places[j])
        return out

    def __sklearn_tags__(self):
        """Return scikit-learn's tags: it takes sparse matrices."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _kind_of(column, is_category):
    """Return what a column is taken for.

    Parameters
    ----------
    column : Column
    is_category : bool or None
        What the caller says; None leaves it to what the column holds.

    Raises
    ------
    ValueError
        If that cannot be.
    """
    if is_category and column.kind != "missing":
        return "category"
    if column.kind == "mixed":
        names = ", ".join(sorted({type(value).__name__ for value in column.values}))
        raise ValueError(
            f"{column.where} has values of mixed types ({names}). Turn them all into dates, "
            "durations, numbers or text, or say in categorical_features that they are categories."
        )
    if column.kind == "category" and is_category is False:
        raise ValueError(
            f"{column.where} holds categories, but is not among categorical_features. Add it, use "
            "'from_dtype', or turn it into numbers."
        )
    return column.kind


def _side_by_side(at):
    """Return as many numbers, each one more than the one before."""
    return list(range(at[0], at[0] + len(at))) if at else []
