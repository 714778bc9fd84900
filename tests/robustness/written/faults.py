"""What was found in use before, by others or by us: each once more."""

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skbp import BackpropClassifier, BackpropRegressor, HiddenFeatures
from skbp.callbacks import Callback, Checkpoint
from skbp.inspection import LossCurveDisplay
from skbp.layers import (
    GRU,
    Conv1D,
    Dense,
    Dropout,
    Flatten,
    LoRA,
    Reshape,
    Residual,
    SequencePool,
    TransformerEncoder,
)
from skbp.model_selection import LastFraction
from skbp.optimizers import SGD, Adam

from .. import data
from ..expect import either, gives, raises, warns
from ..helpers import Failing, unchanged
from ..oracles import anything, equal, finite, same
from ..registry import case, cases

RNG = np.random.RandomState(7)
STEPS = RNG.normal(size=(60, 6, 3))
KINDS = np.arange(60) % 2
SAID = "diverged|not finite|scale|too large|beyond"
CLF, REG = "table adam classifier skbp", "table adam regressor skbp"


@case("faults of old", "a kept epoch with infinite statistics", either(SAID, oracle=finite), on=CLF)
def kept_epoch(net):
    layers = [Dense(12), Reshape((4, 3)), TransformerEncoder(3, 6, norm="post"),
              SequencePool("mean")]  # fmt: skip
    model = BackpropClassifier(layers=layers, learning_rate_init=1e9, early_stopping=True,
                               max_iter=20, random_state=0)  # fmt: skip
    return model.fit(net.X, net.y).predict_proba(net.X)


@case("faults of old", "finite weights whose outputs are infinite", either(SAID, oracle=finite),
      on="table sgd regressor -skorch")  # fmt: skip
def infinite_outputs(net):
    X = 10 * RNG.normal(size=(400, 20))
    model = net.make(hidden_layer_sizes=(50, 50), learning_rate_init=1.0, max_iter=1)
    return net.use(net.fit(model, X, X[:, 0]), X)


@case("faults of old", "one seed, another number of BLAS threads", gives(same), on=CLF, risky=True)
def other_threads(net):
    found = []
    for n in (1, 2):
        with threadpool_limits(n, "blas"):
            layers = [Conv1D(4, 2), Dropout(0.4), Flatten()]
            model = BackpropClassifier(layers=layers, random_state=0, max_iter=4, batch_size=20)
            found.append(model.fit(STEPS, KINDS).predict_proba(STEPS))
    return tuple(found)


@case("faults of old", "class weights of rare rows, one row at a time", gives(anything), on=CLF,
      slow=True)  # fmt: skip
def one_row_at_a_time(net):
    shares = []
    y = (np.arange(400) % 10 == 0).astype(int)
    X = RNG.normal(size=(400, 3)) + 0.3 * y[:, None]
    for weight in (None, {0: 1, 1: 50}):
        model = net.make(class_weight=weight, learning_rate_init=0.01)
        for i in range(len(X)):
            model.partial_fit(X[i : i + 1], y[i : i + 1], classes=[0, 1])
        shares.append(model.predict(X).mean())
    assert shares[1] > shares[0] + 0.1, f"shares of the rare class: {shares}"


@case("faults of old", "class weights of a class that a piece lacks", gives(finite), on=CLF)
def piece_lacks(net):
    model = net.make(class_weight={0: 1.0, 1: 5.0})
    model.partial_fit(net.X[:5], np.zeros(5, int), classes=[0, 1])
    return net.use(model)


@case("faults of old", "weights through metadata routing", gives(anything), on=CLF)
def routed(net):
    weight = np.where(net.y == 1, 1e-6, 1.0)
    with config_context(enable_metadata_routing=True):
        inside = net.make().set_fit_request(sample_weight=True)
        model = HiddenFeatures(inside).fit(net.X, net.y, sample_weight=weight)
        plain = HiddenFeatures(inside).fit(net.X, net.y)
    assert (model.transform(net.X) != plain.transform(net.X)).any(), "the weights did nothing"


