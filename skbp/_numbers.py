"""What passes for a number or a label: refuse what would be taken for something else.

Dates become numbers like 1.6e18 on the way through NumPy, and what a mask hides comes to light;
missing labels become classes, and whole numbers in extension types become floats, where neighbours
merge.
"""

from collections.abc import Iterator, Mapping, Set
from datetime import date, time, timedelta
from typing import Any

import numpy as np
from scipy.sparse import issparse

#: Types of values, and names of dtypes of frames, that stand for times.
TIMES = (date, time, timedelta, np.datetime64, np.timedelta64)
NAMES_OF_TIMES = ("date", "time", "duration", "period", "interval")


def check_container(values: Any, name: str) -> None:
    """Refuse what is no array, and arrays of which a part would be lost or misread.

    Parameters
    ----------
    values : object
        None and single numbers are let through: scikit-learn's checks know what to say of them.
    name : str
        What it is called.

    Raises
    ------
    ValueError
        If it is a dict, a set, an iterator, a single text or a lazy frame; a masked array in which
        something is masked, or a list of such; or an array of records.
    """
    is_none = isinstance(values, Mapping | Set | Iterator | str | bytes)
    if is_none or hasattr(type(values), "collect"):  # a lazy frame
        raise ValueError(
            f"{name} is a {type(values).__name__}, expected an array, a list or a frame."
        )
    parts = values if isinstance(values, list | tuple) else [values]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise ValueError(
            f"{name} is a masked array in which values are masked. Fill these in, with "
            "numpy.ma.filled or SimpleImputer, or leave their rows out."
        )
    fields = getattr(getattr(values, "dtype", None), "names", None)
    if fields:
        raise ValueError(
            f"{name} is an array of records with the fields {list(fields)}, expected a plain array."
            " Make one with numpy.lib.recfunctions.structured_to_unstructured, or choose a field."
        )


def check_numbers(values: Any, name: str) -> None:
    """Refuse dates, times and durations, in whatever container, and numbers too large for a float.

    Before that, what `check_container` refuses.

    Parameters
    ----------
    values : array-like, dataframe, series or sparse matrix
    name : str
        What it is called.

    Raises
    ------
    ValueError
        Names the column, if there are columns with types of their own.
    """
    if issparse(values) or (type(values) is np.ndarray and values.dtype.kind in "fiub"):
        return
    check_container(values, name)
    for column, dtype, part in _columns(values):
        where = name if column is None else f"{name}: column {column!r}"
        if _is_of_time(dtype):
            raise ValueError(
                f"{where} has dtype {dtype}, expected numbers. Turn dates and times into numbers "
                "first, for example into days since a date."
            )
        if part is not None:
            _check_objects(part, where)


def _columns(values):
    """Yield name, dtype, and the values where they may be of any type, of each column."""
    dtypes = getattr(values, "dtypes", None)
    if dtypes is not None and hasattr(values, "columns"):
        for number, (column, dtype) in enumerate(zip(values.columns, dtypes, strict=True)):
            is_any = getattr(dtype, "kind", "O" if str(dtype) == "Object" else "") == "O"
            by_number = values.iloc[:, number] if hasattr(values, "iloc") else values[column]
            yield column, dtype, np.asarray(by_number, object) if is_any else None
        return
    dtype = getattr(values, "dtype", None)
    if dtype is None:
        try:
            values = np.asarray(values)
        except ValueError:  # ragged: scikit-learn's checks say so
            return
        dtype = values.dtype
    is_any = getattr(dtype, "kind", "") == "O"
    yield None, dtype, np.asarray(values, object) if is_any else None


def _is_of_time(dtype):
    if getattr(dtype, "kind", None) in ("m", "M"):
        return True
    return str(dtype).lower().startswith(NAMES_OF_TIMES)


