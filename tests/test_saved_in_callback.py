"""Models that callbacks copy or save while the fit goes on: models, without data or the fit."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel
from skbp.callbacks import Callback
from skbp.layers import GRU, Embedding
from skbp.optimizers import Adam

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3000, 40))
Y = X[:, 0]
CODES = RNG.integers(1, 9, size=(3000, 20))


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    return file.getvalue()


class Saver(Callback):
    """Saves what it is handed, before and after each epoch."""

    def __init__(self, saved, how=pickle.dumps):
        self.saved = saved
        self.how = how

    def __getstate__(self):
        return {"saved": None, "how": None}

    def on_fit_task_begin(self, estimator, context):
        self.saved.append(("estimator", self.how(estimator)))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.saved.append(("estimator", self.how(estimator)))
        if fitted_estimator is not None:
            self.saved.append(("fitted", self.how(fitted_estimator)))


CASES = {
    "adam": (BackpropRegressor, {}),
    "average": (BackpropRegressor, {"solver": Adam(ema_decay=0.9)}),
    "average and best epoch": (
        BackpropClassifier, {"solver": Adam(ema_decay=0.9), "early_stopping": True}
    ),
    "refit": (BackpropRegressor, {"early_stopping": "refit", "shuffle": False}),
    "lbfgs": (BackpropClassifier, {"solver": "lbfgs"}),
    "symbols": (
        BackpropSequenceModel, {"layers": [Embedding(9, 4), GRU(5, return_sequences=True)]}
    ),
}  # fmt: skip


def net_and_data(case):
    cls, params = CASES[case]
    params = {"max_iter": 3, "random_state": 0, **params}
    if cls is BackpropSequenceModel:
        return cls(**params), (CODES,)
    return cls((5,), **params), (X, Y > 0 if cls is BackpropClassifier else Y)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("how", [pickle.dumps, by_joblib], ids=["pickle", "joblib"])
def test_a_saved_model_has_no_data(case, how):
    net, given = net_and_data(case)
    saved = []
    net.set_callbacks(Saver(saved, how)).fit(*given)
    assert len([kind for kind, _ in saved if kind == "fitted"]) == net.n_iter_ + 1
    after = len(how(net))
    assert max(len(content) for _, content in saved) < after + 2000
    for kind, content in saved:
        model = joblib.load(io.BytesIO(content)) if how is by_joblib else pickle.loads(content)
        assert not [name for name in vars(model) if "ctx" in name or "teardown" in name]
        if kind == "fitted":
            assert np.isfinite(model.score(*given)).all()
    model.set_callbacks().fit(*given)  # it can be trained, too
    np.testing.assert_array_equal(model._network.params, net._network.params)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_a_copy_is_a_model(how):
    net, given = net_and_data("average and best epoch")
    saved = []
    net.set_callbacks(Saver(saved, how)).fit(*given)
    for kind, model in saved:
        assert not [name for name in vars(model) if "ctx" in name or "teardown" in name]
        if kind == "fitted":
            assert model.score(*given) > 0.5
    assert not [name for name in vars(net) if "ctx" in name or "teardown" in name]


class Small(Callback):
    """Raises unless the model is small."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        assert len(pickle.dumps(estimator)) < 10_000
        assert len(pickle.dumps(fitted_estimator)) < 10_000


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_in_a_search(n_jobs):
    net = BackpropRegressor((5,), max_iter=2, random_state=0).set_callbacks(Small())
    search = GridSearchCV(
        make_pipeline(StandardScaler(), net), {"backpropregressor__alpha": [0.1, 1.0]}, cv=2,
        n_jobs=n_jobs, error_score="raise",
    )  # fmt: skip
    assert np.isfinite(search.fit(X, Y).best_score_)


def test_contexts_let_go_of_the_training():
    class Keep(Callback):
        def start(self, estimator, context):
            return KEPT

        def on_epoch_begin(self, memory, context):
            assert context.training.network is not None
            memory.append(context)

        def on_epoch_end(self, epoch, memory, context):
            assert context.training.epoch == epoch
            memory.append(context)

    KEPT = []
    for case in CASES:
        net, given = net_and_data(case)
        net.set_callbacks(Keep()).fit(*given)
        assert KEPT
        assert not [context for context in KEPT if hasattr(context, "training")]
        KEPT.clear()
