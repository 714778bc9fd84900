"""What cases are checked on: an estimator, with a solver where it has one."""

from functools import cached_property
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel, HiddenFeatures
from skbp.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool2D,
    SequencePool,
    TransformerEncoder,
)
from skbp.preprocessing import (
    CategoryCodes,
    DateParts,
    QuantileNormal,
    RobustSmoothClip,
    TableEncoder,
)
from skbp.recommendation import RatingRegressor, TwoTowerRecommender
from skbp.tabular import RealMLP, ResNet, TabularClassifier, TabularRegressor
from skbp.text import (
    BytePairTokenizer,
    CharacterTokenizer,
    NearestExamples,
    RejectOption,
    SurgeDetector,
    TextModel,
)
from skbp.uncertainty import ConformalClassifier, ConformalRegressor

from . import data
from .registry import NotMeant
from .state import SHARED

#: Of what trains by batches: optimizers whose state and steps differ in kind.
SOLVERS = ("adam", "sgd", "lbfgs")
OTHER_SOLVERS = ("adamw", "muon", "lion", "lazy_adam", "rmsprop", "nadam", "radam", "adagrad")


#: The subject's own rows or targets, where None would be something to try.
OWN: Any = object()


class Subject:
    """An estimator class with parameters that make it small, and rows and targets for it.

    Parameters
    ----------
    cls : type or callable
        Makes the estimator from parameters.
    roles : str
        See `Case.on`; "skbp" is added.
    rows, target : array-like
        A target of None is for estimators that take none.
    defaults : dict
        Parameters that are not the estimator's own defaults.
    estimator, name, owner : str, optional
        What it is called in tables.
    """

    #: Other names of parameters, for rivals; None means that there is none.
    names: dict = {}

    def __init__(
        self, cls, roles, rows=data.X, target=None, defaults=None, *, estimator=None, name=None,
        owner="skbp",
    ):  # fmt: skip
        self.cls, self.X, self.y, self.owner = cls, rows, target, owner
        self.roles = {*roles.split(), owner}
        if owner == "skbp":
            self.roles |= {f"has:{name}" for name in cls._get_param_names()}
        self.defaults = defaults or {}
        self.estimator = estimator or cls.__name__
        self.name = name or self.estimator

    def make(self, **params):
        """Return an unfitted estimator; raise NotMeant for a parameter that it has not."""
        return self.cls(**(self.defaults | self.translated(params)))

    def translated(self, params):
        """Return parameters by the estimator's own names."""
        found = {self.names.get(name, name): value for name, value in params.items()}
        known = getattr(self.cls, "_get_param_names", lambda: found)()
        for name in found:
            if name is None or (self.owner != "skbp" and name.split("__")[0] not in known):
                raise NotMeant(name)
        return found

    def fit(self, model, X=OWN, y=OWN, **params):
        """Fit to rows and targets, the subject's own where none are given."""
        X, y = self.X if X is OWN else X, self.y if y is OWN else y
        return model.fit(X, **params) if y is None else model.fit(X, y, **params)

    def fitted(self, **params):
        """Return a fitted estimator."""
        return self.fit(self.make(**params))

    def use(self, model, X=OWN):
        """Return what a fitted estimator makes of rows: probabilities, numbers, or features.

        Probabilities are asserted to add up to 1, unless they are not finite.
        """
        X = self.X if X is OWN else X
        if "regressor" not in self.roles and hasattr(model, "predict_proba"):
            value = model.predict_proba(X)
            sums = np.sum(value, axis=1)
            close = np.isclose(sums, 1, rtol=1e-5) | ~np.isfinite(sums)
            assert "multilabel" in self.roles or close.all(), f"probabilities add up to {sums}"
            return value
        for name in ("predict", "transform", "score_samples", "encode"):
            if hasattr(model, name):
                return getattr(model, name)(X)
        raise NotMeant("nothing to use")

    def method(self, model, name):
        """Return a method; raise NotMeant if there is none."""
        found = getattr(model, name, None)
        if found is None:
            raise NotMeant(name)
        return found

    @cached_property
    def reference(self):
        """What an estimator fitted to the subject's own rows makes of them."""
        return np.asarray(self.use(self.fitted()))


def tables():
    """Return BackpropClassifier and BackpropRegressor with each solver."""
    found = []
    for cls, role, y in (
        (BackpropClassifier, "classifier", data.LABELS),
        (BackpropRegressor, "regressor", data.NUMBERS),
    ):
        for solver in SOLVERS + OTHER_SOLVERS:
            kind = "table any numeric weighted" if solver in SOLVERS else "solver"
            kind += f" {solver}" + " stochastic" * (solver != "lbfgs")
            params = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0,
                      "solver": solver}  # fmt: skip
            roles = f"{kind} seeded supervised {role}"
            found.append(Subject(cls, roles, data.X, y, params, name=f"{cls.__name__} {solver}"))
    return found


