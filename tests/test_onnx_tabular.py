"""The estimators for tables as ONNX models: the same labels, probabilities, numbers."""

import numpy as np
import pandas as pd
import pytest
from _onnx import ReferenceEvaluator, onnx, onnxruntime
from scipy.special import ndtri

from skbp import to_onnx
from skbp.losses import Quantile as QuantileLoss
from skbp.persistence.onnx.graph import Graph
from skbp.persistence.onnx.scales import LOWEST_SHARE, _normal, _Steps, add_scaled
from skbp.preprocessing import TableEncoder
from skbp.preprocessing._scales import Plain, Quantile, Robust, Standard
from skbp.tabular import (
    RealMLP,
    RealMLPTD,
    ResNet,
    TabM,
    TabularClassifier,
    TabularRegressor,
)
from skbp.tabular.presets import PRESETS

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:column 'town'"
)
QUICK = RealMLP(n_members=2, max_iter=2, min_updates=0, hidden_layer_sizes=(16,))


def table(n=240, seed=0):
    """Columns of all kinds; numbers are the same in float32."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, 2)).astype(np.float32).astype(float)
    return pd.DataFrame({
        "size": np.where(rng.random(n) < 0.1, np.nan, numbers[:, 0]),
        "price": np.exp(4 * numbers[:, 1]).astype(np.float32).astype(float),
        "count": rng.integers(0, 5, n),
        "color": rng.choice(np.array(["red", "green", "blue", None], object), n),
        "town": rng.choice([f"town {i}" for i in range(60 if seed == 0 else 70)], n),
        "side": rng.choice(["left", "right"] if seed == 0 else ["left", "right", "both"], n),
        "new": rng.random(n) < 0.5,
        "rooms": pd.Categorical(rng.integers(0, 7 if seed == 0 else 9, n)),
        "grade": pd.Categorical(rng.integers(0, 7, n) / 10),
        "wait": pd.to_timedelta(rng.integers(0, 1000, n), unit="s"),
        "mixed": rng.choice(np.array([1, 2.5, "x", "2", None], object), n),
        "same": 3.0,
        "copy": rng.integers(0, 5, n) * 0 + 1,
    })  # fmt: skip


def value_of(X):
    noise = 0.1 * np.random.default_rng(9).normal(size=len(X))
    return X["size"].fillna(1.0) + 2.0 * (X["color"] == "red") + X["count"] / 4 + noise


X, NEW = table(), table(seed=1)
NEW.loc[::7, ["price", "color", "rooms"]] = None
VALUE = value_of(X).to_numpy()
LABEL = np.array(["cheap", "fair", "dear"])[np.searchsorted(np.quantile(VALUE, [0.3, 0.7]), VALUE)]


def feed(model, table):
    """Return a table as a model takes it: strings, "" where missing, or numbers."""
    given = {}
    for one in model.graph.input:
        column, kind = table[one.name], one.type.tensor_type.elem_type
        if kind == onnx.TensorProto.STRING:
            values = np.array(["" if pd.isna(v) else str(v) for v in column], object)
        else:
            if column.dtype.kind == "m":
                column = column.dt.total_seconds()
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
            values = column.to_numpy(dtype=float, na_value=np.nan).astype(dtype)
        given[one.name] = values[:, None]
    return given


def run(model, given):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, given)


def small(name):
    preset = PRESETS[name]()
    quick = {"max_iter": 3, "min_updates": 0, "n_members": 2, "n_blocks": 1, "units": 16}
    known = preset.get_params()
    return preset.set_params(**{name: quick[name] for name in quick if name in known})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PRESETS)
def test_classes_of_each_preset(name, dtype):
    model = TabularClassifier(small(name), random_state=0).fit(X, LABEL)
    proto = to_onnx(model, dtype=dtype)
    label, probabilities = run(proto, feed(proto, NEW))
    np.testing.assert_array_equal(label, model.predict(NEW))
    np.testing.assert_allclose(probabilities, model.predict_proba(NEW), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PRESETS)
def test_numbers_of_each_preset(name, dtype):
    model = TabularRegressor(small(name), random_state=0).fit(X, VALUE)
    proto = to_onnx(model, dtype=dtype)
    (found,) = run(proto, feed(proto, NEW))
    np.testing.assert_allclose(found[:, 0], model.predict(NEW), atol=1e-5)


def test_onnx_runs_it_too():
    model = TabularClassifier(QUICK, random_state=0).fit(X, LABEL)
    proto = to_onnx(model)
    label, probabilities = ReferenceEvaluator(proto).run(None, feed(proto, NEW[:20]))
    np.testing.assert_array_equal(label, model.predict(NEW[:20]))
    np.testing.assert_allclose(probabilities, model.predict_proba(NEW[:20]), atol=1e-5)


def test_inputs_are_the_columns_that_count():
    proto = to_onnx(TabularClassifier(QUICK, random_state=0).fit(X, LABEL))
    assert [one.name for one in proto.graph.input] == list(X.columns[:-2])
    kinds = {one.name: one.type.tensor_type.elem_type for one in proto.graph.input}
    strings = [name for name, kind in kinds.items() if kind == onnx.TensorProto.STRING]
    assert strings == ["color", "town", "side", "mixed"]


def test_a_matrix_of_numbers_is_one_input():
    numbers = X[["size", "price", "count", "same"]].to_numpy()
    model = TabularRegressor(QUICK, random_state=0).fit(numbers, VALUE)
    (found,) = run(to_onnx(model), {"X": numbers.astype(np.float32)})
    np.testing.assert_allclose(found[:, 0], model.predict(numbers), atol=1e-5)


def test_columns_without_names():
    rows = X[["size", "color"]].to_numpy(dtype=object)
    model = TabularClassifier(QUICK, random_state=0).fit(rows, LABEL)
    proto = to_onnx(model)
    given = feed(proto, X[["size", "color"]].set_axis(["x0", "x1"], axis=1))
    np.testing.assert_array_equal(run(proto, given)[0], model.predict(rows))


@pytest.mark.parametrize("calibrate", [True, False])
def test_the_temperature(calibrate):
    preset = RealMLP(n_members=3, max_iter=6, min_updates=0, hidden_layer_sizes=(8,), n_folds=3)
    model = TabularClassifier(preset, calibrate=calibrate, random_state=0).fit(X, LABEL)
    assert (getattr(model, "temperature_", 1.0) != 1.0) is calibrate
    proto = to_onnx(model)
    found = run(proto, feed(proto, NEW))[1]
    np.testing.assert_allclose(found, model.predict_proba(NEW), atol=1e-5)


def test_several_labels():
    y = np.column_stack([VALUE > 1, X["new"], VALUE > 2]).astype(int)
    model = TabularClassifier(QUICK, random_state=0).fit(X, y)
    proto = to_onnx(model)
    label, found = run(proto, feed(proto, NEW))
    np.testing.assert_array_equal(label, model.predict(NEW))
    np.testing.assert_allclose(found, model.predict_proba(NEW), atol=1e-5)


@pytest.mark.parametrize("loss", ["absolute_error", QuantileLoss(0.3), QuantileLoss([0.1, 0.9])])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_targets_are_scaled_back_and_clipped(loss, n_targets):
    y = np.column_stack([1000 * VALUE - 300, X["count"]])[:, :n_targets].squeeze()
    model = TabularRegressor(QUICK, loss=loss, random_state=0).fit(X, y)
    model.target_range_ = tuple(np.quantile(y, share, axis=0).reshape(-1) for share in (0.3, 0.7))
    proto = to_onnx(model)
    (found,) = run(proto, feed(proto, NEW))
    expected = model.predict(NEW)
    assert np.isin(expected, model.target_range_).any()
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-6 * np.ptp(y))


def test_rows_with_infinite_numbers_have_no_probabilities():
    model = TabularClassifier(QUICK, random_state=0).fit(X, LABEL)
    proto = to_onnx(model)
    given = feed(proto, NEW)
    given["price"][3] = np.inf
    found = run(proto, given)[1]
    assert np.isnan(found[3]).all()
    assert np.isfinite(np.delete(found, 3, axis=0)).all()


def test_dates_are_refused_by_name():
    frame = X.assign(built=pd.Timestamp("2020-01-01") + X["wait"])
    model = TabularClassifier(QUICK, random_state=0).fit(frame, LABEL)
    with pytest.raises(NotImplementedError, match=r"'built' holds dates.*DateParts"):
        to_onnx(model)


def test_a_date_that_is_left_out_does_no_harm():
    frame = X.assign(built=pd.Timestamp("2020-01-01"))
    to_onnx(TabularClassifier(QUICK, random_state=0).fit(frame, LABEL))


def test_a_column_called_like_an_output():
    model = TabularClassifier(QUICK, random_state=0).fit(X.rename(columns={"size": "label"}), LABEL)
    with pytest.raises(ValueError, match=r"\['label'\].*Rename"):
        to_onnx(model)


def test_categories_that_are_one_number():
    large = pd.Categorical(16_777_216 + X["count"].to_numpy() % 2)
    model = TabularClassifier(QUICK, random_state=0).fit(X.assign(code=large), LABEL)
    with pytest.raises(ValueError, match=r"'code'.*float64"):
        to_onnx(model)
    to_onnx(model, dtype="float64")


def test_an_encoder_of_ones_own():
    class Own(TableEncoder):
        pass

    model = TabularClassifier(QUICK, random_state=0).fit(X, LABEL)
    model.encoder_.__class__ = Own
    with pytest.raises(NotImplementedError, match="only TableEncoder"):
        to_onnx(model)


def test_an_empty_string_that_is_a_category():
    texts = X[["size"]].assign(color=X["color"].fillna("").astype(object))
    model = TabularClassifier(QUICK, random_state=0).fit(texts, LABEL)
    proto = to_onnx(model)
    found = run(proto, feed(proto, texts))[1]
    np.testing.assert_allclose(found, model.predict_proba(texts), atol=1e-5)


# ------------------------------------------------------------ numbers near a limit


def test_rounded_numbers_keep_their_place_among_quantiles():
    """Numbers such as .1 are others in float32: where many are equal, that must not matter."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "a": rng.integers(0, 4, 300) / 10, "b": rng.integers(0, 90, 300) / 70,
        "c": np.round(rng.normal(size=300), 1),
    })  # fmt: skip
    y = np.where(frame["a"] + frame["b"] > 0.6, "yes", "no")
    for preset in (QUICK, small("tabm")):
        model = TabularClassifier(preset, random_state=0).fit(frame, y)
        proto = to_onnx(model)
        label, found = run(proto, feed(proto, frame))
        np.testing.assert_array_equal(label, model.predict(frame))
        np.testing.assert_allclose(found, model.predict_proba(frame), atol=1e-5)


