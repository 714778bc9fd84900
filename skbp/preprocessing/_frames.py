"""Columns of pandas, polars and other frames; none of these packages is imported here.

pandas is read by its own methods, since a column of objects may hold anything there. All other
frames are read through narwhals, which scikit-learn brings along.
"""

import numpy as np

from skbp.preprocessing._column import Column
from skbp.preprocessing._values import Factor


def is_pandas(X):
    """Whether X is a frame with pandas' methods."""
    return hasattr(X, "iloc") and hasattr(X, "columns") and hasattr(X, "dtypes")


def is_frame(X):
    """Whether X is a frame with data in it."""
    if isinstance(X, np.ndarray | list | tuple) or not hasattr(type(X), "columns"):
        return _is_arrow(X)
    return is_pandas(X) or not hasattr(X, "collect")


def _is_arrow(X):
    return hasattr(X, "column_names") and hasattr(X, "__arrow_c_stream__")


def narwhals_frame(X):
    """Return a frame of any make as one of narwhals.

    Raises
    ------
    ImportError
        If narwhals is not installed.
    TypeError
        If narwhals does not know such frames.
    """
    try:
        import narwhals.stable.v2 as nw
    except ImportError as error:
        raise ImportError(
            f"A {type(X).__module__}.{type(X).__name__} is read through narwhals, which is not "
            "installed: pip install narwhals, or give a pandas DataFrame or an array."
        ) from error
    return nw.from_native(X, eager_only=True)


def read_pandas_series(name, series):
    """Return a column of a pandas frame."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return Column(name, series.to_numpy())
    if str(dtype) == "category":
        factor = Factor(series.cat.codes.to_numpy(), series.cat.categories.tolist())
        return Column(name, factor)
    if str(dtype).startswith("period"):
        return Column(name, series.dt.to_timestamp().to_numpy())
    if str(dtype).startswith("Sparse"):
        return Column(name, np.asarray(series))
    kind = getattr(dtype, "kind", "O")
    if str(dtype).startswith("date"):  # Arrow's days
        kind = "O"
    if kind in "mM":
        return _read_pandas_times(name, series, kind)
    if kind in "iufb":
        missing = series.isna().to_numpy(dtype=bool)
        if missing.any():
            series = series.fillna(False if kind == "b" else 0)
        return Column(name, series.to_numpy(dtype=dtype.numpy_dtype), missing)
    return Column(name, series.to_numpy(dtype=object))


def _read_pandas_times(name, series, kind):
    dtype = series.dtype
    zone = getattr(dtype, "tz", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "tz", None)
    if zone is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    nat = np.array("NaT", f"{kind}8[us]")[()]
    values = series.to_numpy(dtype=f"{kind}8[us]", na_value=nat)
    return Column(name, values, zoned=zone is not None)


def read_narwhals_series(name, series):
    """Return a column of a frame of narwhals."""
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    if dtype == nw.Int128 or dtype == nw.UInt128:  # NumPy has no such numbers
        return Column(name, series.to_list())
    if dtype.is_integer() or dtype.is_float() or dtype == nw.Boolean:
        missing = series.is_null().to_numpy()
        if missing.any():
            series = series.fill_null(False if dtype == nw.Boolean else 0)
        return Column(name, series.to_numpy(), np.asarray(missing, bool))
    if dtype == nw.Datetime:
        zone = dtype.time_zone
        if zone is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return Column(name, series.to_numpy(), zoned=zone is not None)
    if dtype == nw.Date or dtype == nw.Duration:
        return Column(name, series.to_numpy())
    if dtype == nw.Categorical or dtype == nw.Enum:
        series = series.cast(nw.String)
    return Column(name, series.to_list())
