"""ONNX: estimators, with each loss and kind of target, by two runtimes."""

import importlib

import numpy as np
import pytest
from _onnx import onnx, runs
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skbp import (
    BackpropClassifier,
    BackpropRegressor,
    BackpropSequenceModel,
    Ensemble,
    HiddenFeatures,
    to_onnx,
)
from skbp.activations import Activation, Tanh
from skbp.layers import (
    GRU,
    CategoryEmbedding,
    ColumnBranch,
    Conv1D,
    Dense,
    Embedding,
    EmbeddingBag,
    FeatureTokenizer,
    Flatten,
    GlobalMaxPool,
    Input,
    Layer,
    MultiHeadAttention,
    PositionalEncoding,
    SequencePool,
    Tied,
    TokenEmbedding,
    TransformerEncoder,
)
from skbp.losses import LOSSES, Quantile, SquaredError
from skbp.persistence.onnx.losses import FACES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS = {
    "binary": (X[:, 0] > 0).astype(int),
    "multiclass": np.arange(60) % 3,
    "multilabel": (X[:, :3] > 0).astype(int),
    "one_class": np.full(60, 5),
}
NUMBERS = np.abs(X[:, :2]) + 0.1
#: float32 models of float32 networks; float64 ones of float64 networks.
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
MEMBERS = [1, 3, Ensemble(2, rows="bootstrap")]


def fitted(estimator, X, y=None, dtype="float32", spread=1.0):
    """Fit a little, and draw the parameters: far from their first values, outputs large."""
    estimator.set_params(max_iter=2, random_state=0, dtype=dtype).fit(X, y)
    network, rng = estimator._network, np.random.default_rng(1)
    network.params += spread * rng.normal(size=network.params.size).astype(network.params.dtype)
    return estimator


def close(found, expected, dtype="float32"):
    assert found.shape == expected.shape
    assert found.dtype == dtype
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


CLASSIFIES = [
    (loss, kind)
    for loss, cls in LOSSES.items()
    for kind in LABELS
    if {"one_class": "binary"}.get(kind, kind) in cls().targets
]


def test_every_loss_is_here():
    kinds = ("binary", "multiclass", "multilabel", "numbers")
    assert {type(loss().for_targets(kind)) for loss in LOSSES.values() for kind in kinds} <= set(
        FACES
    )


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("n_members", MEMBERS, ids=str)
@pytest.mark.parametrize("loss, kind", CLASSIFIES)
def test_a_classifier(loss, kind, n_members, dtype):
    net = BackpropClassifier((5,), loss=loss, n_members=n_members)
    net, rows = fitted(net, X, LABELS[kind], dtype), X.astype(dtype)
    for found in runs(to_onnx(net, dtype=dtype), rows):
        label = found.pop("label")
        assert label.dtype == np.int64
        np.testing.assert_array_equal(label, net.predict(rows))
        if loss == "hinge":
            close(found.pop("scores"), net.decision_function(rows).reshape(60, -1), dtype)
        else:
            close(found.pop("probabilities"), net.predict_proba(rows), dtype)
        assert not found


REGRESSIONS = [name for name, loss in LOSSES.items() if "numbers" in loss.targets]
REGRESSIONS += [Quantile([0.1, 0.5, 0.9]), Quantile([0.3])]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("n_members", MEMBERS, ids=str)
@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("loss", REGRESSIONS, ids=str)
def test_a_regressor(loss, n_targets, n_members, dtype):
    y = NUMBERS / NUMBERS.max() if n_targets == 2 else NUMBERS[:, 0] / NUMBERS.max()
    net = BackpropRegressor((5,), loss=loss, n_members=n_members)
    net, rows = fitted(net, X, y, dtype, spread=0.5), X.astype(dtype)
    expected = net.predict(rows)
    if expected.ndim == 1:
        expected = expected[:, None]
    for found in runs(to_onnx(net, dtype=dtype), rows):
        scale = np.maximum(1, np.abs(expected).max())
        close(found.pop("variable") / scale, expected / scale, dtype)
        if net._loss.has_std:
            close(found.pop("std"), net.predict(rows, return_std=True)[1].reshape(60, -1), dtype)
        assert not found


