"""Values that would pass for numbers or labels, in all containers, at every way in.

Right is an error that names what was given, and an estimator that is as it was before.
"""

import copy
import decimal
import warnings
from datetime import date, datetime, timedelta

import joblib
import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.base import clone

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel, HiddenFeatures
from skbp.activations import Tanh
from skbp.initializers import FromTargets
from skbp.inspection import input_gradients, integrated_gradients, lr_range_test
from skbp.layers import (
    GRU,
    BatchNorm,
    CodeDropout,
    ColumnBranch,
    Conv2D,
    Dense,
    Embedding,
    EmbeddingBag,
    Flatten,
    LayerNorm,
    Parallel,
    Reshape,
    Residual,
    Sequential,
)
from skbp.losses import Gamma, Members
from skbp.optimizers import Adam, Group
from skbp.schedules import Scheduled, WarmUp

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

N = 24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
LABELS, NUMBERS = (X[:, 0] > 0).astype(int), X @ [1.0, 2.0, -1.0]
CODES = RNG.integers(1, 5, (N, 3)).astype(float)
DAYS = [datetime(2020, 1, 1) + timedelta(i) for i in range(N)]
INDEX = pd.DatetimeIndex(DAYS)


def frame(column, library=pd):
    return library.DataFrame({"a": X[:, 0], "b": column, "c": X[:, 2]})


def objects(value):
    rows = X.astype(object)
    rows[5, 1] = value
    return rows


# name: (rows, what the message says)
ROWS = {
    "frame of dates": (frame(INDEX), "column 'b' has dtype datetime64"),
    "frame of nothing but dates": (pd.DataFrame(dict.fromkeys("abc", INDEX)), "column 'a'"),
    "frame with a time zone": (frame(INDEX.tz_localize("UTC")), "column 'b' .*UTC"),
    "frame of durations": (frame(INDEX - INDEX[0]), "column 'b' has dtype timedelta64"),
    "frame of periods": (frame(INDEX.to_period("D")), "column 'b' has dtype period"),
    "frame of objects": (frame(pd.Series(DAYS, dtype=object)), "column 'b' .*type datetime"),
    "polars datetimes": (frame(DAYS, pl), "column 'b' has dtype Datetime"),
    "polars dates": (frame([day.date() for day in DAYS], pl), "column 'b' has dtype Date"),
    "polars durations": (frame([timedelta(i) for i in range(N)], pl), "column 'b' .*Duration"),
    "array of dates": (np.tile(INDEX.to_numpy()[:, None], 3), "dtype datetime64"),
    "list of datetimes": ([[day] * 3 for day in DAYS], "type datetime, expected numbers"),
    "list of dates": ([[day.date()] * 3 for day in DAYS], "type date, expected numbers"),
    "list of durations": ([[timedelta(i)] * 3 for i in range(N)], "type timedelta"),
    "list of datetime64": ([[np.datetime64(day)] * 3 for day in DAYS], "datetime64"),
    "one date among objects": (objects(date(2020, 1, 1)), "type date"),
    "one Timestamp among objects": (objects(pd.Timestamp(0)), "type Timestamp"),
    "one datetime64 among objects": (objects(np.datetime64(0, "D")), "type datetime64"),
    "one complex number": (objects(1j), "complex"),
    "complex": (X + 0j, "[Cc]omplex"),
    "a huge integer": (objects(10**400), "too large for a float"),
    "a huge negative integer": (objects(-(10**400)), "too large for a float"),
    "None": (objects(None), "NaN"),
    "NaN": (objects(np.nan), "NaN"),
    "infinity": (objects(np.inf), "infinity"),
    "nullable with NA": (frame(pd.array([1, None] * 12, dtype="Int64")), "NaN"),
    "text": (objects("x"), "could not convert string"),
    "categories": (frame(pd.Categorical(["u", "v"] * 12)), "could not convert string"),
    "ragged": ([[1.0, 2.0, 3.0]] * (N - 1) + [[1.0]], "inhomogeneous"),
    "one axis": (X[:, 0], "2D|1D"),
    "no rows": (X[:0], "0 sample"),
}  # fmt: skip


