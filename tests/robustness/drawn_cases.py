"""Hypothesis draws an estimator with its parameters, data, and what is called."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, ShuffleSplit

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel, Ensemble
from skbp.callbacks import Callback, Checkpoint, EarlyStopping, GradualUnfreezing, TargetScore
from skbp.layers import NORMALIZATIONS
from skbp.tabular import TabularClassifier, TabularRegressor

from .drawn_components import (
    ACTIVATION,
    INITIALIZER,
    LOSS,
    PATTERNS,
    SCHEDULE,
    SHARE,
    SOLVER,
    component,
    layers_for,
    of,
)

KINDS = ("classifier", "regressor", "sequence model", "table classifier", "table regressor")
CLASSES = dict(
    zip(KINDS, (BackpropClassifier, BackpropRegressor, BackpropSequenceModel, TabularClassifier,
                TabularRegressor), strict=True)
)  # fmt: skip

#: What no parameter, or hardly one, may be. Nothing that would only take long.
WILD = [
    None, -1, 0, 1.5, float("nan"), float("inf"), "x", "", True, [], {}, (), object(), int,
    [None], 1e300, -1e-300, 1j, np.float32(0.5), np.int8(3), np.array([1, 2]), np.array("x"),
    b"x", "auto", [[3]], {"a": 1}, ["relu"], lambda *given: 0.0, np.nan, range(2), "loss",
]  # fmt: skip


@dataclass
class Data:
    """What rows and targets are like; the values come from a seed."""

    shape: str = "table"
    n: int = 12
    features: int = 3
    seed: int = 0
    scale: float = 1.0
    form: str = "float64"
    target: str = "two"
    weight: str = "none"
    spoiled: str = ""

    def rng(self):
        """Return a source of numbers."""
        return np.random.default_rng(self.seed)

    def rows(self):
        """Return rows, in their form."""
        rng, n, f = self.rng(), self.n, self.features
        axes = {"table": (f,), "steps": (4, f), "absent": (4, f), "images": (2, 4, f + 1),
                "codes": (f + 1,)}[self.shape]  # fmt: skip
        if self.shape == "codes":
            X = rng.integers(1, 7, (n, *axes)).astype(float)
            for row in range(n):  # padding at the ends
                X[row, rng.integers(1, f + 2) :] = 0
        else:
            X = rng.normal(size=(n, *axes)) * self.scale
        if self.shape == "absent":
            X[rng.random(n) < 0.4, 2:] = np.nan
        if self.spoiled in ("nan", "inf", "-inf"):
            X[(0,) * X.ndim] = float(self.spoiled)
        elif self.spoiled == "constant":
            X[:] = 1.0
        elif self.spoiled == "doubled":
            X[n // 2 :] = X[: n - n // 2]
        return in_form(X, self.form)

    def targets(self):
        """Return targets."""
        rng, n = np.random.default_rng(self.seed + 1), self.n
        made = TARGETS[self.target](rng, n)
        if self.spoiled == "short y":
            return made[:-1]
        if self.spoiled == "nan in y":
            made = np.asarray(made, object)
            made[0] = np.nan
        return made

    def weights(self):
        """Return weights, or None."""
        rng, n = np.random.default_rng(self.seed + 2), self.n
        return WEIGHTS[self.weight](rng, n)


def in_form(X, form):
    """Return rows in another container or dtype."""
    if X.ndim > 2 and form in FORMS_OF_TABLES:
        return X
    if form == "list":
        return X.tolist()
    if form == "frame":
        return pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    if form in ("csr", "csc", "coo"):
        kept = np.where(X > 0, X, 0.0)
        return getattr(sparse, f"{form}_array")(kept)
    if form == "fortran":
        return np.asfortranarray(X)
    if form == "strided":
        return np.repeat(X, 2, axis=0)[::2]
    if form == "read-only":
        X.flags.writeable = False
        return X
    if form in ("int64", "uint8"):
        return np.nan_to_num(np.clip(X, 0, 100)).astype(form)
    with np.errstate(over="ignore"):
        return X.astype(form)


FORMS_OF_TABLES = ("list", "frame", "csr", "csc", "coo", "fortran")
FORMS = ["float64", "float32", "int64", "uint8", "bool", "object", "float16", "strided",
         "read-only", *FORMS_OF_TABLES]  # fmt: skip


def names(rng, n, k):
    """Return labels of text."""
    return np.array(["ant", "bee", "cow", "dog"])[:k][rng.integers(0, k, n)]


TARGETS = {
    "two": lambda rng, n: np.arange(n) % 2,
    "three": lambda rng, n: rng.integers(0, 3, n),
    "names": lambda rng, n: names(rng, n, 3),
    "objects": lambda rng, n: names(rng, n, 2).astype(object),
    "booleans": lambda rng, n: rng.random(n) < 0.5,
    "negative": lambda rng, n: rng.choice([-5, 7], n),
    "floats": lambda rng, n: rng.choice([1.0, 2.0], n),
    "one class": lambda rng, n: np.zeros(n, int),
    "rare": lambda rng, n: (np.arange(n) == 0).astype(int),
    "multilabel": lambda rng, n: rng.integers(0, 2, (n, 3)),
    "list": lambda rng, n: names(rng, n, 3).tolist(),
    "numbers": lambda rng, n: rng.normal(size=n),
    "large": lambda rng, n: rng.normal(size=n) * 1e6,
    "tiny": lambda rng, n: rng.normal(size=n) * 1e-9,
    "several": lambda rng, n: rng.normal(size=(n, 2)),
    "column": lambda rng, n: rng.normal(size=(n, 1)),
    "constant": lambda rng, n: np.full(n, 3.0),
    "positive": lambda rng, n: rng.gamma(1.0, size=n) + 0.01,
    "counts": lambda rng, n: rng.poisson(2.0, n),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
    "nothing": lambda rng, n: [None] * n,
}
LABELS = ["two", "three", "names", "objects", "booleans", "negative", "floats", "one class", "rare",
          "multilabel", "list", "numbers"]  # fmt: skip
NUMBERS = ["numbers", "large", "tiny", "several", "column", "constant", "positive", "counts",
           "float32", "booleans", "names"]  # fmt: skip
WEIGHTS = {
    "none": lambda rng, n: None,
    "some": lambda rng, n: rng.uniform(0.5, 2.0, n),
    "zeros": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "whole": lambda rng, n: rng.integers(1, 4, n),
    "huge": lambda rng, n: rng.uniform(1, 2, n) * 1e200,
    "far apart": lambda rng, n: 10.0 ** rng.integers(-200, 200, n),
    "all zero": lambda rng, n: np.zeros(n),
    "negative": lambda rng, n: -np.ones(n),
    "one number": lambda rng, n: 2.0,
    "short": lambda rng, n: np.ones(n - 1),
}


@cache
def fitted(kind):
    """Return a small network to start from."""
    X, y = np.eye(6, 3), np.arange(6) % 2
    net = BackpropClassifier if kind == "classifier" else BackpropRegressor
    return net((4,), solver="lbfgs", max_iter=50, random_state=0).fit(X, y)


class Own(Callback):
    """A callback of one's own, which looks at everything and changes nothing."""

    def on_epoch_end(self, epoch, memory, context):
        """Look."""
        return epoch["loss"] == 0 and context.training.state() is None