@pytest.mark.parametrize("opset", [13, 14, 17, 20, 21, onnx.defs.onnx_opset_version()])
@pytest.mark.parametrize("n_members", [1, 3])
def test_opsets(opset, n_members):
    net = fitted(BackpropClassifier((5,), n_members=n_members), X, LABELS["multiclass"])
    model = to_onnx(net, opset=opset)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", opset)]
    for found in runs(model, X):
        close(found["probabilities"], net.predict_proba(X))


def test_a_model_is_as_old_as_it_can_be():
    # so that older runtimes read it
    net = fitted(BackpropClassifier((5,)), X, LABELS["binary"])
    assert to_onnx(net).ir_version == 8
    assert to_onnx(net, opset=13).ir_version == 7


def test_names_kinds_and_shapes():
    # as skl2onnx gives for MLPClassifier and MLPRegressor, without ZipMap
    def told(model):
        return [
            (
                one.name,
                one.type.tensor_type.elem_type,
                [d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim],
            )
            for one in (*model.graph.input, *model.graph.output)
        ]

    float32, int64, text = 1, 7, 8
    names = np.array(["no", "yes"])[LABELS["binary"]]
    assert told(to_onnx(fitted(BackpropClassifier((5,)), X, names))) == [
        ("X", float32, ["N", 4]),
        ("label", text, ["N"]),
        ("probabilities", float32, ["N", 2]),
    ]
    several = fitted(BackpropClassifier((5,)), X, LABELS["multilabel"])
    assert told(to_onnx(several))[1:] == [
        ("label", int64, ["N", 3]),
        ("probabilities", float32, ["N", 3]),
    ]
    assert told(to_onnx(fitted(BackpropRegressor((5,)), X, NUMBERS)))[1:] == [
        ("variable", float32, ["N", 2])
    ]


# ------------------------------------------------------------ labels

NAMED = {
    "str": np.array(["b", "a", "Zoë"]),
    "object": np.array(["b", "a", "c"], dtype=object),
    "int": np.array([7, -3, 10**12]),
    "uint8": np.array([7, 3, 255], np.uint8),
    "float": np.array([7.0, -3.0, 0.0]),
    "bool": np.array([True, False]),
}


@pytest.mark.parametrize("kind", NAMED)
def test_labels(kind):
    y = NAMED[kind][np.arange(60) % len(NAMED[kind])]
    net = fitted(BackpropClassifier((5,)), X, y)
    for found in runs(to_onnx(net), X):
        assert found["label"].dtype == (object if kind in ("str", "object") else np.int64)
        np.testing.assert_array_equal(found["label"], net.predict(X))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([b"a", b"b"]),
        np.array([0.0, 1e300]),
        np.array([1, 2**63], np.uint64),
        np.array(["2020-01-01", "2021-01-01"], "M8[D]"),
    ],
)
def test_labels_that_onnx_has_not(labels):
    net = fitted(BackpropClassifier((5,)), X, LABELS["binary"])
    net._targets.classes = net.classes_ = labels
    with pytest.raises(ValueError, match=r"strings or whole numbers.*LabelEncoder"):
        to_onnx(net)


# ------------------------------------------------------------ sequences