def quietly(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


NETS = {
    cls: quietly(lambda cls=cls, y=y: cls((4,), max_iter=2, random_state=0).fit(X, y))
    for cls, y in ((BackpropClassifier, LABELS), (BackpropRegressor, NUMBERS))
}
MODEL = quietly(lambda: BackpropSequenceModel(max_iter=2, random_state=0).fit(CODES))
FEATURES = quietly(lambda: HiddenFeatures(NETS[BackpropClassifier]).fit(X, LABELS))
CLF, REG = NETS.values()
WAYS = {
    "fit": lambda rows: CLF.fit(rows, LABELS),
    "partial_fit": lambda rows: REG.partial_fit(rows, NUMBERS),
    "X_val": lambda rows: CLF.fit(X, LABELS, X_val=rows, y_val=LABELS),
    "predict": lambda rows: REG.predict(rows),
    "predict_proba": lambda rows: CLF.predict_proba(rows),
    "score": lambda rows: REG.score(rows, NUMBERS),
    "transform": lambda rows: FEATURES.transform(rows),
    "attributions": lambda rows: input_gradients(CLF, rows),
    "integrated": lambda rows: integrated_gradients(REG, rows),
    "range test": lambda rows: lr_range_test(CLF, rows, LABELS),
    "sequence fit": lambda rows: MODEL.fit(rows),
    "sequence score": lambda rows: MODEL.score_samples(rows),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", ROWS)
def test_rows(case, way):
    rows, words = ROWS[case]
    before = joblib.hash([vars(one) for one in (CLF, REG, MODEL)])
    with pytest.raises(ValueError, match=words), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names: frames came later
        WAYS[way](rows)
    assert joblib.hash([vars(one) for one in (CLF, REG, MODEL)]) == before


TARGETS = {
    "dates": (INDEX, "dtype datetime64"),
    "series of dates": (pd.Series(INDEX), "dtype datetime64"),
    "durations": (pd.Series(INDEX - INDEX[0]), "dtype timedelta64"),
    "polars durations": (pl.Series([timedelta(i) for i in range(N)]), "dtype Duration"),
    "list of datetimes": (DAYS, "type datetime"),
    "list of durations": ([timedelta(i) for i in range(N)], "type timedelta"),
    "None": ([None] * N, "missing|NaN"),
    "one None": ([1.0] * (N - 1) + [None], "missing|NaN"),
    "a string nan": (["nan"] + ["1.5"] * (N - 1), "missing|NaN"),
    "a string inf": (np.array(["inf"] + ["1.5"] * (N - 1), dtype=object), "missing|inf|NaN"),
    "a huge integer": (np.array([10**400] * N, dtype=object), "too large"),
    "nullable with NA": (pd.array([1, None] * 12, dtype="Int64"), "missing|NaN"),
    "NaN among objects": (np.array([1.0, np.nan] * 12, object), "y contains NaN"),
    "texts": (["1", "bee"] * 12, "y has the text 'bee'"),
    "an array of texts": (np.array(["1", "bee"] * 12), "y has the text 'bee'"),
    "bytes": (np.array([b"1", b"bee"] * 12), "y has the text b'bee'"),
    "texts of NumPy 2": (np.array(["1", "bee"] * 12, np.dtypes.StringDType()), "y has the text"),
    "texts of polars": (pl.Series(["1", "bee"] * 12), "y has the text 'bee'"),
    "categories": (pd.Series(["1", "bee"] * 12, dtype="category"), "y has the text 'bee'"),
    "dictionaries": (np.array([{}, 1.0] * 12, object), "y has a value that is no number"),
}
WAYS_OF_TARGETS = {
    "fit": lambda y: REG.fit(X, y),
    "partial_fit": lambda y: REG.partial_fit(X, y),
    "y_val": lambda y: REG.fit(X, NUMBERS, X_val=X, y_val=y),
    "score": lambda y: REG.score(X, y),
}


@pytest.mark.parametrize("way", WAYS_OF_TARGETS)
@pytest.mark.parametrize("case", TARGETS)
def test_targets(case, way):
    y, words = TARGETS[case]
    before = joblib.hash(vars(REG))
    with pytest.raises(ValueError, match=words):
        WAYS_OF_TARGETS[way](y)
    assert joblib.hash(vars(REG)) == before


MISSING = {
    "None": np.array([None, "a"] * 12, dtype=object),
    "a list with None": [None, "a"] * 12,
    "NaN among strings": np.array([np.nan, "a"] * 12, dtype=object),
    "NaT": pd.Series([pd.NaT, pd.Timestamp(0)] * 12),
    "NaT in an array": np.array(["NaT", "2020-01-01"] * 12, "datetime64[D]"),
    "NA of integers": pd.array([1, None] * 12, dtype="Int64"),
    "NA of strings": pd.array(["a", None] * 12, dtype="string"),
    "None in a series": pd.Series(["a", None] * 12),
    "None in categories": pd.Series(pd.Categorical(["a", None] * 12)),
    "polars nulls": pl.Series(["a", None] * 12),
}


@pytest.mark.parametrize("way", ["fit", "partial_fit", "y_val"])
@pytest.mark.parametrize("case", MISSING)
def test_missing_labels(case, way):
    y, net = MISSING[case], BackpropClassifier((4,), max_iter=2, random_state=0)
    with pytest.raises(ValueError, match="missing labels"):
        if way == "y_val":
            quietly(lambda: net.fit(X, np.array(["a", "b"] * 12), X_val=X, y_val=y))
        else:
            quietly(lambda: getattr(net, way)(X, y))


LARGE = [2**53, 2**53 + 1] * 12
GOOD = {
    "nullable integers": (pd.array(LARGE, dtype="Int64"), LARGE),
    "nullable unsigned": (pd.Series(LARGE, dtype="UInt64"), LARGE),
    "integers": (np.array(LARGE), LARGE),
    "nullable booleans": (pd.array([True, False] * 12, dtype="boolean"), [True, False] * 12),
    "polars integers": (pl.Series(LARGE), LARGE),
    "words that look like numbers": (np.array(["nan", "inf"] * 12), ["nan", "inf"] * 12),
}


@pytest.mark.parametrize("case", GOOD)
def test_labels_stay_what_they_are(case):
    y, plain = GOOD[case]
    net = BackpropClassifier((8,), max_iter=300, tol=0, learning_rate_init=0.05, random_state=0)
    net = quietly(lambda: net.fit(X, y))
    assert net.classes_.tolist() == sorted(set(plain))
    assert net.predict(X).tolist() == plain


def test_numbers_in_other_clothes():
    same = (
        X.tolist(), pd.DataFrame(X), pl.DataFrame(X), X.astype(object),
        pd.DataFrame(X, dtype="Float64"), X.astype(str),
        np.vectorize(decimal.Decimal, otypes=[object])(X),
    )  # fmt: skip
    for rows in same:
        np.testing.assert_array_equal(quietly(lambda rows=rows: REG.predict(rows)), REG.predict(X))
    strings = quietly(lambda: BackpropRegressor((4,), max_iter=2, random_state=0).fit(
        X, NUMBERS.astype(str)
    ))  # fmt: skip
    np.testing.assert_array_equal(strings.predict(X), REG.predict(X))


@pytest.mark.parametrize("row_step", [(0, 2), (5, 0), (23, 5)])
@pytest.mark.parametrize("way", ["fit", "partial_fit", "predict_proba", "X_val"])
def test_NaN_in_part_of_a_step(way, row_step):
    steps = RNG.normal(size=(N, 6, 4))
    part = steps.copy()
    part[*row_step, 1] = np.nan
    net = quietly(lambda: BackpropClassifier(layers=GRU(3), max_iter=2).fit(steps, LABELS))
    ways = {
        "predict_proba": lambda: net.predict_proba(part),
        "X_val": lambda: net.fit(steps, LABELS, X_val=part, y_val=LABELS),
        "fit": lambda: net.fit(part, LABELS),
        "partial_fit": lambda: net.partial_fit(part, LABELS),
    }
    with pytest.raises(ValueError, match=f"step {row_step[1]} .*of row {row_step[0]}"):
        ways[way]()


# ------------------------------------------------------------ what is no data


CONV = BackpropClassifier(layers=[Conv2D(2, 3), Flatten()], max_iter=2, random_state=0)
STEPS = BackpropClassifier(layers=GRU(3), max_iter=2, random_state=0)
IMAGES, SERIES = RNG.normal(size=(N, 2, 4, 5)), RNG.normal(size=(N, 4, 3))


@pytest.mark.parametrize(("net", "rows"), [(CONV, IMAGES), (STEPS, SERIES)], ids=["4", "3"])
def test_nested_lists_are_rows_of_several_axes(net, rows):
    lists = quietly(lambda: clone(net).fit(rows.tolist(), LABELS))
    arrays = quietly(lambda: clone(net).fit(rows, LABELS))
    for name in ("predict_proba", "predict"):
        one = getattr(lists, name)(rows.tolist())
        np.testing.assert_array_equal(one, getattr(arrays, name)(rows))
    assert lists.score(rows.tolist(), LABELS) == arrays.score(rows, LABELS)
    with pytest.raises(ValueError, match="inhomogeneous"):
        quietly(lambda: clone(net).fit([*rows.tolist()[:-1], [1.0]], LABELS))


@pytest.mark.parametrize("container", [csr_array, csr_matrix, coo_array])
@pytest.mark.parametrize("way", ["fit", "partial_fit", "y_val"])
def test_sparse_targets_of_a_regression(way, container):
    y, net = container(X[:, :2]), BackpropRegressor((3,))
    with pytest.raises(ValueError, match=r"y is sparse.*toarray"):
        if way == "y_val":
            net.fit(X, X[:, :2], X_val=X, y_val=y)
        else:
            getattr(net, way)(X, y)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"freeze": [0]}, "freeze must be names"),
        ({"freeze": [None, "dense_0"]}, "freeze must be names"),
        ({"freeze": ("dense_0", b"output")}, "freeze must be names"),
        ({"init_from": {3: X}}, "key 3, expected names"),
        ({"init_from": {"dense_0.weight": np.ones((3, 4)) * 1j}}, "finite real numbers"),
        ({"init_from": {"dense_0.weight": np.full((3, 4), np.nan)}}, "finite real numbers"),
        ({"init_from": {"dense_0.weight": [["a"] * 4] * 3}}, "finite real numbers"),
        ({"layers": [Dense(4), Dense(6, "ReLU")]}, r"Dense\(activation='ReLU', units=6\): The"),
        ({"layers": [LayerNorm("Gelu")]}, r"LayerNorm\(activation='Gelu'\): The 'activation"),
        ({"layers": [Residual([Dense(3, "ReLU")])]}, r"Dense\(activation='ReLU', units=3\): The"),
        ({"layers": [Dense(8, activation=3)]}, r"Dense\(activation=3, units=8\): The 'activation'"),
        ({"layers": [Dense(8, activation=Tanh)]}, r"Give an instance: Tanh\(\)"),
        ({"layers": [Dense(8, initializer=Tanh())]}, "an Initializer. Got Tanh"),
        ({"layers": [Sequential([3])]}, r"Sequential\(layers=\[3\]\) was given 3"),
        ({"layers": [Residual("x")]}, r"Residual\(layers='x'\) was given 'x' where a layer"),
        ({"layers": [Parallel(3)]}, "'branches' parameter of Parallel must be a list. Got 3"),
        ({"layers": [ColumnBranch([Dense(3)])]}, r"a list of pairs \(columns, layer\). Got Dense"),
        ({"normalization": BatchNorm("Relu")}, r"BatchNorm\(activation='Relu'\): The"),
        ({"initializer": FromTargets(3)}, "'initializer' parameter of FromTargets"),
        ({"loss": Members(3)}, "'loss' parameter of Members must be a Loss. Got 3"),
        ({"learning_rate": WarmUp(3)}, "'schedule' parameter of WarmUp must be one of"),
        ({"solver": Adam(groups=[Group("*", schedule=WarmUp(3))])}, "'schedule' parameter of Warm"),
        ({"dropout": Scheduled(WarmUp(3), 0.5)}, "'schedule' parameter of WarmUp"),
    ],
)
def test_settings_that_are_none(params, words):
    with pytest.raises(ValueError, match=words):
        sizes = {} if "layers" in params else {"hidden_layer_sizes": (4,)}
        BackpropClassifier(**sizes, **params).fit(X, LABELS)


