"""Estimators for tables: raw tables in, through all that scikit-learn asks for."""

import contextlib
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import d2_pinball_score, log_loss, mean_pinball_loss
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from skbp.losses import Huber, Poisson, Quantile
from skbp.tabular import RealMLP, TabularClassifier, TabularRegressor
from skbp.tabular.presets import PRESETS

TINY = RealMLP(n_members=2, hidden_layer_sizes=(16,), max_iter=8, min_updates=20, batch_size=32,
               n_folds=4)  # fmt: skip
QUICK = RealMLP(n_members=4, hidden_layer_sizes=(24, 24), max_iter=30, batch_size=32)


def table(n=400, seed=0):
    """Draw a table of all that there is, and what depends on it."""
    rng = np.random.RandomState(seed)
    size = rng.gamma(2.0, size=n)
    color = rng.choice(["red", "green", "blue"], n)
    sold = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.randint(0, 700, n), "D")
    frame = pd.DataFrame({
        "size": np.where(rng.rand(n) < 0.1, np.nan, size),
        "color": pd.Series(np.where(rng.rand(n) < 0.1, None, color)),
        "new": rng.rand(n) < 0.5,
        "sold": sold,
        "city": pd.Categorical(rng.choice(["a", "b", "c", "d"], n), categories=list("abcdef")),
        "constant": 1,
    })  # fmt: skip
    value = size + 2.0 * (color == "red") + frame["new"] - 0.5 * sold.month.isin([6, 7])
    return frame, np.asarray(value + 0.1 * rng.normal(size=n), float)


X, VALUE = table()
LABEL = np.where(np.median(VALUE) < VALUE, "dear", "cheap")


@pytest.fixture(scope="module")
def classifier():
    return TabularClassifier(QUICK, random_state=0).fit(X, LABEL)


@pytest.fixture(scope="module")
def regressor():
    return TabularRegressor(QUICK, random_state=0).fit(X, VALUE)