def _check_objects(values, where):
    """Look at the values of an array of objects."""
    types = set(map(type, values.reshape(-1)))
    for one in types:
        if issubclass(one, TIMES) or one.__name__ == "Period":
            raise ValueError(
                f"{where} has values of type {one.__name__}, expected numbers. Turn dates and "
                "times into numbers first, for example into days since a date."
            )
        if one.__name__ == "NAType":
            raise ValueError(
                f"{where} has missing values (NA). Fill them in, or leave their rows out."
            )
        if issubclass(one, complex | np.complexfloating):
            raise ValueError(f"{where} has complex numbers, expected real ones.")
    if int in types and any(
        isinstance(value, int) and abs(value).bit_length() > 1023 for value in values.reshape(-1)
    ):
        raise ValueError(f"{where} has whole numbers that are too large for a float.")


def finite_array(values: Any, name: str) -> np.ndarray:
    """Return numbers as an array.

    Parameters
    ----------
    values : array-like
    name : str
        What they are called.

    Raises
    ------
    ValueError
        If some are no finite real numbers.
    """
    try:
        check_numbers(values, name)
        array = np.asarray(values)
        finite = array.dtype.kind in "fiub" and bool(np.isfinite(array).all())
    except ValueError as error:
        raise ValueError(f"{name} must hold finite real numbers. {error}") from None
    if not finite:
        raise ValueError(f"{name} must hold finite real numbers.")
    return array


def plain_labels(y: Any, name: str = "y") -> Any:
    """Return labels without extension types, and refuse missing ones.

    Parameters
    ----------
    y : array-like
    name : str, default="y"
        What they are called.

    Returns
    -------
    y : array-like
        Nullable integers and booleans as those of NumPy, NumPy's strings of any length as those of
        one length; all else as it came.

    Raises
    ------
    ValueError
        If a label is None, NaN, NaT or NA; if some are texts and others not; or if
        `check_container` refuses them.
    """
    if y is None or issparse(y) or (type(y) is np.ndarray and y.dtype.kind in "iubUS"):
        return y
    check_container(y, name)
    dtype = getattr(y, "dtype", None)
    strings = getattr(dtype, "kind", "") == "T"
    y = y.astype(object) if strings else y
    if _is_missing_in(y):
        raise ValueError(
            f"{name} contains missing labels (None, NaN, NaT or NA). Leave those rows out, or give "
            "them a label of their own."
        )
    if getattr(dtype, "kind", "") == "O":
        _check_one_type(y, name)
    plain = getattr(dtype, "numpy_dtype", None)
    if plain is not None and plain.kind in "iub":
        return np.asarray(y.to_numpy(dtype=plain))
    return y.astype(str) if strings else y


def group_labels(groups: Any) -> np.ndarray:
    """Return the labels of the groups of rows as an array of shape (n,).

    Raises
    ------
    ValueError
        If they have not one axis, or some are missing.
    """
    labels = np.asarray(plain_labels(groups, "groups"))
    if labels.ndim != 1:
        raise ValueError(f"groups have the shape {labels.shape}, expected a label for each row.")
    if labels.dtype.kind in "fc" and not np.isfinite(labels).all():
        raise ValueError("groups contain NaN or infinity. Give each row the label of a group.")
    return labels


def _check_one_type(labels, name):
    """Refuse texts among other things: they have no order."""
    types = {type(value) for value in np.asarray(labels, object).reshape(-1)}
    texts = {one for one in types if issubclass(one, str)}
    if texts and texts != types:
        names = sorted(one.__name__ for one in types)
        raise ValueError(f"{name} has labels of several types: {names}. Give all the same type.")


def _is_missing_in(y):
    if hasattr(y, "isna"):  # pandas
        missing = np.asarray(y.isna())
        return bool(missing.any())
    if hasattr(y, "null_count"):  # polars
        return bool(np.any(y.null_count()))
    try:
        values = np.asarray(y)
    except ValueError:  # ragged: scikit-learn's checks say so
        return False
    if values.dtype.kind in "mM":
        return bool(np.isnat(values).any())
    if values.dtype.kind != "O":
        return False  # NaN among floats is what scikit-learn looks for
    return any(
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and value != value)
        for value in values.reshape(-1)
    )
