"""Data that are none, for the estimators that are not networks of tables: each kind its own."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp

from .. import data
from ..expect import either, gives, raises
from ..oracles import anything, finite
from ..registry import NotMeant, case, cases

ANY = (ValueError, TypeError)
N = data.N


def put(value, dtype=float):
    rows = data.CODES.astype(dtype)
    rows[3, 2] = value
    return rows


SEQUENCES = {
    "NaN": (put(np.nan), raises("NaN|code|missing")),
    "infinity": (put(np.inf), raises("inf|code")),
    "a fraction": (put(1.5), raises("whole|code|integer|1.5")),
    "a negative code": (put(-1), raises("negative|code|-1")),
    "a text": (put("a", object), raises("convert|number|string|code")),
    "None": (put(None, object), raises("NaN|None|missing|code")),
    "a date": (put(date(2020, 1, 1), object), raises("date")),
    "complex": (data.CODES + 0j, raises("complex")),
    "all padding": (np.zeros((N, 4)), raises("padding|symbol|row|code|nothing")),
    "one column": (data.CODES[:, :1], either("step|column|symbol|feature", oracle=anything)),
    "no rows": (data.CODES[:0], raises("0 sample|row|empty")),
    "no columns": (data.CODES[:, :0], raises("0 feature|column|symbol")),
    "one axis": (data.CODES[0], raises("2D|1D")),
    "three axes": (data.CODES[:, :, None], raises("2D|dim")),
    "sparse": (sp.csr_array(data.CODES), raises("sparse|dense", error=ANY)),
    "a text for all": ("abc", raises("str|expected")),
    "ragged": ([[1, 2], [3]] * 15, raises("inhomogeneous|shape")),
    "a code of 1e300": (put(1e300), raises("code|large|whole|symbol")),
}  # fmt: skip


@cases("codes of sequences in fit", SEQUENCES, on="sequence", risky=True)
def sequences(net, rows):
    return net.use(net.fit(net.make(), rows), data.CODES)


PREDICTED = {name: given for name, given in SEQUENCES.items()
             if name not in ("all padding", "one column")}  # fmt: skip


@cases("codes of sequences in score_samples", PREDICTED, on="sequence", risky=True)
def scored(net, rows):
    return net.fitted().score_samples(rows)


@cases("codes of sequences in score", {name: SEQUENCES[name] for name in
       ("NaN", "a fraction", "a negative code", "no rows", "one axis")}, on="sequence")  # fmt: skip
def score(net, rows):
    return net.fitted().score(rows)


EDGES = {
    "a code of 1e9": (put(1e9), either("memory|symbol|code|large", oracle=finite,
                                       error=(ValueError, MemoryError))),
    "a code that fit has not seen": (put(77), either("77|code|symbol", oracle=finite)),
    "rows that are all padding": (np.zeros((N, 4)), either("padding|symbol|nothing",
                                                           oracle=finite)),
}  # fmt: skip


@cases("codes of sequences that are new", EDGES, on="sequence", risky=True)
def new_codes(net, rows):
    return net.fitted().score(rows)


SAMPLES = {
    "n_steps=0": {"n_steps": 0}, "n_steps=-1": {"n_steps": -1}, "n_steps=1.5": {"n_steps": 1.5},
    "temperature=0": {"temperature": 0}, "temperature=-1": {"temperature": -1},
    "temperature=nan": {"temperature": np.nan}, "temperature=None": {"temperature": None},
    "top_k=0": {"top_k": 0}, "top_k=1.5": {"top_k": 1.5}, "top_p=0": {"top_p": 0},
    "top_p=1.1": {"top_p": 1.1}, "top_p=nan": {"top_p": np.nan},
    "repetition_penalty=0": {"repetition_penalty": 0}, "n_samples=0": {"n_samples": 0},
    "n_samples=-1": {"n_samples": -1}, "a start of text": {"start": "abc"},
    "a start of a code beyond": {"start": [77]}, "a start of NaN": {"start": [np.nan]},
    "a start of a fraction": {"start": [1.5]}, "a stop of text": {"stop": "abc"},
    "a stop that is a number": {"stop": 3}, "random_state=text": {"random_state": "a"},
}  # fmt: skip


@cases("sampling", {name: (params, either("", error=ANY, oracle=finite) if name in
       ("n_steps=0", "n_samples=0") else raises("", error=ANY))
       for name, params in SAMPLES.items()}, on="sequence")  # fmt: skip
def sampling(net, params):
    return net.fitted().sample(**params)


PAIRS = {
    "NaN": (np.where(np.arange(60)[:, None] == 3, np.nan, data.PAIRS), raises("NaN|missing")),
    "None": ([[1, None], *data.PAIRS[:59].tolist()], raises("None|missing|NaN")),
    "one column": (data.PAIRS[:, :1], raises("column|shape|2")),
    "three columns": (np.column_stack([data.PAIRS, data.PAIRS[:, 0]]), raises("column|shape|2")),
    "one axis": (data.PAIRS[:, 0], raises("shape|2|1D|axis")),
    "no rows": (data.PAIRS[:0], raises("row|empty|0 sample|interaction|shape")),
    "sparse": (sp.csr_array(data.PAIRS), raises("sparse|dense|shape", error=ANY)),
    "a text": ("abc", raises("str|expected|shape")),
    "lists among them": ([[[1], 2]] * 60, raises("hash|list|shape|inhomogeneous", error=ANY)),
    "None for all": (None, raises("None|expected|shape", error=ANY)),
    "a dict": ({}, raises("dict|expected|shape")),
    "a generator": ((row for row in data.PAIRS), raises("generator|expected|shape")),
    "a lazy frame": (pl.DataFrame(data.PAIRS).lazy(), raises("Lazy|expected|shape", error=ANY)),
}


@cases("pairs in fit", PAIRS, on="pairs")
def pairs(net, rows):
    return net.fit(net.make(), rows)


NEW_PAIRS = {name: given for name, given in PAIRS.items() if name not in ("no rows", "NaN", "None")}


@cases("pairs to predict", NEW_PAIRS, on="pairs")
def new_pairs(net, rows):
    model = net.fitted()
    return getattr(model, "predict", getattr(model, "decision_function", None))(rows)


KINDS = {
    "strings": [(f"user {user}", f"item {item}") for user, item in data.PAIRS],
    "mixed ids": [(int(user), f"item {item}") for user, item in data.PAIRS],
    "large whole numbers": data.PAIRS + 2**60,
    "negative": data.PAIRS - 10,
    "a frame": pd.DataFrame(data.PAIRS, columns=["user", "item"]),
    "a frame of categories": pd.DataFrame(data.PAIRS, columns=["user", "item"]).astype("category"),
    "a polars frame": pl.DataFrame(data.PAIRS, schema=["user", "item"]),
    "floats": data.PAIRS.astype(float),
    "one user": np.column_stack([np.zeros(60, int), data.PAIRS[:, 1]]),
    "the same pair many times": np.vstack([np.tile(data.PAIRS[:1], (59, 1)), [[9, 9]]]),
}  # fmt: skip


@cases("ids of all kinds", {name: (rows, gives(anything)) for name, rows in KINDS.items()},
       on="pairs")  # fmt: skip
def kinds(net, rows):
    model = net.fit(net.make(), rows)
    finite(getattr(model, "predict", getattr(model, "decision_function", None))(rows))


RECOMMENDED = {
    "n=0": (([1], 0), raises("n|1", error=ANY)), "n=-1": (([1], -1), raises("n", error=ANY)),
    "n=1.5": (([1], 1.5), raises("n|whole", error=ANY)),
    "n=None": (([1], None), raises("n|None", error=ANY)),
    "a million": (([1], 10**6), gives(anything)), "nobody": (([], 3), either("empty|user|row",
                                                                            oracle=anything)),
    "a stranger": (([999], 3), gives(anything)), "a text": (("abc", 3), raises("list|array")),
    "a number": ((1, 3), raises("shape|axis|expected|array|scalar|number", error=ANY)),
    "two axes": ((data.PAIRS, 3), raises("shape|axis|1", error=ANY)),
}  # fmt: skip


@cases("recommendations", RECOMMENDED, on="towers")
def recommended(net, given):
    return net.fitted().recommend(*given)


FEATURES = {
    "NaN": (np.arange(5), np.full((5, 2), np.nan)), "texts": (np.arange(5), np.full((5, 2), "a")),
    "one axis": (np.arange(5), np.arange(5.0)), "other lengths": (np.arange(4), np.ones((5, 2))),
    "ids twice": (np.zeros(5, int), np.ones((5, 2))), "no tuple": np.ones((5, 2)),
    "three parts": (1, 2, 3), "no columns": (np.arange(5), np.ones((5, 0))),
    "infinity": (np.arange(5), np.full((5, 2), np.inf)), "a text": "abc",
    "complex": (np.arange(5), np.full((5, 2), 1j)),
}  # fmt: skip


@cases("features of items", {name: (given, raises("item_features", error=ANY))
                             for name, given in FEATURES.items()}, on="pairs")  # fmt: skip
def features(net, given):
    return net.fit(net.make(), item_features=given)


RATINGS = {
    "NaN": (np.where(np.arange(60) == 3, np.nan, data.RATINGS), raises("NaN")),
    "infinity": (np.where(np.arange(60) == 3, np.inf, data.RATINGS), raises("inf")),
    "texts": (["a"] * 60, raises("convert|number|string")),
    "dates": (np.full(60, "2020-01-01", "M8[D]"), raises("date")),
    "complex": (data.RATINGS + 0j, raises("complex")),
    "None": (None, raises("None")), "one less": (data.RATINGS[1:], raises("inconsistent")),
    "masked": (np.ma.MaskedArray(data.RATINGS, data.RATINGS > 3), raises("mask")),
    "1e300": (data.RATINGS * 1e300, either("large|scale|diverged|overflow", oracle=anything)),
    "all alike": (np.ones(60), gives(anything)),
    "two columns": (np.column_stack([data.RATINGS] * 2), raises("1d|shape|column")),
    "sparse": (sp.csr_array(data.RATINGS[None]), raises("sparse|dense", error=ANY)),
    "a dict": ({}, raises("dict|expected|shape|1d", error=ANY)),
}  # fmt: skip


@cases("ratings", RATINGS, on="ratings")
def ratings(net, y):
    finite(net.make().fit(net.X, y).predict(net.X))


TEXTS = {
    "a number among them": ([*data.TEXTS[:5], 3], raises("int|str|text|3", error=ANY)),
    "None among them": ([*data.TEXTS[:5], None], raises("None|str|text", error=ANY)),
    "NaN among them": ([*data.TEXTS[:5], np.nan], raises("float|nan|str|text", error=ANY)),
    "bytes among them": ([*data.TEXTS[:5], b"a"], raises("bytes|str|text", error=ANY)),
    "numbers": (np.ones(5), raises("float|str|text", error=ANY)),
    "two axes": (np.array([data.TEXTS[:4]] * 2), raises("axis|shape|1|text", error=ANY)),
    "none": ([], raises("text|empty|0 sample|no ", error=ANY)),
    "empty ones": (["", ""], either("text|empty|token", error=ANY, oracle=anything)),
    "None for all": (None, raises("None|text|str", error=ANY)),
    "a dict": ({}, raises("dict|text|str", error=ANY)),
    "a set": ({"a", "b"}, raises("set|text|str|order", error=ANY)),
    "a generator": ((text for text in data.TEXTS), raises("generator|text|str|list", error=ANY)),
    "a number for all": (3, raises("int|text|str", error=ANY)),
    "half a surrogate": (["a\ud800b"] * 4, raises("surrogate|unicode|utf|character", error=ANY)),
}


@cases("texts in fit", TEXTS, on="texts", risky=True)
def texts(net, given):
    return net.fit(net.make(), given)


ODD_TEXTS = {
    "a null character": ["a\0b c"] * 8, "emoji": ["👩‍👩‍👧 ☃"] * 8,
    "combining marks": ["e\u0301\u0301\u0301"] * 8, "right to left": ["\u202eabc"] * 8,
    "one letter": ["a"] * 8, "20,000 letters": ["ab " * 7000] * 2,
    "line ends": ["a\r\n\u2028b"] * 8,
    "a Series": pd.Series(data.TEXTS, index=range(50, 50 + N)), "an array": np.array(data.TEXTS),
    "objects": np.array(data.TEXTS, object),
    "strings of NumPy": np.array(data.TEXTS, np.dtypes.StringDType()),
    "a polars Series": pl.Series(data.TEXTS), "special tokens": ["<|end|> <|unknown|> [PAD]"] * 8,
}  # fmt: skip


@cases("odd texts", {name: (given, gives(anything)) for name, given in ODD_TEXTS.items()},
       on="texts", risky=True)  # fmt: skip
def odd_texts(net, given):
    model = net.fit(net.make(), given)
    if hasattr(model, "inverse_transform"):
        assert model.inverse_transform(model.transform(given)) == [str(one) for one in given]
    else:
        finite(model.score(given))


GENERATED = {
    "n=0": ({"n": 0}, either("n", error=ANY, oracle=anything)),
    "n=-1": ({"n": -1}, raises("n", error=ANY)),
    "n=1.5": ({"n": 1.5}, raises("n|whole", error=ANY)),
    "temperature=0": ({"temperature": 0}, raises("temperature", error=ANY)),
    "temperature=nan": ({"temperature": np.nan}, raises("temperature", error=ANY)),
    "temperature=1e-300": ({"temperature": 1e-300}, either("temperature", oracle=anything)),
    "temperature=1e300": ({"temperature": 1e300}, either("temperature", oracle=anything)),
    "top_k=0": ({"top_k": 0}, raises("top_k", error=ANY)),
    "top_k of a million": ({"top_k": 10**6}, gives(anything)),
    "top_p=2": ({"top_p": 2}, raises("top_p", error=ANY)),
    "repetition_penalty=-1": ({"repetition_penalty": -1}, raises("repetition", error=ANY)),
    "a prompt of a number": ({"prompts": 3}, raises("prompt|str|text|int", error=ANY)),
    "a prompt of None": ({"prompts": [None]}, raises("prompt|None|str", error=ANY)),
    "no prompts": ({"prompts": []}, either("prompt|empty|no texts", error=ANY, oracle=anything)),
    "unknown characters": ({"prompts": "漢字"}, gives(anything)),
    "a stop of a number": ({"stop": 3}, raises("stop|str|int", error=ANY)),
    "an empty stop": ({"stop": ""}, either("stop|empty", error=ANY, oracle=anything)),
    "random_state=text": ({"random_state": "a"}, raises("", error=ANY)),
}  # fmt: skip


@cases("generation", GENERATED, on="language")
def generation(net, given):
    return net.fitted().generate(**({"n": 5, "random_state": 0} | given))


NEGATIVE = {
    "NaN": ([0, 1, np.nan] * 100, raises("NaN|0 and 1|negative", error=ANY)),
    "twos": ([0, 1, 2] * 100, raises("2|0 and 1|negative")),
    "texts": (["a", "b"] * 100, raises("0 and 1|negative|str", error=ANY)),
    "None": (None, raises("None|negative|0 and 1", error=ANY)),
    "two axes": (np.zeros((100, 2)), raises("shape|axis|1", error=ANY)),
    "none": ([], raises("empty|negative|least|no ", error=ANY)),
    "all of them": ([1] * 300, either("share|negative|history", oracle=anything)),
    "none of them": ([0] * 300, either("share|negative|history", oracle=anything)),
    "too few": ([0, 1], either("history|few|share|negative", oracle=anything)),
}  # fmt: skip


@cases("streams of labels", NEGATIVE, on="surge")
def surges(net, given):
    return net.make().fit(given)


@cases("streams of labels, later", {name: NEGATIVE[name] for name in
       ("NaN", "twos", "texts", "None", "two axes")}, on="surge")  # fmt: skip
def later_surges(net, given):
    model = net.fitted()
    before = model.n_seen_
    try:
        return model.update(given)
    finally:
        assert model.n_seen_ == before, "part of it was taken in"


GROUPS = {
    "fewer": (np.zeros(N - 1, int), raises("group|length|inconsistent|shape")),
    "NaN": (np.full(N, np.nan), raises("group|NaN")),
    "None among them": ([None] * N, raises("group|None|missing")),
    "two axes": (np.zeros((N, 2), int), raises("group|shape")),
    "a text": ("abc", raises("group|str")),
    "each its own": (np.arange(N), either("group|few|row", oracle=anything)),
}
QUIET = "ignore"


@cases("groups to calibrate", GROUPS, on="conformal")
def groups(net, given):
    return net.fit(net.make(), groups=given)


LEVELS = {"0": 0, "1": 1, "-1": -1, "2": 2, "NaN": np.nan, "None": None, "a text": "a",
          "a list": [0.9], "infinity": np.inf, "True": True}  # fmt: skip


@cases("confidence", {name: (level, raises("confidence", error=ANY))
                      for name, level in LEVELS.items()}, on="any conformal")  # fmt: skip
def confidence(net, level):
    model = net.fitted()
    name = "predict_set" if hasattr(model, "predict_set") else "predict_interval"
    return getattr(model, name)(net.X, confidence=level)


@cases("confidence of tables", {name: (level, raises("confidence|rows", error=ANY))
                                for name, level in LEVELS.items()}, on="tabular")  # fmt: skip
def confidence_of_tables(net, level):
    model = net.fitted()
    name = "predict_set" if hasattr(model, "predict_set") else "predict_interval"
    return getattr(model, name)(net.X, confidence=level)


def column(values):
    return pd.DataFrame({"a": data.X[:, 0], "b": values, "c": data.X[:, 2]})


COLUMNS = {
    "infinity": (column(np.where(np.arange(N) == 3, np.inf, 1.0 + data.X[:, 1])),
                 raises("inf|'b'")),
    "complex": (column(data.X[:, 1] + 1j), raises("complex|'b'", error=ANY)),
    "lists": (column([[1], [2]] * (N // 2)), raises("list|'b'|hash", error=ANY)),
    "dicts": (column([{}, {"a": 1}] * (N // 2)), raises("dict|'b'|hash", error=ANY)),
    "dates among texts": (column([date(2020, 1, 1), "a"] * (N // 2)), raises("date|'b'|type",
                                                                             error=ANY)),
    "one axis": (data.X[:, 0], raises("2D|1D|axis|shape")),
    "no columns": (np.empty((N, 0)), raises("0 feature|column|shape")),
    "no rows": (data.X[:0], raises("0 sample|row|empty")),
    "three axes": (data.X[:, :, None], raises("2D|dim|axes|shape")),
    "a text": ("abc", raises("str|expected|2D")),
    "None": (None, raises("None|expected|2D", error=ANY)),
    "a dict": ({}, raises("dict|expected", error=ANY)),
    "names twice": (pd.DataFrame(data.X, columns=list("aab")), raises("a|twice|same|duplicate")),
    "a lazy frame": (pl.DataFrame(data.X).lazy(), raises("Lazy|expected", error=ANY)),
    "ragged": ([[1.0], [1.0, 2.0]] * (N // 2), raises("inhomogeneous|shape|length|row")),
    "masked, which is missing": (np.ma.MaskedArray(data.X, data.X > 0), gives(anything)),
    "records": (np.zeros(N, [("a", float), ("b", float)]), raises("record|field|2D|1D", error=ANY)),
    "broken sparse": (sp.csr_array(data.X), raises("valid|index|column|dense", error=ANY)),
}  # fmt: skip
COLUMNS["broken sparse"][0].indices[3] = 2**30


def fit_columns(net, rows):
    n = getattr(rows, "shape", (N,))[0]
    y = net.y if net.y is None else np.asarray(net.y)[:n]
    return net.fit(net.make(), rows, y)


@cases("columns in fit", {name: given for name, given in COLUMNS.items() if name not in
       ("names twice",)}, on="mixed -categories", risky=True)  # fmt: skip
def columns_in_fit(net, rows):
    return net.use(fit_columns(net, rows), rows)


@cases("columns in transform", {name: COLUMNS[name] for name in (
       "infinity", "one axis", "no columns", "three axes", "a text", "None", "a lazy frame",
       "ragged", "masked, which is missing", "broken sparse")}, on="mixed -categories",
       risky=True)  # fmt: skip
def columns_in_transform(net, rows):
    return net.use(net.fitted(), rows)


@cases("columns of numbers in fit", {name: COLUMNS[name] for name in (
       "complex", "one axis", "no columns", "no rows", "three axes", "a text", "None", "ragged",
       "masked, which is missing", "broken sparse")}, on="scaler", risky=True)  # fmt: skip
def scalers(net, rows):
    return net.use(net.fit(net.make(), rows), rows)


FINE = {
    "texts": column(["u", "v"] * (N // 2)), "one category": column(["u"] * N),
    "as many categories as rows": column([f"c{i}" for i in range(N)]),
    "None among texts": column(["u", None] * (N // 2)), "bools": column(data.X[:, 1] > 0),
    "all missing": column([np.nan] * N),
    "categories": column(pd.Categorical(["u", "v"] * (N // 2))),
    "dates": column(pd.date_range("2020", periods=N)),
    "dates with zones": column(pd.date_range("2020", periods=N, tz="UTC")),
    "NaT": column([pd.NaT, pd.Timestamp("2020")] * (N // 2)),
    "durations": column(pd.timedelta_range("1D", periods=N)),
    "nullable": column(pd.array([1, None] * (N // 2), dtype="Int64")),
    "numbers as texts": column(["1", "2.5"] * (N // 2)),
    "numbers and texts": column([1, "a"] * (N // 2)), "1e300": column(1e300 * data.X[:, 1]),
    "1e-300": column(1e-300 * data.X[:, 1]), "huge integers": column([2**62, 2**62 + 1] * (N // 2)),
    "polars": pl.DataFrame({"a": data.X[:, 0], "b": ["u", None] * (N // 2)}),
    "sparse": sp.csr_array(np.where(data.X > 0, data.X, 0)),
    "objects": data.X.astype(object), "strings": data.X.astype(str),
}  # fmt: skip


@cases("columns of all kinds", {name: (rows, gives(anything)) for name, rows in FINE.items()},
       on="mixed -categories")  # fmt: skip
def fine(net, rows):
    found = net.use(net.fit(net.make(), rows), rows)
    finite(found)
    again = net.use(net.fit(net.make(), rows), rows)
    np.testing.assert_array_equal(found, again)


@cases("columns that changed", {
    "a column less": (lambda: data.X[:, :2], raises("feature|column")),
    "a column more": (lambda: np.hstack([data.X, data.X]), raises("feature|column")),
    "names": (lambda: pd.DataFrame(data.X, columns=list("abc")), either("name", oracle=anything)),
    "texts in a column of numbers": (lambda: data.X.astype(object) + "a", raises("", error=ANY)),
}, on="columns -categories")  # fmt: skip
def changed(net, rows):
    try:
        rows = rows()
    except TypeError:
        rows = np.full(net.X.shape, "a", object)
    return net.use(net.fitted(), rows)


@case("columns of all kinds", "a category that fit has not seen", gives(anything),
      on="mixed -categories")  # fmt: skip
def unseen(net):
    model = net.fit(net.make(), column(["u", "v"] * (N // 2)))
    finite(net.use(model, column(["w", None] * (N // 2))))


DATES = {
    "numbers, which are days": (data.X, gives(anything)),
    "texts": (np.full((N, 1), "2020-01-01"), either("date|text|str", error=ANY, oracle=anything)),
    "NaT": (pd.DataFrame({"a": [pd.NaT] * N}), either("", error=ANY, oracle=anything)),
    "good": (pd.DataFrame({"a": pd.date_range("2020", periods=N)}), gives(anything)),
    "the year 1": (pd.DataFrame({"a": [date(1, 1, 1)] * N}), either("", oracle=anything)),
    "the year 9999": (pd.DataFrame({"a": [date(9999, 12, 31)] * N}), either("", oracle=anything)),
}  # fmt: skip


@cases("dates", DATES, on="dates")
def dates(net, rows):
    return net.use(net.fit(net.make(), rows), rows)


@cases("examples", {
    "no labels": ((data.TEXTS, None), raises("None|y|label", error=ANY)),
    "fewer labels": ((data.TEXTS, data.MOODS[1:]), raises("inconsistent|length")),
    "none": (([], []), raises("empty|0 |example|no ", error=ANY)),
    "NaN labels": ((data.TEXTS, np.full(N, np.nan)), raises("NaN|missing")),
}, on="nearest")  # fmt: skip
def examples(net, given):
    return net.make().fit(*given)


@case("examples", "more neighbours than examples: all", gives(anything), on="nearest")
def neighbours(net):
    if net.owner != "skbp":
        raise NotMeant
    return net.make(n_neighbors=1000).fit(net.X, net.y).predict(net.X)
