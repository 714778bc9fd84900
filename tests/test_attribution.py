"""Attributions: against finite differences, and that integrated gradients are complete."""

import copy
import sys
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine import objective
from skbp.inspection import (
    AttributionDisplay,
    gradient_x_input,
    input_gradients,
    integrated_gradients,
)
from skbp.layers import (
    LSTM,
    BatchNorm,
    CodeDropout,
    ColumnBranch,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    EmbeddingBag,
    Flatten,
    GaussianNoise,
    Input,
    LayerNorm,
    MaxPool2D,
    PositionalEncoding,
    Reshape,
    Residual,
)

LABELS = np.array(["a", "b", "c"])
METHODS = [input_gradients, gradient_x_input, integrated_gradients]

# name: (layers, shape of a row)
STACKS = {
    "dense": ([Dense(7, "tanh"), Dense(5, "logistic")], (4,)),
    "linear": ([Dropout(0.5)], (4,)),
    "normalised": (
        [
            Dense(7, "identity"),
            BatchNorm("tanh"),
            Dropout(0.3),
            Dense(6, "tanh"),
            LayerNorm("tanh"),
            Dropout(0.0),
        ],
        (4,),
    ),
    "batch norm first": ([BatchNorm(), GaussianNoise(0.1), Dense(5, "silu")], (4,)),
    "residual": ([Residual([Dense(4, "tanh"), BatchNorm(), Dense(4, "silu")]), Dropout(0.2)], (4,)),
    "columns": (
        [ColumnBranch([(slice(0, 2), Dense(3, "tanh")), ([2, 3], Dense(2, "tanh"))])],
        (4,),
    ),
    "image": ([Conv2D(3, 3, activation="tanh"), MaxPool2D(2), Flatten()], (2, 6, 5)),
    "image normalised": ([BatchNorm(), Conv2D(3, 2, activation="gelu"), BatchNorm()], (2, 4, 5)),
    "sequence": ([LSTM(4), Dropout(0.2)], (5, 3)),
}


def fit(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


def rows_for(shape, n=40):
    return 0.5 + np.random.default_rng(len(shape)).normal(size=(n, *shape))


def fitted(name, n_classes=3, **params):
    layers, shape = STACKS[name]
    X = rows_for(shape)
    y = LABELS[np.arange(len(X)) % n_classes]
    net = BackpropClassifier(
        layers=layers,
        dtype="float64",
        max_iter=3,
        learning_rate_init=0.05,
        random_state=0,
        **params,
    )
    return fit(net, X, y), X


def numbers(n_features=4):
    X = rows_for((n_features,))
    return X, np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])


def scores(net, X, columns):
    return net.decision_function(X)[np.arange(len(X)), columns]


def finite_differences(f, X, step=1e-6):
    result = np.empty(X.shape)
    for index in np.ndindex(X.shape[1:]):
        high, low = X.copy(), X.copy()
        high[(slice(None), *index)] += step
        low[(slice(None), *index)] -= step
        result[(slice(None), *index)] = (f(high) - f(low)) / (2 * step)
    return result


# ------------------------------------------------------------ gradients


@pytest.mark.parametrize("name", STACKS)
def test_gradients_are_those_of_the_predicted_class(name):
    net, X = fitted(name)
    X = X[:6]
    columns = net.decision_function(X).argmax(axis=1)
    expected = finite_differences(lambda x: scores(net, x, columns), X)
    before = net._network.snapshot()
    gradient = input_gradients(net, X)
    assert gradient.shape == X.shape
    assert abs(expected).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)
    for was, now in zip(before, net._network.snapshot(), strict=True):
        np.testing.assert_array_equal(was, now)
    np.testing.assert_allclose(gradient_x_input(net, X), X * gradient)


def test_targets():
    net, X = fitted("dense")
    one = [input_gradients(net, X, label) for label in LABELS]
    np.testing.assert_allclose(
        one[1], finite_differences(lambda x: net.decision_function(x)[:, 1], X), atol=1e-7
    )
    each = LABELS[np.arange(len(X)) % 3]
    mixed = input_gradients(net, X, each)
    for row in range(5):
        np.testing.assert_allclose(mixed[row], one[row % 3][row])
    np.testing.assert_allclose(input_gradients(net, X), input_gradients(net, X, net.predict(X)))