CODES = RNG.integers(1, 7, (40, 6))
CODES[np.arange(6) >= RNG.integers(1, 8, 40)[:, None]] = 0
SEQUENCE_MODELS = {
    "as it is": BackpropSequenceModel(),
    "without padding": BackpropSequenceModel(padding_index=None),
    "tied": BackpropSequenceModel(
        [Embedding(7, 8, padding_index=0, name="tokens"), PositionalEncoding("learned"),
         TransformerEncoder(2, 8, causal=True), Tied("tokens.weight", 7)]
    ),
    "focal": BackpropSequenceModel([Embedding(7, 4), Dense(5)], loss="focal"),
    "crops": BackpropSequenceModel(crops=4, padding_index=0),
}  # fmt: skip


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", SEQUENCE_MODELS)
def test_a_sequence_model(name, dtype):
    model = SEQUENCE_MODELS[name]
    codes = np.where(CODES == 0, 1, CODES) if name in ("without padding", "crops") else CODES
    model = fitted(model, codes.astype(dtype), dtype=dtype, spread=0.3)
    rows = codes.copy()
    if model.padding_index is not None:
        rows[0], rows[1, 1:] = 0, 0  # no symbol, one symbol
    rows = rows.astype(dtype)
    for found in runs(to_onnx(model, dtype=dtype), rows):
        close(found.pop("probabilities"), model.predict_proba(rows).astype(dtype), dtype)
        assert not found


def test_padding_before_a_symbol_becomes_nan():
    model = fitted(BackpropSequenceModel(), CODES.astype(np.float32))
    rows = np.array([[1, 2, 3, 0, 0, 0], [1, 0, 3, 0, 0, 0], [0, 0, 0, 0, 0, 1]], np.float32)
    for found in runs(to_onnx(model), rows):
        bad = np.isnan(found["probabilities"]).all(axis=1)
        assert bad.tolist() == [False, True, True]
    with pytest.raises(ValueError, match="padding"):
        model.predict_proba(rows[1:2])


@pytest.mark.parametrize("place", [0, 3, 5])
def test_symbols_that_are_none_become_nan(place):
    model = fitted(BackpropSequenceModel([Embedding(20, 4), GRU(3, True)]), CODES)
    rows = np.tile(np.arange(1, 7, dtype=np.float32), (4, 1))
    rows[1:, place] = [7, 2.5, np.nan]
    for found in runs(to_onnx(model), rows):
        bad = np.isnan(found["probabilities"]).all(axis=1)
        assert bad.tolist() == [False, True, True, True]
    with pytest.raises(ValueError, match="codes of symbols"):
        model.predict_proba(rows[1:2])


SERIES = RNG.normal(size=(60, 6, 4))
SERIES[RNG.random((60, 6)) < 0.3] = np.nan
SERIES[0] = np.nan
SHORTER = {
    "gru": ([GRU(3, bidirectional=True)], SERIES),
    "codes": ([Embedding(7, 4, padding_index=0), PositionalEncoding(), SequencePool()], CODES),
    "attention": (
        [MultiHeadAttention(2, causal=True, positions="rotary"), SequencePool("last")],
        SERIES,
    ),
    "learned": ([PositionalEncoding("learned", max_len=6), GlobalMaxPool()], SERIES),
}


@pytest.mark.parametrize("name", SHORTER)
def test_shorter_sequences(name):
    layers, rows = SHORTER[name]
    rows = rows[:40].astype(np.float32)
    net = fitted(BackpropClassifier(layers=layers), rows, np.arange(40) % 3)
    model = to_onnx(net)
    time = model.graph.input[0].type.tensor_type.shape.dim[1]
    assert time.dim_param == "time"
    for length in (6, 4, 1):
        some, whole = rows[:, :length], rows.copy()
        whole[:, length:] = 0 if name == "codes" else np.nan
        for found in runs(model, some):
            close(found["probabilities"], net.predict_proba(whole))
            np.testing.assert_array_equal(found["label"], net.predict(whole))


