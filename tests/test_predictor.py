"""The way to predictions that leaves the checks out."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skbp import BackpropClassifier, BackpropRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
TARGETS = {
    "one class": (BackpropClassifier, np.zeros(60, int)),
    "binary": (BackpropClassifier, X[:, 0] > 0),
    "multiclass": (BackpropClassifier, X.argmax(axis=1)),
    "multilabel": (BackpropClassifier, (X > 0).astype(int)),
    "number": (BackpropRegressor, X[:, 0]),
    "numbers": (BackpropRegressor, X[:, :2]),
}


def fitted(name):
    estimator_class, y = TARGETS[name]
    return estimator_class((5,), max_iter=3, dropout=0.1, random_state=0).fit(X, y)


def predictions(estimator, rows):
    regressor = isinstance(estimator, BackpropRegressor)
    return estimator.predict(rows) if regressor else estimator.predict_proba(rows)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("n", [1, 7, 20])
def test_it_predicts_what_the_estimator_predicts(name, n):
    estimator = fitted(name)
    predictor = estimator.predictor(max_rows=20)
    np.testing.assert_array_equal(predictor(X[:n]), predictions(estimator, X[:n]))
    wide = predictor(X[:n].astype(np.float64))
    np.testing.assert_array_equal(wide, predictor(X[:n]))
    assert wide.dtype == estimator.dtype_


@pytest.mark.parametrize("name", TARGETS)
def test_results_stay_when_it_is_called_again_and_when_the_estimator_is_fitted_again(name):
    estimator = fitted(name)
    predictor = estimator.predictor()
    first = predictor(X[:1])
    kept = first.copy()
    predictor(X[1:2])
    np.testing.assert_array_equal(first, kept)
    y = TARGETS[name][1]
    estimator.set_params(hidden_layer_sizes=(3,), activation="tanh").fit(-X, y)
    np.testing.assert_array_equal(predictor(X[:1]), kept)


def test_not_fitted():
    for estimator in (BackpropClassifier(), BackpropRegressor()):
        with pytest.raises(NotFittedError):
            estimator.predictor()
