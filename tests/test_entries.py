"""What comes in is checked once, everywhere: containers and what is in them, at every way in.

Each is either refused, in words that say what was given, or worth what a plain array is worth.
"""

import copy
import decimal
import fractions
import warnings
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array, csr_array
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel, HiddenFeatures
from skbp.inspection import (
    AttributionDisplay,
    gradient_x_input,
    input_gradients,
    integrated_gradients,
    lr_range_test,
)
from skbp.layers import GRU, Conv2D, Flatten
from skbp.model_selection import LastFraction

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::UserWarning",
    "ignore:the matrix subclass:PendingDeprecationWarning",
)

N = 18
RNG = np.random.default_rng(0)
X = np.round(RNG.normal(size=(N, 3)), 2)
LABELS, NUMBERS = (X[:, 0] > 0).astype(int), np.round(X @ [1.0, 2.0, -1.0], 2)
WEIGHT, GROUPS = np.round(RNG.uniform(0.5, 2, N), 2), np.arange(N) // 3
CODES = RNG.integers(1, 4, (N, 3)).astype(float)
DAYS = [datetime(2020, 1, 1) + timedelta(i) for i in range(N)]
HUGE = np.finfo(np.float64).max
PARAMS = {
    "hidden_layer_sizes": (3,), "max_iter": 1, "random_state": 0, "dtype": "float64", "tol": 0,
}  # fmt: skip


def quietly(call, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args, **kwargs)


def classifier(**params):
    return BackpropClassifier(**{**PARAMS, **params})


def regressor(**params):
    return BackpropRegressor(**{**PARAMS, **params})


CLF, REG = quietly(classifier().fit, X, LABELS), quietly(regressor().fit, X, NUMBERS)
WORDS = quietly(classifier().fit, X, np.where(LABELS, "b", "a"))
MODEL = quietly(BackpropSequenceModel(max_iter=1, random_state=0).fit, CODES)
FEATURES = quietly(HiddenFeatures(CLF).fit, X, LABELS)


def masked(values, one=True):
    mask = np.zeros(values.shape, bool)
    mask[(3,) + (0,) * (values.ndim - 1)] = one
    return np.ma.masked_array(values.copy(), mask=mask)


def records(values):
    fields = np.empty(len(values), [("a", float), ("b", float)])
    fields["a"] = fields["b"] = values.reshape(len(values), -1)[:, 0]
    return fields


def of_one_field(values):
    return values.copy().view([("a", values.dtype)])


def objects(value):
    def put(values):
        found = values.astype(object)
        found[(3,) + (0,) * (values.ndim - 1)] = value
        return found

    return put


def strings_of_any_length(values):
    return values.astype(np.dtypes.StringDType())