def test_two_classes_share_a_score():
    net, X = fitted("dense", n_classes=2)
    gradient = input_gradients(net, X)
    np.testing.assert_allclose(gradient, finite_differences(net.decision_function, X), atol=1e-7)
    np.testing.assert_array_equal(input_gradients(net, X, "b"), gradient)
    np.testing.assert_array_equal(input_gradients(net, X, "a"), -gradient)


def test_one_class_has_no_score():
    X = rows_for((4,))
    net = fit(BackpropClassifier((3,), max_iter=2), X, np.zeros(len(X)))
    assert not input_gradients(net, X).any()
    assert not integrated_gradients(net, X).any()


def test_multilabel():
    X = rows_for((4,))
    net = BackpropClassifier((5,), "tanh", dtype="float64", max_iter=3, random_state=0)
    fit(net, X, (X[:, :3] > 0.5).astype(int))
    columns = net.decision_function(X).argmax(axis=1)
    expected = finite_differences(lambda x: scores(net, x, columns), X)
    np.testing.assert_allclose(input_gradients(net, X), expected, atol=1e-7)
    assert abs(expected).max() > 0.01


def test_regression():
    X, y = numbers()
    net = fit(BackpropRegressor((6,), "tanh", dtype="float64", random_state=0), X, y)
    for target in (None, 0, 1):
        expected = finite_differences(lambda x: net.predict(x)[:, target or 0], X)  # noqa: B023
        np.testing.assert_allclose(input_gradients(net, X, target), expected, atol=1e-7)


def test_raw_output_before_the_link():
    X, y = numbers()
    net = fit(BackpropRegressor((6,), "tanh", loss="poisson", dtype="float64"), X, np.exp(y[:, 0]))
    expected = finite_differences(lambda x: np.log(net.predict(x)), X)
    np.testing.assert_allclose(input_gradients(net, X), expected, atol=1e-6)


def test_chunks(monkeypatch):
    net, X = fitted("normalised")
    whole = input_gradients(net, X)
    monkeypatch.setattr(objective, "PREDICT_ROWS", 7)
    np.testing.assert_allclose(input_gradients(net, X), whole, rtol=1e-12)