DAYS = pd.date_range("2020", periods=data.N)
DATES = {
    "an index": DAYS, "a Series": pd.Series(DAYS),
    "with a zone": pd.Series(DAYS.tz_localize("UTC")), "durations": pd.Series(DAYS - DAYS[0]),
    "objects": DAYS.to_pydatetime(), "an array": np.array(DAYS),
    "a list": list(DAYS.to_pydatetime()), "a frame": pd.DataFrame({"a": DAYS}),
}  # fmt: skip


@cases("dates as targets", {name: (y, raises("date|time")) for name, y in DATES.items()},
       on="regressor supervised -solver")  # fmt: skip
def dates(net, y):
    return net.fit(net.make(), net.X, y)


WORDS = {"nan": "nan", "inf": "inf", "None": None, "-inf": "-inf", "NaT": pd.NaT}


NO_NUMBER = raises("missing|inf|NaN|date|convert|finite")


@cases("words as targets", {name: (word, NO_NUMBER) for name, word in WORDS.items()},
       on="regressor supervised -solver")  # fmt: skip
def words(net, word):
    y = np.array(net.y, dtype=object)
    y[3] = word
    return net.fit(net.make(), net.X, y)


@case("faults of old", "a score that is never a number", either("score|class|valid",
      oracle=anything), on=CLF)  # fmt: skip
def never_a_number(net):
    model = net.make(early_stopping=True, scoring="roc_auc")
    rows = net.y == 1
    return model.fit(net.X, net.y, X_val=net.X[rows], y_val=net.y[rows]).predict(net.X)


#: Weights of another shape are left out by design, and a warning names them.
LEFT_OUT = warns(UserWarning, "shapes differ: dense_0.weight", finite)
STARTS = {
    "another shape": ({"dense_0.weight": np.ones((3, 9))}, LEFT_OUT),
    "complex": ({"dense_0.weight": np.full((3, 4), 1j)}, raises("dense_0|complex|real")),
    "NaN": ({"dense_0.weight": np.full((3, 4), np.nan)}, raises("dense_0|finite|NaN")),
    "texts": ({"dense_0.weight": np.full((3, 4), "a")}, raises("dense_0|number|convert")),
    "an unknown name": ({"foo.weight": np.ones((3, 4))}, raises("foo")),
    "None": ({"dense_0.weight": None}, raises("dense_0|None|number")),
    "a number": ({"dense_0.weight": 1.0}, LEFT_OUT),
    "nothing": ({}, either("init_from|empty", oracle=anything)),
}


@cases("first weights", STARTS, on="table adam skbp")
def starts(net, given):
    return net.use(net.fitted(init_from=given))


NO_MODEL = raises("init_from|file|archive|model|checkpoint", error=(ValueError, OSError))
CONTENTS = {"an empty file": b"", "text": b"abc", "zeros": bytes(1000),
            "half a zip": b"PK\x03\x04" + bytes(50), "a pickle": pickle.dumps(None)}  # fmt: skip


@cases("first weights from files", {name: (content, NO_MODEL) for name, content in
       CONTENTS.items()}, on="table adam skbp")  # fmt: skip
def from_files(net, content):
    path = Path(tempfile.mkdtemp()) / "start.npz"
    path.write_bytes(content)
    return net.use(net.fitted(init_from=str(path)))


@case("faults of old", "LoRA inside Residual is merged", gives(same), on=CLF)
def merged(net):
    layers = [Dense(4), Residual([LoRA(Dense(4, "tanh"), 2)])]
    model = BackpropClassifier(layers=layers, random_state=0, max_iter=5, batch_size=10)
    model.fit(net.X, net.y)
    plain = model.merge_lora()
    assert not any("lora" in name or name.endswith((".a", ".b")) for name in plain.weights_)
    return plain.predict_proba(net.X), model.predict_proba(net.X)


@case("faults of old", "layers set to None after fit", gives(equal), on=CLF)
def no_layers(net):
    model = BackpropClassifier(layers=[GRU(3)], random_state=0, max_iter=2).fit(STEPS, KINDS)
    before = model.predict_proba(STEPS)
    return model.set_params(layers=None).predict_proba(STEPS), before