def networks():
    """Return classifiers with layers of all families, for rows of several axes."""
    rng = np.random.RandomState(1)
    steps, images = rng.normal(size=(data.N, 5, 3)), rng.normal(size=(data.N, 1, 4, 4))
    codes = rng.randint(0, 6, (data.N, 5)).astype(float)
    for array in (steps, images, codes):
        array.flags.writeable = False
        SHARED.append(array)
    kinds = {
        "LSTM": (steps, "steps", [LSTM(3)]),
        "GRU": (steps, "steps", [GRU(3, return_sequences=True), SequencePool("mean")]),
        "Conv1D": (steps, "steps grid", [Conv1D(3, 2), BatchNorm(), Dropout(0.2), Flatten()]),
        "Conv2D": (images, "images", [Conv2D(2, 2), BatchNorm(), MaxPool2D(2), Flatten()]),
        "attention": (steps, "steps", [TransformerEncoder(3, 6), SequencePool("mean")]),
        "embedding": (codes, "codes", [Embedding(6, 3), GRU(3)]),
        "members": (data.X, "", [Dense(4, "relu")]),
        "normalised": (data.X, "", [Dense(4, "gelu"), LayerNorm(), Dropout(0.3)]),
    }
    return [
        Subject(BackpropClassifier, f"network any classifier seeded stochastic {roles}", rows,
                data.LABELS, {"layers": layers, "max_iter": 2, "random_state": 0, "batch_size": 10}
                | ({"n_members": 2} if name == "members" else {}),
                estimator="BackpropClassifier", name=f"BackpropClassifier of {name}")
        for name, (rows, roles, layers) in kinds.items()
    ]  # fmt: skip


def others():
    """Return the other estimators of skbp, small ones."""
    small = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    preset = RealMLP(n_members=2, hidden_layer_sizes=(4,), max_iter=2, min_updates=0, n_folds=2)
    again = ResNet(n_blocks=1, units=4, hidden_units=4, max_iter=2)
    texts = {
        "max_iter": 1, "n_blocks": 1, "n_heads": 1, "width": 4, "context": 8, "batch_size": 4,
        "tokenizer": "characters", "epoch_size": 8, "random_state": 0,
    }  # fmt: skip
    two = {"dim": 2, "max_iter": 1, "random_state": 0}
    clf, reg = BackpropClassifier(**small), BackpropRegressor(**small)
    other, conformal = "any other", "any other meta numeric conformal seeded supervised"
    tabular = "any other mixed tabular seeded supervised weighted callbacks"
    X, labels, numbers = data.X, data.LABELS, data.NUMBERS
    return [
        Subject(BackpropSequenceModel, f"{other} sequence codes seeded callbacks", data.CODES, None,
                {"max_iter": 2, "random_state": 0}),
        Subject(HiddenFeatures, f"{other} numeric features supervised meta", X, labels,
                {"estimator": clf}),
        Subject(TabularClassifier, f"{tabular} classifier", X, labels,
                {"preset": preset, "random_state": 0}),
        Subject(TabularRegressor, f"{tabular} regressor", X, numbers,
                {"preset": again, "random_state": 0}),
        Subject(ConformalClassifier, f"{conformal} classifier", X,
                labels, {"estimator": clf, "random_state": 0}),
        Subject(ConformalRegressor, f"{conformal} regressor", X,
                numbers, {"estimator": reg, "random_state": 0}),
        Subject(TwoTowerRecommender, f"{other} pairs towers seeded", data.PAIRS, None, two),
        Subject(RatingRegressor, f"{other} pairs ratings seeded supervised", data.PAIRS,
                data.RATINGS, two | {"n_members": 2}),
        Subject(TextModel, "any other texts language seeded", data.TEXTS, None, texts),
        Subject(BytePairTokenizer, "any other texts tokenizer", data.TEXTS, None, {"n_codes": 300}),
        Subject(CharacterTokenizer, "any other texts tokenizer", data.TEXTS),
        Subject(RejectOption, "any other meta reject supervised", X, labels,
                {"classifier": LogisticRegression(), "cv": 2}),
        Subject(SurgeDetector, "surge other", data.STREAM, None, {"run_length": 300.0}),
        Subject(TableEncoder, "any other mixed columns", X),
        Subject(CategoryCodes, "any other mixed columns categories", np.round(X)),
        Subject(QuantileNormal, "any other columns scaler", X),
        Subject(RobustSmoothClip, "any other columns scaler", X),
        Subject(DateParts, "dates other", data.DAYS),
        Subject(NearestExamples, "nearest other", data.TEXTS, data.MOODS,
                {"vectorizer": HashingVectorizer(n_features=64)}),
    ]  # fmt: skip


def subjects(rivals=False):
    """Return all subjects.

    Parameters
    ----------
    rivals : bool
        Whether those of other packages are among them.
    """
    found = tables() + networks() + others()
    if rivals:
        from .rivals import rivals as of_others

        found += of_others()
    return found
