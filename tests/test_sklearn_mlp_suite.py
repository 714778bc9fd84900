"""scikit-learn's own tests of its MLP, run on our estimators.

The module is executed anew with our classes where it imports `MLPClassifier` and `MLPRegressor`:
its functions then are ordinary test functions, and are collected from here. Those that look into
MLP's private attributes get a thin adapter, the others our classes as they are.
"""

import copy
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.datasets import load_iris

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.batches import Data
from skbp._engine.objective import Objective
from skbp.estimators._plan import Plan
from skbp.initializers import Initializer
from skbp.schedules import Progress

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

USE_PRIVATE_NAMES = {
    "test_fit",
    "test_gradient",
    "test_learning_rate_warmstart",
    "test_adaptive_learning_rate",
    "test_n_iter_no_change",
    "test_n_iter_no_change_inf",
}
# It expects partial_fit to refuse early_stopping=True; ours works, see below.
REPLACED = "test_mlp_partial_fit_after_fit"


class Given(Initializer):
    """Starts from given arrays, told apart by their shapes."""

    def __init__(self, arrays):
        self.arrays = arrays

    def weight(self, shape, fan_in, fan_out, rng):
        return next(array for array in self.arrays if array.shape == shape)

    bias = weight


class PrivateNames:
    """The private names of MLP that its tests read, in terms of ours."""

    @property
    def _optimizer(self):
        history = self._history
        progress = Progress(history.samples, history.n_iter, history.call.plateaus)
        how = Plan.of(self).optimization
        return SimpleNamespace(learning_rate=how.schedule(progress, how.rate))

    @property
    def learning_rate_init(self):
        given = vars(self)["learning_rate_init"]
        return 0.001 if given == "auto" else given

    @learning_rate_init.setter
    def learning_rate_init(self, rate):
        vars(self)["learning_rate_init"] = rate

    @property
    def _no_improvement_count(self):
        return self._history.call.no_improvement

    @_no_improvement_count.setter
    def _no_improvement_count(self, count):
        assert count == 0  # where every history starts

    def _loss_grad_lbfgs(self, theta, X, Y, sample_weight, *scratch):
        network = copy.deepcopy(self._network)
        network.params[...] = theta
        objective = Objective(network, self._loss, self.alpha, len(X))
        y = Y.argmax(axis=1) if self.out_activation_ == "softmax" else Y.astype(float)
        value = sum(objective.full_value_and_grad(Data(X, y, sample_weight)))
        return value, objective.grads.copy()


def starting_from_given(name, shown):
    """Build a property that can be assigned before fitting, to be what training starts from."""

    def get(self):
        return shown.fget(self) if self.__sklearn_is_fitted__() else vars(self)[name]

    def assign(self, arrays):
        vars(self)[name] = arrays

    return property(get, assign)


class AdaptedClassifier(PrivateNames, BackpropClassifier):
    coefs_ = starting_from_given("coefs_", BackpropClassifier.coefs_)
    intercepts_ = starting_from_given("intercepts_", BackpropClassifier.intercepts_)

    def partial_fit(self, X, y, classes):
        self.initializer = Given([*self.coefs_, *self.intercepts_])
        return super().partial_fit(X, y, classes=classes)


class AdaptedRegressor(PrivateNames, BackpropRegressor):
    pass


def suite_with(classifier, regressor):
    """Execute scikit-learn's test module with our classes; return its test functions by name."""
    package = sklearn.neural_network
    path = Path(package.__file__).parent / "tests" / "test_mlp.py"
    spec = importlib.util.spec_from_file_location(f"test_mlp_of_{classifier.__name__}", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "MLPClassifier", classifier)
        patch.setattr(package, "MLPRegressor", regressor)
        spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if name.startswith("test_")}


AS_THEY_ARE = suite_with(BackpropClassifier, BackpropRegressor)
ADAPTED = suite_with(AdaptedClassifier, AdaptedRegressor)
globals().update(
    {
        name: ADAPTED[name] if name in USE_PRIVATE_NAMES else function
        for name, function in AS_THEY_ARE.items()
        if name != REPLACED
    }
)


@pytest.fixture(autouse=True)
def same_luck_each_time():
    # Some of these tests leave random_state at None, and draw from NumPy's global generator.
    np.random.seed(0)


@pytest.fixture
def global_random_seed():
    return 42


@pytest.mark.parametrize("Estimator", [BackpropClassifier, BackpropRegressor])
def test_partial_fit_after_fit_with_early_stopping(Estimator):
    X, y = load_iris(return_X_y=True)
    model = Estimator(early_stopping=True, random_state=0, max_iter=50).fit(X, y)
    before = [coef.copy() for coef in model.coefs_]
    seen, n_losses, scores = model.t_, len(model.loss_curve_), list(model.validation_scores_)

    model.partial_fit(X, y)

    assert model.n_iter_ == 1
    assert model.t_ == seen + len(X)  # all rows: none is set aside
    assert len(model.loss_curve_) == n_losses + 1
    assert model.validation_scores_ == scores
    for old, new in zip(before, model.coefs_, strict=True):
        assert np.isfinite(new).all()
        assert not np.array_equal(old, new)
    assert np.isfinite(model.loss_)
    assert np.isfinite(model.predict(X)).all()


def test_the_whole_suite_is_collected(request):
    items = request.node.getparent(pytest.Module).collect()
    theirs = [item for item in items if item.function in [*AS_THEY_ARE.values(), *ADAPTED.values()]]

    assert len(AS_THEY_ARE) == 43
    assert {item.function.__name__ for item in theirs} == set(AS_THEY_ARE) - {REPLACED}
    assert len(theirs) == 59 - 2
    assert {item.function.__name__ for item in theirs if item.function in ADAPTED.values()} == (
        USE_PRIVATE_NAMES
    )


def test_the_suite_sees_our_classes_and_scikit_learn_is_left_alone():
    for functions, classifier in ((AS_THEY_ARE, BackpropClassifier), (ADAPTED, AdaptedClassifier)):
        assert functions["test_fit"].__globals__["MLPClassifier"] is classifier
    assert sklearn.neural_network.MLPClassifier.__module__.startswith("sklearn.")
    assert sklearn.neural_network.MLPRegressor.__module__.startswith("sklearn.")