@pytest.mark.parametrize(
    "layers, rows",
    [
        ([GRU(3, return_sequences=True), Flatten()], SERIES[1:2].repeat(40, axis=0) * 0),
        ([Conv1D(3, 2, padding=1), GlobalMaxPool()], SERIES),
        ([Input((6, 4)), GRU(3)], SERIES.reshape(60, 24)),
        ([Embedding([7] * 6, 4), GRU(3)], CODES),
    ],
    ids=["flatten", "windows", "flat", "columns"],
)
def test_where_the_length_is_fixed(layers, rows):
    rows = np.nan_to_num(rows[:40]).astype(np.float32)
    net = fitted(BackpropClassifier(layers=layers), rows, np.arange(40) % 3)
    model = to_onnx(net)
    assert not any(d.dim_param == "time" for d in model.graph.input[0].type.tensor_type.shape.dim)
    for found in runs(model, rows):
        close(found["probabilities"], net.predict_proba(rows))


WRONG_CODES = [7, -1, 0.5, np.nan, 1e30]
TAKE_CODES = {
    "gru": ([Embedding(7, 4, padding_index=0), GRU(3)], np.where(CODES == 0, 1, CODES)),
    "gru of some that end": ([Embedding(7, 4, padding_index=0), GRU(3)], CODES),
    "bag": ([EmbeddingBag(7, 4, padding_index=0)], CODES),
    "tokens": ([TokenEmbedding(7, 4, 1), SequencePool("max")], CODES),
    "categories": ([CategoryEmbedding([7, 7], [2, 1]), Dense(3)], CODES),
    "tokenizer": ([FeatureTokenizer(4, [7]), Flatten()], CODES),
    "branch": ([ColumnBranch([([5], [Embedding(7, 2), Flatten()]), ([0], Dense(3))])], CODES),
}


@pytest.mark.parametrize("name", TAKE_CODES)
def test_codes_that_are_none_become_nan(name):
    layers, rows = TAKE_CODES[name]
    net = fitted(BackpropClassifier(layers=layers), rows.astype(np.float32), np.arange(40) % 3)
    rows = np.tile(rows[:1], (6, 1)).astype(np.float32)
    rows[1:, 5] = WRONG_CODES
    for found in runs(to_onnx(net), rows):
        assert np.isnan(found["probabilities"]).all(axis=1).tolist() == [False] + [True] * 5
        close(found["probabilities"][:1], net.predict_proba(rows[:1]))
    for row in range(1, 6):
        with pytest.raises(ValueError, match=r"code|NaN"):
            net.predict_proba(rows[row : row + 1])


def test_absent_steps_where_none_may_be_become_nan():
    layers = [Embedding(7, 4, padding_index=0), Flatten()]
    rows = np.where(CODES == 0, 1, CODES).astype(np.float32)
    net = fitted(BackpropClassifier(layers=layers), rows, np.arange(40) % 3)
    rows[3, 2] = 0
    for found in runs(to_onnx(net), rows):
        bad = np.isnan(found["probabilities"]).any(axis=1)
        assert np.flatnonzero(bad).tolist() == [3]
    with pytest.raises(ValueError, match="absent"):
        net.predict(rows)


def test_a_step_of_which_a_part_is_missing_is_not_absent():
    net = fitted(BackpropClassifier(layers=[GRU(3)]), SERIES, np.arange(60) % 3)
    rows = np.nan_to_num(SERIES[:3]).astype(np.float32)
    rows[1, 2, 0] = np.nan
    for found in runs(to_onnx(net), rows):
        bad = np.isnan(found["probabilities"]).any(axis=1)
        assert bad.tolist() == [False, True, False]
    with pytest.raises(ValueError, match="NaN"):
        net.predict(rows)


# ------------------------------------------------------------ hidden layers


@pytest.mark.parametrize("layer", [0, 1, -2, -1])
def test_hidden_features(layer):
    net = BackpropClassifier((5, 4), n_members=3)
    features = HiddenFeatures(fitted_frozen(net, X, LABELS["binary"]), layer).fit(X)
    for found in runs(to_onnx(features), X):
        close(found.pop("variable"), features.transform(X))
        assert not found


