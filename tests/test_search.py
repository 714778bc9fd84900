"""Searches: published spaces, and trainings that go on in a halving search."""

import itertools

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    ParameterSampler,
    RandomizedSearchCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor, search_space
from skbp._distributions import LayerSizes, ZeroOr
from skbp.callbacks import Call, Checkpoint, TrainingCache
from skbp.layers import Dense
from skbp.tabular import RealMLP, ResNet, TabularClassifier, TabularRegressor
from skbp.tabular.presets import PRESETS

X, Y = load_iris(return_X_y=True)
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ------------------------------------------------------------ spaces


@pytest.mark.parametrize("estimator", [
    BackpropClassifier(), BackpropRegressor(), *(TabularClassifier(name) for name in PRESETS),
    *(TabularRegressor(name) for name in PRESETS), TabularClassifier(RealMLP(n_members=2)),
    make_pipeline(StandardScaler(), BackpropClassifier()),
    TransformedTargetRegressor(BackpropRegressor()),
])  # fmt: skip
def test_all_that_is_drawn_is_allowed(estimator):
    space = search_space(estimator)
    seen = {}
    for params in ParameterSampler(space, 40, random_state=0):
        candidate = clone(estimator).set_params(**clone(params, safe=False))
        for name, value in params.items():
            seen.setdefault(name, set()).add(repr(value))
        preset = getattr(candidate, "preset", None)
        if preset is not None:
            preset.check()
    assert all(len(values) > 1 for values in seen.values())
    again = list(ParameterSampler(search_space(estimator), 3, random_state=0))
    assert repr(again) == repr(list(ParameterSampler(space, 3, random_state=0)))


def test_names_of_presets_become_objects():
    assert "preset__label_smoothing" in search_space(TabularClassifier("realmlp-td"))
    assert "preset__label_smoothing" not in search_space(TabularRegressor())
    model = TabularClassifier("fast").set_params(preset__units=3, preset="tabm", random_state=4)
    assert repr(model) == "TabularClassifier(preset=TabM(units=3), random_state=4)"
    model = TabularClassifier().set_params(preset__dropout=0.3)
    assert repr(model) == "TabularClassifier(preset=RealMLP(dropout=0.3))"
    assert model.set_params(preset="fast").preset == "fast"
    with pytest.raises(ValueError, match="Invalid parameter 'units' for estimator RealMLP"):
        TabularClassifier().set_params(preset__units=3)
    grid = {"preset__dropout": [0.0, 0.3], "preset__max_iter": [1], "preset__min_updates": [0]}
    search = GridSearchCV(TabularClassifier("fast", random_state=0), grid, cv=2).fit(X, Y)
    assert search.best_estimator_.preset.max_iter == 1


def test_distributions():
    zeros = [ZeroOr(_Two()).rvs(random_state=np.random.RandomState(seed)) for seed in range(400)]
    assert set(zeros) == {0.0, 2.0} and 150 < zeros.count(0.0) < 250
    rng = np.random.RandomState(0)
    drawn = [LayerSizes((1, 4), (3, 5)).rvs(random_state=rng) for _ in range(300)]
    assert {len(sizes) for sizes in drawn} == {1, 2, 3, 4}
    assert set(itertools.chain(*drawn)) == {3, 4, 5}
    assert all(len(set(sizes[1:-1])) <= 1 for sizes in drawn)
    assert any(len(set(sizes)) == 3 for sizes in drawn)


class _Two:
    def rvs(self, random_state=None):
        return 2


@quiet
def test_names_and_lists_of_a_network_become_objects():
    net = BackpropClassifier(max_iter=2, random_state=0)
    net.set_params(solver__clip_norm=1.0, learning_rate__final=0.2, learning_rate="cosine")
    assert net.solver.clip_norm == 1.0 and net.learning_rate.final == 0.2
    assert type(net.solver).__name__ == "Adam"
    assert net.set_params(alpha=0.1).solver is net.get_params()["solver"]
    layers = [Dense(3), Dense(4)]
    net = BackpropClassifier(layers=layers, max_iter=2, random_state=0)
    search = GridSearchCV(net, {"layers__1__units": [5, 6]}, cv=2).fit(X, Y)
    units = search.best_params_["layers__1__units"]
    assert (3, units) in [array.shape for array in search.best_estimator_.weights_.values()]
    assert layers[1].units == 4 and net.layers is layers  # a search changes copies
    net.set_params(layers__0=Dense(9), layers__1__units=2, n_members=2)
    assert [layer.units for layer in net.layers] == [9, 2] and type(net.layers) is list
    assert net.fit(X, Y).predict(X).shape == (150,)
    with pytest.raises(ValueError, match="Invalid parameter '7'"):
        net.set_params(layers__7__units=1)
    with pytest.raises(ValueError, match="has no parameters of its own"):
        net.set_params(loss__alpha=1)


