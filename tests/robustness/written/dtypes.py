"""Types of rows: numbers are taken as these numbers, in every make; what is none is refused."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl

from .. import data
from ..expect import either, gives, raises
from ..oracles import finite, same
from ..registry import cases

WHOLE = np.round(3 * data.X)
N = len(WHOLE)


def objects(value):
    rows = WHOLE.astype(object)
    rows[7, 1] = value
    return rows


class Number:
    """Knows how to become a float."""

    def __float__(self):
        return 1.0


SAME = {
    "int8": WHOLE.astype(np.int8),
    "int16": WHOLE.astype(np.int16),
    "int32": WHOLE.astype(np.int32),
    "int64": WHOLE.astype(np.int64),
    "float16": WHOLE.astype(np.float16),
    "float32": WHOLE.astype(np.float32),
    "long double": WHOLE.astype(np.longdouble),
    "big-endian double": WHOLE.astype(">f8"),
    "big-endian float": WHOLE.astype(">f4"),
    "big-endian int": WHOLE.astype(">i4"),
    "objects": WHOLE.astype(object),
    "objects of NumPy's scalars": np.array([[np.float32(v) for v in row] for row in WHOLE], object),
    "lists": WHOLE.tolist(),
    "tuples": tuple(map(tuple, WHOLE.tolist())),
    "lists of arrays": list(WHOLE),
    "a pandas frame": pd.DataFrame(WHOLE, columns=list("abc")),
    "a pandas frame of Int64": pd.DataFrame(WHOLE, columns=list("abc")).astype("Int64"),
    "a pandas frame of Float32": pd.DataFrame(WHOLE, columns=list("abc")).astype("Float32"),
    "a pandas frame of arrow": pd.DataFrame(WHOLE, columns=list("abc")).astype("float64[pyarrow]"),
    "a pandas frame of mixed": pd.DataFrame(
        {"a": WHOLE[:, 0].astype(np.int8), "b": WHOLE[:, 1], "c": WHOLE[:, 2].astype(np.float16)}
    ),
    "a pandas frame, odd index": pd.DataFrame(WHOLE, index=[0] * N, columns=list("abc")),
    "a polars frame": pl.DataFrame(WHOLE, schema=list("abc")),
    "a polars frame of Int16": pl.DataFrame(WHOLE.astype(np.int16), schema=list("abc")),
    "a categorical of numbers": pd.DataFrame(WHOLE, columns=list("abc")).astype(
        {"b": pd.CategoricalDtype(sorted(set(WHOLE[:, 1])))}
    ),
    "a pandas frame of sparse": pd.DataFrame(WHOLE, columns=list("abc")).astype(
        pd.SparseDtype("float64", 0.0)
    ),
    "an unmasked masked array": np.ma.MaskedArray(WHOLE, mask=False),
}


@cases("dtypes in fit", {name: (rows, gives(same)) for name, rows in SAME.items()}, on="numeric")
def in_fit(net, rows):
    return net.use(net.fit(net.make(), rows), rows), net.use(net.fit(net.make(), WHOLE), WHOLE)


FRAMES = ("frame", "categorical")
PLAIN = {name: rows for name, rows in SAME.items() if not any(one in name for one in FRAMES)}


@cases("dtypes in predict", {name: (rows, gives(same)) for name, rows in PLAIN.items()},
       on="numeric")  # fmt: skip
def in_predict(net, rows):
    model = net.fitted()
    return net.use(model, rows), net.use(model, WHOLE)


#: scikit-learn's own checks of estimators want a TypeError for an object among numbers.
SAID_BY_SCIKIT_LEARN = (ValueError, TypeError)
REFUSED = {
    "complex": (WHOLE + 0j, raises("complex")),
    "one complex among objects": (objects(1j), raises("complex")),
    "dates": (np.full((N, 3), "2020-01-01", "M8[D]"), raises("date")),
    "durations": (np.full((N, 3), 1, "m8[D]"), raises("timedelta")),
    "one date among objects": (objects(date(2020, 1, 1)), raises("date")),
    "letters": (np.full((N, 3), "a"), raises("could not convert|string|numbers")),
    "bytes": (np.full((N, 3), b"a"), raises("could not convert|bytes|string|numbers")),
    "one letter among objects": (objects("a"), raises("could not convert|string|numbers")),
    "None among objects": (objects(None), raises("NaN|missing|None")),
    "NaN among objects": (objects(np.nan), raises("NaN|missing")),
    "NA among objects": (objects(pd.NA), raises("NaN|NA|missing")),
    "NaT among objects": (objects(pd.NaT), raises("NaT|date|NaN|missing")),
    "a list among objects": (objects([1]), raises("list|sequence|number")),
    "a dict among objects": (objects({}), raises("dict|number", error=SAID_BY_SCIKIT_LEARN)),
    "an object among objects": (objects(object()),
                                raises("object|number", error=SAID_BY_SCIKIT_LEARN)),
    "an integer of 400 digits": (objects(10**400), raises("too large|infinity")),
    "NA in a nullable column": (
        pd.DataFrame(WHOLE, columns=list("abc")).astype("Int64").replace(0, pd.NA),
        raises("NaN|missing"),
    ),
    "null in polars": (pl.DataFrame({"a": [1.0, None] * 15, "b": WHOLE[:, 0], "c": WHOLE[:, 1]}),
                       raises("NaN|missing|null")),
    "a lazy frame": (pl.DataFrame(WHOLE).lazy(), raises("LazyFrame|expected")),
    "records": (np.zeros(N, [("a", float), ("b", float)]), raises("records|fields|1D|2D")),
    "masked": (np.ma.MaskedArray(WHOLE, mask=WHOLE > 0), raises("mask")),
    "a text": ("abc", raises("str|expected|scalar|2D")),
    "None": (None, raises("None|2D|scalar")),
    "a number": (3.0, raises("scalar|2D")),
    "a dict": ({"a": 1}, raises("dict|expected")),
    "a set": ({1, 2}, raises("set|expected")),
    "a generator": ((row for row in WHOLE), raises("generator|expected")),
    "a function": (len, raises("function|expected|array|2D|number", error=SAID_BY_SCIKIT_LEARN)),
    "ragged lists": ([[1.0, 2.0, 3.0], [1.0]] * 15, raises("inhomogeneous|ragged|shape")),
}  # fmt: skip


@cases("types that are no numbers, in fit", REFUSED, on="numeric")
def refused_in_fit(net, rows):
    return net.use(net.fit(net.make(), rows))


@cases("types that are no numbers, in predict", REFUSED, on="numeric")
def refused_in_predict(net, rows):
    return net.use(net.fitted(), rows)


EDGES = {
    "the largest int64": objects(np.iinfo(np.int64).max),
    "uint64 beyond int64": np.where(WHOLE > 0, np.iinfo(np.uint64).max, np.uint64(1)),
    "bools": WHOLE > 0,
    "strings of numbers": WHOLE.astype(str),
    "fractions": objects(__import__("fractions").Fraction(1, 3)),
    "decimals": objects(__import__("decimal").Decimal("0.5")),
    "what has __float__": objects(Number()),
    "the largest float16": np.full((N, 3), np.finfo(np.float16).max, np.float16),
    "long double beyond double": WHOLE.astype(np.longdouble) * np.longdouble("1e400"),
    "True among objects": objects(True),
}
REFUSAL = "could not convert|string|too large|infinity|diverged|scale|number|expected|inf"


@cases("dtypes at the edge", {name: (rows, either(REFUSAL, oracle=finite))
                              for name, rows in EDGES.items()}, on="numeric")  # fmt: skip
def at_the_edge(net, rows):
    return net.use(net.fit(net.make(), rows), rows)