def test_a_raw_frame(classifier, regressor):
    rows, value = table(seed=1)
    label = np.where(np.median(VALUE) < value, "dear", "cheap")
    assert classifier.score(rows, label) > 0.85
    assert regressor.score(rows, value) > 0.75  # a tenth of the sizes is missing
    assert classifier.classes_.tolist() == ["cheap", "dear"]
    assert classifier.n_features_in_ == 6
    assert classifier.feature_names_in_.tolist() == list(X.columns)
    probabilities = classifier.predict_proba(rows)
    assert probabilities.shape == (400, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    chosen = classifier.classes_[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(classifier.predict(rows), chosen)
    np.testing.assert_array_equal(classifier.decision_function(rows) > 0, chosen == "dear")


def test_polars_gives_the_same(classifier):
    rows = pl.from_pandas(X)
    model = TabularClassifier(QUICK, random_state=0).fit(rows, LABEL)
    np.testing.assert_allclose(model.predict_proba(rows), classifier.predict_proba(X), atol=1e-5)


def test_arrays_lists_and_sparse_matrices():
    rows = X[["size", "new"]].fillna(1.0).to_numpy(float)
    model = TabularRegressor(TINY, random_state=0)
    expected = clone(model).fit(rows, VALUE).predict(rows)
    for same in (rows.tolist(), csr_array(rows), np.asfortranarray(rows)):
        np.testing.assert_allclose(clone(model).fit(same, VALUE).predict(same), expected, rtol=1e-6)


def test_what_was_not_there_in_fit(classifier, regressor):
    rows = X.head(4).copy()
    rows["city"] = ["a", "nowhere", None, "f"]
    rows.loc[rows.index[0], "color"] = "violet"
    rows["size"] = np.nan
    rows["sold"] = pd.NaT
    for model in (classifier, regressor):
        assert len(model.predict(rows)) == 4
        assert len(model.predict(rows.head(1))) == 1
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(rows.drop(columns="city"))
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(rows.rename(columns={"city": "town"}))
    with pytest.raises(ValueError, match="size"):
        classifier.predict(rows.assign(size="large"))


def test_predictions_stay_in_the_range_of_the_targets(regressor):
    rows = X.assign(size=1e6)
    prediction = regressor.predict(rows)
    assert VALUE.min() <= prediction.min() and prediction.max() <= VALUE.max()


LEVELS = [0.1, 0.25, 0.5, 0.9]


def test_quantiles_of_a_table_never_cross():
    preset = clone(TINY).set_params(max_iter=25, hidden_layer_sizes=(24,))
    model = TabularRegressor(preset, loss=Quantile(LEVELS), random_state=0).fit(X, VALUE)
    rows, value = table(seed=1)
    found = model.predict(rows)
    assert found.shape == (400, 4)
    far = model.predict(rows.assign(size=1e6)), model.predict(rows.assign(size=-1e6))
    for some in (found, *far, *model.predict_members(rows)):
        assert (np.diff(some, axis=1) >= 0).all()
    losses, guesses, scores = [], [], []
    for level, column in zip(LEVELS, found.T, strict=True):
        guess = np.full(400, np.quantile(VALUE, level))  # that of all targets
        losses.append(mean_pinball_loss(value, column, alpha=level))
        guesses.append(mean_pinball_loss(value, guess, alpha=level))
        scores.append(d2_pinball_score(value, column, alpha=level))
    assert (np.array(losses) < 0.7 * np.array(guesses)).all()
    assert model.score(rows, value) == pytest.approx(np.mean(scores))
    np.testing.assert_allclose((value[:, None] < found).mean(axis=0), LEVELS, atol=0.12)
    alone = TabularRegressor(preset, loss=Quantile(LEVELS[0]), random_state=0).fit(X, VALUE)
    assert losses[0] < 1.1 * mean_pinball_loss(value, alone.predict(rows), alpha=LEVELS[0])


def test_quantiles_of_several_outputs():
    both = np.column_stack([VALUE, 500 - 100 * VALUE])
    model = TabularRegressor(TINY, loss=Quantile([0.2, 0.5, 0.7]), random_state=0).fit(X, both)
    found = model.predict(X)
    assert found.shape == (400, 2, 3) and (np.diff(found) >= 0).all()
    assert model.predict_members(X).shape == (2, 400, 2, 3)
    low, high = both.min(axis=0), both.max(axis=0)
    assert ((low[:, None] <= found) & (found <= high[:, None])).all()
    assert (abs(found[..., 1] - both).mean(axis=0) < both.std(axis=0)).all()
    assert model.predict_interval(X).shape == (400, 2, 2)
    # Each output has its own: of one that is left as it was, nothing changes but rounding.
    moved = TabularRegressor(TINY, loss=Quantile([0.2, 0.5, 0.7]), random_state=0)
    moved = moved.fit(X, both * [1, 10] + [0, 7]).predict(X)
    np.testing.assert_allclose(moved, found * [[1], [10]] + [[0], [7]], rtol=1e-3, atol=1e-2)


def test_other_losses_of_numbers():
    found = {}
    for loss in ("squared_error", "absolute_error", "quantile", Huber(0.1)):
        model = TabularRegressor(TINY, loss=loss, random_state=0).fit(X, VALUE)
        found[str(loss)] = model.predict(X)
        assert np.corrcoef(model.predict(X), VALUE)[0, 1] > 0.6
        wide = model.predict_interval(X)
        np.testing.assert_allclose(np.diff(wide), np.ptp(wide[0]))
    assert len({one.tobytes() for one in found.values()}) == 4


@pytest.mark.parametrize("loss", ["poisson", Poisson(), Quantile, None, ["quantile"]])
def test_losses_that_cannot_be(loss):
    with pytest.raises(ValueError, match=r"'loss' parameter of TabularRegressor"):
        TabularRegressor(TINY, loss=loss).fit(X, VALUE)
    with pytest.raises(ValueError, match="quantile"):
        TabularRegressor(TINY, loss=Quantile([0.5, 0.1])).fit(X, VALUE)


def test_a_warm_start_with_other_levels():
    model = TabularRegressor(TINY, loss=Quantile([0.1, 0.9]), random_state=0, warm_start=True)
    model.fit(X, VALUE).set_params(loss=Quantile([0.1, 0.5, 0.9]))
    assert model.predict(X).shape == (400, 2)
    with pytest.raises(ValueError, match="needs 3 raw outputs"):
        model.fit(X, VALUE)
    assert model.predict(X).shape == (400, 2)


def test_out_of_fold_rows_and_the_temperature():
    rows, labels = load_breast_cancer(return_X_y=True)
    rows = rows[:, :10]
    preset = RealMLP(n_members=4, n_folds=4, hidden_layer_sizes=(32,), max_iter=20, batch_size=64)
    model = TabularClassifier(preset, random_state=0).fit(rows, labels)
    oof = model.oof_decision_function_
    assert oof.shape == (569, 1) and np.isfinite(oof).all()
    assert ((oof[:, 0] > 0) == labels).mean() > 0.93
    plain = TabularClassifier(preset, random_state=0, calibrate=False).fit(rows, labels)
    assert plain.temperature_ == 1.0
    np.testing.assert_allclose(plain.oof_decision_function_ / model.temperature_, oof, rtol=1e-5)
    losses = [log_loss(labels, 1 / (1 + np.exp(-raw))) for raw in
              (oof * 0.9, oof, oof * 1.1, plain.oof_decision_function_)]  # fmt: skip
    assert losses[1] == min(losses)
    sure = abs(plain.predict_proba(rows)[:, 0] - 0.5) > 0.01  # means of probabilities
    assert sure.sum() > 550
    np.testing.assert_array_equal(plain.predict(rows)[sure], model.predict(rows)[sure])


@pytest.mark.parametrize("cls, y", [(TabularClassifier, LABEL), (TabularRegressor, VALUE)])
def test_a_row_of_weight_zero_is_no_row(cls, y):
    weight = np.ones(len(X))
    weight[::5] = 0
    kept = weight > 0
    spoiled = X.copy()
    spoiled.loc[~kept, "size"] = 1e9
    spoiled.loc[~kept, "color"] = "spoiled"
    one = cls(TINY, random_state=0).fit(X[kept], y[kept])
    other = cls(TINY, random_state=0).fit(spoiled, y, sample_weight=weight)
    np.testing.assert_allclose(one.predict_proba(X) if cls is TabularClassifier else one.predict(X),
                               other.predict_proba(X) if cls is TabularClassifier
                               else other.predict(X), rtol=1e-6)  # fmt: skip
    heavy = cls(TINY, random_state=0).fit(X, y, sample_weight=np.where(X["new"], 50.0, 1.0))
    assert not np.array_equal(heavy.predict(X), cls(TINY, random_state=0).fit(X, y).predict(X))


def test_weights_of_rows_left_out_keep_their_places():
    weight = np.ones(len(X))
    weight[:100] = 0
    model = TabularClassifier(TINY, random_state=0).fit(X, LABEL, sample_weight=weight)
    assert model.oof_decision_function_.shape == (400, 1)
    assert np.isnan(model.oof_decision_function_[:100]).all()
    assert np.isfinite(model.oof_decision_function_[100:]).mean() == pytest.approx(0.5, abs=0.01)


def test_class_weights():
    y = np.where(np.arange(len(X)) % 10 == 0, "rare", "usual")
    plain = TabularClassifier(TINY, random_state=0).fit(X, y)
    balanced = TabularClassifier(TINY, class_weight="balanced", random_state=0).fit(X, y)
    rare = [(model.predict_proba(X)[:, 0]).mean() for model in (plain, balanced)]
    assert rare[0] < 0.25 < rare[1]


def test_several_labels_and_several_numbers():
    labels = np.column_stack([LABEL == "dear", X["new"], X["color"] == "red"]).astype(int)
    model = TabularClassifier(QUICK, random_state=0).fit(X, labels)
    assert model.predict(X).shape == labels.shape
    assert (model.predict(X) == labels).mean() > 0.9
    assert model.predict_proba(X).shape == labels.shape
    numbers = np.column_stack([VALUE, 1000.0 - VALUE])
    model = TabularRegressor(QUICK, random_state=0).fit(X, numbers)
    assert model.predict(X).shape == numbers.shape and model.score(X, numbers) > 0.8


@pytest.mark.parametrize("size", [1e300, 1e-300, 1e8])
def test_targets_of_any_size(size):
    expected = TabularRegressor(TINY, random_state=0).fit(X, VALUE).predict(X)
    got = TabularRegressor(TINY, random_state=0).fit(X, VALUE * size).predict(X)
    np.testing.assert_allclose(got / size, expected, rtol=1e-4)


def test_dates_are_no_targets():
    with pytest.raises(ValueError, match=r"y .*dates"):
        TabularRegressor(TINY).fit(X, X["sold"])


def test_sparse_labels_and_one_weight_for_all():
    labels = np.column_stack([LABEL == "dear", X["new"]]).astype(int)
    dense = TabularClassifier(TINY, random_state=0).fit(X, labels)
    sparse = TabularClassifier(TINY, random_state=0).fit(X, csr_array(labels), sample_weight=1.0)
    np.testing.assert_allclose(sparse.predict_proba(X), dense.predict_proba(X))


def test_constant_targets():
    model = TabularRegressor(TINY, random_state=0).fit(X, np.full(len(X), 7.0))
    np.testing.assert_array_equal(model.predict(X), 7.0)
    model = TabularClassifier(TINY, random_state=0).fit(X, np.full(len(X), "same"))
    assert set(model.predict(X)) == {"same"}


def test_saved_cloned_and_searched(classifier):
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))
    twin = clone(classifier).fit(X, LABEL)
    np.testing.assert_array_equal(twin.predict_proba(X), classifier.predict_proba(X))
    grid = {"preset__dropout": [0.0, 0.2], "preset__hidden_layer_sizes": [(8,)]}
    search = GridSearchCV(TabularClassifier(TINY, random_state=0), grid, cv=2).fit(X, LABEL)
    assert search.best_params_["preset__dropout"] in (0.0, 0.2)
    assert TINY.dropout == 0.15  # a search changes copies


