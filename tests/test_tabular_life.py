"""Estimators for tables in scikit-learn's world: callbacks, warm starts, pieces, files, checks."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp
from sklearn.base import clone
from sklearn.callback import ScoringMonitor
from sklearn.inspection import PartialDependenceDisplay, partial_dependence, permutation_importance
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skbp.callbacks import (
    Call,
    Callback,
    Checkpoint,
    EarlyStopping,
    TensorBoard,
    latest,
    read_state,
)
from skbp.estimators import _fit
from skbp.inspection import LossCurveDisplay, summary
from skbp.tabular import RealMLP, TabularClassifier, TabularRegressor
from skbp.tabular.presets import PRESETS

TINY = RealMLP(n_members=2, hidden_layer_sizes=(16,), max_iter=8, min_updates=0, batch_size=32,
               n_folds=4, min_gain=0.0)  # fmt: skip


def table(n=300, seed=0):
    """Draw a table, labels and numbers that depend on it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({
        "size": rng.gamma(2.0, size=n),
        "color": rng.choice(["red", "green", "blue"], n),
        "noise": rng.normal(size=n),
    })  # fmt: skip
    value = frame["size"] + 2.0 * (frame["color"] == "red") + 0.1 * rng.normal(size=n)
    return frame, np.where(value > 2.5, "dear", "cheap"), 100 + 10 * np.asarray(value)


X, LABEL, VALUE = table()
BOTH = pytest.mark.parametrize(
    "cls, y", [(TabularClassifier, LABEL), (TabularRegressor, VALUE)], ids=["classes", "numbers"]
)


def output(model, rows=X):
    """Return what a model says of rows."""
    return getattr(model, "predict_proba", model.predict)(rows)


def state(model):
    """Return all that a fitted model is, as bytes."""
    return pickle.dumps(model)


# ------------------------------------------------------------ callbacks


