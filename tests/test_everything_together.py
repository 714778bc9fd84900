"""What training offers, all at once: in a Pipeline and a search, pickled, dense and sparse."""

import pickle

import joblib
import numpy as np
import pytest
from _common import pairs
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler

import skbp
from skbp import BackpropClassifier, BackpropRegressor
from skbp.callbacks import EarlyStopping
from skbp.layers import BatchNorm, Conv2D, Dense, Flatten, Input, LoRA, MaxPool2D, Sequential
from skbp.losses import Huber, LogLoss
from skbp.optimizers import AdamW, Group
from skbp.schedules import OneCycle

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS = load_digits(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
DATA = {
    BackpropClassifier: (DIGITS[0][:400], DIGITS[1][:400]),
    BackpropRegressor: (DIABETES[0], (DIABETES[1] - 150) / 77),
}
LOSS = {BackpropClassifier: LogLoss(label_smoothing=0.1), BackpropRegressor: Huber(delta=2.0)}
SOLVER = AdamW(
    clip_norm=1.0, ema_decay=0.9, groups=[Group("dense_3", rate=0.5), Group("output", rate=2.0)]
)
SEARCHED = {
    BackpropClassifier: {"loss__label_smoothing": [0.0, 0.1]},
    BackpropRegressor: {"loss__delta": [0.5, 2.0]},
}


def make(cls, dtype):
    return cls(
        (24, 12), activation=["gelu", "leaky_relu"], loss=LOSS[cls], solver=SOLVER, alpha=1e-3,
        l1_ratio=0.2, learning_rate=OneCycle(max_rate=0.01), batch_size=32, max_iter=12,
        dropout=0.1, normalization="layer", early_stopping="refit", scoring="loss",
        validation_fraction=0.2, dtype=dtype, random_state=0,
    )  # fmt: skip


@pairs(cls=DATA, dtype=("float32", "float64"), sparse=(False, True))
def test_everything_at_once(cls, dtype, sparse):
    X, y = DATA[cls]
    X = csr_array(X) if sparse else X
    net = make(cls, dtype).set_callbacks(EarlyStopping("validation_loss", patience=8))
    model = make_pipeline(MaxAbsScaler(), net)
    name = cls.__name__.lower()
    grid = {
        f"{name}__solver__weight_decay": [0.0, 0.1],
        f"{name}__learning_rate__max_rate": [0.003, 0.02],
    } | {f"{name}__{key}": values for key, values in SEARCHED[cls].items()}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"].round(12))) > 4  # they have an effect
    best = search.best_estimator_
    assert best[-1].dtype_ == dtype
    assert best.score(X, y) > (0.8 if cls is BackpropClassifier else 0.3)
    again = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(again.predict(X), best.predict(X))
    twin = clone(best).fit(X, y)  # the same seed, the same bits
    np.testing.assert_array_equal(twin.predict(X), best.predict(X))
    assert net.solver.weight_decay == AdamW().weight_decay  # what the caller owns is as it was


def test_the_search_runs_in_parallel_to_the_same_scores():
    cls = BackpropRegressor
    X, y = DATA[cls]
    grid = {"solver__weight_decay": [0.0, 0.1], "learning_rate__max_rate": [0.003, 0.02]}
    scores = [
        GridSearchCV(make(cls, "float64"), grid, cv=2, n_jobs=n_jobs)
        .fit(MaxAbsScaler().fit_transform(X), y)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


def image_model(layers, **params):
    net = BackpropClassifier(**{
        "layers": layers, "batch_size": 32, "learning_rate_init": 0.01, "max_iter": 4,
        "random_state": 0, **params,
    })  # fmt: skip
    return Pipeline([("scale", MaxAbsScaler()), ("net", net)])


def image_layers(dense):
    return [Input((1, 8, 8)), Conv2D(4, 3), BatchNorm(), MaxPool2D(2), Flatten(), dense]


def saved_and_loaded(search, X, folder):
    """Save and load the best model of a search; check that it predicts the same bits."""
    joblib.dump(search.best_estimator_, folder / "best.joblib")
    again = joblib.load(folder / "best.joblib")
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))
    return again


def test_architectures_in_a_pipeline_and_a_search_saved_and_loaded(tmp_path):
    X, y = DATA[BackpropClassifier]
    grid = [
        {"net__layers": [image_layers(Dense(16)), [Flatten(), Dense(8)]]},
        {
            "net__layers": [Sequential(image_layers(Dense(16)))],
            "net__layers__1__filters": [2, 6],
            "net__layers__5__activation": ["tanh"],
        },
    ]
    search = GridSearchCV(image_model(None), grid, cv=2, error_score="raise", n_jobs=2).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) > 2  # they have an effect
    again = saved_and_loaded(search, X, tmp_path)
    twin = clone(again).fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(X), search.predict_proba(X))


def test_fine_tuning_in_a_pipeline_and_a_search_saved_and_loaded(tmp_path):
    X, y = DATA[BackpropClassifier]
    first, chain = (
        image_model(layers).fit(X[y < 5], y[y < 5])
        for layers in (image_layers(Dense(16)), Sequential(image_layers(Dense(16))))
    )
    skbp.save(first, tmp_path / "first.skbp")
    low_rank = image_layers(LoRA(Dense(16), rank=2))
    starts = [FrozenEstimator(first), str(tmp_path / "first.skbp")]
    grid = [
        {"net__layers": [image_layers(Dense(16))], "net__init_from": [None]},
        {
            "net__layers": [image_layers(Dense(16)), low_rank],
            "net__init_from": starts,
            "net__freeze": [None, ["conv2d_*", "batchnorm_*"]],
        },
        {
            "net__layers": [Sequential(low_rank)],
            "net__init_from": [FrozenEstimator(chain)],
            "net__layers__5__rank": [1, 3],
        },
    ]
    X, y = X[y >= 5], y[y >= 5]
    search = GridSearchCV(image_model(None), grid, cv=2, error_score="raise", n_jobs=2).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) > 3  # they have an effect
    again = saved_and_loaded(search, X, tmp_path)
    tuned = clone(again).set_params(
        net__layers=low_rank, net__init_from=starts[0], net__freeze="conv2d_*"
    )
    tuned.fit(X, y)
    np.testing.assert_array_equal(tuned[-1].coefs_[0], first[-1].coefs_[0])  # frozen
    joblib.dump(tuned[-1].merge_lora(), tmp_path / "merged.joblib")
    merged = joblib.load(tmp_path / "merged.joblib")
    np.testing.assert_allclose(
        merged.predict_proba(tuned[0].transform(X)), tuned.predict_proba(X), atol=1e-5
    )