def test_time_is_up():
    preset = clone(QUICK).set_params(max_iter=100_000)
    model = TabularRegressor(preset, max_time=1.0, random_state=0).fit(X, VALUE)
    assert 1 <= model.n_iter_ < 100_000
    assert len(model.predict(X)) == len(X)


@pytest.mark.parametrize("numeric", ["quantile", "robust", "both"])
@pytest.mark.parametrize("n_members", [1, 3])
def test_ways_of_preparation(numeric, n_members):
    preset = clone(TINY).set_params(numeric=numeric, n_members=n_members)
    model = TabularRegressor(preset, random_state=0).fit(X, VALUE)
    assert model.score(X, VALUE) > 0.3
    columns = np.asarray(model.network_.layers[0].columns)
    assert len(columns) == n_members
    two = numeric == "both" and n_members > 1
    assert (len(np.unique(columns[:, 0])) == 2) == two


def test_a_table_without_numbers():
    rows = X[["color", "city", "new"]]
    model = TabularClassifier(TINY, random_state=0).fit(rows, LABEL)
    assert model.score(rows, LABEL) > 0.6


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_class_of_one_row(n_members):
    y = np.where(np.arange(len(X)) == 7, "rare", np.where(np.median(VALUE) < VALUE, "a", "b"))
    preset = clone(TINY).set_params(n_members=n_members, n_folds=None)
    model = TabularClassifier(preset, random_state=0).fit(X, y)
    assert list(model.classes_) == ["a", "b", "rare"]
    assert (model.predict(X) == y).mean() > 0.6