@pytest.mark.parametrize("function", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_and_container(function, dtype):
    pandas = pytest.importorskip("pandas")
    X, y = numbers()
    X = X.astype(dtype)
    frame = pandas.DataFrame(X, columns=list("abcd"))
    net = fit(BackpropRegressor((6,), random_state=0, dtype="float32"), frame, y)
    result = function(net, frame)
    assert type(result) is np.ndarray
    assert (result.shape, result.dtype) == (X.shape, dtype)


def test_flat_rows_of_images():
    net, X = fitted("image")
    flat = X.reshape(len(X), -1)
    for function in METHODS:
        np.testing.assert_array_equal(function(net, flat), function(net, X).reshape(flat.shape))


def test_absent_steps():
    net, X = fitted("sequence")
    short = X.copy()
    short[:, 3:] = np.nan
    for function in METHODS:
        result = function(net, short)
        assert not result[:, 3:].any()
        assert np.isfinite(result).all()
    for baseline in (None, "mean"):
        parts = integrated_gradients(net, short, "a", baseline)
        low = np.zeros(X.shape[1:]) if baseline is None else X.mean(axis=0)
        low[3:] = np.nan
        change = net.decision_function(short) - net.decision_function(low[None])
        np.testing.assert_allclose(parts.sum(axis=(1, 2)), change[:, 0], atol=1e-6)


# ------------------------------------------------------------ integrated gradients


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("baseline", ["zeros", "mean", "row"])
def test_completeness(name, baseline):
    net, X = fitted(name)
    shape = X.shape[1:]
    row = {"zeros": np.zeros(shape), "mean": X.mean(axis=0), "row": np.full(shape, -0.3)}[baseline]
    given = {"zeros": None, "mean": "mean", "row": row}[baseline]
    n_steps = 1000 if name == "image" else 50  # where the maximum changes place, there is a kink
    parts = integrated_gradients(net, X, "b", given, n_steps)
    assert parts.shape == X.shape
    change = (net.decision_function(X) - net.decision_function(row[None]))[:, 1]
    gap = parts.reshape(len(X), -1).sum(axis=1) - change
    assert abs(gap).max() < 1e-3 * abs(change).max()


def test_of_a_linear_model_it_is_weight_times_difference():
    net, X = fitted("linear")
    row, weight = np.array([1.0, 2.0, 0.0, -1.0]), net.coefs_[-1][:, 2]
    expected = (X - row) * weight
    np.testing.assert_allclose(integrated_gradients(net, X, "c", row, n_steps=1), expected)
    np.testing.assert_allclose(integrated_gradients(net, X, "c", list(row)), expected)


def test_mean_of_gradients_on_the_way():
    net, X = fitted("dense")
    steps = (np.arange(2000) + 0.5) / 2000
    mean = sum(input_gradients(net, a * X, "a") for a in steps) / len(steps)
    np.testing.assert_allclose(integrated_gradients(net, X, "a"), X * mean, atol=1e-6)


def test_too_few_steps():
    X = rows_for((4,))
    net = fit(BackpropClassifier((3,), "tanh", solver="lbfgs", random_state=0), X, X[:, 0] > 0.5)
    with pytest.warns(UserWarning, match=r"more than 5%. Raise n_steps=1, for example to 4") as got:
        integrated_gradients(net, 5 * X, n_steps=1)
    assert got[0].filename == __file__
    integrated_gradients(net, 5 * X, n_steps=300)


# ------------------------------------------------------------ codes

TEXT = [Embedding(9, 6, padding_index=0), PositionalEncoding(), LSTM(5)]
CODES = {
    "text": (TEXT, [0, 1, 2, 3, 4, 5]),
    "bag": (
        [CodeDropout(0.2), EmbeddingBag(9, 4, padding_index=0), Dense(5, "tanh")],
        [0, 1, 2, 3, 4, 5],
    ),
    "tables": (
        [Embedding([9, 10, 9, 9, 9, 9], 3), Flatten(), Dense(5, "tanh")],
        [0, 1, 2, 3, 4, 5],
    ),
    "reshaped": ([Reshape((6,)), Residual([Dense(6, "tanh")])], []),
    "after reshape": ([Reshape((6,)), EmbeddingBag(9, 4)], [0, 1, 2, 3, 4, 5]),
    "mixed": (
        [
            ColumnBranch(
                [
                    ([5, 0], [EmbeddingBag(9, 3), Dense(3, "tanh")]),
                    (slice(1, 3), Dense(4, "tanh")),
                    ([3], [Embedding(9, 2), Flatten()]),
                ]
            ),
            Dense(5, "tanh"),
        ],
        [0, 3, 5],
    ),
}


def fitted_on_codes(name, padding=False):
    layers, columns = CODES[name]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6))
    X[:, columns] = rng.integers(1, 9, size=(40, len(columns)))
    if padding:
        X[:20, 4:] = 0
    net = BackpropClassifier(layers=layers, dtype="float64", max_iter=5, random_state=0)
    return fit(net, X, LABELS[np.arange(40) % 3]), X, columns


def without_tables(net):
    """Return a copy that looks up zeros only."""
    other = copy.deepcopy(net)
    for layer, views in zip(other._network.layers, other._network.views, strict=True):
        for name in layer.tables:
            views[name][...] = 0
    return other


