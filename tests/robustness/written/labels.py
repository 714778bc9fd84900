"""Labels of every kind: classes are what was given, or it is said what is none."""

from datetime import date

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .. import data
from ..expect import either, gives, raises
from ..oracles import anything, finite
from ..registry import case, cases

BINARY = np.array(data.LABELS)
N = len(BINARY)
BIG = 2**60
RNG = np.random.RandomState(1)


def choose(zero, one, dtype=None):
    values = np.empty(N, dtype=object)
    values[:] = [one if label else zero for label in BINARY]
    return values if dtype is None else values.astype(dtype)


KEPT = {
    "strings": choose("no", "yes", str),
    "objects of strings": choose("no", "yes"),
    "unicode": choose("nein", "ja, schön ☃"),
    "an empty string": choose("", "x"),
    "strings with spaces": choose("a", "a "),
    "bools": BINARY.astype(bool),
    "negative numbers": choose(-5, 7, int),
    "whole floats": choose(0.0, 1.0, float),
    "int8": choose(-128, 127, np.int8),
    "uint64 beyond int64": choose(np.uint64(5), np.uint64(2**64 - 1)).astype(np.uint64),
    "neighbours beyond 2**53": choose(BIG, BIG + 1, np.int64),
    "the int64 extremes": choose(-(2**63), 2**63 - 1, np.int64),
    "a nullable Series": pd.Series(choose(3, 4, int)).astype("Int64"),
    "a nullable Series beyond 2**53": pd.Series(choose(BIG, BIG + 1, int)).astype("Int64"),
    "a categorical": pd.Series(pd.Categorical(choose("b", "a"))),
    "a categorical with one that is absent": pd.Series(
        pd.Categorical(choose("b", "a"), categories=["c", "b", "a"])
    ),
    "strings of pandas": pd.Series(choose("b", "a"), dtype="string"),
    "strings of NumPy": choose("b", "a", np.dtypes.StringDType()),
    "bools of pandas": pd.Series(BINARY.astype(bool)).astype("boolean"),
    "a list of strings": choose("no", "yes").tolist(),
    "the strings nan and inf": choose("inf", "infinity"),
}


@cases("labels that are kept", {name: (y, gives(anything)) for name, y in KEPT.items()},
       on="classifier any -skorch")  # fmt: skip
def kept(net, y):
    model = net.fit(net.make(), net.X, y)
    expected = sorted(set(np.asarray(y).tolist()))
    assert model.classes_.tolist() == expected, f"classes_ are {model.classes_!r}"
    predicted = model.predict(net.X)
    if hasattr(predicted, "dtype") and predicted.ndim == 1:
        assert set(predicted.tolist()) <= set(expected), f"predicts {set(predicted.tolist())}"


REFUSED = {
    "None": (np.array([None] * N), raises("None|missing|NaN|Unknown")),
    "one None": (choose("a", None), raises("None|missing|NaN|not supported|Unknown|strings")),
    "strings and numbers": (choose("a", 1), raises("mix|str|Unknown|uniformly")),
    "one NaN": (choose(0.0, np.nan, float), raises("NaN|missing")),
    "one NaN among objects": (choose("a", np.nan), raises("NaN|missing|Unknown|uniformly|str")),
    "infinity": (choose(0.0, np.inf, float), raises("inf")),
    "NA": (pd.Series(choose(1, pd.NA)).astype("Int64"), raises("NaN|NA|missing")),
    "NaT": (choose(np.datetime64("2020-01-01"), np.datetime64("NaT"), "M8[D]"),
            raises("NaT|missing|NaN|date")),
    "fractions": (BINARY + 0.5 * data.X[:, 0], raises("continuous|Unknown|whole|class")),
    "complex": (BINARY + 1j, raises("complex|Unknown")),
    "lists": (choose([1], [2]), raises("list|sequence|Unknown|label")),
    "tuples": (choose((1,), (2, 3)), raises("tuple|sequence|Unknown|label|shape|inhomogeneous")),
    "dicts": (choose({}, {"a": 1}), raises("dict|Unknown|label")),
    "objects": (choose(object(), object()), raises("object|Unknown|label|compar")),
    "functions": (choose(len, max), raises("function|builtin|Unknown|label|compar")),
    "several columns of numbers": (np.column_stack([BINARY, 2 + BINARY]),
                                   raises("multioutput|multiclass|multilabel|0 and 1|1d")),
    "columns of strings": (np.column_stack([choose("a", "b", str)] * 2),
                           raises("multioutput|multilabel|0 and 1|1d|Unknown")),
    "columns with NaN": (np.column_stack([BINARY, choose(0.0, np.nan, float)]),
                         raises("NaN|missing|1d")),
    "masked": (np.ma.MaskedArray(BINARY, mask=BINARY > 0), raises("mask")),
}  # fmt: skip


@cases("labels that are none", REFUSED, on="classifier any")
def refused(net, y):
    return net.use(net.fit(net.make(), net.X, y))


EDGES = {
    "one class": np.zeros(N, int),
    "as many classes as rows": np.arange(N),
    "one row of a class": np.r_[np.zeros(N - 1, int), 1],
    "dates": choose(date(2020, 1, 1), date(2021, 1, 1)),
    "datetime64": choose("2020-01-01", "2021-01-01", "M8[D]"),
    "bytes": choose(b"a", b"b", bytes),
    "very long strings": choose("a" * 100_000, "b" * 100_000),
}
SAID = "class|date|bytes|row|sample|label|fold|Unknown"