@quiet
def test_a_halving_search_over_epochs_of_a_table():
    model = TabularClassifier("fast", random_state=0)
    assert model.get_params()["preset__max_iter"] == PRESETS["fast"]().max_iter
    space = {"preset__dropout": [0.0, 0.2, 0.4], "preset__hidden_layer_sizes": [(8,)],
             "preset__min_updates": [0]}  # fmt: skip
    search = HalvingGridSearchCV(model, space, resource="preset__max_iter", min_resources=1,
                                 max_resources=3, cv=2, random_state=0).fit(X, Y)  # fmt: skip
    assert search.best_estimator_.preset.max_iter == 3


@quiet
def test_a_random_search():
    model = TabularClassifier(RealMLP(n_members=2, min_updates=0), random_state=0)
    space = search_space(model) | {"preset__hidden_layer_sizes": [(8,)], "preset__max_iter": [2]}
    search = RandomizedSearchCV(model, space, n_iter=3, cv=2, random_state=0).fit(X, Y)
    assert len(search.cv_results_["params"]) == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    named = TabularClassifier("fast", random_state=0)
    space = search_space(named) | {"preset__hidden_layer_sizes": [(8,)], "preset__max_iter": [2]}
    search = RandomizedSearchCV(named, space, n_iter=2, cv=2, random_state=0).fit(X, Y)
    assert search.best_estimator_.preset.max_iter == 2


def test_what_has_no_space():
    with pytest.raises(ValueError, match="layers of your own"):
        search_space(BackpropClassifier(layers=[Dense(3)], hidden_layer_sizes=()))
    with pytest.raises(TypeError, match="StandardScaler"):
        search_space(StandardScaler())


# ------------------------------------------------------------ halving


def halving(folder, n_jobs=None, kind=HalvingGridSearchCV, **params):
    """Search with and without a cache; return both, and how many epochs each trained."""
    results = []
    for cached in (False, True):
        epochs = []
        net = BackpropClassifier((8,), random_state=0, learning_rate_init=0.01).set_params(**params)
        own = [Call(epochs.append)] if n_jobs is None else []
        net.set_callbacks(*own, *([TrainingCache(folder)] if cached else []))
        space = {"alpha": [1e-4, 1e-3, 1e-2, 1.0, 10.0], "batch_size": [16, 50]}
        search = kind(net, space, resource="max_iter", min_resources=4, max_resources=36, factor=3,
                      cv=KFold(2, shuffle=True, random_state=0), random_state=0, n_jobs=n_jobs,
                      )  # fmt: skip
        search.fit(X, Y)
        results.append((search, len(epochs)))
    return results