@pytest.mark.parametrize("baseline", ["zeros", "mean"])
@pytest.mark.parametrize("name", CODES)
def test_codes_account_for_the_change_from_looking_up_zeros(name, baseline):
    net, X, columns = fitted_on_codes(name, padding=name in ("text", "bag"))
    parts = integrated_gradients(net, X, "b", None if baseline == "zeros" else "mean", n_steps=200)
    low = np.zeros(X.shape) if baseline == "zeros" else np.tile(X.mean(axis=0), (len(X), 1))
    low[:, columns] = X[:, columns]
    change = net.decision_function(X) - without_tables(net).decision_function(low)
    np.testing.assert_allclose(parts.sum(axis=1), change[:, 1], atol=1e-4)
    assert parts.shape == X.shape
    if name in ("text", "bag"):
        assert not parts[:20, 4:].any()
        assert parts[:20, :4].all()


def test_gradient_x_input_of_codes_is_the_derivative_by_a_factor_of_their_rows():
    net, X, columns = fitted_on_codes("mixed")
    got = gradient_x_input(net, X, "b")
    views = net._network.views[0]
    expected = np.zeros(len(X))
    for sign in (1, -1):
        other = copy.deepcopy(net)
        for name in other._network.layers[0].tables:
            other._network.views[0][name][...] = views[name] * (1 + sign * 1e-6)
        expected += sign * other.decision_function(X)[:, 1] / 2e-6
    np.testing.assert_allclose(got[:, columns].sum(axis=1), expected, atol=1e-6)
    step = np.zeros(6)
    step[1] = 1e-6
    slope = net.decision_function(X + step)[:, 1] - net.decision_function(X - step)[:, 1]
    np.testing.assert_allclose(got[:, 1], X[:, 1] * slope / 2e-6, atol=1e-6)


def test_of_a_linear_model_of_codes_it_is_row_times_weight():
    X = np.random.default_rng(0).integers(0, 5, size=(40, 3)).astype(float)
    net = BackpropRegressor(layers=[EmbeddingBag(5, 2, "sum")], max_iter=5, dtype="float64")
    fit(net, X, X[:, 0] - X[:, 1])
    table, weight = net._network.views[0]["weight"], net._network.views[1]["weight"]
    expected = (table @ weight)[X.astype(int)][..., 0]
    np.testing.assert_allclose(integrated_gradients(net, X, n_steps=1), expected, atol=1e-12)
    np.testing.assert_allclose(gradient_x_input(net, X), expected, atol=1e-12)


# ------------------------------------------------------------ refusals


@pytest.mark.parametrize("function", METHODS)
def test_refusals(function):
    X, y = numbers()
    net = fit(BackpropRegressor((6,), max_iter=2), X, y)
    with pytest.raises(NotFittedError):
        function(BackpropRegressor(), X)
    with pytest.raises(TypeError, match="expected a BackpropClassifier"):
        function(DummyClassifier().fit(X, y[:, 0] > 0), X)
    with pytest.raises(ValueError, match="features"):
        function(net, X[:, :2])
    with pytest.raises(ValueError, match="toarray"):
        function(net, csr_array(X))
    with pytest.raises(ValueError, match=r"target=2 is not among the numbers of the outputs"):
        function(net, X, 2)
    with pytest.raises(ValueError, match=r"one for each of the 40 rows. .*\(2,\)"):
        function(net, X, [0, 1])
    with pytest.raises(ValueError, match=r"target='d' is not among the classes"):
        function(*fitted("dense"), "d")


def test_a_pipeline_is_refused_with_what_to_do():
    X, y = numbers()
    model = fit(make_pipeline(StandardScaler(), BackpropRegressor((6,), max_iter=2)), X, y)
    with pytest.raises(TypeError, match=r"model\[:-1\]\.transform"):
        input_gradients(model, X)
    assert input_gradients(model[-1], model[:-1].transform(X)).shape == X.shape
    for estimator, refused in ((model, True), (model[-1], False)):
        key = "backpropregressor__alpha" if refused else "alpha"
        search = fit(GridSearchCV(estimator, {key: [0.1]}, cv=2), X, y)
        if refused:
            with pytest.raises(TypeError, match="best_estimator_"):
                input_gradients(search, X)
        else:
            assert input_gradients(search, X).shape == X.shape


