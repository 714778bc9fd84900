"""A fit goes on from a checkpoint of its own kind only, and says what differs."""

from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import KFold, ShuffleSplit

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel
from skbp._engine.fingerprint import describe, differences, digest
from skbp.activations import ELU, LeakyReLU, ReLU
from skbp.callbacks import Call, Checkpoint, GradualUnfreezing
from skbp.initializers import Orthogonal
from skbp.layers import Conv2D, Dense, Dropout, Embedding, SequencePool, TransformerEncoder
from skbp.losses import Huber, LogLoss, Quantile
from skbp.optimizers import SGD, Adam, Group
from skbp.schedules import Cosine, Scheduled, Step

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 6))
Y = X[:, 0] + 0.1 * RNG.normal(size=60)
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.4, 0.4])]
IMAGES = RNG.normal(size=(60, 2, 7, 7))
STEPS = RNG.normal(size=(60, 5, 4))
CODES = RNG.integers(1, 9, size=(60, 5))


def of_kind(kind, **changes):
    """Return a net and its data, with changed parameters or data."""
    cls, params, given = {
        "regression": (BackpropRegressor, {"hidden_layer_sizes": (6, 5)}, {"X": X, "y": Y}),
        "classes": (BackpropClassifier, {"hidden_layer_sizes": (6, 5)}, {"X": X, "y": LABELS}),
        "images": (BackpropRegressor, {"layers": [Conv2D(3, (3, 5))]}, {"X": IMAGES, "y": Y}),
        "steps": (
            BackpropRegressor, {"layers": [TransformerEncoder(1, 6), SequencePool("mean")]},
            {"X": STEPS, "y": Y},
        ),
        "symbols": (
            BackpropSequenceModel,
            {"layers": [Embedding(9, 4), TransformerEncoder(1, 6, causal=True)]}, {"X": CODES},
        ),
    }[kind]  # fmt: skip
    params = {"max_iter": 3, "batch_size": 20, "random_state": 0, **params}
    for name, value in changes.items():
        (given if name in ("X", "y", "sample_weight", "X_val", "y_val") else params)[name] = value
    return cls(**params), given


def fit(kind, callbacks, **changes):
    net, given = of_kind(kind, **changes)
    return net.set_callbacks(*callbacks).fit(**given)


STOP = Call(lambda epoch: epoch["epoch"] == 2)
CHANGED = X.copy()
CHANGED[7, 3] += 1e-3
OTHER_LABELS = np.array(["a", "b", "d"])[np.digitize(X[:, 0], [-0.4, 0.4])]