def test_validation_rows_leave_too_few_to_train():
    preset = clone(TINY).set_params(validation_fraction=0.99)
    with pytest.raises(ValueError, match=r"validation_fraction=0\.99"):
        TabularRegressor(preset, random_state=0).fit(X[:40], VALUE[:40])


def fitted_for_calibration(y, **params):
    preset = clone(TINY).set_params(n_members=4, n_folds=4, max_iter=20)
    return TabularClassifier(preset, random_state=0, **params).fit(X, y)


def test_rows_that_are_all_right_do_not_make_certain():
    y = np.median(VALUE) < VALUE
    network = fitted_for_calibration(y).network_
    network.oof_decision_function_ = np.where(y, 2.0, -2.0).astype(np.float32)[:, None]
    temperature = network.calibrate(y)
    # The smoothed log loss is least where each probability is its smoothed target.
    surest = 1 / (1 + np.exp(-2 / temperature))
    assert surest == pytest.approx(1 - 0.5 / (len(y) + 2), abs=1e-5)


def test_the_temperature_knows_class_weights():
    y = np.quantile(VALUE, 0.8) < VALUE
    given = {False: 1.0, True: 30.0}
    by_class = fitted_for_calibration(y, class_weight=given)
    raw = by_class.oof_decision_function_[:, 0] * by_class.temperature_
    losses = []
    for temperature in by_class.temperature_ * np.array([0.8, 1.0, 1.25]):
        each = np.logaddexp(0, np.where(y, -1, 1) * raw / temperature)
        losses.append(np.average(each, weights=np.where(y, 30.0, 1.0)))
    assert losses[1] < min(losses[0], losses[2])