def test_quantiles_that_rounding_makes_one():
    """A quantile between two values may be next to one of them, many times over."""
    values = np.array([1.0, 2, np.nextafter(4, 0), 4, 4, 4, 5, 7])
    scale = Quantile(values, len(values))
    graph = _Steps(scale, np.float32)
    assert len(graph.knots) == 5
    assert graph.middle[2] == pytest.approx(4 / 7)  # of the three, not of the four


def scaled(scales, x, add=add_scaled):
    graph = Graph(18, np.float64)
    made = (
        add(graph, scales, "x", [graph.dtype] * len(scales))
        if add is add_scaled
        else add(graph, "x")
    )
    graph.add("Identity", made, name="y")
    shape = ["n", x.shape[1]]
    helper = onnx.helper
    model = helper.make_model(
        graph.proto("g", [("x", np.float64, shape)], [("y", np.float64, shape)]),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=9,
    )  # fmt: skip
    return run(model, {"x": x})[0]


def test_quantiles_of_the_normal_distribution():
    share = np.linspace(0, 1, 100_001)
    found = scaled(None, share[:, None], add=_normal)[:, 0]
    expected = ndtri(np.clip(share, LOWEST_SHARE, 1 - LOWEST_SHARE))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(
    "make", [lambda x: Quantile(x, 30), lambda x: Robust(x, 3.0), Standard, Plain]
)
def test_scales(make):
    rng = np.random.default_rng(0)
    columns = np.column_stack([
        rng.normal(size=200), np.round(rng.normal(size=200)), np.full(200, 2.0),
        rng.integers(0, 2, 200), np.exp(30 * rng.normal(size=200)),
    ])  # fmt: skip
    scales = [make(np.sort(column)) for column in columns.T]
    far = np.vstack([columns, columns + 1e-9, 1.5 * columns, -columns, columns - 1e-9])
    expected = np.column_stack([one.apply(x) for one, x in zip(scales, far.T, strict=True)])
    np.testing.assert_allclose(scaled(scales, far), expected, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------ any table


def single(values):
    """Numbers that are the same in float32."""
    return np.asarray(values, np.float32).astype(float)


def holed(values, rng):
    gone = rng.random(len(values)) < 0.15
    return pd.Series(
        [None if one else v for v, one in zip(values, gone, strict=True)], dtype=object
    )


COLUMNS = [
    lambda rng, n: single(rng.normal(size=n)),
    lambda rng, n: np.round(rng.normal(size=n)),
    lambda rng, n: np.where(rng.random(n) < 0.3, np.nan, single(rng.gamma(1, size=n) * 1e4)),
    lambda rng, n: holed(rng.choice(["a", "b", "c"], n).tolist(), rng),
    lambda rng, n: rng.choice([f"c{i}" for i in range(40)], n),
    lambda rng, n: holed((rng.random(n) < 0.5).tolist(), rng),
    lambda rng, n: rng.random(n) < 0.5,
    lambda rng, n: pd.Categorical(rng.choice(["x", "y", ""], n)),
    lambda rng, n: pd.Categorical(rng.integers(-3, 9, n)),
    lambda rng, n: holed(rng.integers(0, 4, n).tolist(), rng),
    lambda rng, n: pd.Series(rng.integers(0, 9, n)).astype("Int64").mask(rng.random(n) < 0.2),
    lambda rng, n: rng.choice(np.array([1, "3", 2.5, "q"], object), n),
]
ANY_PRESET = [
    lambda rng: RealMLP(
        n_members=2, max_iter=1, min_updates=0, hidden_layer_sizes=(8,),
        one_hot_max=int(rng.choice([2, 3, 255])),
        numeric=str(rng.choice(["both", "quantile", "robust"])),
    ),
    lambda rng: TabM(n_members=2, units=8, max_iter=1),
    lambda rng: ResNet(units=8, hidden_units=8, max_iter=1),
    lambda rng: RealMLPTD(max_iter=1, hidden_layer_sizes=(8,), one_hot_max=int(rng.integers(9))),
]  # fmt: skip


def check_any_table(seed):
    """Compare on a table of random columns, half of which the model was not fitted to."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(30, 200))
    chosen = rng.integers(len(COLUMNS), size=rng.integers(1, 6))
    frame = pd.DataFrame({f"column {j}": COLUMNS[i](rng, n) for j, i in enumerate(chosen)})
    frame["number"] = single(rng.normal(size=n))
    y = rng.choice(["u", "v", "w"], n)
    preset = ANY_PRESET[seed % len(ANY_PRESET)](rng)
    model = TabularClassifier(preset, random_state=0).fit(frame[: n // 2], y[: n // 2])
    proto = to_onnx(model)
    label, found = run(proto, feed(proto, frame))
    np.testing.assert_array_equal(label, model.predict(frame))
    np.testing.assert_allclose(found, model.predict_proba(frame), atol=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_any_table(seed):
    check_any_table(seed)


@pytest.mark.slow
def test_any_table_of_many():
    """``pytest -m slow tests/test_onnx_tabular.py``."""
    for seed in range(12, 400):
        check_any_table(seed)