def test_a_transformed_target_is_looked_through_and_its_pipeline_refused():
    X, y = numbers()
    net = BackpropRegressor((6,), max_iter=2, random_state=0)
    model = fit(TransformedTargetRegressor(net), X, y)
    np.testing.assert_array_equal(input_gradients(model, X), input_gradients(model.regressor_, X))
    model = fit(TransformedTargetRegressor(make_pipeline(StandardScaler(), net)), X, y)
    with pytest.raises(TypeError, match=r"model\[:-1\]\.transform"):
        input_gradients(model, X)


@pytest.mark.parametrize("nested", [False, True])
def test_codes_have_no_gradient(nested):
    X = np.random.default_rng(0).integers(0, 3, size=(40, 2)).astype(float)
    layer = EmbeddingBag(3, 4)
    layers = [ColumnBranch([([0], Dense(2)), ([0, 1], [layer, Dense(2)])]) if nested else layer]
    net = fit(BackpropClassifier(layers=layers, max_iter=2), X, X[:, 0])
    with pytest.raises(ValueError, match=r"embedding.* gradient_x_input and integrated_gradients"):
        input_gradients(net, X)


@pytest.mark.parametrize("baseline", [[1.0, 2.0], "zeros", 0.0, [np.nan] * 4, [None, "a", 1, 2]])
def test_bad_baseline(baseline):
    net, X = fitted("dense")
    with pytest.raises(ValueError, match="baseline must be None, 'mean', or a row of 4"):
        integrated_gradients(net, X, baseline=baseline)


@pytest.mark.parametrize("n_steps", [0, 2.5, None])
def test_bad_n_steps(n_steps):
    net, X = fitted("dense")
    with pytest.raises(ValueError, match="n_steps must be"):
        integrated_gradients(net, X, n_steps=n_steps)


# ------------------------------------------------------------ pictures


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_bars(plt):
    pandas = pytest.importorskip("pandas")
    X, y = numbers()
    frame = pandas.DataFrame(X, columns=["age", "height", "weight", "pulse"])
    net = fit(BackpropRegressor((6,), random_state=0), frame, y)
    display = AttributionDisplay.from_estimator(net, frame[:3], target=1, n_steps=300)
    assert len(display.axes_) == 3
    values = integrated_gradients(net, frame[:3], 1, n_steps=300)
    order = abs(values).mean(axis=0).argsort()
    for panel, row in zip(display.axes_, values, strict=True):
        np.testing.assert_allclose([bar.get_width() for bar in panel.patches], row[order])
        assert [label.get_text() for label in panel.get_yticklabels()] == list(frame.columns[order])
    assert len({panel.get_xlim() for panel in display.axes_}) == 1
    assert display.axes_[0].get_xlim()[1] > abs(values).max()
    panel = plt.subplots()[1]
    named = AttributionDisplay.from_estimator(
        net, frame[:1], method="input_gradients", feature_names=list("wxyz"), ax=panel
    )
    assert named.axes_ == [panel]
    assert {label.get_text() for label in panel.get_yticklabels()} == set("wxyz")


def test_images(plt):
    net, X = fitted("image")
    flat = X[:7].reshape(7, -1)
    display = AttributionDisplay.from_estimator(net, flat, method="gradient_x_input")
    values = gradient_x_input(net, X[:7]).sum(axis=1)
    assert len(display.axes_) == 7
    for panel, row, label in zip(display.axes_, values, net.predict(flat), strict=True):
        assert panel.get_title() == f"class {label}"
        np.testing.assert_allclose(panel.images[-1].get_array(), row)
        np.testing.assert_allclose(
            panel.images[-1].get_clim(), [-abs(values).max(), abs(values).max()]
        )
    display.figure_.canvas.draw()