@pytest.mark.parametrize("n_members", [1, 3])
def test_no_hidden_layers(n_members):
    preset = clone(TINY).set_params(hidden_layer_sizes=(), n_members=n_members)
    found = TabularRegressor(preset, random_state=0).fit(X, VALUE).predict(X)
    assert np.corrcoef(found, VALUE)[0, 1] > 0.5


@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_a_clone_of_the_network_is_trained_alike(cls):
    y = (VALUE - VALUE.mean()) / VALUE.std()
    y = y > 0 if cls is TabularClassifier else y
    model = cls(TINY, random_state=0).fit(X, y)
    rows = model.encoder_.transform(X)
    network = clone(model.network_).fit(rows, y)
    assert [layer.shape for layer in network.coefs_] == [w.shape for w in model.network_.coefs_]
    both = min(network.n_iter_, model.n_iter_)  # a preset may end a training between waves
    assert both >= 4
    np.testing.assert_allclose(network.loss_curve_[:both], model.loss_curve_[:both])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_by_name(name):
    preset = PRESETS[name]()
    preset.check()
    few = {"max_iter": 2, "min_updates": 0}
    small = clone(preset).set_params(**{k: few[k] for k in few if k in preset.get_params()})
    # A rate that falls to zero by plan has come to its end; a constant one says if epochs ran out.
    steady = name in ("resnet", "ft-transformer", "tabm", "tabm-mini")
    told = pytest.warns(ConvergenceWarning) if steady else contextlib.nullcontext()
    with told:
        model = TabularClassifier(small, random_state=0).fit(X, LABEL)
    assert model.network_.n_iter_ == 2
    assert TabularClassifier(name).preset == name


@pytest.mark.parametrize(("params", "message"), [
    ({"preset": "fastest"}, "'preset'.*best.*fast"),
    ({"preset": RealMLP(n_members=0)}, "'n_members'"),
    ({"preset": RealMLP(hidden_layer_sizes=(0,))}, "'hidden_layer_sizes'"),
    ({"preset": RealMLP(numeric="some")}, "'numeric'"),
    ({"max_time": -1}, "'max_time'"),
    ({"categorical_features": ["no such column"]}, "no such column"),
])  # fmt: skip
def test_wrong_parameters(params, message):
    model = TabularClassifier(**({"preset": TINY} | params))
    with pytest.raises(ValueError, match=message):
        model.fit(X, LABEL)
    assert not hasattr(model, "encoder_")


def test_wrong_tables():
    model = TabularClassifier(TINY)
    with pytest.raises(ValueError, match="size"):
        model.fit(X.assign(size=np.inf), LABEL)
    with pytest.raises(ValueError, match="NaN"):
        TabularRegressor(TINY).fit(X, np.where(VALUE > 3, np.nan, VALUE))
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(X, LABEL[:-1])


WHY = "medians and quantiles count rows, not weights"
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": WHY for kind in ("dense", "sparse")}
ROUNDING = "float32: what a row is computed with decides how it is rounded; the check allows 1e-7"
EXPECTED |= dict.fromkeys(
    ("check_methods_subset_invariance", "check_methods_sample_order_invariance"), ROUNDING
)