@pytest.mark.parametrize("content", [b"hello", b"", b"\x80\x04.", b"PK\x03\x04"])
def test_a_file_that_holds_no_model(content, tmp_path):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ValueError, match=r"is no file of skbp\.save"):
        BackpropClassifier((4,), init_from=str(tmp_path / "model")).fit(X, LABELS)
    with pytest.raises(FileNotFoundError):
        BackpropClassifier((4,), init_from=str(tmp_path / "none")).fit(X, LABELS)


def test_arrays_of_another_shape_are_named():
    arrays = {"dense_0.weight": np.ones((2, 4)), "dense_0.bias": np.ones(4)}
    with pytest.warns(UserWarning, match=r"dense_0.weight \(2, 4\) there, \(3, 4\) here"):
        BackpropClassifier((4,), init_from=arrays, tol=1e6).fit(X, LABELS)


@pytest.mark.parametrize(
    "arrays",
    [
        [np.ones((3, 4)), np.ones((9, 1))], [np.ones((3, 4))], [1.0, 2.0],
        [np.ones(4), np.ones((4, 1))], [np.ones((3, 4)), np.full((4, 1), np.nan)],
        [np.ones((3, 4)) * 1j, np.ones((4, 1))], [np.full((3, 4), "a"), np.ones((4, 1))],
    ],
    ids=str,
)  # fmt: skip
def test_weights_are_set_all_or_none(arrays):
    before = [array.copy() for array in CLF.coefs_]
    with pytest.raises(ValueError, match=r"expected|arrays for 2 layers|finite real"):
        CLF.coefs_ = arrays
    for array, old in zip(CLF.coefs_, before, strict=True):
        np.testing.assert_array_equal(array, old)
    net = copy.deepcopy(CLF)
    net.coefs_ = [array * 2 for array in before]
    np.testing.assert_array_equal(net.coefs_[1], 2 * before[1])


