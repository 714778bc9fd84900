"""Shapes and layouts of rows and targets."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.exceptions import DataConversionWarning

from .. import data
from ..expect import either, gives, raises, warns
from ..oracles import finite, same
from ..registry import case, cases

X = np.array(data.X)
N = len(X)


def memory_mapped():
    path = Path(tempfile.mkdtemp()) / "rows.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def odd_strides():
    wide = np.zeros((N, 7))
    wide[:, 1:7:2] = X
    return wide[:, 1:7:2]


class Own(np.ndarray):
    """An array of a class of one's own."""


LAYOUTS = {
    "Fortran order": np.asfortranarray(X),
    "every second column": odd_strides(),
    "negative strides": X[::-1].copy()[::-1],
    "columns backwards": X[:, ::-1].copy()[:, ::-1],
    "read-only": data.X,
    "memory-mapped": memory_mapped(),
    "a subclass": X.view(Own),
    "unaligned": np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(np.float64).reshape(N, 3),
    "a swapped-axes view": np.ascontiguousarray(X.T).T,
    "an array of one more axis, indexed": np.stack([X, X])[1],
}


@cases("layouts in fit", {name: (rows, gives(same)) for name, rows in LAYOUTS.items()},
       on="numeric")  # fmt: skip
def layout_in_fit(net, rows):
    return net.use(net.fit(net.make(), rows), rows), net.reference


@cases("layouts in predict", {name: (rows, gives(same)) for name, rows in LAYOUTS.items()},
       on="numeric")  # fmt: skip
def layout_in_predict(net, rows):
    return net.use(net.fitted(), rows), net.reference


ONE = np.broadcast_to(X[0], (N, 3))


@case("layouts in fit", "a broadcast view", gives(finite), on="numeric")
def broadcast(net):
    return net.use(net.fit(net.make(), ONE), ONE)


@case("layouts in predict", "a broadcast view", gives(same), on="numeric")
def broadcast_in_predict(net):
    model = net.fitted()
    return net.use(model, ONE), np.repeat(net.use(model)[:1], N, axis=0)


WRONG = {
    "no rows": (X[:0], raises("0 sample|empty|no rows")),
    "no columns": (np.empty((N, 0)), raises("0 feature|expecting 3|no columns")),
    "neither": (np.empty((0, 0)), raises("0 sample|0 feature|empty|no rows")),
    "one axis": (X[:, 0], raises("1D|2D|reshape")),
    "three axes": (X[:, :, None], raises("dim 3|2D|3D")),
    "no axis": (np.float64(1), raises("scalar|2D|0D")),
    "thirty axes": (np.ones((1,) * 30), raises("dim 30|2D|1 sample")),
    "an empty list": ([], raises("empty|1D|2D|0 sample")),
    "a list of empty lists": ([[]] * N, raises("0 feature|expecting 3|no columns")),
}


@cases("shapes in fit", WRONG, on="numeric")
def wrong_in_fit(net, rows):
    n = len(rows) if np.ndim(rows) else N
    return net.use(net.fit(net.make(), rows, np.asarray(net.y)[:n]))


@cases("shapes in predict", WRONG, on="numeric")
def wrong_in_predict(net, rows):
    return net.use(net.fitted(), rows)


OTHER = {
    "one column less": X[:, :2],
    "one column more": np.hstack([X, X[:, :1]]),
    "a thousand columns": np.ones((N, 1000)),
    "one column": X[:, :1],
}


@cases("other features in predict", {name: (rows, raises("features", "3"))
                                     for name, rows in OTHER.items()}, on="numeric")  # fmt: skip
def other_features(net, rows):
    return net.use(net.fitted(), rows)


@cases("other features in partial_fit", {name: (rows, raises("features", "3"))
                                         for name, rows in OTHER.items()},
       on="table stochastic")  # fmt: skip
def other_features_in_partial_fit(net, rows):
    model = net.fitted()
    return net.method(model, "partial_fit")(rows, net.y)


@case("shapes in fit", "one row", either("class|sample|row|calibrat|fit", oracle=finite),
      on="numeric")  # fmt: skip
def one_row(net):
    return net.use(net.fit(net.make(), X[:1], net.y[:1]))


@case("shapes in fit", "two rows", either("class|sample|row|calibrat|fit", oracle=finite),
      on="numeric")  # fmt: skip
