"""The private scikit-learn names that skbp needs, in one place."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import _safe_indexing as rows_of_any
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    make_constraint,
)
from sklearn.utils.multiclass import _check_partial_fit_first_call as check_first_partial_fit
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as count_rows

__all__ = [
    "Integer",
    "InvalidParameterError",
    "Number",
    "Options",
    "StrOptions",
    "check_feature_names_in",
    "check_first_partial_fit",
    "check_sample_weight",
    "count_rows",
    "make_constraint",
    "rows_of_any",
]


class Number(Interval):
    """A real number in a range; True and False are not numbers."""

    kind: type = Real

    def __init__(self, left, right=None, *, closed="left"):
        super().__init__(self.kind, left, right, closed=closed)

    def is_satisfied_by(self, val):
        """Whether `val` is a number of the right kind in the range, of Python's or NumPy's types.

        Fractions, and whole numbers too large for a float, are none that NumPy reckons with.
        """
        if isinstance(val, bool | np.bool_) or not isinstance(val, int | float | np.number):
            return False
        try:
            float(val) if self.kind is Real else val
        except (OverflowError, TypeError):
            return False
        return super().is_satisfied_by(val)


class Integer(Number):
    """A whole number in a range; True and False are not numbers."""

    kind = Integral