def test_classes_of_multilabel_targets_are_columns():
    Y = np.eye(3, dtype=int)[np.arange(N) % 3]
    for classes in (["a", "b", "c"], [1, 2, 3], [0, 1]):
        with pytest.raises(ValueError, match=r"numbers of the columns, \[0, 1, 2\]"):
            BackpropClassifier((3,)).partial_fit(X, Y, classes=classes)
    net = BackpropClassifier((3,)).partial_fit(X, Y, classes=[0, 1, 2])
    assert net.partial_fit(X, Y, classes=[0, 1, 2]).classes_.tolist() == [0, 1, 2]


def test_symbols():
    with pytest.raises(ValueError, match="only padding"):
        MODEL.score(np.zeros((4, 3)))
    np.testing.assert_array_equal(MODEL.score_samples(np.zeros((4, 3))), 0)
    for large in (1e9, 20_000, 2.0**40):
        with pytest.raises(ValueError, match="Number the symbols"):
            BackpropSequenceModel(max_iter=2).fit(np.where(CODES == 1, large, CODES))
    few = BackpropSequenceModel([Embedding(6, 3), GRU(3, return_sequences=True)], n_symbols=6)
    quietly(lambda: few.set_params(max_iter=1).fit(CODES))
    with pytest.raises(ValueError, match="whole numbers from 0 to 5"):
        few.score_samples(np.where(CODES == 1, 6, CODES))