def two_rows(net):
    rows = [0, int(np.argmax(net.y != net.y[0]))]
    return net.use(net.fit(net.make(), X[rows], net.y[rows]))


@case("shapes in predict", "one row", gives(same), on="numeric")
def one_row_in_predict(net):
    return net.use(net.fitted(), X[:1]), net.reference[:1]


@case("shapes in predict", "100,000 rows", gives(same), on="numeric")
def many_rows(net):
    rows = np.tile(X, (100_000 // N, 1))
    return net.use(net.fitted(), rows)[-N:], net.reference


TARGETS = {
    "a column": (lambda y: y[:, None], warns(DataConversionWarning, "column-vector|1d", finite)),
    "a row": (lambda y: y[None, :], raises("inconsistent|shape|samples")),
    "one less": (lambda y: y[:-1], raises("inconsistent|length|samples")),
    "one more": (lambda y: np.append(y, y[0]), raises("inconsistent|length|samples")),
    "none": (lambda y: y[:0], raises("inconsistent|length|samples|0 sample|empty")),
    "three axes": (lambda y: y[:, None, None], raises("shape|dim|1d|axes")),
    "a number": (lambda y: y[0], raises("1d|shape|scalar|array|singleton|axis|expected")),
    "a text": (lambda y: "abc", raises("str|expected|shape|scalar|1d|array")),
    "a dict": (lambda y: {}, raises("dict|expected|shape|1d|array")),
    "an iterator": (lambda y: iter(y), raises("iterator|expected|shape|1d|array")),
    "two empty columns": (lambda y: np.empty((N, 0)), raises("shape|column|0 |1d|target|label")),
}


@cases("shapes of targets", TARGETS, on="numeric")
def shapes_of_targets(net, change):
    return net.use(net.fit(net.make(), net.X, change(np.array(net.y))))


@case("shapes of targets", "None", raises("None|requires y", error=(ValueError, TypeError)),
      on="numeric")  # fmt: skip
def no_targets(net):
    return net.use(net.make().fit(X, None))


VIEWS = {
    "read-only": lambda y: y,
    "negative strides": lambda y: y[::-1].copy()[::-1],
    "every second": lambda y: np.repeat(y, 2)[::2],
    "big-endian": lambda y: y.astype(y.dtype.newbyteorder(">")),
    "a list": lambda y: y.tolist(),
    "a tuple": lambda y: tuple(y.tolist()),
    "a Series": lambda y: pd.Series(y, index=range(5, 5 + N)),
    "a Series of an extension type": lambda y: pd.Series(y).convert_dtypes(),
    "objects": lambda y: y.astype(object),
}


#: Whole numbers among objects are no labels to scikit-learn.
AS_OBJECTS = {"objects": either("Unknown label type", oracle=same)}


@cases("layouts of targets", {name: (view, AS_OBJECTS.get(name, gives(same)))
                              for name, view in VIEWS.items()}, on="numeric")  # fmt: skip
def layouts_of_targets(net, view):
    return net.use(net.fit(net.make(), net.X, view(net.y))), net.reference


def named(names="abc", rows=X):
    return pd.DataFrame(rows, columns=list(names))


@case("names of features", "in another order", raises("feature names"), on="numeric -skorch")
def other_order(net):
    return net.use(net.fit(net.make(), named()), named("bac"))


@case("names of features", "others", raises("feature names"), on="numeric -skorch")
def other_names(net):
    return net.use(net.fit(net.make(), named()), named("xyz"))


@case("names of features", "none in predict", warns(UserWarning, "feature names", finite),
      on="numeric -skorch")  # fmt: skip
def no_names_in_predict(net):
    return net.use(net.fit(net.make(), named()), X)


@case("names of features", "none in fit", warns(UserWarning, "feature names", finite),
      on="numeric -skorch")  # fmt: skip
def no_names_in_fit(net):
    return net.use(net.fitted(), named())


@case("names of features", "two alike", either("duplicate|unique|feature names", oracle=finite),
      on="numeric -skorch")  # fmt: skip
def two_alike(net):
    return net.use(net.fit(net.make(), named("aab")), named("aab"))


@case("names of features", "numbers and texts", either("string|feature names", oracle=finite,
      error=(ValueError, TypeError)), on="numeric -skorch")  # fmt: skip
def mixed_names(net):
    rows = pd.DataFrame(X, columns=["a", 1, 2.5])
    return net.use(net.fit(net.make(), rows), rows)