class ArrayLike:
    """Says no more than how to make an array of it."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


# ------------------------------------------------------------ rows

SAME_ROWS = {
    "lists": lambda x: x.tolist(),
    "tuples": lambda x: tuple(map(tuple, x)),
    "a list of arrays": list,
    "columns first": np.asfortranarray,
    "with strides": lambda x: np.repeat(x, 2, axis=0)[::2],
    "the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "long doubles": lambda x: x.astype(np.longdouble),
    "a mask that hides nothing": lambda x: masked(x, one=False),
    "array-like": ArrayLike,
    "objects": lambda x: x.astype(object),
    "decimals": np.vectorize(lambda value: decimal.Decimal(repr(float(value))), otypes=[object]),
    "fractions": np.vectorize(lambda value: fractions.Fraction(float(value)), otypes=[object]),
    "texts": lambda x: x.astype(str),
    "texts of any length": strings_of_any_length,
    "frame": pd.DataFrame,
    "nullable frame": lambda x: pd.DataFrame(x, dtype="Float64"),
    "sparse frame": lambda x: pd.DataFrame(x).astype(pd.SparseDtype(float, 0.0)),
    "polars": pl.DataFrame,
    "polars texts": lambda x: pl.DataFrame(x).with_columns(pl.all().cast(pl.String)),
}
SAME_SPARSE_ROWS = {"csr": csr_array, "csc": csc_array, "coo": coo_array}
BAD_ROWS = {
    "masked": (masked, "X is a masked array in which values are masked"),
    "masked rows in a list": (lambda x: list(masked(x)), "masked array in which"),
    "masked values in lists": (
        lambda x: [[*row, np.ma.masked] for row in x[:, :2].tolist()], "NaN"),
    "records": (records, r"X is an array of records with the fields \['a', 'b'\]"),
    "records of one field": (of_one_field, r"array of records with the fields \['a'\]"),
    "record array": (lambda x: records(x).view(np.recarray), "array of records"),
    "a dict": (lambda x: {"a": x}, "X is a dict"),
    "a set": (lambda x: {1.0, 2.0}, "X is a set"),
    "a generator": (lambda x: (row for row in x), "X is a generator"),
    "a text": (lambda x: "X", "X is a str"),
    "a lazy frame": (lambda x: pl.LazyFrame(x), "X is a LazyFrame"),
    "NA among objects": (objects(pd.NA), r"missing values \(NA\)"),
    "NaT among objects": (objects(pd.NaT), "type NaTType"),
    "None": (objects(None), "NaN"),
    "a frame with None": (lambda x: pd.DataFrame(objects(None)(x)), "NaN"),
    "polars nulls": (lambda x: pl.DataFrame({"a": [None] * N, "b": x[:, 0], "c": x[:, 1]}), "NaN"),
    "dates": (lambda x: pd.DataFrame({"a": DAYS, "b": 1, "c": 2}), "column 'a' has dtype datetime"),
    "text dates": (lambda x: np.full(x.shape, "2020-01-01"), "could not convert string"),
    "complex": (lambda x: x + 0j, "[Cc]omplex"),
    "lists in a frame": (lambda x: pl.DataFrame({"a": [[1.0, 2.0]] * N}), "sequence|features"),
    "a matrix": (np.matrix, "np.matrix is not supported"),
    "three axes": (lambda x: x[:, :, None], "dim 3|code|only|feature"),
    "no axis": (lambda x: np.float64(3), "2D|1D|any features"),
}  # fmt: skip


class Scores:
    """A callback that is given the data, and scores them after each epoch."""

    def __init__(self):
        self.calls, self.scores = [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X):
        self.calls.append(type(X))

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        if context.task_name == "epoch":
            self.scores.append(fitted_estimator.score(X, y))

    def teardown(self, estimator, context):
        self.calls.append("teardown")


def watched(rows, y):
    callback = Scores()
    regressor().set_callbacks(callback).fit(rows, y)
    return callback.scores


WAYS = {
    "fit": lambda x: regressor().fit(x, NUMBERS).coefs_[0],
    "partial_fit": lambda x: copy.deepcopy(REG).partial_fit(x, NUMBERS).coefs_[0],
    "callbacks": lambda x: watched(x, NUMBERS),
    "X_val": lambda x: regressor().fit(X, NUMBERS, X_val=x, y_val=NUMBERS).validation_scores_,
    "X_val of partial_fit": lambda x: (
        copy.deepcopy(CLF).partial_fit(X, LABELS, X_val=x, y_val=LABELS).validation_scores_
    ),
    "predict": lambda x: REG.predict(x),
    "predict_proba": lambda x: CLF.predict_proba(x),
    "decision_function": lambda x: CLF.decision_function(x),
    "score": lambda x: REG.score(x, NUMBERS),
    "score of classes": lambda x: CLF.score(x, LABELS),
    "predictor of classes": lambda x: CLF.predictor(N)(x),
    "predictor of numbers": lambda x: REG.predictor(N)(x),
    "features": lambda x: HiddenFeatures(classifier()).fit(x, LABELS).transform(X),
    "transform": lambda x: FEATURES.transform(x),
    "range test": lambda x: lr_range_test(classifier(), x, LABELS, n_updates=10).losses,
}
DENSE_WAYS = {
    "gradients": lambda x: input_gradients(CLF, x),
    "gradient x input": lambda x: gradient_x_input(REG, x),
    "integrated": lambda x: integrated_gradients(CLF, x, n_steps=3),
}
CODE_WAYS = {
    "sequence fit": lambda x: BackpropSequenceModel(max_iter=1, random_state=0).fit(x).coefs_[0],
    "sequence partial_fit": lambda x: copy.deepcopy(MODEL).partial_fit(x).coefs_[0],
    "sequence X_val": lambda x: (
        BackpropSequenceModel(max_iter=1, random_state=0).fit(CODES, X_val=x).validation_scores_
    ),
    "sequence score": lambda x: MODEL.score(x),
    "score_samples": lambda x: MODEL.score_samples(x),
    "next": lambda x: MODEL.predict_proba(x),
}


@pytest.mark.parametrize("way", [*WAYS, *DENSE_WAYS, *CODE_WAYS])
def test_rows_in_other_clothes(way):
    clean, call = CODES if way in CODE_WAYS else X, (WAYS | DENSE_WAYS | CODE_WAYS)[way]
    expected = np.asarray(call(clean))
    assert np.isfinite(expected).all()
    dresses = SAME_ROWS | (SAME_SPARSE_ROWS if way in WAYS else {})
    if way in CODE_WAYS:
        dresses = {name: dress for name, dress in SAME_ROWS.items() if name != "sparse frame"}
    for name, dress in dresses.items():
        found = np.asarray(call(dress(clean)))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("way", [*WAYS, *DENSE_WAYS, *CODE_WAYS])
def test_rows_that_are_none(way):
    clean, call = CODES if way in CODE_WAYS else X, (WAYS | DENSE_WAYS | CODE_WAYS)[way]
    before = [array.copy() for array in (*CLF.coefs_, *REG.coefs_, *MODEL.coefs_)]
    for name, (dress, words) in BAD_ROWS.items():
        with pytest.raises((ValueError, TypeError), match=words) as caught:
            call(dress(clean))
        assert "X" in str(caught.value) or name not in ("masked", "records", "a dict"), name
    for old, array in zip(before, (*CLF.coefs_, *REG.coefs_, *MODEL.coefs_), strict=True):
        np.testing.assert_array_equal(old, array)


def test_masked_rows_of_several_axes():
    images, steps = RNG.normal(size=(N, 1, 4, 4)), RNG.normal(size=(N, 4, 2))
    for layers, rows in (([Conv2D(2, 3), Flatten()], images), ([GRU(2)], steps)):
        net = BackpropClassifier(layers=layers, max_iter=1, random_state=0).fit(rows, LABELS)
        for bad in (masked(rows), list(masked(rows))):
            for call in (net.predict, net.predict_proba, lambda x, net=net: net.fit(x, LABELS)):
                with pytest.raises(ValueError, match="masked array in which values are masked"):
                    call(bad)
        np.testing.assert_array_equal(net.predict(masked(rows, one=False)), net.predict(rows))


# ------------------------------------------------------------ targets

SAME_COLUMN = {
    "list": list,
    "series": pd.Series,
    "polars": pl.Series,
    "frame": lambda y: pd.DataFrame({"y": y}),
    "one column": lambda y: y[:, None],
    "nullable": lambda y: pd.array(y, dtype="Float64" if y.dtype.kind == "f" else "Int64"),
    "a mask that hides nothing": lambda y: masked(y, one=False),
    "array-like": ArrayLike,
}
BAD_COLUMN = {
    "masked": (masked, "masked array in which values are masked"),
    "records": (records, "array of records"),
    "records of one field": (of_one_field, "array of records"),
    "None": (objects(None), "missing|NaN"),
    "NaN": (objects(np.nan), "missing|NaN"),
    "NA": (objects(pd.NA), "missing"),
    "NaT": (objects(pd.NaT), "missing|type NaTType"),
    "nullable NA": (lambda y: pd.array([None, *y[1:]], dtype="Float64"), "missing|NaN"),
    "a date": (objects(date(2020, 1, 1)), "type date|several types|[Uu]nknown label type"),
    "periods": (lambda y: pd.Series(pd.period_range("2020", periods=N, freq="D")),
                "dtype period|[Uu]nknown label type"),
    "complex": (lambda y: y + 0j, "[Cc]omplex"),
    "complex objects": (objects(1j), "complex|[Uu]nknown label type"),
    "infinity": (lambda y: np.where(np.arange(N) == 3, np.inf, y), "infinit"),
    "ragged": (lambda y: [[1], [1, 2]] * (N // 2), "inhomogeneous|legacy"),
    "too few": (lambda y: y[1:], "inconsistent numbers|expected"),
    "a dict": (lambda y: {"a": 1}, "is a dict"),
    "a set": (lambda y: {1, 2}, "is a set"),
    "a generator": (lambda y: (value for value in y), "is a generator"),
    "a text": (lambda y: "abc", "is a str"),
    "a number": (lambda y: 1.0, "the single value 1.0"),
    "three axes": (lambda y: y[:, None, None], "dim 3"),
    "a matrix": (lambda y: np.matrix(y).T, "np.matrix"),
}  # fmt: skip
NO_NUMBERS = {
    "dates": (lambda y: pd.Series(DAYS), "dtype datetime64"),
    "an array of dates": (lambda y: np.array(DAYS, "M8[D]"), "dtype datetime64"),
    "a list of dates": (lambda y: DAYS, "type datetime"),
    "polars dates": (lambda y: pl.Series(DAYS), "dtype Datetime"),
    "durations": (lambda y: pd.Series(pd.to_timedelta(range(N), "D")), "dtype timedelta64"),
    "a huge integer": (objects(10**400), "too large for a float"),
    "words": (objects("x"), "could not convert"),
}
NUMBER_WAYS = {
    "fit": lambda y: regressor().fit(X, y).coefs_[0],
    "partial_fit": lambda y: copy.deepcopy(REG).partial_fit(X, y).coefs_[0],
    "callbacks": lambda y: watched(X, y),
    "y_val": lambda y: regressor().fit(X, NUMBERS, X_val=X, y_val=y).validation_scores_,
    "score": lambda y: REG.score(X, y),
    "features": lambda y: HiddenFeatures(regressor()).fit(X, y).transform(X),
    "range test": lambda y: lr_range_test(regressor(), X, y, n_updates=10).losses,
}
LABEL_WAYS = {
    "labels in fit": lambda y: classifier().fit(X, y).coefs_[0],
    "labels in partial_fit": lambda y: copy.deepcopy(CLF).partial_fit(X, y).coefs_[0],
    "labels in y_val": lambda y: classifier().fit(X, LABELS, X_val=X, y_val=y).validation_scores_,
    "labels in score": lambda y: CLF.score(X, y),
    "labels in features": lambda y: HiddenFeatures(classifier()).fit(X, y).transform(X),
}


@pytest.mark.parametrize("way", [*NUMBER_WAYS, *LABEL_WAYS])
def test_targets(way):
    clean, call = LABELS if way in LABEL_WAYS else NUMBERS, (NUMBER_WAYS | LABEL_WAYS)[way]
    expected = np.asarray(call(clean))
    for name, dress in SAME_COLUMN.items():
        found = np.asarray(call(dress(clean)))
        np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=name)
    for dress, words in (BAD_COLUMN | (NO_NUMBERS if way in NUMBER_WAYS else {})).values():
        with pytest.raises((ValueError, TypeError), match=words):
            call(dress(clean))


def test_labels_of_another_type():
    digits = np.where(LABELS, "1", "0")
    for y in (
        np.array(DAYS, "M8[D]"), pd.Series(DAYS), np.arange(N).astype("m8[D]"), digits,
        strings_of_any_length(digits),
    ):  # fmt: skip
        for call in (CLF.score, copy.deepcopy(CLF).partial_fit):
            with pytest.raises(ValueError, match=r"has classes not in `self.classes_`.* int64"):
                call(X, y)
    for y in (LABELS, LABELS.astype(float), LABELS > 0):
        with pytest.raises(ValueError, match=r"has classes not in `self.classes_`.* <U1"):
            WORDS.score(X, y)
    mixed = objects(3)(np.where(LABELS, "b", "a"))
    for call in (WORDS.score, classifier().fit, copy.deepcopy(WORDS).partial_fit):
        with pytest.raises(ValueError, match=r"labels of several types: \['int', 'str'\]"):
            call(X, mixed)
    words = strings_of_any_length(np.where(LABELS, "b", "a"))
    assert classifier().fit(X, words).classes_.tolist() == ["a", "b"]
    assert WORDS.score(X, words) == WORDS.score(X, np.where(LABELS, "b", "a"))


def test_score_is_the_share_of_right_labels():
    predicted = CLF.predict(X)
    assert CLF.score(X, predicted) == 1
    assert CLF.score(X, 1 - predicted) == 0
    assert CLF.score(X, np.full(N, 7)) == 0  # of no class: wrong, as where a fold lacks one
    right = predicted == LABELS
    expected = np.average(right, weights=WEIGHT)
    assert CLF.score(X, LABELS, WEIGHT) == pytest.approx(expected, rel=1e-12)
    several = (X > 0).astype(int)
    net = quietly(classifier().fit, X, several)
    expected = (net.predict(X) == several).all(axis=1).mean()
    assert net.score(X, several) == net.score(X, csr_array(several)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="y is None"):
        CLF.score(X, None)


CLASSES = {
    "dates": (DAYS[:3], "[Uu]nknown label|classes not in"),
    "other words": (["a", "b"], "classes not in"),
    "None": ([0, None], "classes contains missing labels"),
    "NA": ([0, pd.NA], "classes contains missing labels"),
    "masked": (np.ma.masked_array([0, 1, 2], mask=[0, 0, 1]), "masked array in which"),
    "records": (of_one_field(np.array([0, 1])), "array of records"),
    "sparse": (csr_array([[0, 1]]), "classes are sparse"),
    "a dict": ({0: 1}, "classes is a dict"),
    "a text": ("ab", "classes is a str"),
    "a number": (1, "must be a list of labels"),
    "two axes": ([[0, 1], [1, 2]], "must be a list of labels"),
    "none at all": ([], "at least one"),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes(case):
    classes, words = CLASSES[case]
    with pytest.raises((ValueError, TypeError), match=words):
        classifier().partial_fit(X, LABELS, classes=classes)


# ------------------------------------------------------------ weights and groups

WEIGHT_WAYS = {
    "fit": lambda w: classifier().fit(X, LABELS, w).coefs_[0],
    "partial_fit": lambda w: copy.deepcopy(REG).partial_fit(X, NUMBERS, w).coefs_[0],
    "sample_weight_val": lambda w: (
        regressor().fit(X, NUMBERS, X_val=X, y_val=NUMBERS, sample_weight_val=w).validation_scores_
    ),
    "score": lambda w: REG.score(X, NUMBERS, w),
    "score of classes": lambda w: CLF.score(X, LABELS, w),
    "range test": lambda w: lr_range_test(REG, X, NUMBERS, sample_weight=w, n_updates=10).losses,
    "features": lambda w: HiddenFeatures(classifier()).fit(X, LABELS, sample_weight=w).transform(X),
    "sequences": lambda w: (
        BackpropSequenceModel(max_iter=1, random_state=0).fit(CODES, sample_weight=w).coefs_[0]
    ),
}
BAD_WEIGHTS = {
    **NO_NUMBERS,
    **{name: bad for name, bad in BAD_COLUMN.items() if name not in ("a number", "too few")},
    "negative": (lambda w: w - 1.5, "[Nn]egative"),
    "all zero": (lambda w: 0 * w, "at least one non-zero"),
    "too few": (lambda w: w[1:], "sample_weight.shape"),
    "two axes": (lambda w: w[:, None], "1D"),
    "sparse": (lambda w: coo_array(w), "[Ss]parse"),
}


@pytest.mark.parametrize("way", WEIGHT_WAYS)
def test_weights(way):
    call = WEIGHT_WAYS[way]
    expected = np.asarray(call(WEIGHT))
    for name, dress in SAME_COLUMN.items():
        if name not in ("one column", "frame"):
            found = np.asarray(call(dress(WEIGHT)))
            np.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=name)
    for name, (dress, words) in BAD_WEIGHTS.items():
        with pytest.raises((ValueError, TypeError), match=f"{words}|dim 3") as caught:
            call(dress(WEIGHT))
        named = "weight" in str(caught.value)
        assert named or name not in ("masked", "records", "dates", "durations", "a date")


@pytest.mark.parametrize("way", [way for way in WEIGHT_WAYS if way != "partial_fit"])
def test_weights_near_the_largest_float(way):
    # Their sum overflows. Without a penalty, whose share they change, nothing else matters.
    call = WEIGHT_WAYS[way]
    for large in (HUGE, 1e300):
        found = np.asarray(call(np.full(N, large)))
        np.testing.assert_allclose(found, call(np.ones(N)), rtol=1e-6, err_msg=str(large))


def test_the_lighter_class_stays():
    for low, high in ((1e-300, 1e300), (5e-324, HUGE), (1e-320, 1.0)):
        weight = np.where(LABELS, high, low)
        assert quietly(classifier().fit, X, LABELS, weight).classes_.tolist() == [0, 1]


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "sgd"])
@pytest.mark.parametrize("factors", [
    ({0: HUGE, 1: HUGE / 2}, {0: 1, 1: 0.5}), ({0: HUGE, 1: 0}, {0: 1, 1: 0}),
    ({0: HUGE, 1: HUGE}, {0: 1, 1: 1}), ({0: 5e-324, 1: 5e-324}, {0: 1, 1: 1}),
    ({0: 1e-300, 1: 3e-300}, {0: 1, 1: 3}), ({0: HUGE}, {0: HUGE, 1: 1}),
])  # fmt: skip
def test_class_weights_beyond_reason(factors, solver):
    nets = [
        quietly(classifier(solver=solver, max_iter=5, alpha=0, class_weight=one).fit, X, LABELS)
        for one in factors
    ]
    for a, b in zip(nets[0].coefs_, nets[1].coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    assert np.isfinite(nets[0].loss_)
    assert nets[0].loss_ > 1e-6  # so that something is learned


def test_class_weights_beyond_reason_in_pieces():
    for given, same in (({0: HUGE, 1: HUGE}, {0: 1, 1: 1}), ({0: 1e-300, 1: 1e-300}, None)):
        nets = []
        for class_weight in (given, same):
            net = classifier(alpha=0, class_weight=class_weight)
            for piece in (slice(0, 9), slice(9, N)):
                net.partial_fit(X[piece], LABELS[piece], classes=[0, 1])
            nets.append(net)
        np.testing.assert_allclose(nets[0].coefs_[0], nets[1].coefs_[0], rtol=1e-9)


def test_class_weights_whose_product_is_beyond_reason():
    several = (np.arange(40) + np.arange(N)[:, None]) % 2
    with pytest.raises(ValueError, match="factors whose products overflow"):
        classifier(class_weight=[{0: 1e9, 1: 1e9}] * 40).fit(X, several)
    same = [{0: HUGE, 1: HUGE}] * 40
    nets = [classifier(class_weight=one).fit(X, several) for one in (same, None)]
    np.testing.assert_allclose(nets[0].coefs_[0], nets[1].coefs_[0], rtol=1e-9)


def test_balanced_with_a_class_of_next_to_no_weight():
    for low in (1e-320, 5e-324):
        weight = np.where(LABELS, 1, low)
        net = classifier(class_weight="balanced", max_iter=5)
        net = quietly(net.fit, X, LABELS, weight)
        assert np.isfinite(net.loss_)
        assert np.isfinite(net.predict_proba(X)).all()


SPLITTERS = [GroupKFold(3), LastFraction(0.4, groups="each"), LastFraction(2, groups="whole")]


@pytest.mark.parametrize("splitter", SPLITTERS, ids=["kfold", "each", "whole"])
def test_groups(splitter):
    def call(groups):
        net = regressor(early_stopping=True, validation_fraction=splitter)
        return net.fit(X, NUMBERS, groups=groups).coefs_[0]

    expected = call(GROUPS)
    for name, dress in SAME_COLUMN.items():
        if name not in ("one column", "frame"):
            np.testing.assert_array_equal(call(dress(GROUPS)), expected, err_msg=name)
    for dress in (lambda g: np.array([f"group {i}" for i in g]), lambda g: pd.to_datetime(g)):
        np.testing.assert_array_equal(call(dress(GROUPS)), expected)
    skipped = "a date", "complex", "complex objects", "periods", "a matrix"
    cases = {name: bad for name, bad in BAD_COLUMN.items() if name not in skipped}
    cases["two axes"] = (lambda g: g[:, None], "a label for each row")
    for dress, words in cases.values():
        with pytest.raises((ValueError, TypeError), match=f"{words}|a label for each row"):
            call(dress(GROUPS))
        with pytest.raises((ValueError, TypeError)):  # also where nothing is split by them
            regressor().fit(X, NUMBERS, groups=dress(GROUPS))


def test_groups_of_a_splitter_by_itself():
    for name in ("masked", "records", "None", "NaN", "NA", "infinity", "three axes", "a dict"):
        dress, words = BAD_COLUMN[name]
        with pytest.raises(ValueError, match=f"{words}|a label for each row"):
            next(LastFraction(0.4).split(X, groups=dress(GROUPS.astype(float))))
    hidden = np.ma.masked_array(np.arange(6), mask=[0, 0, 1, 0, 0, 0])
    net = regressor(early_stopping=True, validation_fraction=[(np.arange(6, N), hidden)])
    with pytest.raises(ValueError, match=r"(?s)validation_fraction.* yields is a masked array"):
        net.fit(X, NUMBERS)


# ------------------------------------------------------------ what training starts from, and others


def start_from(array):
    net = regressor(init_from={"dense_0.bias": array})
    return quietly(net.fit, X, NUMBERS).predict(X)


STARTS = {
    "init_from": start_from,
    "baseline": lambda row: integrated_gradients(REG, X, baseline=row, n_steps=2),
    "start": lambda codes: MODEL.sample(start=codes, n_steps=2, random_state=0),
}


# Starts of sequences may differ in length, but not in what they are.
RAGGED = {way: [[1.0], [1.0, 2.0]] for way in STARTS} | {"start": [[1.0], [1.0, [2.0]]]}


@pytest.mark.parametrize("way", STARTS)
def test_arrays_that_training_and_sampling_start_from(way):
    call, clean = STARTS[way], np.array([1.0, 2.0, 1.0])
    for dress in (list, tuple, lambda a: masked(np.r_[a, 1], one=False)[:3], ArrayLike):
        np.testing.assert_array_equal(call(dress(clean)), call(clean))
    for bad in (
        np.ma.masked_array(clean, mask=[0, 1, 0]), of_one_field(clean), DAYS[:3],
        np.array(DAYS[:3], "M8[D]"), [1.0, None, 1.0], [1.0, np.nan, 1.0], [1.0, pd.NA, 1.0],
        [1.0, 10**400, 1.0], [1.0, 1j, 1.0], ["a", "b", "c"], {"a": 1}, {1, 2, 3}, "abc",
        (v for v in clean), pd.Series(DAYS[:3]), RAGGED[way],
    ):  # fmt: skip
        with pytest.raises(ValueError):
            call(bad)


@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_weights_that_are_set(name):
    net = copy.deepcopy(REG)
    before = [array.copy() for array in getattr(net, name)]
    for bad in (
        np.ma.masked_array(before[0], mask=before[0] == before[0].max()),
        of_one_field(before[0]), before[0] * 1j, before[0].astype("M8[s]"), before[0].astype(str),
        np.where(before[0] == before[0].max(), np.nan, before[0]), {"a": 1},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            setattr(net, name, [bad, before[1]])
        for old, array in zip(before, getattr(net, name), strict=True):
            np.testing.assert_array_equal(old, array)


def test_targets_of_attributions():
    expected = input_gradients(CLF, X, target=LABELS)
    for dress in SAME_COLUMN:
        if dress not in ("one column", "frame"):
            found = input_gradients(CLF, X, target=SAME_COLUMN[dress](LABELS))
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        input_gradients(WORDS, X, target="a"), -input_gradients(WORDS, X, target="b")
    )
    for name in ("masked", "records", "None", "NA", "NaT", "a dict", "a generator", "too few"):
        dress, words = BAD_COLUMN[name]
        with pytest.raises(ValueError, match=f"{words}|one for each"):
            input_gradients(CLF, X, target=dress(LABELS))


def test_rows_of_a_picture():
    for name in ("masked", "records", "dates", "a dict", "NA among objects"):
        dress, words = BAD_ROWS[name]
        with pytest.raises(ValueError, match=words):
            AttributionDisplay.from_estimator(REG, dress(X))


def test_what_a_start_is_called():
    for start, words in (
        ([9], "start has 9.0 in row 0"), ([1.5], "start has 1.5"), ([-1], "start has -1.0"),
        ([0, 1], "start has the padding code 0 in row 0, column 0"),
        ([[1], [2, 9]], r"start\[1\] has 9.0 in row 0, column 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            MODEL.sample(start=start)


def test_predictors_take_a_number_of_rows():
    for net in (CLF, REG):
        for bad in (0, -1, 1.5, "a", None, True):
            with pytest.raises(ValueError, match="max_rows must be a whole number of at least 1"):
                net.predictor(bad)
    predict = REG.predictor(4)
    np.testing.assert_array_equal(predict(X[:4]), REG.predict(X[:4]))
    with pytest.raises(ValueError, match=rf"X has {N} rows.* at most 4.*predictor\(max_rows={N}\)"):
        predict(X)


def test_what_has_no_hidden_layer():
    for other in (3, None, "net", LogisticRegression(), HiddenFeatures(CLF), BackpropClassifier):
        with pytest.raises(TypeError, match="HiddenFeatures takes an estimator of skbp"):
            HiddenFeatures(other).fit(X, LABELS)
    for layer in (1.5, None, True, [1], b"dense_0"):
        with pytest.raises(ValueError, match="layer must be a number or a name"):
            HiddenFeatures(classifier(), layer).fit(X, LABELS)
    same = HiddenFeatures(classifier(), np.int64(0)).fit(X, LABELS).transform(X)
    np.testing.assert_array_equal(same, FEATURES.transform(X))


@pytest.mark.parametrize("bad", ["masked", "records", "dates", "a dict", "NA among objects"])
def test_callbacks_are_told_of_the_error(bad):
    dress, words = BAD_ROWS[bad]
    told, rows = Scores(), dress(X)
    net = regressor().set_callbacks(told)
    with pytest.raises(ValueError, match=words):
        net.fit(rows, NUMBERS)
    assert told.calls == ["setup", type(rows), "teardown"]
    assert told.scores == []
    assert not hasattr(net, "coefs_")


STEPS = RNG.normal(size=(N, 4, 2))
GRU_PARAMS = {"layers": GRU(2), "max_iter": 1, "random_state": 0, "dtype": "float64"}
STEPS_NET = quietly(BackpropClassifier(**GRU_PARAMS).fit, STEPS, LABELS)
STEP_WAYS = {
    "fit": lambda x: BackpropClassifier(**GRU_PARAMS).fit(x, LABELS).weights_["output.weight"],
    "partial_fit": lambda x: (
        copy.deepcopy(STEPS_NET).partial_fit(x, LABELS).weights_["output.weight"]
    ),
    "X_val": lambda x: (
        BackpropClassifier(**GRU_PARAMS)
        .fit(STEPS, LABELS, X_val=x, y_val=LABELS)
        .validation_loss_curve_
    ),
    "predict": lambda x: STEPS_NET.predict(x),
    "decision_function": lambda x: STEPS_NET.decision_function(x),
    "score": lambda x: STEPS_NET.score(x, LABELS),
    "features": lambda x: (
        HiddenFeatures(BackpropClassifier(**GRU_PARAMS)).fit(x, LABELS).transform(STEPS)
    ),
    "transform": lambda x: HiddenFeatures(FrozenEstimator(STEPS_NET)).fit(STEPS).transform(x),
    "gradients": lambda x: input_gradients(STEPS_NET, x, target=0),
    "integrated": lambda x: integrated_gradients(STEPS_NET, x, target=0, n_steps=2),
    "range test": lambda x: (
        lr_range_test(BackpropClassifier(**GRU_PARAMS), x, LABELS, n_updates=10).losses
    ),
}


@pytest.mark.parametrize("way", STEP_WAYS)
def test_NaN_is_for_whole_steps(way):
    call, whole = STEP_WAYS[way], STEPS.copy()
    whole[5, 1] = np.nan
    absent = np.asarray(call(whole))
    assert np.isfinite(absent).all()
    # A step that is absent may as well not be there.
    moved = np.concatenate([whole[5, :1], whole[5, 2:], whole[5, 1:2]])
    last = whole.copy()
    last[5] = moved
    if way not in ("gradients", "integrated"):  # whose results are in the places of the steps
        np.testing.assert_allclose(np.asarray(call(last)), absent, rtol=1e-6)
    for dress in (lambda x: x, np.ndarray.tolist, lambda x: x.astype(object), np.asfortranarray):
        part = whole.copy()
        part[7, 2, 1] = np.nan
        with pytest.raises(ValueError, match=r"NaN in a part of step 2 .*of row 7"):
            call(dress(part))
        np.testing.assert_allclose(np.asarray(call(dress(whole))), absent, rtol=1e-9)