SILENT = {
    "hidden_layer_sizes beside layers": ({"layers": [Dense(3)], "hidden_layer_sizes": (9,)},
                                         raises("hidden_layer_sizes")),
    "activation beside layers": ({"layers": [Dense(3)], "hidden_layer_sizes": (100,),
                                  "activation": "tanh"}, raises("activation")),
    "an adaptive rate with adam": ({"learning_rate": "adaptive"}, warns(UserWarning, "adaptive")),
    "a splitter without early stopping": ({"validation_fraction": 2},
                                          raises("validation_fraction")),
    "alpha with a layer's limit of 0": ({"layers": [Dense(3, max_norm=0)],
                                         "hidden_layer_sizes": (100,)}, raises("max_norm")),
    "Dense of a misspelt activation": ({"layers": [Dense(3, "ReLU")],
                                        "hidden_layer_sizes": (100,)},
                                       raises("Dense", "activation")),
    "a shape of fractions": ({"layers": [Reshape((1.5, 2))], "hidden_layer_sizes": (100,)},
                             raises("Reshape|shape")),
    "a shape of texts": ({"layers": [Reshape(("3",))], "hidden_layer_sizes": (100,)},
                         raises("Reshape|shape")),
    "a shape of two unknowns": ({"layers": [Reshape((-1, -3))], "hidden_layer_sizes": (100,)},
                                raises("Reshape|shape")),
}  # fmt: skip


@cases("without effect", SILENT, on="table adam skbp")
def silent(net, params):
    return net.use(net.fitted(**params))


@case("without effect", "callbacks in partial_fit", warns(UserWarning, "callback"), on=CLF)
def in_partial_fit(net):
    net.make().set_callbacks(Failing("on_epoch_end", ValueError())).partial_fit(
        net.X, net.y, classes=[0, 1]
    )


@case("without effect", "unscaled targets", warns(ConvergenceWarning, "scale"), on=REG)
def unscaled(net):
    return net.fit(net.make(max_iter=20), net.X, np.array(net.y) * 1e6)


@case("files of others", "a second fit into the folder of a first", gives(anything), on=CLF)
def second_fit(net):
    folder = Path(tempfile.mkdtemp())
    net.fit(net.make().set_callbacks(Checkpoint(folder)))
    before = {path: path.read_bytes() for path in folder.rglob("*.npz")}
    again = net.fitted(warm_start=True)
    net.fit(again.set_callbacks(Checkpoint(folder)))
    assert before, "no checkpoint"
    for path, content in before.items():
        assert path.read_bytes() == content, f"{path.name} was replaced"


OTHER_FITS = {
    "sizes": {"hidden_layer_sizes": (5,)}, "an activation": {"activation": "tanh"},
    "alpha": {"alpha": 0.5}, "the rate": {"learning_rate_init": 0.5}, "the loss": {"loss": "focal"},
    "the solver": {"solver": SGD()}, "a parameter of the solver": {"solver": Adam(beta_1=0.5)},
    "the schedule": {"learning_rate": "cosine"}, "early stopping": {"early_stopping": True},
    "the seed": {"random_state": 5}, "shuffle": {"shuffle": False}, "dropout": {"dropout": 0.5},
    "class weights": {"class_weight": {0: 1.0, 1: 5.0}}, "dtype": {"dtype": "float64"},
    "batches": {"batch_size": 7},
}  # fmt: skip


def checkpointed(net):
    folder = Path(tempfile.mkdtemp())
    net.fit(net.make(dtype="float32").set_callbacks(Checkpoint(folder)))
    return folder


@cases("going on from a checkpoint of another fit", {name: (params, raises("")) for name, params in
       OTHER_FITS.items()}, on=CLF)  # fmt: skip
def other_fit(net, params):
    folder = checkpointed(net)
    model = net.make(**({"dtype": "float32", "max_iter": 6} | params))
    with unchanged(model):
        net.fit(model.set_callbacks(Checkpoint(folder, resume=True)))