# Kind, how it was, how it is, what the error says.
DIFFERENT = [
    ("regression", {}, {"hidden_layer_sizes": (5, 6)}, r"layers\[0\].units 6, not 5"),
    ("regression", {}, {"hidden_layer_sizes": (6,)}, r"layers \['Dense', 'Dense', 'Dense'\], not"),
    ("images", {}, {"layers": [Conv2D(3, (5, 3))]}, r"layers\[0\].kernel_size\[0\] 3, not 5"),
    ("steps", {}, {"layers": [TransformerEncoder(2, 6), SequencePool("mean")]}, "n_heads 1, not 2"),
    ("steps", {}, {"layers": [TransformerEncoder(1, 6), SequencePool("max")]}, "'mean', not"),
    ("symbols", {}, {"layers": [Embedding(9, 4), TransformerEncoder(2, 6, causal=True)]},
     "n_heads 1, not 2"),
    ("regression", {}, {"activation": "tanh"}, "activation 'ReLU', not 'Tanh'"),
    ("regression", {"activation": LeakyReLU(0.1)}, {"activation": LeakyReLU(0.2)}, "0.1, not 0.2"),
    ("regression", {"activation": ["relu", ELU(0.5)]}, {"activation": ["relu", ELU()]}, "0.5, not"),
    ("regression", {"dropout": 0.1}, {"dropout": 0.2}, "rate 0.1, not 0.2"),
    ("regression", {}, {"dropout": 0.2}, r"layers \["),
    ("regression", {"normalization": "batch"}, {"normalization": "layer"}, "'BatchNorm', not 'La"),
    ("regression", {}, {"initializer": Orthogonal()}, "initializer 'GlorotUniform', not 'Orthog"),
    ("regression", {}, {"alpha": 0.5}, "alpha 0.0001, not 0.5"),
    ("regression", {}, {"l1_ratio": 0.5}, "l1_ratio 0.0, not 0.5"),
    ("regression", {}, {"learning_rate_init": 0.1}, "learning_rate_init 0.001, not 0.1"),
    ("regression", {}, {"learning_rate": "cosine"}, "learning_rate 'Constant', not 'Cosine'"),
    ("regression", {"learning_rate": Step(0.2)}, {"learning_rate": Step(0.3)}, "0.2, not 0.3"),
    ("regression", {"learning_rate": "one_cycle"}, {"learning_rate": "one_cycle", "max_iter": 9},
     "max_iter 3, not 9"),
    ("regression", {"dropout": Scheduled("cosine", 0.5)},
     {"dropout": Scheduled("cosine", 0.5), "max_iter": 9}, "max_iter 3, not 9"),
    ("regression", {"solver": Adam(groups=[Group("*", schedule="cosine")])},
     {"solver": Adam(groups=[Group("*", schedule="cosine")]), "max_iter": 9}, "max_iter 3, not 9"),
    ("regression", {"solver": "sgd", "learning_rate": "adaptive"},
     {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 2}, "n_iter_no_change 10"),
    ("regression", {}, {"tol": 0.1}, "tol 0.0001, not 0.1"),
    ("regression", {}, {"loss": "absolute_error"}, "loss 'SquaredError', not 'AbsoluteError'"),
    ("regression", {"loss": Huber(1.0)}, {"loss": Huber(2.0)}, r"loss\.\w+ 1.0, not 2.0"),
    ("regression", {"loss": Quantile([0.1, 0.5])}, {"loss": Quantile([0.1, 0.9])}, "0.5, not 0.9"),
    ("classes", {}, {"loss": LogLoss(label_smoothing=0.1)}, "label_smoothing 0.*, not 0.1"),
    ("regression", {}, {"solver": "adamw"}, "optimizer 'Adam', not 'AdamW'"),
    ("regression", {}, {"beta_1": 0.5}, "optimizer.beta_1 0.9, not 0.5"),
    ("regression", {"solver": SGD()}, {"solver": SGD(clip_norm=1.0)}, "clip_norm None, not 1.0"),
    ("regression", {"solver": Adam()}, {"solver": Adam(ema_decay=0.9)}, "ema_decay None, not 0.9"),
    ("regression", {"solver": Adam(groups=[Group("output", rate=0.1)])},
     {"solver": Adam(groups=[Group("output", rate=0.2)])}, "rate 0.1, not 0.2"),
    ("regression", {}, {"freeze": "dense_0"}, r"freeze \[\], not \['dense_0'\]"),
    ("regression", {}, {"batch_size": 30}, "batch_size 20, not 30"),
    ("regression", {}, {"shuffle": False}, "shuffle True, not False"),
    ("regression", {"shuffle": False}, {}, "shuffle False, not True"),
    ("regression", {}, {"random_state": 1}, "random_state 0, not 1"),
    ("regression", {}, {"dtype": "float64"}, "dtype 'float32', not 'float64'"),
    ("regression", {}, {"early_stopping": True}, "early_stopping False, not True"),
    ("regression", {"early_stopping": True}, {"early_stopping": "refit"}, "True, not 'refit'"),
    ("regression", {"early_stopping": True}, {}, "early_stopping True, not False"),
    ("regression", {"early_stopping": True}, {"early_stopping": True, "validation_fraction": 0.2},
     "validation_fraction 0.1, not 0.2"),
    ("regression", {"early_stopping": True, "validation_fraction": KFold(3)},
     {"early_stopping": True, "validation_fraction": KFold(4)}, "n_splits 3, not 4"),
    ("regression", {"early_stopping": True}, {"early_stopping": True, "scoring": "loss"},
     "scoring None, not 'loss'"),
    ("regression", {"early_stopping": True}, {"early_stopping": True, "X": X[:30], "y": Y[:30]},
     "n_rows 60, not 30"),
    ("regression", {"X_val": X[:9], "y_val": Y[:9]}, {"X_val": X[9:18], "y_val": Y[9:18]}, "X_val"),
    ("regression", {"X_val": X[:9], "y_val": Y[:9]}, {}, "X_val 'float32 of shape.*, not None"),
    ("regression", {}, {"X": CHANGED}, "X 'float32 of shape .*, not 'float32"),
    ("regression", {}, {"y": Y + 1e-3}, "y 'float"),
    ("regression", {}, {"X": X[::-1], "y": Y[::-1]}, "X 'float32"),
    ("regression", {}, {"X": X[:, :5]}, r"input_shape\[0\] 6, not 5"),
    ("regression", {}, {"sample_weight": np.arange(1.0, 61)}, "sample_weight None, not 'float64"),
    ("classes", {}, {"class_weight": "balanced"}, "class_weight None, not 'balanced'"),
    ("classes", {"class_weight": {"a": 2, "b": 1, "c": 1}},
     {"class_weight": {"a": 3, "b": 1, "c": 1}}, r"class_weight\['a'\] 2, not 3"),
    ("classes", {}, {"y": OTHER_LABELS}, r"classes\[2\] 'c', not 'd'"),
    ("classes", {}, {"y": np.roll(LABELS, 1)}, "y 'int64"),
    ("symbols", {}, {"X": CODES[::-1]}, "X '"),
]  # fmt: skip


