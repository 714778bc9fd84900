"""Values of any type: what kind they are of, which are missing, and equal ones as one number."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from numbers import Complex, Real
from typing import Any, NamedTuple

import numpy as np

#: Of types that have a value that does not equal itself.
WITH_NAN = (float, np.floating, Decimal, np.datetime64, np.timedelta64)
#: Types of values that are missing, by name: pandas need not be installed.
MISSING_TYPES = ("NoneType", "NAType", "NaTType")
#: What a column of objects is, if all its values are of one of these types. The first that fits.
KINDS: list[tuple[tuple, str]] = [
    ((bool, np.bool_), "bool"),
    ((np.timedelta64, timedelta, time), "duration"),  # NumPy's is a whole number too
    ((np.datetime64, date), "date"),
    ((Real, Decimal, Fraction), "number"),
    ((Complex,), "complex"),
]


class Factor(NamedTuple):
    """Values as numbers of unique values.

    Attributes
    ----------
    codes : ndarray of shape (n,) of a signed integer type
        For each row the number of its value; -1 where it is missing.
    values : list
        The unique values; none is missing. Some may not occur.
    """

    codes: np.ndarray
    values: list


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, NaT, NA."""
    if isinstance(value, WITH_NAN):
        return bool(value != value)
    return type(value).__name__ in MISSING_TYPES


def kind_of(values: list, where: str) -> str:
    """Return what kind of values there are, missing ones aside.

    Parameters
    ----------
    values : list
    where : str
        What the error is to call the column.

    Returns
    -------
    kind : {"number", "bool", "date", "duration", "category", "mixed", "missing"}
        "category" also for numbers or booleans among texts; "mixed" for dates or durations among
        other values; "missing" if no value is there.

    Raises
    ------
    TypeError
        If there are values that cannot be told apart, such as lists.
    ValueError
        If there are complex numbers.
    """
    types = {one for one in set(map(type, values)) if one.__name__ not in MISSING_TYPES}
    kinds = {_kind_of_type(one, where) for one in types}
    if len(kinds) > 1 or kinds & {"number", "date", "duration"}:
        kinds = _without_nan(values, types, kinds, where)
    if "complex" in kinds:
        raise ValueError(f"Complex data not supported: {where} has complex numbers.")
    if not kinds:
        return "missing"
    if len(kinds) == 1:
        return kinds.pop()
    if kinds == {"number", "bool"}:
        return "number"
    return "mixed" if kinds & {"date", "duration"} else "category"


def _kind_of_type(one, where):
    if one.__hash__ is None:
        raise TypeError(
            f"{where} has values of type {one.__name__}: each argument must be a string, a number, "
            "a date or another value that can be hashed."
        )
    return next((kind for types, kind in KINDS if issubclass(one, types)), "category")


def _without_nan(values, types, kinds, where):
    """Leave out kinds of which there is only a NaN or NaT."""
    kinds = set(kinds)
    for one in types:
        if issubclass(one, WITH_NAN):
            kind = _kind_of_type(one, where)
            same = tuple(t for t in types if _kind_of_type(t, where) == kind)
            if all(issubclass(t, WITH_NAN) for t in same) and all(
                is_missing(value) for value in values if isinstance(value, same)
            ):
                kinds.discard(kind)
    return kinds


def factorize(values: Sequence | np.ndarray, missing: np.ndarray | None, where: str) -> Factor:
    """Give each of the unique values a number.

    Parameters
    ----------
    values : ndarray of shape (n,), or list
    missing : ndarray of shape (n,), bool, or None
        Where there is no value, beside what is None, NaN, NaT or NA itself.
    where : str
        What an error is to call the column.

    Returns
    -------
    factor : Factor
        Its values are Python's own; numbers are equal as in Python (1, 1.0, True and Decimal(1)).

    Raises
    ------
    TypeError
        If a value cannot be hashed.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "biufmM":
        factor = _factorize_array(values)
    else:
        listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
        factor = _factorize_objects(listed, where)
    if missing is not None:
        factor.codes[missing] = -1
    return factor


def _factorize_array(values):
    if values.dtype.kind in "mM":  # Python has no nanoseconds
        days = np.datetime_data(values.dtype)[0] in ("Y", "M", "W", "D")
        values = values.astype(f"{values.dtype.kind}8[{'D' if days else 'us'}]")
    unique, codes = np.unique(values, return_inverse=True)
    codes = codes.reshape(-1).astype(np.int32)
    absent = np.isnat(unique) if values.dtype.kind in "mM" else unique != unique
    codes[absent[codes]] = -1  # they come last
    unique = unique[~absent]
    if values.dtype.kind == "f" and values.dtype.itemsize < 8:
        # The shortest number that is the same at this precision: .1, as it would be in float64.
        return Factor(codes, [float(str(value)) for value in unique])
    return Factor(codes, unique.tolist())


def _factorize_objects(values, where):
    try:
        seen = dict.fromkeys(values)
    except TypeError as error:
        raise TypeError(
            f"{where} has a value that cannot be hashed ({error}): each argument must be a string, "
            "a number, a date or another value that can be hashed."
        ) from error
    known = [value for value in seen if not is_missing(value)]
    number = dict.fromkeys(seen, -1)
    number.update(zip(known, range(len(known)), strict=True))
    codes = np.fromiter(map(number.__getitem__, values), np.int32, len(values))
    return Factor(codes, [v.item() if isinstance(v, np.generic) else v for v in known])


def to_numbers(values: list, where: str) -> np.ndarray:
    """Return objects that are numbers as float64, missing ones as NaN.

    Raises
    ------
    ValueError
        If a number is too large for a float, or a signaling NaN.
    """
    if any(one.__name__ in MISSING_TYPES for one in set(map(type, values))):
        values = [np.nan if is_missing(value) else value for value in values]
    try:
        return np.array(values, np.float64)
    except (OverflowError, ValueError) as error:
        raise ValueError(
            f"{where} has numbers that are too large for a float, or no numbers ({error})."
        ) from error


def text_of(value: Any) -> str:
    """Return a value as text; whole numbers without a fraction, midnights without a time."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time() and value.tzinfo is None:
        return str(value.date())
    return str(value)


def in_order(values: list) -> list:
    """Return values sorted; by their texts, where they cannot be compared."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=lambda value: (str(value), type(value).__name__))