@case("going on from a checkpoint of another fit", "other rows", raises(""), on=CLF)
def other_rows(net):
    folder = checkpointed(net)
    model = net.make(dtype="float32", max_iter=6).set_callbacks(Checkpoint(folder, resume=True))
    return net.fit(model, 2 * np.array(net.X))


@case("going on from a checkpoint of another fit", "the same one, longer", gives(equal), on=CLF)
def longer(net):
    folder = checkpointed(net)
    model = net.make(dtype="float32", max_iter=6).set_callbacks(Checkpoint(folder, resume=True))
    whole = net.fitted(dtype="float32", max_iter=6)
    return net.use(net.fit(model)), net.use(whole)


#: Sizes of pickles, in bytes.
SIZES: list = []


class Size(Callback):
    """Notes the size of the estimator's pickle at the end of each epoch."""

    def __init__(self, sizes):
        self.sizes = sizes

    def start(self, estimator, context):
        return estimator

    def on_epoch_end(self, epoch, memory, context):
        self.sizes.append(len(pickle.dumps(memory)))


@case("faults of old", "a model saved in a callback is as small as later", gives(anything), on=CLF)
def saved_in_a_callback(net):
    rows, y = np.zeros((20_000, 3)), np.arange(20_000) % 2
    model = net.make(solver=Adam(ema_decay=0.9), max_iter=1)
    sizes = SIZES
    sizes.clear()

    model.set_callbacks(Size(sizes)).fit(rows, y)
    assert sizes and max(sizes) < 50_000, sizes


@case("faults of old", "Ctrl-C in a search ends the search", raises(error=KeyboardInterrupt),
      on=CLF)  # fmt: skip
def ctrl_c(net):
    model = net.make().set_callbacks(Failing("on_epoch_begin", KeyboardInterrupt()))
    return cross_val_score(model, net.X, net.y, cv=3)


@case("faults of old", "nested lists of three axes", gives(equal), on=CLF)
def nested_lists(net):
    model = BackpropClassifier(layers=[GRU(3)], random_state=0, max_iter=2)
    got = model.fit(STEPS.tolist(), KINDS).predict_proba(STEPS.tolist())
    return got, model.fit(STEPS, KINDS).predict_proba(STEPS)


@case(
    "faults of old", "sparse targets of a regression", raises("sparse"), on="table regressor skbp"
)
def sparse_targets(net):
    return net.fit(net.make(), net.X, sp.csr_array(net.y[:, None]))


@case("faults of old", "multilabel classes by name in pieces", either("class|multilabel",
      oracle=anything), on=CLF)  # fmt: skip
def named_labels(net):
    model, y = net.make(), np.column_stack([net.y, 1 - net.y, net.y])
    for _ in range(2):
        model.partial_fit(net.X, y, classes=["a", "b", "c"])


@case("faults of old", "curves of lbfgs", either("lbfgs|curve", oracle=anything),
      on="table lbfgs skbp", risky=True, slow=True)  # fmt: skip
def curves(net):
    import matplotlib

    matplotlib.use("Agg")
    LossCurveDisplay.from_estimator(net.fitted())


@case("faults of old", "the last share of rows in a search", gives(anything), on=REG)
def last_share(net):
    model = net.make(early_stopping=True, validation_fraction=LastFraction(0.2))
    finite(cross_val_score(model, net.X, net.y, cv=3, error_score="raise"))


@case("faults of old", "validation in a pipeline that scales", gives(anything), on=CLF)
def in_a_pipeline(net):
    pipe = make_pipeline(StandardScaler(), net.make(early_stopping=True))
    search = GridSearchCV(pipe, {"backpropclassifier__alpha": [0, 1]}, cv=2, error_score="raise")
    finite(search.fit(net.X, net.y).predict_proba(net.X))


@case("faults of old", "probabilities of many targets are as they are", gives(anything), on=REG)
def many_targets(net):
    y = np.column_stack([net.y] * 40)
    model = BackpropRegressor((4,), max_iter=2, random_state=0).fit(net.X, y)
    assert model.predict(net.X).shape == y.shape
    finite(model.predict(net.X))