@pytest.mark.parametrize("kind, then, now, told", DIFFERENT)
def test_another_fit_is_refused(kind, then, now, told, tmp_path):
    fit(kind, [Checkpoint(tmp_path), STOP], **then)
    with pytest.raises(ValueError, match=f"checkpoint of another fit: it has .*{told}"):
        fit(kind, [Checkpoint(tmp_path, resume=True)], **now)
    fit(kind, [Checkpoint(tmp_path, resume=True)], **then)


SAME = [
    ("regression", {}, {"max_iter": 5}),
    ("regression", {}, {"n_iter_no_change": np.inf, "verbose": 0, "warm_start": True}),
    ("regression", {}, {"activation": ReLU(), "solver": Adam(), "learning_rate": "constant"}),
    ("regression", {}, {"hidden_layer_sizes": [np.int64(6), 5], "alpha": np.float64(1e-4)}),
    ("regression", {"learning_rate": "cosine"}, {"learning_rate": Cosine()}),
    ("regression", {"layers": [Dense(6)], "hidden_layer_sizes": (100,)},
     {"layers": [Dense(6, ReLU())], "hidden_layer_sizes": (100,)}),
    ("regression", {"batch_size": "auto"}, {"batch_size": 60}),
    ("regression", {"freeze": "output"}, {"freeze": ["output"]}),
    ("regression", {"loss": Quantile([0.1, 0.5])}, {"loss": Quantile(np.array([0.1, 0.5]))}),
    ("regression", {}, {"X": np.asfortranarray(X)}),
    ("regression", {"X": csr_array(X)}, {"X": csr_array(X).tocsc()}),
    ("classes", {}, {"y": LABELS.astype(object)}),
    ("classes", {}, {"y": LABELS.tolist()}),
    ("classes", {"class_weight": {"a": 2, "b": 1, "c": 1}},
     {"class_weight": {"c": 1.0, "b": 1.0, "a": np.float64(2)}}),
    ("classes", {"y": LABELS == "a", "class_weight": {False: 2, True: 1}},
     {"y": LABELS == "a", "class_weight": {np.False_: 2, np.True_: 1}}),
    ("regression", {"early_stopping": True, "validation_fraction": ShuffleSplit(2, random_state=1)},
     {"early_stopping": True, "validation_fraction": ShuffleSplit(2, random_state=1)}),
]  # fmt: skip