@pytest.mark.parametrize("first, panel_shape", [
    (Input((2, 3, 5)), (3, 5)), (Reshape((6, 5)), (5, 6)), (Reshape((6, 5, 1)), (5, 1)),
    (Flatten(), None), (Reshape((30,)), None), (Reshape((1, 2, 3, 5)), None),
])  # fmt: skip
def test_flat_rows_are_drawn_in_the_shape_of_the_first_layer(first, panel_shape, plt):
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(0).normal(size=(30, 30))
    frame = pandas.DataFrame(X, columns=[f"pixel {i}" for i in range(30)])
    net = fit(BackpropClassifier(layers=[first, Flatten()], max_iter=1), frame, X[:, 0] > 0)
    display = AttributionDisplay.from_estimator(net, frame[:2], method="input_gradients")
    panel = display.axes_[0]
    if panel_shape is None:
        assert len(panel.patches) == 15 and panel.get_yticklabels()[0].get_text()[:5] == "pixel"
    else:
        assert panel.images[-1].get_array().shape == panel_shape
        assert not any("pixel" in label.get_text() for label in panel.get_yticklabels())


def test_sequences(plt):
    net, X = fitted("sequence")
    display = AttributionDisplay.from_estimator(net, X[:2], target="a")
    expected = integrated_gradients(net, X[:2], "a")
    np.testing.assert_allclose(display.axes_[1].images[0].get_array(), expected[1].T)
    assert display.axes_[0].get_title() == "class a"


def test_texts(plt):
    net, X, _ = fitted_on_codes("text", padding=True)
    vocabulary = ["", *["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dogs"]]
    for known in (vocabulary, dict(enumerate(vocabulary))):
        display = AttributionDisplay.from_estimator(net, X[:3], target="a", vocabulary=known)
        assert len(display.axes_) == 3
        for panel, row in zip(display.axes_, X, strict=False):
            shown = [text.get_text() for text in panel.texts]
            assert shown == [vocabulary[int(code)] for code in row if code]
        display.figure_.canvas.draw()
    values = integrated_gradients(net, X[:3], "a")
    scale = display.figure_.axes[-1].get_ylim()
    np.testing.assert_allclose(scale, [-abs(values).max(), abs(values).max()])
    long = AttributionDisplay([[0.1] * 30], tokens=[["word"] * 30]).plot()
    assert len({text.get_position()[1] for text in long.axes_[0].texts}) == 3  # lines
    with pytest.raises(ValueError, match=r"tokens have shape \(1, 2\) and attributions \(1, 3\)"):
        AttributionDisplay([[1, 2, 3]], tokens=[["a", "b"]]).plot()


def test_zeros_are_drawn(plt):
    for shape in [(1, 3), (1, 4, 2), (1, 1, 3, 3)]:
        zeros = np.zeros(shape)
        AttributionDisplay(zeros, images=zeros).plot().figure_.canvas.draw()


def test_only_the_largest_features_are_drawn(plt):
    values = np.arange(40.0)[None] - 20
    panel = AttributionDisplay(values).plot().axes_[0]
    assert len(panel.patches) == 15
    assert panel.get_yticklabels()[-1].get_text() == "0"


def test_bad_pictures(plt):
    net, X = fitted("dense")
    with pytest.raises(ValueError, match="method must be one of"):
        AttributionDisplay.from_estimator(net, X[:2], method="magic")
    with pytest.raises(ValueError, match=r"1 to 20 rows. Got 40"):
        AttributionDisplay.from_estimator(net, X)
    with pytest.raises(ValueError, match="attributions must have shape"):
        AttributionDisplay([1.0, 2.0]).plot()
    with pytest.raises(ValueError, match="1 axes for 2 rows"):
        AttributionDisplay(np.ones((2, 3))).plot(plt.subplots()[1])


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"AttributionDisplay needs matplotlib.*skbp\[plot\]"):
        AttributionDisplay(np.ones((2, 3))).plot()


def test_rows_of_several_chunks_have_the_gradients_of_one(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(9, 3))
    net = BackpropRegressor((4,), "tanh", solver="lbfgs", tol=0.1, random_state=0)
    net.fit(rows, rows[:, 0])
    whole = input_gradients(net, rows)
    assert (whole != 0).all()
    monkeypatch.setattr(objective, "chunk_rows", lambda network, n, training=False: 4)
    input_gradients(net, np.full_like(rows, 9.0))  # what is left in memory is of other rows
    np.testing.assert_allclose(input_gradients(net, rows), whole, rtol=1e-9)