@pytest.mark.parametrize(("layer", "model"), [(0, 1), (1, 0), (0, None), (3, 0)])
def test_layer_and_model_take_one_code_for_padding(layer, model):
    layers = [Embedding(6, 3, padding_index=layer), GRU(3, return_sequences=True)]
    with pytest.raises(ValueError, match=f"takes {layer} for padding, and the model {model}"):
        BackpropSequenceModel(layers, padding_index=model, n_symbols=6).fit(
            np.where(model == CODES, 5, CODES)
        )


LOOKUPS = {
    "chain": lambda layer: [Sequential([layer])],
    "chain of chains": lambda layer: [Sequential([Sequential([layer])])],
    "residual inside": lambda layer: [Sequential([layer, Residual([Dense(3)])])],
    "parallel": lambda layer: [Parallel([Embedding(6, 3), [layer]])],
    "columns": lambda layer: [ColumnBranch([(slice(0, None), layer)])],
    "after codes": lambda layer: [CodeDropout(0.1, 5, None), layer],
}


@pytest.mark.parametrize("around", LOOKUPS)
def test_layers_in_layers_take_the_code_for_padding_of_the_model(around):
    rows = np.where(CODES == 1, 5, CODES)
    rows[:5, -1] = 1
    for own, right in ((0, False), (1, True), (None, True)):
        layers = [*LOOKUPS[around](Embedding(6, 3, own)), GRU(3, return_sequences=True)]
        model = BackpropSequenceModel(layers, padding_index=1, n_symbols=6, max_iter=1)
        if right:
            quietly(lambda model=model: model.fit(rows))
            assert np.isfinite(model.score(rows))
        else:
            with pytest.raises(ValueError, match="takes 0 for padding, and the model 1"):
                model.fit(rows)
    with pytest.raises(ValueError, match=r"CodeDropout.*takes 0 for padding, and the model 1"):
        layers = [CodeDropout(0.1, 5), Embedding(6, 3), GRU(3, return_sequences=True)]
        BackpropSequenceModel(layers, padding_index=1, n_symbols=6).fit(rows)