class Protocol:
    """Keeps what the hooks were given; ends a training after some epochs."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.calls, self.seen, self.told = [], [], []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.calls.append(("begin", context.task_name))
        self.told = estimator, X, y, metadata, context.estimator_name, context.max_subtasks

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.calls.append(("end", context.task_name))
        self.seen.append((fitted_estimator, output(fitted_estimator)))
        return len(self.seen) == self.stop_after

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))


@BOTH
def test_hooks_are_told_of_the_estimator_and_the_raw_table(cls, y):
    callback, weight = Protocol(stop_after=2), np.full(len(X), 2.0)
    model = cls(TINY, random_state=0)
    assert model.set_callbacks(callback) is model
    model.fit(X, y, sample_weight=weight)
    assert callback.calls == [
        ("setup", "fit"), ("begin", "fit"), ("begin", "epoch"), ("end", "epoch"),
        ("begin", "epoch"), ("end", "epoch"), ("end", "fit"), ("teardown", "fit"),
    ]  # fmt: skip
    estimator, rows, targets, metadata, name, _ = callback.told
    assert estimator is model and rows is X and targets is y and name == cls.__name__
    np.testing.assert_array_equal(metadata["sample_weight"], weight)
    assert model.n_iter_ == 2 == len(model.loss_curve_)
    np.testing.assert_array_equal(callback.seen[-1][1], output(model))


@BOTH
def test_models_of_an_epoch_are_models(cls, y):
    callback = Protocol()
    plain = cls(TINY, random_state=0).fit(X, y)
    model = cls(TINY, random_state=0).set_callbacks(callback).fit(X, y)
    np.testing.assert_array_equal(output(model), output(plain))
    assert len(callback.seen) == model.n_iter_ + 1 == TINY.max_iter + 1
    for number, (seen, then) in enumerate(callback.seen[:-1], start=1):
        np.testing.assert_array_equal(output(seen), then)  # it has not changed since
        assert seen.n_iter_ == len(seen.loss_curve_) == number
        assert seen._skl_callbacks == [callback]
        again = pickle.loads(pickle.dumps(seen.set_callbacks()))
        np.testing.assert_array_equal(output(again), then)
    assert set(vars(model)) - set(vars(plain)) == {"_skl_callbacks"}
    assert model._skl_callbacks == [callback]
    assert set(vars(model.network_)) == set(vars(plain.network_))
    assert not {"_outside", "_skl_callbacks"} & set(vars(model.network_))
    last = callback.seen[-2][0]
    if cls is TabularClassifier:
        assert last.temperature_ == 1.0 != model.temperature_
        assert (last.predict(X) == model.predict(X)).mean() > 0.98
    else:
        np.testing.assert_array_equal(output(last), output(model))


def test_scores_are_in_units_of_the_targets():
    monitor = ScoringMonitor(scoring="neg_root_mean_squared_error")
    model = TabularRegressor(TINY, random_state=0).set_callbacks(monitor).fit(X, VALUE)
    scores = monitor.get_logs().data_as_pandas["neg_root_mean_squared_error"]
    assert len(scores) == model.n_iter_ + 1
    error = root_mean_squared_error(VALUE, model.predict(X))
    assert scores.iloc[-1] == pytest.approx(-error) and error > 1.0
    assert monitor.get_logs().estimator_name == "TabularRegressor"


def test_our_callbacks():
    epochs = []
    model = TabularRegressor(TINY, random_state=0)
    stopping = EarlyStopping("loss", 1, min_delta=100.0)
    model.set_callbacks(Call(epochs.append), stopping).fit(X, VALUE)
    assert model.n_iter_ == 2 == len(epochs)
    assert epochs[1]["loss"] == model.loss_curve_[1]
    model.set_callbacks().fit(X, VALUE)
    assert model.n_iter_ == TINY.max_iter and len(epochs) == 2


def test_candidates_of_a_search_are_told_apart():
    class Writer:
        def __init__(self):
            self.names = set()

        def add_scalar(self, name, value, global_step):
            self.names.add(name)

    writer = Writer()
    model = TabularClassifier(clone(TINY).set_params(max_iter=1), random_state=0)
    search = GridSearchCV(
        model.set_callbacks(TensorBoard(writer)), {"preset__dropout": [0.0, 0.1]}, cv=2
    )
    search.fit(X, LABEL)
    losses = {name for name in writer.names if name.endswith("/loss") or name == "loss"}
    assert len(losses) == 5 and "loss" in losses  # four candidates, and the refit


@BOTH
@pytest.mark.parametrize("min_gain", [0.0, 0.99])
def test_a_checkpoint_goes_on_with_the_same_bits(cls, y, min_gain, tmp_path):
    preset = clone(TINY).set_params(max_iter=15, min_gain=min_gain)
    whole = cls(preset, random_state=0).fit(X, y)
    assert whole.n_iter_ == (7 if min_gain else 15)  # the third wave ends at 7 / 15
    stop = Call(lambda epoch: epoch["epoch"] == 5)
    stopped = cls(preset, random_state=0).set_callbacks(Checkpoint(tmp_path), stop).fit(X, y)
    assert stopped.n_iter_ == 5
    resumed = cls(preset, random_state=0).set_callbacks(Checkpoint(tmp_path, resume=True))
    resumed.fit(X, y)
    assert resumed.n_iter_ == whole.n_iter_
    np.testing.assert_array_equal(output(resumed), output(whole))
    np.testing.assert_array_equal(resumed.calibration_scores_, whole.calibration_scores_)


@BOTH
def test_a_callback_that_fails_leaves_the_model_as_it_was(cls, y):
    def fail(epoch):
        raise RuntimeError("no space left")

    model = cls(TINY, random_state=np.random.RandomState(0), warm_start=True).fit(X, y)
    expected, before = output(model), state(model)
    with pytest.raises(RuntimeError, match="no space"):
        model.set_callbacks(Call(fail)).fit(X, y)
    np.testing.assert_array_equal(output(model), expected)
    assert state(model.set_callbacks()) == before
    with pytest.raises(TypeError, match="FitCallback"):
        model.set_callbacks("stop")


# ------------------------------------------------------------ warm starts


@BOTH
def test_a_warm_start_goes_on(cls, y):
    cold = cls(TINY, random_state=0).fit(X, y)
    model = cls(TINY, random_state=0, warm_start=True).fit(X, y)
    np.testing.assert_array_equal(output(model), output(cold))
    encoder, losses = model.encoder_, list(model.loss_curve_)
    model.fit(X, y)
    assert model.encoder_ is encoder
    assert model.loss_curve_[: len(losses)] == losses and len(model.loss_curve_) == 16
    assert model.n_iter_ == 8 and 1 <= model.best_epoch_ <= 8
    assert model.loss_curve_[8] < model.loss_curve_[0]
    assert model.score(X, y) > cold.score(X, y) - 0.02
    expected = output(cold)
    np.testing.assert_array_equal(output(cold.fit(X, y)), expected)


def test_a_warm_start_leaves_the_same_rows_out(monkeypatch):
    held_out, real = [], _fit.split

    def split(*args):
        found = real(*args)
        held_out.append(found[1])
        return found

    monkeypatch.setattr(_fit, "split", split)
    model = TabularRegressor(TINY, random_state=0, warm_start=True).fit(X, VALUE).fit(X, VALUE)
    np.testing.assert_array_equal(*held_out)
    model = TabularClassifier(TINY, random_state=0, warm_start=True).fit(X, LABEL)
    unseen = np.isnan(model.oof_decision_function_)
    assert 100 < unseen.sum() < 200  # those of the folds that nobody leaves out
    np.testing.assert_array_equal(np.isnan(model.fit(X, LABEL).oof_decision_function_), unseen)


@BOTH
def test_a_warm_start_without_learning_changes_nothing(cls, y):
    still = clone(TINY).set_params(learning_rate=1e-12)
    model = cls(TINY, random_state=0, warm_start=True).fit(X, y)
    expected = output(model)
    if cls is TabularClassifier:
        assert abs(model.temperature_ - 1) > 0.01
    model.set_params(preset=still).fit(X, y)
    np.testing.assert_allclose(output(model), expected, rtol=2e-4)


@BOTH
def test_a_warm_start_that_cannot_be(cls, y):
    model = cls(TINY, random_state=0, warm_start=True).fit(X, y)
    before = state(model)
    for rows in (X.rename(columns={"size": "width"}), X[["size", "color"]]):
        with pytest.raises(ValueError, match="feature names"):
            model.fit(rows, y)
    model.set_params(preset__hidden_layer_sizes=(9,))
    with pytest.raises(ValueError, match="do not match the fitted network"):
        model.fit(X, y)
    model.set_params(preset__hidden_layer_sizes=(16,))
    assert state(model) == before
    with pytest.raises(ValueError, match="'warm_start'"):
        model.set_params(warm_start="yes").fit(X, y)
    if cls is TabularClassifier:
        with pytest.raises(ValueError, match="same classes"):
            model.set_params(warm_start=True).fit(X, np.where(y == "dear", "dear", "fair"))
    else:
        with pytest.raises(ValueError, match="2 outputs"):
            model.set_params(warm_start=True).fit(X, np.column_stack([y, y]))


def test_a_warm_start_keeps_the_scale_of_the_targets():
    model = TabularRegressor(TINY, random_state=0, warm_start=True).fit(X, VALUE)
    mean, scale = model.target_mean_, model.target_scale_
    model.fit(X, VALUE + 30)
    assert (model.target_mean_, model.target_scale_) == (mean, scale)
    assert model.target_range_ == (VALUE.min(), VALUE.max() + 30)
    assert abs(model.predict(X).mean() - (VALUE + 30).mean()) < 5


# ------------------------------------------------------------ pieces


def in_pieces(model, y, passes, size=60, **first):
    """Train on a table piece by piece, several times."""
    for _ in range(passes):
        for start in range(0, len(X), size):
            piece = slice(start, start + size)
            model.partial_fit(X[piece], y[piece], **first)
            first = {}
    return model


def test_pieces_of_a_table():
    model = in_pieces(TabularClassifier(TINY, random_state=0), LABEL, 12, classes=["cheap", "dear"])
    assert model.score(X, LABEL) > 0.9
    assert model.classes_.tolist() == ["cheap", "dear"] and model.temperature_ == 1.0
    assert model.n_iter_ == 1 and model.network_.t_ == 12 * 300 and len(model.loss_curve_) == 60
    model = in_pieces(TabularRegressor(TINY, random_state=0), VALUE, 12)
    assert model.score(X, VALUE) > 0.85
    assert model.target_range_ == (VALUE.min(), VALUE.max())


@BOTH
def test_the_encoder_is_that_of_the_first_call(cls, y):
    classes = {"classes": np.unique(y)} if cls is TabularClassifier else {}
    first = X[:80].assign(color=np.where(np.arange(80) % 2, "red", "green"))
    model = cls(TINY, random_state=0).partial_fit(first, y[:80], **classes)
    encoder = model.encoder_
    expected = cls(TINY).fit(first, y[:80]).encoder_
    np.testing.assert_array_equal(encoder.transform(X), expected.transform(X))
    model.partial_fit(X, y)
    assert model.encoder_ is encoder
    assert encoder.categories_["color"].tolist() == ["green", "red"]  # blue stays unseen
    model.fit(X, y)
    assert model.encoder_.categories_["color"].tolist() == ["blue", "green", "red"]


@BOTH
def test_a_piece_after_fit(cls, y):
    model = cls(TINY, random_state=0).fit(X, y)
    expected, temperature = output(model), getattr(model, "temperature_", None)
    still = clone(TINY).set_params(learning_rate=1e-12)
    model.set_params(preset=still).partial_fit(X[:50], y[:50])
    np.testing.assert_allclose(output(model), expected, rtol=1e-5)
    assert getattr(model, "temperature_", None) == temperature
    assert not hasattr(model, "oof_decision_function_")
    model.set_params(preset=TINY).partial_fit(X[:50], y[:50])
    assert not np.allclose(output(model), expected, rtol=1e-3)


def test_first_calls_as_those_of_scikit_learn():
    numbers = X[["size", "noise"]].to_numpy()
    for model in (MLPClassifier(), TabularClassifier(TINY)):
        with pytest.raises(ValueError, match="classes must be passed on the first call"):
            model.partial_fit(numbers, LABEL)
        model.partial_fit(numbers, LABEL, classes=["cheap", "dear"])
        with pytest.raises(ValueError, match="is not the same as on last call"):
            model.partial_fit(numbers, LABEL, classes=["cheap", "fair"])
        with pytest.raises(ValueError, match=r"classes|labels"):
            model.partial_fit(numbers, np.full(len(X), "fair"))


def test_pieces_that_cannot_be():
    model = TabularClassifier(TINY, random_state=0)
    with pytest.raises(ValueError, match="classes must be passed"):
        model.partial_fit(X, LABEL)
    assert not hasattr(model, "encoder_")
    model.partial_fit(X, LABEL, classes=["cheap", "dear"])
    before = state(model)
    for rows, y in ((X.drop(columns="size"), LABEL), (X, np.full(len(X), "fair"))):
        with pytest.raises(ValueError):
            model.partial_fit(rows, y)
    assert state(model) == before
    model = TabularRegressor(TINY, random_state=0).partial_fit(X, VALUE)
    before = state(model)
    with pytest.raises(ValueError, match="2 outputs, but TabularRegressor was fitted to 1"):
        model.partial_fit(X, np.column_stack([VALUE, VALUE]))
    assert state(model) == before


def test_pieces_call_no_callbacks_and_count_weights():
    told = []
    model = TabularRegressor(TINY, random_state=0).set_callbacks(Call(told.append))
    with pytest.warns(UserWarning, match="partial_fit calls no callbacks"):
        model.partial_fit(X, VALUE)
    assert told == [] and not hasattr(model.network_, "_skl_callbacks")
    weight = np.where(np.arange(len(X)) % 3, 1.0, 0.0)
    spoiled = X.assign(size=np.where(weight, X["size"], 1e9))
    one = TabularRegressor(TINY, random_state=0).partial_fit(spoiled, VALUE, sample_weight=weight)
    other = TabularRegressor(TINY, random_state=0).partial_fit(X[weight > 0], VALUE[weight > 0])
    np.testing.assert_allclose(output(one), output(other), rtol=1e-6)


def test_a_first_piece_of_few_rows():
    for n in (1, 2, 5):
        model = TabularRegressor(TINY, random_state=0).partial_fit(X[:n], VALUE[:n])
        assert np.isfinite(model.predict(X)).all()
        model.partial_fit(X, VALUE)
        assert np.isfinite(model.predict(X)).all()


# ------------------------------------------------------------ curves, files, lines


@BOTH
def test_curves(cls, y):
    model = cls(TINY, random_state=0)
    for name in ("loss_curve_", "validation_scores_", "best_epoch_", "history_"):
        assert not hasattr(model, name)
    model.fit(X, y)
    assert len(model.loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 8
    assert model.best_epoch_ == 1 + int(np.argmax(model.validation_scores_))
    assert model.history_["loss"] == model.loss_curve_
    assert len(model.history_.as_frame()) == 8
    few = cls(TINY, random_state=0).fit(X[:14], y[:14])
    assert few.validation_scores_ is None is few.best_epoch_


def test_inspection_of_the_network_inside(regressor):
    pytest.importorskip("matplotlib").use("Agg")
    display = LossCurveDisplay.from_estimator(regressor)
    assert list(display.loss) == regressor.loss_curve_
    assert summary(regressor).n_params == regressor.network_._network.params.size


@BOTH
def test_a_file_is_a_model_that_can_go_on(cls, y, tmp_path):
    model = cls(TINY, random_state=0, warm_start=True).fit(X, y)
    joblib.dump(model, tmp_path / "model")
    again = joblib.load(tmp_path / "model")
    np.testing.assert_array_equal(output(again), output(model))
    assert again.loss_curve_ == model.loss_curve_
    for go_on in (lambda one: one.fit(X, y), lambda one: one.partial_fit(X[:99], y[:99])):
        np.testing.assert_array_equal(output(go_on(again)), output(go_on(model)))


@BOTH
def test_a_line_an_epoch(cls, y, capsys):
    model = cls(TINY, random_state=0, verbose=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    name = "r2" if cls is TabularRegressor else "-log_loss * (error + 0.01)"
    assert len(lines) == model.n_iter_
    assert all(f", validation {name} = " in line for line in lines)
    cls(TINY, random_state=0).fit(X, y)
    assert capsys.readouterr().out == ""


# ------------------------------------------------------------ scikit-learn's inspection


@pytest.fixture(scope="module")
def regressor():
    preset = clone(TINY).set_params(max_iter=60)
    return TabularRegressor(preset, random_state=0).fit(X, VALUE)


def test_permutation_importance(regressor):
    found = permutation_importance(regressor, X, VALUE, n_repeats=3, random_state=0)
    size, color, noise = found.importances_mean
    assert size > 0.3 and color > 0.2 and abs(noise) < 0.05
    classifier = TabularClassifier(TINY, random_state=0).fit(X, LABEL)
    found = permutation_importance(classifier, X, LABEL, n_repeats=3, random_state=0)
    assert found.importances_mean[:2].min() > 0.05 > abs(found.importances_mean[2])
    assert not hasattr(regressor, "feature_importances_")


def test_partial_dependence(regressor):
    found = partial_dependence(regressor, X, ["size"], grid_resolution=8)
    grid, average = found["grid_values"][0], found["average"][0]
    expected = [regressor.predict(X.assign(size=value)).mean() for value in grid]
    np.testing.assert_allclose(average, expected, rtol=1e-6)
    assert (np.diff(average) > 0).all()
    colors = partial_dependence(regressor, X, ["color"], categorical_features=["color"])
    assert colors["grid_values"][0][colors["average"][0].argmax()] == "red"


def test_partial_dependence_display(regressor):
    pytest.importorskip("matplotlib").use("Agg")
    display = PartialDependenceDisplay.from_estimator(
        regressor, X, ["size", "color"], categorical_features=["color"], grid_resolution=5
    )
    assert display.axes_.shape == (1, 2)
    classifier = TabularClassifier(TINY, random_state=0).fit(X, LABEL)
    PartialDependenceDisplay.from_estimator(classifier, X, ["noise"], grid_resolution=5)


# ------------------------------------------------------------ weights


def test_a_weight_is_a_number_of_copies_in_expectation():
    # Each colour has two rows of either label, once with weight 2: then medians, first weights and
    # categories, which count rows, are the same with copies. So few rows are not validated on.
    colors, labels = np.repeat(["red", "green", "blue"], 4), np.tile([0, 0, 1, 1], 3)
    weight = np.where(labels == (colors == "red"), 2, 1)
    rows = pd.DataFrame({"color": colors})
    copies = rows.loc[rows.index.repeat(weight)]
    assert copies["color"].value_counts().nunique() == 1
    # Two batches an epoch, with copies of half as many rows again.
    preset = RealMLP(n_members=2, hidden_layer_sizes=(8,), max_iter=10, min_updates=0, dropout=0.0,
                     learning_rate=0.02)  # fmt: skip

    def chances(batch_size, *data):
        model = TabularClassifier(clone(preset).set_params(batch_size=batch_size))
        found = [model.set_params(random_state=seed).fit(*data).predict_proba(rows[:5])
                 for seed in range(60)]  # fmt: skip
        return np.array(found)[:, [0, 4], 1]  # of label 1, for red and for green

    weighted = chances(6, rows, labels, weight)
    repeated = chances(9, copies, labels.repeat(weight))
    plain = chances(6, rows, labels)
    for one, other, neither in zip(weighted.T, repeated.T, plain.T, strict=True):
        assert ks_2samp(one, other).pvalue > 0.01
        assert ks_2samp(one, neither).pvalue < 1e-4


# ------------------------------------------------------------ scikit-learn's checks

WHY = "medians and quantiles count rows, not weights"
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": WHY for kind in ("dense", "sparse")}
ROUNDING = "float32: what a row is computed with decides how it is rounded; the check allows 1e-7"
EXPECTED |= dict.fromkeys(
    ("check_methods_subset_invariance", "check_methods_sample_order_invariance"), ROUNDING
)
TWICE = "it fits twice and compares: a warm start goes on from the first"
WARM = dict.fromkeys(
    ("check_classifiers_multilabel_representation_invariance", "check_supervised_y_2d"), TWICE
)


def small(name, **params):
    """Return a preset by its name, with smaller and fewer numbers."""
    sizes = {"hidden_layer_sizes": (12, 12), "n_members": 2, "max_iter": 40, "min_updates": 0,
             "batch_size": 32, "n_folds": 4}  # fmt: skip
    return clone(PRESETS[name]()).set_params(**sizes | params)


CONFIGURATIONS = [
    TabularClassifier(small("best"), random_state=0, calibrate=False),
    TabularClassifier(small("fast", n_folds=None), random_state=0),
    TabularClassifier(small("best", n_members=1), class_weight="balanced", random_state=0),
    TabularClassifier(small("fast", numeric="robust"), random_state=0, warm_start=True),
    TabularClassifier(small("best", numeric="quantile"), categorical_features=None, random_state=0),
    TabularClassifier(small("best", hidden_layer_sizes=()), max_time=60.0, random_state=0),
    TabularRegressor(small("best", max_iter=60), random_state=0),
    TabularRegressor(small("fast", n_members=1, max_iter=60), random_state=0),
    TabularRegressor(small("best", numeric="robust", max_iter=60), random_state=0),
    TabularRegressor(small("fast", max_iter=60), random_state=0, warm_start=True),
    TabularRegressor(small("best", max_iter=60), categorical_features=None, random_state=0),
    TabularRegressor(small("fast", activation="relu", max_iter=60), max_time=60.0, random_state=0),
]


@pytest.mark.slow
@parametrize_with_checks(
    CONFIGURATIONS,
    expected_failed_checks=lambda one: EXPECTED | (WARM if one.warm_start else {}),
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


class GoOn(Callback):
    """Hands over a state as it is."""

    def __init__(self, state):
        self.state = state

    def state_to_resume(self, estimator, context, identity):
        return self.state


@pytest.mark.parametrize("change", [
    lambda least, raw: None, lambda least, raw: (least,), lambda least, raw: (least[1:], raw),
    lambda least, raw: (least.astype("float32"), raw), lambda least, raw: (least, raw[:, :0]),
])  # fmt: skip
def test_a_state_without_what_was_said_of_held_out_rows(change, tmp_path):
    stop = Call(lambda epoch: epoch["epoch"] == 3)
    TabularRegressor(TINY, random_state=0).set_callbacks(Checkpoint(tmp_path), stop).fit(X, VALUE)
    state = read_state(latest(tmp_path))
    state.unseen = change(*state.unseen)
    again = TabularRegressor(TINY, random_state=0).set_callbacks(GoOn(state))
    with pytest.raises(ValueError, match="does not fit: unseen"):
        again.fit(X, VALUE)


@pytest.mark.parametrize("weight", ["dates", "masked", "negative"])
@BOTH
def test_weights_that_are_none(cls, y, weight):
    ones = np.ones(len(X))
    given = {
        "dates": np.full(len(X), "2020-01-01", "M8[D]"),
        "masked": np.ma.MaskedArray(ones, ones > 0), "negative": -ones,
    }[weight]  # fmt: skip
    with pytest.raises(ValueError, match=r"date|mask|[Nn]egative"):
        cls(TINY).fit(X, y, sample_weight=given)


@BOTH
def test_weights_beyond_reason(cls, y):
    rows = len(X)
    for weight in (np.full(rows, 1.7e308), np.where(np.arange(rows) == 0, 1e300, 1.0)):
        model = cls(TINY, random_state=0).fit(X, y, sample_weight=weight)
        assert np.isfinite(output(model)).all()


@pytest.mark.parametrize("calibrate", [None, 1, "yes"])
def test_calibrate_is_true_or_false(calibrate):
    with pytest.raises(ValueError, match="calibrate"):
        TabularClassifier(TINY, calibrate=calibrate).fit(X, LABEL)


def test_strings_of_any_length_as_labels():
    y = LABEL.astype(np.dtypes.StringDType())
    assert TabularClassifier(TINY, random_state=0).fit(X, y).classes_.tolist() == ["cheap", "dear"]