KEPT_OR_SAID = either(SAID, error=(ValueError, TypeError), oracle=finite)


@cases("labels at the edge", {name: (y, KEPT_OR_SAID) for name, y in EDGES.items()},
       on="classifier any")  # fmt: skip
def at_the_edge(net, y):
    model = net.fit(net.make(), net.X, y)
    if "conformal" not in net.roles:
        assert set(np.asarray(model.predict(net.X)).tolist()) <= set(np.asarray(y).tolist())
    return net.use(model)


def columns(n):
    return (RNG.uniform(size=(N, n)) < 0.4).astype(int)


MULTILABEL = {
    "several labels": columns(3),
    "bools": columns(3).astype(bool),
    "floats": columns(3).astype(float),
    "sparse": sp.csr_array(columns(3)),
    "a sparse column format": sp.csc_array(columns(3)),
    "a frame": pd.DataFrame(columns(3), columns=list("xyz")),
    "a label that is never there": columns(3) * [1, 0, 1],
    "a label that is always there": columns(3) | [0, 1, 0],
    "rows without a label": columns(3) * (np.arange(N) % 2)[:, None],
    "no label at all": np.r_[np.zeros((N - 1, 2), int), [[1, 0]]],
    "a hundred labels": columns(100),
}


@cases("multilabel", {name: (y, gives(anything)) for name, y in MULTILABEL.items()},
       on="table classifier -skorch")  # fmt: skip
def multilabel(net, y):
    model = net.fit(net.make(), net.X, y)
    probability, predicted = model.predict_proba(net.X), model.predict(net.X)
    finite(probability)
    assert probability.shape == y.shape, probability.shape
    predicted = predicted.toarray() if sp.issparse(predicted) else predicted
    np.testing.assert_array_equal(predicted, probability > 0.5)


BAD_MULTILABEL = {
    "a two": (columns(3) + (np.arange(N) == 3)[:, None], raises("multi|0 and 1|label")),
    "a NaN": (np.where(np.arange(N)[:, None] == 3, np.nan, columns(3)), raises("NaN|missing")),
    "sparse with a NaN": (sp.csr_array(np.where(np.arange(N)[:, None] == 3, np.nan, columns(3))),
                          raises("NaN|missing|multi|label")),
    "minus ones": (2 * columns(3) - 1, raises("multi|0 and 1|label")),
    "sparse with a far column": (sp.csr_array(columns(3)), raises("valid|index|column")),
    "lists of labels": ([["a"], ["a", "b"]] * (N // 2), raises("inhomogeneous|sequence|label")),
}  # fmt: skip
BAD_MULTILABEL["sparse with a far column"][0].indices[3] = 2**30


@cases("multilabel that is none", BAD_MULTILABEL, on="table classifier -skorch", risky=True)
def bad_multilabel(net, y):
    return net.use(net.fit(net.make(), net.X, y))


PIECES = "classifier table stochastic -skorch"


def pieces(net, *parts, classes=(0, 1, 2)):
    """Fit piece by piece; return what the classes became."""
    model = net.make()
    fit = net.method(model, "partial_fit")
    for number, labels in enumerate(parts):
        more = {"classes": list(classes)} if number == 0 and classes is not None else {}
        fit(net.X[: len(labels)], labels, **more)
    assert model.classes_.tolist() == sorted(set(classes)), model.classes_
    return net.use(model)


GOOD_PIECES = {
    "classes that come later": ([0] * 10, [1, 2] * 5),
    "a class that never comes": ([0] * 10, [1] * 10),
    "one row at a time": ([0], [1], [2], [1]),
}


@cases("pieces", {name: (parts, gives(finite)) for name, parts in GOOD_PIECES.items()}, on=PIECES)
def good_pieces(net, parts):
    return pieces(net, *parts)


BAD_PIECES = {
    "an unknown class later": ((([0, 1] * 5), [0, 5] * 5), (0, 1, 2), raises("5|class")),
    "an unknown class at once": (([0, 5] * 5,), (0, 1, 2), raises("5|class")),
    "no classes": (([0, 1] * 5,), None, raises("classes")),
    "no class": (([0, 1] * 5,), (), raises("class")),
    "a text among numbers": (([0, 1] * 5, ["a", "b"] * 5), (0, 1), raises("a|class|str|mix")),
    "NaN": (([0, np.nan] * 5,), (0, 1), raises("NaN")),
    "a class NaN": (([0.0, 1.0] * 5,), (0.0, 1.0, np.nan), raises("NaN|class|missing")),
    "None": (([0, None] * 5,), (0, 1), raises("None|NaN|missing|mix|class|str")),
}


@cases("pieces that do not fit", {name: ((parts, classes), expected) for
       name, (parts, classes, expected) in BAD_PIECES.items()}, on=PIECES)  # fmt: skip
def bad_pieces(net, given):
    parts, classes = given
    return pieces(net, *parts, classes=classes)


@case("pieces that do not fit", "other classes in the second call", raises("classes"), on=PIECES)
def other_classes(net):
    model = net.make()
    net.method(model, "partial_fit")(net.X, net.y, classes=[0, 1])
    model.partial_fit(net.X, net.y, classes=[0, 1, 2])


@case("pieces", "the same classes in the second call", gives(finite), on=PIECES)
def same_classes(net):
    model = net.make()
    net.method(model, "partial_fit")(net.X, net.y, classes=[1, 0])
    model.partial_fit(net.X, net.y, classes=[0, 1])
    return net.use(model)