def parameters(kind):
    """Return a strategy for each parameter of an estimator that is no table's."""
    number = st.sampled_from
    found = {
        "loss": LOSS, "solver": SOLVER | st.just("lbfgs"),
        "alpha": number([0.0, 1e-4, 0.1, 10.0, 1e6]),
        "batch_size": number([1, 2, 5, 16, 1000, "auto", np.int64(3)]),
        "learning_rate": SCHEDULE,
        "learning_rate_init": number(["auto", 1e-3, 0.05, 1.0, 1e4, 1e-12]),
        "power_t": number([0.0, 0.5, 3.0]),
        "max_iter": number([1, 2, 3, 6]),
        "shuffle": number([True, False, "by_length"]),
        "random_state": st.integers(0, 3) | st.integers(0, 3).map(np.random.RandomState),
        "tol": number([0.0, 1e-4, 1e6]), "verbose": number([False, True, 2]),
        "warm_start": st.booleans(), "momentum": number([0.0, 0.5, 1.0]),
        "nesterovs_momentum": st.booleans(), "early_stopping": number([True, False, "refit"]),
        "validation_fraction": number([0.1, 0.5, 0.9, 0.0, KFold(2), 3,
                                       ShuffleSplit(1, random_state=0)]),
        "beta_1": number([0.0, 0.9, 0.999]), "beta_2": number([0.0, 0.5, 0.999]),
        "epsilon": number([1e-8, 1e-300, 1.0]), "n_iter_no_change": number([1, 2, np.inf]),
        "max_fun": number([1, 5, 50]), "dtype": number(["auto", "float32", "float64", np.float32]),
        "l1_ratio": number([0.0, 0.5, 1.0]), "scoring": number([None, "loss", "accuracy", "r2"]),
        "init_from": st.none() | number(["no_such_file", {}, {"dense_0.weight": np.ones((3, 4))}]),
        "freeze": st.none() | number([PATTERNS[0], PATTERNS[2:4], "output", []]),
    }  # fmt: skip
    if kind == "sequence model":
        more = {
            "n_symbols": number([None, 7, 9, 3]), "padding_index": number([0, None, 6]),
            "separator_index": number([None, 2]), "crops": number([None, 1, 4]),
        }  # fmt: skip
        return found | more
    sizes = st.lists(st.integers(1, 6), max_size=2).map(tuple) | st.integers(1, 6)
    more = {
        "hidden_layer_sizes": sizes, "activation": ACTIVATION, "dropout": SHARE,
        "normalization": st.none() | of(NORMALIZATIONS), "initializer": INITIALIZER,
        "n_members": st.integers(1, 3) | component(Ensemble),
        "init_from": found["init_from"] | st.just(FrozenEstimator(fitted(kind))),
    }  # fmt: skip
    if kind == "classifier":
        more["class_weight"] = number([None, "balanced", {0: 2.0, 1: 0.5}, {0: 0.0}, {"ant": 3}])
    return found | more