def assert_same(plain, cached):
    for key, values in plain.cv_results_.items():
        if "time" not in key and key.endswith("score"):
            np.testing.assert_array_equal(cached.cv_results_[key], values)
    assert cached.best_params_ == plain.best_params_
    for one, other in zip(plain.best_estimator_.coefs_, cached.best_estimator_.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


@quiet
@pytest.mark.parametrize("params", [
    {}, {"dropout": 0.2, "early_stopping": True}, {"solver": "sgd", "learning_rate": "adaptive"},
    {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.3},
], ids=str)  # fmt: skip
def test_halving_goes_on_with_the_same_results(tmp_path, params):
    (plain, from_zero), (cached, on) = halving(tmp_path, **params)
    assert_same(plain, cached)
    # Rungs of 4, 12 and 36 epochs: 10, 4 and 2 candidates on two folds, then the refit.
    if not params:
        assert from_zero == 2 * (10 * 4 + 4 * 12 + 2 * 36) + 36
        assert on == 2 * (10 * 4 + 4 * 8 + 2 * 24) + 36
    assert on < from_zero


@quiet
def test_halving_in_processes(tmp_path):
    (plain, _), (cached, _) = halving(tmp_path, n_jobs=2, kind=HalvingRandomSearchCV)
    assert_same(plain, cached)
    assert len(list(tmp_path.glob("*.npz"))) > 0
    assert not list(tmp_path.glob(".*"))


@quiet
def test_schedules_that_depend_on_the_end_begin_anew(tmp_path):
    (plain, from_zero), (cached, anew) = halving(tmp_path, learning_rate="cosine")
    assert_same(plain, cached)
    assert anew == from_zero


@quiet
def test_what_the_cache_tells_apart(tmp_path):
    cache = TrainingCache(tmp_path)

    def epochs_of(rows=X, seed=0, **params):
        epochs = []
        net = BackpropClassifier((5,), max_iter=3, random_state=seed).set_params(**params)
        net.set_callbacks(cache, Call(epochs.append)).fit(rows, Y)
        return len(epochs)

    assert epochs_of() == 3
    assert epochs_of() == 0 and epochs_of(max_iter=5) == 2
    assert epochs_of(alpha=0.1) == epochs_of(seed=1) == epochs_of(X + 1) == 3
    assert epochs_of(hidden_layer_sizes=(6,)) == 3
    # A shorter one begins at zero, and leaves the longer one's state in its place.
    assert epochs_of(max_iter=2) == 2
    assert epochs_of(max_iter=6) == 1
    first = BackpropClassifier((5,), max_iter=2, random_state=0).fit(X, Y)
    assert epochs_of(init_from=FrozenEstimator(first)) == 3
    assert epochs_of(init_from=FrozenEstimator(first)) == 0
    other = clone(first).set_params(max_iter=4).fit(X, Y)
    assert epochs_of(init_from=FrozenEstimator(other)) == 3


@quiet
def test_tables_at_a_constant_rate_go_on(tmp_path):
    model = TabularClassifier(ResNet(units=8, hidden_units=8, n_blocks=1), random_state=0)
    results, epochs = [], []
    for callbacks in ([], [TrainingCache(tmp_path)]):
        seen = []
        model.set_callbacks(*callbacks, Call(seen.append))
        for max_iter in (2, 5):
            model.set_params(preset__max_iter=max_iter).fit(X, Y)
        results.append(model.predict_proba(X))
        epochs.append(len(seen))
    np.testing.assert_array_equal(*results)
    assert epochs == [7, 5]


@quiet
def test_a_checkpoint_beyond_the_last_epoch_is_told(tmp_path):
    net = BackpropClassifier((4,), max_iter=4, random_state=0)
    net.set_callbacks(Checkpoint(tmp_path)).fit(X, Y)
    net.set_callbacks(Checkpoint(tmp_path, resume=True)).set_params(max_iter=3)
    with pytest.warns(UserWarning, match="of epoch 4, beyond max_iter=3: nothing was trained"):
        assert net.fit(X, Y).n_iter_ == 4


@quiet
def test_a_warm_start_is_another_training(tmp_path):
    nets = [BackpropClassifier((5,), max_iter=2, random_state=0, warm_start=True) for _ in "ab"]
    nets[1].set_callbacks(TrainingCache(tmp_path))
    for net in nets:
        for _ in range(3):
            net.fit(X, Y)
    for one, other in zip(nets[0].coefs_, nets[1].coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(nets[1].loss_curve_) == 6


@quiet
def test_a_damaged_file_and_no_seed(tmp_path):
    net = BackpropClassifier((5,), max_iter=2, random_state=0)
    net.set_callbacks(TrainingCache(tmp_path)).fit(X, Y)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="begins at zero"):
        net.fit(X, Y)
    with pytest.warns(UserWarning, match="Set random_state"):
        net.set_params(random_state=None).fit(X, Y)
    net.set_params(random_state=0, solver="lbfgs")
    with pytest.raises(ValueError, match="lbfgs"):
        net.fit(X, Y)