@pytest.mark.parametrize("kind, then, now", SAME)
def test_the_same_fit_in_other_words(kind, then, now, tmp_path):
    fit(kind, [Checkpoint(tmp_path), STOP], **then)
    net = fit(kind, [Checkpoint(tmp_path, resume=True)], **now)
    np.testing.assert_array_equal(net._network.params, fit(kind, [], **now)._network.params)


def test_what_callbacks_freeze(tmp_path):
    fit("regression", [Checkpoint(tmp_path), STOP, GradualUnfreezing(every=1)])
    with pytest.raises(ValueError, match=r"unfreezing\[0\].every 1, not 2"):
        fit("regression", [Checkpoint(tmp_path, resume=True), GradualUnfreezing(every=2)])
    with pytest.raises(ValueError, match=r"unfreezing \['GradualUnfreezing'\], not \[\]"):
        fit("regression", [Checkpoint(tmp_path, resume=True)])


def test_labels_with_signs_that_files_know(tmp_path):
    labels = np.array(["$a/b", "$array", "c\nd"])[np.digitize(X[:, 0], [-0.4, 0.4])]
    weights = dict.fromkeys(np.unique(labels), 2.0)
    params = {"y": labels, "class_weight": weights}
    fit("classes", [Checkpoint(tmp_path), STOP], **params)
    fit("classes", [Checkpoint(tmp_path, resume=True)], **params)


@pytest.mark.parametrize("resume", ["", 3, 0.5, ["a"]])
def test_resume_from_no_path(resume, tmp_path, monkeypatch):
    fit("regression", [Checkpoint(tmp_path)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"'resume' .*True or False, or the path of"):
        fit("regression", [Checkpoint(tmp_path / "new", resume=resume)])


# ------------------------------------------------------------ descriptions


def test_descriptions_are_plain_and_tell_things_apart():
    values = [
        None, True, 1, 1.5, "a", "b", [1, 2], [2, 1], {"a": 1}, {"a": 2}, {1: 1}, np.nan,
        fbeta_score, make_scorer(fbeta_score, beta=2), make_scorer(fbeta_score, beta=3),
        partial(fbeta_score, beta=2), partial(fbeta_score, beta=3), KFold(3), KFold(4),
        Dense(3), Dense(4), Dense(3, name="a"), Dropout(0.5), RNG.normal(size=60), np.zeros(60),
        np.zeros(61), np.zeros(60, np.float32), csr_array(np.eye(9)), csr_array(2 * np.eye(9)), 1j,
    ]  # fmt: skip
    found = [describe(value) for value in values]
    for i, one in enumerate(found):
        for j, other in enumerate(found):
            assert bool(list(differences(one, other, "it"))) == (i != j), (values[i], values[j])


def test_objects_that_hold_themselves_are_described():
    class Own:
        def __init__(self):
            self.me, self.us, self.size = self, [self], 3

    assert describe(Own()) == {"class": "Own", "size": 3}


@pytest.mark.parametrize("shape", [(2_000_003,), (70_000, 17), (3, 5, 7), (0, 4), (4, 0)])
def test_a_digest_is_of_the_values(shape):
    array = np.random.default_rng(0).normal(size=shape)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.copy())
    assert digest(array) != digest(array.astype(np.float32))
    if array.size:
        changed = array.copy()
        changed.reshape(-1)[-1] += 1
        assert digest(array) != digest(changed)