def tables(kind):
    """Return a strategy for each parameter of an estimator for tables."""
    number = st.sampled_from
    found = {
        "preset": st.builds(small_preset, st.integers(1, 2), st.integers(1, 3), st.booleans()),
        "categorical_features": number(["from_dtype", [0], [], None, "all"]),
        "max_time": number([None, 1e6]), "verbose": number([False, True]),
        "warm_start": st.booleans(), "random_state": st.integers(0, 3),
    }  # fmt: skip
    if kind == "table classifier":
        weights = number([None, "balanced", {0: 2.0, 1: 0.5}])
        return found | {"calibrate": st.booleans(), "class_weight": weights}
    return found | {"loss": LOSS}


def small_preset(members, epochs, deep):
    """Return a preset of few members and epochs."""
    from skbp.tabular import RealMLP

    sizes = (4, 3) if deep else (3,)
    return RealMLP(
        n_members=members, max_iter=epochs, min_updates=1, hidden_layer_sizes=sizes, n_folds=2
    )


CALLBACKS = st.sampled_from([
    (), ("own",), ("stopping",), ("target",), ("checkpoint",), ("unfreezing",),
    ("own", "stopping", "checkpoint"),
])  # fmt: skip


def callbacks(found, folder):
    """Return the callbacks of these names."""
    made = {
        "own": Own, "stopping": lambda: EarlyStopping("loss", patience=1),
        "target": lambda: TargetScore(0.0, "loss"), "unfreezing": GradualUnfreezing,
        "checkpoint": lambda: Checkpoint(folder),
    }  # fmt: skip
    return [made[name]() for name in found]


@dataclass
class Case:
    """An estimator's class and parameters, data, and what is called."""

    kind: str
    params: dict[str, Any] = field(default_factory=dict)
    data: Data = field(default_factory=Data)
    callbacks: tuple[str, ...] = ()
    incremental: bool = False
    validate: bool = False


@st.composite
def cases(draw, kinds=KINDS):
    """Draw a case: mostly what may work, now and then a wild value or a spoiled row."""
    kind = draw(st.sampled_from(kinds))
    table, sequences = kind.startswith("table"), kind == "sequence model"
    shape = draw(st.sampled_from(["table", "table", "steps", "absent", "images", "codes"]))
    shape = "table" if table else "codes" if sequences else shape
    known = tables(kind) if table else parameters(kind)
    chosen = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=7))
    params = {name: draw(known[name]) for name in chosen}
    if not table:
        params.setdefault("max_iter", 2)
        if not sequences and (shape != "table" or draw(st.booleans())):
            params["layers"] = draw(layers_for(shape))
            for name in ("hidden_layer_sizes", "activation", "dropout", "normalization"):
                params.pop(name, None)
        elif not sequences:
            params.setdefault("hidden_layer_sizes", (4,))
    else:
        params.setdefault("preset", small_preset(1, 1, False))
    params.setdefault("random_state", 0)
    if draw(st.integers(0, 7)) == 7:
        params[draw(st.sampled_from(sorted(CLASSES[kind]().get_params(deep=False))))] = draw(
            st.sampled_from(WILD)
        )
    if params["random_state"] is None:  # NumPy's own source, of which nothing is promised
        params["random_state"] = 0
    return Case(
        kind, params, draw(data(kind, shape)),
        () if table else draw(CALLBACKS), draw(st.booleans()),
        draw(st.booleans()) and not table,
    )  # fmt: skip


@st.composite
def data(draw, kind, shape):
    """Draw what rows and targets are like."""
    wild = draw(st.integers(0, 5)) == 5
    is_classifier = kind.endswith("classifier")
    spoiled = ["constant", "doubled"] + ["nan", "inf", "short y", "nan in y"] * wild
    weights = list(WEIGHTS)[: len(WEIGHTS) if wild else 5]
    if shape in ("absent", "codes"):
        weights.remove("zeros")  # nobody says that such rows can be predicted
    targets = LABELS if is_classifier else NUMBERS
    return Data(
        shape, draw(st.integers(2, 60)), draw(st.integers(1, 4)), draw(st.integers(0, 5)),
        draw(st.sampled_from([1.0, 1.0, 1e-6, 1e6, 1e200] if wild else [1.0])),
        draw(st.sampled_from(FORMS if shape == "table" or wild else ["float64", "float32"])),
        draw(st.sampled_from(targets if not wild else list(TARGETS))),
        draw(st.sampled_from(weights)),
        draw(st.sampled_from(["", "", "", *spoiled])),
    )  # fmt: skip
