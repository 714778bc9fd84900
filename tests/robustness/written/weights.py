"""Weights of rows and classes."""

from datetime import date

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .. import data
from ..expect import either, gives, raises
from ..oracles import finite, same
from ..registry import case, cases

N = len(data.X)
ONES = np.ones(N)


def put(value, place=7, dtype=float):
    weight = ONES.astype(dtype)
    weight[place] = value
    return weight


REFUSED = {
    "all zero": (np.zeros(N), raises("zero|positive|sum")),
    "one negative": (put(-1.0), raises("negative")),
    "minus a denormal": (put(-5e-324), raises("negative")),
    "NaN": (put(np.nan), raises("NaN")),
    "infinity": (put(np.inf), raises("inf")),
    "one less": (ONES[:-1], raises("shape|inconsistent|length")),
    "one more": (np.ones(N + 1), raises("shape|inconsistent|length")),
    "none": (ONES[:0], raises("shape|inconsistent|length|empty|0 sample")),
    "two axes": (np.ones((N, 2)), raises("1D|shape|dim")),
    "texts": (["a"] * N, raises("could not convert|string|number")),
    "None among them": (put(None, dtype=object), raises("None|NaN|number|float")),
    "complex": (ONES + 0j, raises("complex")),
    "dates": ([date(2020, 1, 1)] * N, raises("date|number")),
    "a text": ("balanced", raises("str|number|shape|convert|1D|scalar")),
    "a dict": ({0: 1.0, 1: 2.0}, raises("dict|expected|number|shape|scalar")),
    "sparse": (sp.csr_array(ONES[None, :]), raises("sparse|dense", error=(ValueError, TypeError))),
    "masked": (np.ma.MaskedArray(ONES, mask=ONES > 0), raises("mask")),
    "NA": (pd.Series(put(0)).replace(0, pd.NA).astype("Float64"), raises("NaN|NA|missing|None")),
}
NOT_IN_TABLES = "any weighted"


@cases("weights that are none", REFUSED, on=NOT_IN_TABLES)
def refused(net, weight):
    return net.use(net.fit(net.make(), sample_weight=weight))


#: All rows weigh the same: it is as if there were no weights.
AS_WITHOUT = {
    "1e300": 1e300 * ONES,
    "1e-300": 1e-300 * ONES,
    "the largest float": np.finfo(float).max * ONES,
    "a denormal": 5e-324 * ONES,
    "ints": np.ones(N, int),
    "bools": np.ones(N, bool),
    "objects": np.ones(N, object),
    "a list": [1] * N,
    "a Series": pd.Series(ONES, index=range(9, 9 + N)),
    "a nullable Series": pd.Series(ONES).astype("Int64"),
    "read-only": np.broadcast_to(1.0, N),
    "big-endian": ONES.astype(">f8"),
    "float16": ONES.astype(np.float16),
    "a number": 1.0,
}


@cases("weights that are all alike", {name: (weight, gives(finite) if "300" in name or
       name in ("the largest float", "a denormal") else gives(same))
       for name, weight in AS_WITHOUT.items()}, on=NOT_IN_TABLES)  # fmt: skip
def as_without(net, weight):
    model = net.fit(net.make(), sample_weight=weight)
    if isinstance(weight, np.ndarray) and weight.dtype == float and weight[0] != 1:
        return net.use(model)
    return net.use(model), net.reference


EXTREME = {
    "1e300 beside 1e-300": np.where(np.arange(N) % 2, 1e300, 1e-300),
    "one of 1e300": put(1e300),
    "one of 1e-300": put(1e-300),
    "one zero": put(0.0),
    "all zero but four": np.where(np.arange(N) < 4, 1.0, 0.0),
    "one denormal": put(5e-324),
    "minus zero": put(-0.0),
}


@cases("weights of all sizes", {name: (weight, either("class|weight|row|diverged|sample",
       oracle=finite)) for name, weight in EXTREME.items()}, on=NOT_IN_TABLES)  # fmt: skip
def extreme(net, weight):
    model = net.fit(net.make(), sample_weight=weight)
    if hasattr(model, "classes_"):
        present = set(np.asarray(net.y)[weight > 0].tolist())
        assert present <= set(model.classes_.tolist()), "a class with weight vanished"
    return net.use(model)


@case("weights of all sizes", "zero is as if the row were absent", gives(same),
      on="table lbfgs weighted -MLP")  # fmt: skip
def zero_is_absent(net):
    rows = np.arange(N) % 5 > 0
    model = net.fit(net.make(), sample_weight=rows.astype(float))
    return net.use(model), net.use(net.fit(net.make(), net.X[rows], net.y[rows]))


PIECES = {
    "NaN": (put(np.nan), raises("NaN")),
    "negative": (put(-1.0), raises("negative")),
    "all zero": (np.zeros(N), either("zero|positive|sum", oracle=finite)),
    "1e300": (1e300 * ONES, gives(finite)),
    "another length": (ONES[:-1], raises("shape|inconsistent|length")),
}


@cases("weights in partial_fit", PIECES, on="table stochastic weighted -MLP")
def in_partial_fit(net, weight):
    model = net.fitted()
    net.method(model, "partial_fit")(net.X, net.y, sample_weight=weight)
    return net.use(model)


SCORES = {name: REFUSED[name] for name in (["negative", "NaN", "infinity"]) if name in REFUSED}


@cases("weights in score", {**SCORES, "one less": REFUSED["one less"]}, on="table weighted")
def in_score(net, weight):
    return net.fitted().score(net.X, net.y, sample_weight=weight)


CLASS_WEIGHTS = {
    "a class that is none": ({0: 1.0, 5: 2.0}, raises("5|class")),
    "negative": ({0: -1.0, 1: 1.0}, raises("class_weight|negative")),
    "NaN": ({0: np.nan, 1: 1.0}, raises("class_weight|NaN|finite")),
    "infinity": ({0: np.inf, 1: 1.0}, raises("class_weight|inf|finite")),
    "a text for a number": ({0: "a", 1: 1.0}, raises("class_weight")),
    "None for a number": ({0: None, 1: 1.0}, raises("class_weight")),
    "another text": ("even", raises("class_weight")),
    "a number": (2.0, raises("class_weight")),
    "a list of numbers": ([1.0, 2.0], raises("class_weight|dict|multilabel")),
    "all zero": ({0: 0.0, 1: 0.0}, raises("class_weight|zero|weight")),
    "empty": ({}, gives(finite)),
    "one of two": ({1: 3.0}, gives(finite)),
    "1e300": ({0: 1e300, 1: 1e300}, gives(finite)),
    "balanced": ("balanced", gives(finite)),
}


@cases("class weights", CLASS_WEIGHTS, on="table classifier -MLP -skorch")
def class_weights(net, weight):
    return net.use(net.fit(net.make(class_weight=weight)))


MULTILABEL = np.column_stack([data.LABELS, 1 - data.LABELS, data.LABELS])
LISTS = {
    "too few": ([{0: 1.0, 1: 2.0}], raises("class_weight|3|label")),
    "no dicts": ([1, 2, 3], raises("class_weight|dict")),
    "unknown values": ([{0: 1.0, 7: 2.0}] * 3, raises("class_weight|7")),
    "a dict": ({0: 1.0, 1: 2.0}, raises("class_weight|list|label")),
    "good": ([{0: 1.0, 1: 2.0}] * 3, gives(finite)),
}


@cases("class weights of labels", LISTS, on="table classifier -MLP -skorch")
def of_labels(net, weight):
    model = net.make(class_weight=weight).fit(net.X, MULTILABEL)
    return model.predict_proba(net.X)