@parametrize_with_checks(
    [
        TabularClassifier(clone(TINY).set_params(max_iter=30), random_state=0),
        TabularRegressor(clone(TINY).set_params(max_iter=40), random_state=0),
    ],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_any_order_of_rows_predicts_the_same(classifier, regressor):
    order = np.random.default_rng(0).permutation(len(X))
    for method in (classifier.predict_proba, regressor.predict):
        some = method(X.iloc[order[:50]])
        np.testing.assert_allclose(method(X)[order[:50]], some, rtol=1e-5, atol=1e-6)


def test_a_loss_by_name_has_parameters():
    model = TabularRegressor(loss="quantile").set_params(loss__quantile=0.9)
    assert model.loss.quantile == 0.9
    with pytest.raises(ValueError, match="no parameters of its own"):
        model.set_params(loss="squares", loss__quantile=0.9)


def test_errors_name_the_estimator_for_tables():
    model = TabularClassifier(TINY, class_weight="balance")
    with pytest.raises(ValueError, match="'class_weight' parameter of TabularClassifier"):
        model.fit(X, LABEL)


@pytest.mark.parametrize("given, expected", [
    ({}, [0.1844, 0.1844, 0.98, 0.98, 5.206, 5.206]),
    ({"n_members": 3}, [0.28, 0.28, 3.43]),
    ({"n_members": 3, "numeric": "robust"}, [0.1844, 0.98, 5.206]),
    ({"n_members": 1}, [0.98]),
    ({"n_members": 2, "frequency_std": (1.0, 4.0)}, [2.0, 2.0]),
    ({"n_members": 2, "frequency_std": 0.5}, 0.5),
])  # fmt: skip
def test_deviations_of_frequencies(given, expected):
    X = np.random.default_rng(0).normal(size=(60, 2))
    preset = RealMLP(hidden_layer_sizes=(4,), max_iter=1, min_updates=0, **given)
    net = TabularRegressor(preset, random_state=0).fit(X, X[:, 0])
    std = next(layer.std for layer in net.network_.layers if layer.name == "numbers")
    np.testing.assert_allclose(np.ravel(std), np.ravel(expected), rtol=2e-3)


@pytest.mark.parametrize("given", [(2.0, 1.0), (0.0, 1.0), (1.0,), (1, 10**400), "ab", 10**400])
def test_ranges_of_frequencies_that_are_none(given):
    with pytest.raises(ValueError, match="'frequency_std' parameter of RealMLP"):
        TabularRegressor(RealMLP(frequency_std=given)).fit(X, VALUE)


def test_a_range_of_frequencies_as_wide_as_floats():
    std = RealMLP(frequency_std=(1e-200, 1e200))._frequency_std(classifies=False)
    np.testing.assert_allclose(np.log10(std[::2, 0]), [-400 / 3, 0, 400 / 3], atol=1e-9)


@pytest.mark.parametrize("n, classes, more", [
    (878, True, {}), (1463, True, {}), (90, False, {"validation_fraction": 0.3}),
    (100, False, {"validation_fraction": 0.07}),
])  # fmt: skip
def test_as_many_updates_as_said(n, classes, more):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, 2))
    cls = TabularClassifier if classes else TabularRegressor
    preset = RealMLP(hidden_layer_sizes=(), max_iter=1, min_updates=40, min_gain=0.0, **more)
    model = cls(preset, random_state=0).fit(rows, rows[:, 0] > 0 if classes else rows[:, 0])
    history = model.network_._history
    assert 40 <= history.optimizer.steps < 44


@pytest.mark.parametrize("n, n_seeds, tolerance", [(110, 8, 0.08), (300, 6, 0.06)])
def test_intervals_of_small_tables_hold_what_they_say(n, n_seeds, tolerance):
    held = []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(n + 500, 3))
        y = 3 * rows[:, 0] + 2 * rng.normal(size=n + 500)
        preset = RealMLP(n_members=2, hidden_layer_sizes=(32,), max_iter=10, min_updates=250,
                         dropout=0.0, weight_decay=0.0, min_gain=0.0, batch_size=32)  # fmt: skip
        model = TabularRegressor(preset, random_state=seed).fit(rows[:n], y[:n])
        low, high = model.predict_interval(rows[n:], confidence=0.9).T
        held.append(np.mean((low <= y[n:]) & (y[n:] <= high)))
    assert abs(np.mean(held) - 0.9) < tolerance