def test_hidden_features_of_sequences():
    net = BackpropClassifier(layers=[GRU(3, return_sequences=True), SequencePool()])
    net, rows = fitted_frozen(net, SERIES, np.arange(60) % 3), SERIES.astype(np.float32)
    for layer, any_length in ((0, False), (1, True)):
        features = HiddenFeatures(net, layer).fit(SERIES)
        model = to_onnx(features)
        time = model.graph.input[0].type.tensor_type.shape.dim[1]
        assert (time.dim_param == "time") == any_length
        for found in runs(model, rows):
            close(found["variable"], features.transform(rows).astype(np.float32))


@pytest.mark.parametrize("name", ["as it is", "tied"])
def test_hidden_features_of_a_sequence_model(name):
    rows = CODES.astype(np.float64)
    model = fitted_frozen(SEQUENCE_MODELS[name], rows, None, "float64")
    for layer in range(len(model.estimator._network.layers)):
        features = HiddenFeatures(model, layer).fit(rows)
        for found in runs(to_onnx(features, dtype="float64"), rows):
            close(found["variable"], features.transform(rows), "float64")


def fitted_frozen(net, X, y, dtype="float32"):
    return FrozenEstimator(fitted(net, X, y, dtype))


# ------------------------------------------------------------ what cannot be exported


class Mine(Layer):
    def forward(self, x, p, w, ctx):
        return x

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return dy


class MyTanh(Tanh):
    pass


class MyError(SquaredError):
    pass


@pytest.mark.parametrize(
    "params, words",
    [
        ({"layers": [Dense(3), Mine()]}, r"Mine\(\).*layers of skbp.layers"),
        ({"activation": MyTanh()}, r"MyTanh\(\).*Use one of \['ELU'"),
        ({"loss": MyError()}, r"MyError\(\).*losses of skbp"),
    ],
)
def test_what_is_ones_own(params, words):
    assert issubclass(MyTanh, Activation)
    net = fitted(BackpropRegressor(**params), X, NUMBERS)
    with pytest.raises(NotImplementedError, match=words):
        to_onnx(net)


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), make_pipeline(PCA(), BackpropClassifier()), None]
)
def test_other_estimators(estimator):
    with pytest.raises(TypeError, match=r"to_onnx takes BackpropClassifier, .*Got"):
        to_onnx(estimator)


def test_hidden_features_of_a_pipeline():
    features = HiddenFeatures(make_pipeline(PCA(2), BackpropRegressor((3,), max_iter=2)))
    with pytest.raises(TypeError, match="behind these steps"):
        to_onnx(features.fit(X, NUMBERS))


@pytest.mark.parametrize("opset", [12, 10**6, 18.0, True, "18", None])
def test_opset_out_of_range(opset):
    with pytest.raises(ValueError, match=r"opset must be an int from 13 to \d+. Got"):
        to_onnx(BackpropClassifier(), opset=opset)


@pytest.mark.parametrize("dtype", ["float16", int, "no such", None, object()])
def test_other_dtypes(dtype):
    with pytest.raises(ValueError, match=r"dtype must be 'float32' or 'float64'\. Got"):
        to_onnx(BackpropClassifier(), dtype=dtype)


def test_unfitted():
    for estimator in (BackpropClassifier(), BackpropSequenceModel(), HiddenFeatures(None)):
        with pytest.raises(NotFittedError):
            to_onnx(estimator)


def test_without_the_package(monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib.import_module("skbp._optional"), "import_module",
                        refuse)  # fmt: skip
    with pytest.raises(ImportError, match=r'pip install "skbp\[onnx\]"'):
        to_onnx(BackpropClassifier())


def test_nothing_of_the_estimator_changes():
    net = fitted(BackpropClassifier((5,)), X, LABELS["binary"])
    params, state = net._network.params.copy(), sorted(vars(net))
    first = to_onnx(net).SerializeToString()
    assert to_onnx(net).SerializeToString() == first  # the same bytes again
    assert sorted(vars(net)) == state
    np.testing.assert_array_equal(net._network.params, params)
