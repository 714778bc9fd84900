"""Dates to numbers."""

from types import NoneType

import numpy as np
from sklearn.utils.validation import check_array, check_is_fitted

from skbp._compat import check_feature_names_in
from skbp._forms import Each, Is, fits_form, require
from skbp._plain import kept
from skbp._quiet import quiet
from skbp.preprocessing._base import FLOATS, Preparation, unique_names
from skbp.preprocessing._table import read_table
from skbp.preprocessing._times import MISSING, Calendar

PARTS = ("days", "month", "weekday", "hour")


@kept(name="DatePart")
class Parts:
    """What `parts` may be."""

    _form: dict = {}

    def __contains__(self, value):
        return (
            isinstance(value, list | tuple)
            and 0 < len(value) == len(set(map(str, value)))
            and all(one in PARTS for one in value)
        )

    def __str__(self):
        return f"a sequence of some of {', '.join(map(repr, PARTS))}, each at most once"


class DateParts(Preparation):
    """Turns dates into days, and months, weekdays and hours on circles; durations into seconds.

    Of a date come the days since the first day of the training data, and sine and cosine of where
    in the year, in the week and in the day it is. A missing date is NaN in all of them.

    Parameters
    ----------
    parts : sequence of str, default=("days", "month", "weekday", "hour")
        Which parts to return. Of a column without times, all at midnight in the training data,
        there is no "hour".
    dtype : str or numpy dtype, default="float32"
        Of the output: float32 or float64. float32 keeps days of 30 years to some minutes.

    Attributes
    ----------
    starts_ : ndarray of shape (n_features_in_,), datetime64[D]
        From when on the days of each column count; NaT for durations.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,), object
        Their names, if all are strings.

    See Also
    --------
    TableEncoder : Prepares whole tables, dates among them.

    Notes
    -----
    Dates are those of NumPy, pandas, polars, Arrow, and of Python's datetime, also as objects. With
    a time zone they are taken in UTC, so that one moment has the same numbers in all zones. Times
    of a day are durations since midnight. Numbers are taken for days since 1970-01-01.

    "month" goes on within the month: the last of January is next to the first of February.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp.preprocessing import DateParts
    >>> dates = np.array([["2024-01-01"], ["2024-04-01"]], dtype="datetime64[D]")
    >>> parts = DateParts(parts=["days", "month"]).fit(dates)
    >>> parts.get_feature_names_out()
    array(['x0_days', 'x0_month_sin', 'x0_month_cos'], dtype=object)
    >>> parts.transform(dates).round(3) + 0
    array([[ 0.,  0.,  1.],
           [91.,  1.,  0.]], dtype=float32)
    """

    allowed = {"parts": Parts(), "dtype": FLOATS}

    def __init__(self, parts=PARTS, dtype="float32"):
        self.parts = parts
        self.dtype = dtype

    def _check_parts(self):
        if fits_form(self, {"_calendars": Each(Is(Calendar, NoneType)), "_zoned": Is(list)}):
            numbers = {len(self._calendars), len(self._zoned), self.n_features_in_}
            require(len(numbers) == 1, self, "calendars of other columns")

    @quiet
    def fit(self, X, y=None):
        """Find where the days begin, and whether there are times.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)
            Dates and durations.
        y : object
            Not used.

        Returns
        -------
        self : DateParts

        Raises
        ------
        ValueError
            If a parameter is not allowed, or a column holds something else; names it.
        """
        self._check_parameters()
        table = read_table(self, X, reset=True)
        self._calendars = [_calendar_of(table[j]) for j in range(len(table))]
        self._zoned = [
            table[j].zoned if table[j].kind == "date" else None for j in range(len(table))
        ]
        self.starts_ = np.array(
            [
                np.datetime64("NaT") if calendar is None else np.datetime64(calendar.start, "us")
                for calendar in self._calendars
            ],
            "datetime64[D]",
        )
        return self

    @quiet
    def transform(self, X):
        """Return the parts of dates.

        Parameters
        ----------
        X : dataframe or array-like of shape (n_samples, n_features)

        Returns
        -------
        parts : ndarray of shape (n_samples, n_parts), of `dtype`
            NaN where a date is missing.

        Raises
        ------
        ValueError
            If X has other columns than in fit, or one of another kind, or one whose dates have a
            time zone where they had none, or the other way round.
        """
        check_is_fitted(self)
        table = read_table(self, X, reset=False)
        result = np.empty((table.n_rows, len(self._suffixes())), self.dtype)
        at = 0
        for j, calendar in enumerate(self._calendars):
            column = table[j]
            check_kind(column, "duration" if calendar is None else "date", self._zoned[j])
            if calendar is None:
                result[:, at] = np.nan if column.is_blank() else column.seconds()
                at += 1
                continue
            moments = moments_of(column)
            for part in self._parts_of(calendar):
                if part == "days":
                    result[:, at] = calendar.days(moments)
                    at += 1
                else:
                    angle = calendar.angle(part, moments)
                    result[:, at], result[:, at + 1] = np.sin(angle), np.cos(angle)
                    at += 2
        return result

    @quiet
    def inverse_transform(self, X):
        """Return the dates and durations that parts come from.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_parts)
            As `transform` returns them.

        Returns
        -------
        dates : ndarray of shape (n_samples, n_features)
            datetime64[us], in UTC where they had a time zone; timedelta64[us] if there are
            durations only; objects of NumPy's types if there are both. As exact as `dtype` is.

        Raises
        ------
        ValueError
            If "days" is not among the parts.
        """
        check_is_fitted(self)
        if "days" not in self.parts:
            raise ValueError(f"parts={self.parts!r} do not say which day it was: add 'days'.")
        X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan")
        names = self._suffixes()
        if X.shape[1] != len(names):
            raise ValueError(f"X has {X.shape[1]} columns of parts, expected {len(names)}.")
        columns = []
        for i, (j, suffix) in enumerate(names):
            calendar = self._calendars[j]
            if calendar is not None and suffix == "_days":
                columns.append(calendar.moments(X[:, i]).view("datetime64[us]"))
            elif calendar is None:
                missing = np.isnan(X[:, i])
                whole = np.rint(np.where(missing, 0, X[:, i]) * 1e6).astype(np.int64)
                columns.append(np.where(missing, MISSING, whole).view("timedelta64[us]"))
        if len({column.dtype for column in columns}) == 1:
            return np.stack(columns, axis=1)
        result = np.empty((len(X), len(columns)), object)
        for j, column in enumerate(columns):
            result[:, j] = list(column)  # NumPy's values, not Python's
        return result

    def get_feature_names_out(self, input_features=None):
        """Return the names of the parts: that of the column, and what it is.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns; those of `fit` if there were any.

        Returns
        -------
        names : ndarray of object
        """
        check_is_fitted(self)
        names = check_feature_names_in(self, input_features)
        return unique_names([f"{names[j]}{suffix}" for j, suffix in self._suffixes()])

    def _parts_of(self, calendar):
        return [one for one in PARTS if one in self.parts and (one != "hour" or calendar.has_times)]

    def _suffixes(self):
        """Return number of the column, and end of the name, of each column of the output."""
        found = []
        for j, calendar in enumerate(self._calendars):
            if calendar is None:
                found.append((j, "_seconds"))
                continue
            for part in self._parts_of(calendar):
                ends = ("_days",) if part == "days" else (f"_{part}_sin", f"_{part}_cos")
                found += [(j, end) for end in ends]
        return found


def _calendar_of(column):
    """Return the calendar of a column of dates, None for one of durations."""
    if column.kind == "duration":
        return None
    check_kind(column, "date", column.zoned)
    return Calendar(moments_of(column))


def moments_of(column):
    """Return microseconds since 1970; of a column without any value they are missing."""
    if column.is_blank():
        return np.full(len(column), MISSING)
    return column.moments()


def check_kind(column, kind, zoned, numbers=True):
    """Check that a column is of a kind; numbers pass for dates, unless `numbers` is False.

    Raises
    ------
    ValueError
        If it is not, or its dates have a time zone where those of fit have none.
    """
    if column.is_blank():
        return
    if column.kind != kind and not (column.kind == "number" and kind == "date" and numbers):
        raise ValueError(f"{column.where} holds values of kind {column.kind!r}, expected {kind}s.")
    if column.kind == "date" and zoned is not None and column.zoned != zoned:
        ways = ("no time zone", "a time zone")
        raise ValueError(
            f"{column.where} has dates with {ways[column.zoned]}; those of fit had {ways[zoned]}. "
            "Give them as in fit."
        )
