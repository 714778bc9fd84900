"""One column of a table, of whatever type, in the forms that preparations ask for."""

from functools import cached_property
from typing import Any

import numpy as np

from skbp.preprocessing._times import (
    MISSING,
    dates_of_objects,
    durations_of_objects,
    microseconds,
    microseconds_of_days,
)
from skbp.preprocessing._values import Factor, factorize, kind_of, to_numbers

#: Kinds of NumPy's dtypes, and of the columns that have them.
KINDS_OF_ARRAYS = {
    "b": "bool", "i": "number", "u": "number", "f": "number", "M": "date", "m": "duration",
    "U": "category", "S": "category", "T": "category",
}  # fmt: skip


class Column:
    """One column, and what kind of values it has.

    Parameters
    ----------
    name : object
        What it is called.
    values : ndarray of shape (n,), list of n objects, or Factor
    missing : ndarray of shape (n,), bool, or None
        Where there is no value, beside NaN, NaT, None and NA. Not for dates and durations.
    zoned : bool
        Whether dates had a time zone; the values are in UTC then.

    Attributes
    ----------
    kind : {"number", "bool", "category", "date", "duration", "mixed", "missing"}
        Of a column of objects also "mixed", dates or durations among other values, and "missing",
        if all are.

    Raises
    ------
    TypeError, ValueError
        If the values are of no such kind; names the column.
    """

    def __init__(self, name, values, missing=None, zoned=False):
        self.name = name
        self.where = f"column {name!r}"
        self.missing = missing if missing is not None and missing.any() else None
        if isinstance(values, np.ndarray) and values.dtype.kind == "O":
            values = values.tolist()
        self.values: Any = values
        self.kind = self._find_kind()
        self._zoned = zoned

    def _find_kind(self):
        if isinstance(self.values, Factor):
            return "category"
        if isinstance(self.values, list):
            return kind_of(self.values, self.where)
        kind = KINDS_OF_ARRAYS.get(self.values.dtype.kind)
        if self.values.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: {self.where} has complex numbers.")
        if kind is None:
            raise ValueError(
                f"{self.where} has dtype {self.values.dtype}, expected numbers, text, dates or "
                "durations. Turn it into one of these first."
            )
        return kind

    def __len__(self):
        return len(self.values.codes if isinstance(self.values, Factor) else self.values)

    @property
    def is_text(self):
        """Whether values are text or objects, not of a categorical dtype."""
        return self.kind == "category" and not isinstance(self.values, Factor)

    def is_blank(self):
        """Whether all values are missing, whatever the dtype."""
        values = self.values
        if self.kind == "missing":
            return True
        if self.missing is not None and self.missing.all():
            return True
        if isinstance(values, Factor):
            return bool((values.codes < 0).all())
        if isinstance(values, np.ndarray) and values.dtype.kind in "fmM":
            return bool((values != values).all())
        return False

    @cached_property
    def _dates(self):
        if isinstance(self.values, list):
            return dates_of_objects(self.values, self.where)
        return self.values, self._zoned

    @property
    def zoned(self):
        """Whether the values are dates that have a time zone."""
        return self.kind == "date" and self._dates[1]

    @cached_property
    def factor(self):
        """Return the values as numbers of unique values, a `Factor`."""
        if isinstance(self.values, Factor):
            return self.values
        factor = factorize(self.values, self.missing, self.where)
        if self.kind in ("category", "mixed"):
            self.values, self.missing = factor, None  # the values themselves take more memory
        return factor

    def numbers(self):
        """Return a column of kind "number" or "bool" as float64; NaN where missing.

        A new array. Infinite numbers are an error that names the column.
        """
        if isinstance(self.values, list):
            numbers = to_numbers(self.values, self.where)
        else:
            numbers = self.values.astype(np.float64)
        if self.missing is not None:
            numbers[self.missing] = np.nan
        if np.isinf(numbers).any():
            raise ValueError(
                f"{self.where} has infinite numbers (inf). Replace them, by NaN if their values "
                "are not known."
            )
        return numbers

    def moments(self):
        """Return a column of dates as int64 microseconds since 1970; `MISSING` where missing.

        Numbers are taken for days since 1970-01-01.
        """
        if self.kind in ("number", "bool"):
            return microseconds_of_days(self.numbers(), self.where)
        return microseconds(self._dates[0], self.where)

    def seconds(self):
        """Return a column of durations in seconds, as float64; NaN where missing."""
        values = self.values
        durations = durations_of_objects(values) if isinstance(values, list) else values
        whole = microseconds(durations, self.where)
        seconds = whole / 1e6
        seconds[whole == MISSING] = np.nan
        return seconds