@pytest.mark.parametrize("wrap", [list, lambda layers: [Sequential(layers)]])
def test_layers_that_see_the_same_codes_take_one_for_padding(wrap):
    words = r"(?s)CodeDropout.* takes \[0\] for padding, and Embedding.* takes \[1\]"
    with pytest.raises(ValueError, match=words):
        layers = wrap([CodeDropout(0.1, 5), Embedding(6, 3, 1), GRU(3)])
        BackpropClassifier(layers=layers).fit(CODES, LABELS)
    with pytest.raises(ValueError, match=r"takes \[0\] for padding, .* takes \[1\]"):
        layers = wrap([Parallel([Embedding(6, 3, 0), Embedding(6, 3, 1)]), GRU(3)])
        BackpropClassifier(layers=layers).fit(CODES, LABELS)
    with pytest.raises(ValueError, match=r"CodeDropout.* puts the padding code in place of others"):
        BackpropClassifier(layers=wrap([CodeDropout(0.1, 0), Embedding(6, 3)])).fit(CODES, LABELS)
    apart = [([0, 1], EmbeddingBag(6, 3, padding_index=0)), ([2], EmbeddingBag(6, 3, "sum", 1))]
    for layers in ([ColumnBranch(apart)], [CodeDropout(0.1, 5), Embedding(6, 3, 0), GRU(3)]):
        net = BackpropClassifier(layers=wrap(layers), max_iter=1)
        assert np.isfinite(quietly(lambda net=net: net.fit(CODES, LABELS)).loss_)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_probabilities_and_their_logarithms_are_tied_alike(solver, seed):
    rng = np.random.default_rng(seed)
    rows = 1e3 * rng.normal(size=(200, 3))
    for y in (rng.integers(0, 3, 200), rng.integers(0, 2, 200)):
        net = BackpropClassifier((8,), solver=solver, random_state=0, max_iter=30)
        net = quietly(lambda net=net, y=y: net.fit(rows, y))
        far = 1e4 * rows
        probabilities, logs = net.predict_proba(far), net.predict_log_proba(far)
        assert probabilities.min() < 1e-300
        np.testing.assert_array_equal(probabilities.argsort(axis=1), logs.argsort(axis=1))
        np.testing.assert_allclose(np.log(probabilities), logs, rtol=1e-9, atol=1e-12)


def test_tags():
    for loss, positive in (("poisson", True), (Gamma(), True), ("tweedie", True), ("huber", False)):
        tags = BackpropRegressor(loss=loss).__sklearn_tags__()
        assert tags.target_tags.positive_only == positive
    codes = [[Embedding(6, 4), Flatten()], [Reshape((-1,)), EmbeddingBag(6, 4)]]
    for layers, takes in (*((one, True) for one in codes), ([Dense(3)], False), (None, False)):
        tags = BackpropClassifier(layers=layers).__sklearn_tags__().input_tags
        assert tags.categorical == tags.positive_only == takes
