"""Interrupted, and resumed from a checkpoint: the bits of a fit that was never interrupted."""

import subprocess
import sys
import textwrap
import warnings
from dataclasses import asdict, fields, is_dataclass
from tempfile import mkdtemp
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from _common import each
from scipy.sparse import csr_array, random_array
from sklearn.model_selection import ShuffleSplit

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.batches import Batches, Data
from skbp._engine.history import History
from skbp._engine.network import Network
from skbp._engine.resume import capture, put_back
from skbp.callbacks import Call, Checkpoint, TimeLimit, read_state, stopping
from skbp.layers import Dense, GaussianNoise
from skbp.optimizers import SGD, Adam, AdamW, Group, Muon
from skbp.schedules import Scheduled

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6))
LABELS = (X[:, 0] + X[:, 1] + RNG.normal(size=120) > 0).astype(int) + (X[:, 2] > 0.8)
NUMBERS = np.tanh(X[:, 0]) + X[:, 1] + 0.5 * RNG.normal(size=120)
SPARSE = csr_array(random_array((120, 40), density=0.1, rng=2))
WEIGHT = RNG.integers(0, 3, size=120)


def make(cls, **params):
    defaults = {
        "hidden_layer_sizes": (8, 5), "max_iter": 9, "batch_size": 25, "random_state": 0,
        "learning_rate_init": 0.02, "n_iter_no_change": 99,
    }  # fmt: skip
    return cls(**{**defaults, **params})


def data(cls, X=X, **given):
    return {"X": X, "y": LABELS if cls is BackpropClassifier else NUMBERS, **given}


def stopper(epoch_number):
    return Call(lambda epoch: epoch["epoch"] == epoch_number)


def resumed(net, source, *callbacks):
    """Return the net with a checkpoint of its own, aside, that goes on from a source."""
    return net.set_callbacks(Checkpoint(mkdtemp(), resume=source), *callbacks)


def assert_same_fit(one, other):
    for name in ("params", "state"):
        np.testing.assert_array_equal(getattr(one._network, name), getattr(other._network, name))
    for name in vars(one):
        if name.endswith("_") and name not in ("epoch_seconds_", "history_"):
            assert joblib.hash(getattr(one, name)) == joblib.hash(getattr(other, name)), name
    for name in one.history_:
        if name != "seconds":
            assert joblib.hash(one.history_[name]) == joblib.hash(other.history_[name]), name


# Parameters, and what else is given to fit.
CASES = {
    "sgd": {"solver": "sgd"},
    "sgd without momentum": {"solver": "sgd", "momentum": 0.0},
    "adam": {},
    "adamw": {"solver": "adamw"},
    "lion": {"solver": "lion", "learning_rate_init": 1e-3},
    "lazy adam": {"solver": "lazy_adam", "X": SPARSE},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 9.0},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "dropout": {"dropout": 0.3},
    "input noise": {"layers": [GaussianNoise(0.3), Dense(8)], "hidden_layer_sizes": (100,)},
    "scheduled dropout": {"dropout": Scheduled("cosine", 0.5)},
    "batch norm": {"normalization": "batch"},
    "batch norm, dropout, early stopping": {
        "normalization": "batch", "dropout": 0.2, "early_stopping": True,
    },
    "early stopping": {"early_stopping": True},
    "early stopping that stops": {"early_stopping": True, "max_iter": 60, "n_iter_no_change": 4},
    "splitter": {"early_stopping": True, "validation_fraction": ShuffleSplit(1, random_state=1)},
    "scorer": {"early_stopping": True, "scoring": "loss"},
    "validation set": {"X_val": X[:30], "y_val": slice(30)},
    "ema": {"solver": Adam(ema_decay=0.9)},
    "ema and early stopping": {"solver": Adam(ema_decay=0.9), "early_stopping": True},
    "muon": {"solver": Muon(weight_decay=Scheduled("cosine", 0.1))},
    "sparse": {"X": SPARSE},
    "float32": {"dtype": "float32"},
    "float64": {"dtype": "float64"},
    "float32 input": {"X": X.astype(np.float32)},
    "not shuffled": {"shuffle": False},
    "not shuffled, early stopping": {"shuffle": False, "early_stopping": True},
    "sample weight": {"sample_weight": WEIGHT},
    "one batch": {"batch_size": 120},
    "l1, clipping, max norm": {
        "l1_ratio": 0.5, "alpha": 0.1, "solver": Adam(clip_norm=0.5),
        "layers": [Dense(8, max_norm=1.0)], "hidden_layer_sizes": (100,),
    },
    "groups": {"solver": AdamW(groups=[
        Group("dense_0", rate=0.1, schedule="cosine"), Group("output.weight", rate=0),
    ])},
    "refit": {"early_stopping": "refit", "dropout": 0.2},
}  # fmt: skip
GIVEN = {"X", "X_val", "y_val", "sample_weight"}


def prepared(cls, case):
    given = data(cls, **{name: value for name, value in case.items() if name in GIVEN})
    if "y_val" in given:
        given["y_val"] = given["y"][given["y_val"]]
    return {name: value for name, value in case.items() if name not in GIVEN}, given


def check(cls, params, given, folder, stop=4):
    whole = make(cls, **params).fit(**given)
    assert whole.n_iter_ > stop or params.get("early_stopping") == "refit"
    make(cls, **params).set_callbacks(Checkpoint(folder), stopper(stop)).fit(**given)
    assert read_state(folder / f"epoch-{stop:05d}.npz").history["n_iter"] == stop
    assert_same_fit(resumed(make(cls, **params), folder).fit(**given), whole)


@each(case=CASES, cls=(BackpropClassifier, BackpropRegressor))
def test_the_same_bits(case, cls, tmp_path):
    check(cls, *prepared(cls, CASES[case]), tmp_path)


def filled(value, first=1):
    """Return a history, or a part of it, in which nothing is as it is by default."""
    for number, one in enumerate(fields(value), first):
        old = getattr(value, one.name)
        if is_dataclass(old):
            new = filled(old, 100 * number)
        elif one.name == "name":
            new = "SGD"
        elif one.name in ("average", "training_params"):
            new = np.full(8, number)
        elif one.name == "arrays":
            new = {"velocity": np.full(8, number)}
        else:
            new = [number] if isinstance(old, list) else number
        setattr(value, one.name, new)
    return value


def test_every_field_of_the_history_comes_back():
    network = Network([Dense(2)], (3,), np.float64)
    rows = Data(np.zeros((9, 3)), np.zeros((9, 2)))
    batches = Batches(rows, None, 5, True, np.random.RandomState(0))
    history, again = filled(History()), History()
    again.optimizer.name = "SGD"
    state = capture(network, history, batches, None)
    put_back(state, network, again, batches, None)
    np.testing.assert_equal(asdict(again), asdict(history))


def test_a_copy_of_the_history_shares_nothing_that_changes():
    history = filled(History())
    copy = history.copy()
    np.testing.assert_equal(asdict(copy), asdict(history))
    for part in (copy, copy.optimizer, copy.call, copy.best):
        for one in fields(part):
            value = getattr(part, one.name)
            if isinstance(value, list):
                value.append("new")
            elif isinstance(value, dict):
                value["velocity"][...] = -1
            elif isinstance(value, np.ndarray):
                value[...] = -1
            elif not is_dataclass(value):
                setattr(part, one.name, "new")
    np.testing.assert_equal(asdict(history), asdict(filled(History())))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 1: 0.5}])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_same_bits_with_class_weights(class_weight, early_stopping, tmp_path):
    params = {"class_weight": class_weight, "early_stopping": early_stopping}
    check(BackpropClassifier, params, data(BackpropClassifier), tmp_path)


@pytest.mark.parametrize("stop", [1, 8])
def test_wherever_it_was_interrupted(stop, tmp_path):
    params = {"early_stopping": True, "dropout": 0.1}
    check(BackpropRegressor, params, data(BackpropRegressor), tmp_path, stop)


def test_several_interruptions(tmp_path):
    cls, params = BackpropClassifier, {"dropout": 0.2, "early_stopping": True}
    for stop in (2, 3, 7):
        net = make(cls, **params)
        net.set_callbacks(Checkpoint(tmp_path, resume=True), stopper(stop)).fit(**data(cls))
        assert len(net.loss_curve_) == net.n_iter_ == stop
    net = resumed(make(cls, **params), tmp_path).fit(**data(cls))
    assert_same_fit(net, make(cls, **params).fit(**data(cls)))


SCRIPT = """
    import sys, warnings
    import numpy as np
    from skbp import BackpropClassifier
    from skbp.callbacks import Call, Checkpoint

    warnings.simplefilter("ignore")
    X = np.random.default_rng(0).normal(size=(120, 6))
    y = (X[:, 0] > 0).astype(int)
    net = BackpropClassifier(
        (8,), max_iter=8, batch_size=25, dropout=0.2, random_state=0, early_stopping=True,
        normalization="batch",
    )
    stop = int(sys.argv[2])
    stopper = Call(lambda epoch: epoch["epoch"] == stop)
    net.set_callbacks(Checkpoint(sys.argv[1], resume=True), stopper)
    net.fit(X, y)
    print(net.n_iter_, net._network.params.tobytes().hex())
"""


def test_in_another_process(tmp_path, monkeypatch, capsys):
    script = textwrap.dedent(SCRIPT)

    def run(folder, stop):
        monkeypatch.setattr(sys, "argv", ["-c", str(tmp_path / folder), str(stop)])
        with warnings.catch_warnings():
            exec(script, {})
        return capsys.readouterr().out

    assert run("one", 3).startswith("3 ")
    command = [sys.executable, "-c", script, str(tmp_path / "one"), "99"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == run("other", 99)


@pytest.mark.parametrize("share", [0.1, ShuffleSplit(1, test_size=0.3)], ids=str)
def test_the_split_is_kept_without_a_seed(share, tmp_path):
    cls, seen = BackpropRegressor, []

    def scoring(estimator, X, y):
        seen.append(X.tobytes())
        return estimator.score(X, y)

    params = {
        "early_stopping": True, "random_state": None, "scoring": scoring,
        "validation_fraction": share,
    }  # fmt: skip
    first = make(cls, **params).set_callbacks(Checkpoint(tmp_path)).fit(**data(cls))
    files = [tmp_path / "epoch-00007.npz"] * 2
    one, other = (resumed(make(cls, **params), file).fit(**data(cls)) for file in files)
    assert_same_fit(one, first)
    assert_same_fit(other, first)
    assert len(set(seen)) == 2  # the rows held out, and those trained on


def test_numpys_own_random_state_is_left_alone(tmp_path):
    cls, params = BackpropRegressor, {"random_state": None, "max_iter": 3}
    make(cls, **params).set_callbacks(Checkpoint(tmp_path)).fit(**data(cls))
    file = tmp_path / "epoch-00002.npz"
    draws = []
    for _ in range(2):
        resumed(make(cls, **params), file).fit(**data(cls))
        draws.append(np.random.random())
    assert draws[0] != draws[1]


# ------------------------------------------------------------ what can be resumed


def test_a_finished_fit_does_nothing_more(tmp_path, monkeypatch):
    cls = BackpropRegressor
    for name, params in {
        "converged": {"tol": 10.0, "n_iter_no_change": 2},
        "all epochs": {},
        "early stopping": {"early_stopping": True, "tol": 10.0, "n_iter_no_change": 2},
        "average": {"solver": Adam(ema_decay=0.9)},
    }.items():
        folder = tmp_path / name
        net = make(cls, **params).set_callbacks(Checkpoint(folder)).fit(**data(cls))
        with monkeypatch.context() as patch:
            patch.setattr(Network, "backward", None)
            again = resumed(make(cls, **params), folder).fit(**data(cls))
        assert_same_fit(again, net)


def test_more_epochs_than_were_planned(tmp_path):
    cls = BackpropRegressor
    make(cls).set_callbacks(Checkpoint(tmp_path)).fit(**data(cls))
    net = resumed(make(cls, max_iter=14), tmp_path).fit(**data(cls))
    assert_same_fit(net, make(cls, max_iter=14).fit(**data(cls)))


@pytest.mark.parametrize("form", ["str", "path", "file", "file of another name"])
def test_ways_to_name_a_checkpoint(form, tmp_path):
    cls = BackpropRegressor
    folder = tmp_path / "run"
    make(cls).set_callbacks(Checkpoint(folder), stopper(5)).fit(**data(cls))
    other = tmp_path / "weights.ckpt"
    other.write_bytes((folder / "epoch-00005.npz").read_bytes())
    source = {
        "str": str(folder), "path": folder, "file": folder / "epoch-00005.npz",
        "file of another name": other,
    }[form]  # fmt: skip
    seen = []
    net = resumed(make(cls), source, Call(seen.append)).fit(**data(cls))
    assert [epoch["epoch"] for epoch in seen] == [6, 7, 8, 9]
    assert_same_fit(net, make(cls).fit(**data(cls)))


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_without_checkpoints_means_from_the_start(exists, tmp_path):
    folder = tmp_path / "run"
    if exists:
        folder.mkdir()
    cls = BackpropRegressor
    assert_same_fit(resumed(make(cls), folder).fit(**data(cls)), make(cls).fit(**data(cls)))


@pytest.mark.filterwarnings("ignore:partial_fit calls no callbacks")
def test_partial_fit_does_not_resume(tmp_path):
    cls = BackpropRegressor
    make(cls).set_callbacks(Checkpoint(tmp_path)).fit(**data(cls))
    net = resumed(make(cls), tmp_path).partial_fit(**data(cls))
    assert len(net.loss_curve_) == 1


def test_a_fit_that_was_interrupted_by_the_clock(tmp_path, monkeypatch):
    cls = BackpropRegressor
    clock = iter(range(10_000))  # a second for each look at it: after an update, and an epoch
    monkeypatch.setattr(stopping, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for seconds in (1, 5, 9, 14, 17):
        folder = tmp_path / str(seconds)
        stopped = make(cls).set_callbacks(Checkpoint(folder), TimeLimit(seconds)).fit(**data(cls))
        assert stopped.n_iter_ < make(cls).max_iter
        n_saved = len(list(folder.glob("epoch*")))  # of whole epochs only, of five updates
        assert n_saved == min(3, stopped.n_iter_ - (seconds % 6 != 5))
        net = make(cls).set_callbacks(Checkpoint(folder, resume=True)).fit(**data(cls))
        assert_same_fit(net, make(cls).fit(**data(cls)))


# ------------------------------------------------------------ what cannot


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    make(BackpropRegressor).set_callbacks(Checkpoint(path), stopper(3)).fit(
        **data(BackpropRegressor)
    )
    return path


def refused(net, given, match, error=ValueError):
    for fitted in (False, True):
        if fitted:
            callbacks = net._skl_callbacks
            net.set_callbacks().fit(**given).set_callbacks(*callbacks)
        before = joblib.hash(vars(net))
        with pytest.raises(error, match=match):
            net.fit(**given)
        assert joblib.hash(vars(net)) == before


@pytest.mark.parametrize("params, what", [
    ({"hidden_layer_sizes": (8,)}, "layers"),
    ({"hidden_layer_sizes": (8, 6)}, "n_params"),
    ({"dropout": 0.1}, "layers"),
    ({"normalization": "layer"}, "layers"),
    ({"dtype": "float64"}, "dtype"),
    ({"batch_size": 24}, "batch_size"),
    ({"early_stopping": True}, "early_stopping False, not True"),
    ({"solver": "sgd"}, "optimizer 'Adam', not 'SGD'"),
    ({"solver": SGD()}, "optimizer"),
    ({"solver": "adamw"}, "optimizer"),
], ids=str)  # fmt: skip
def test_a_checkpoint_of_another_fit(params, what, folder):
    net = resumed(make(BackpropRegressor, **params), folder)
    refused(net, data(BackpropRegressor), f"another fit: it has .*{what}")


def test_a_checkpoint_of_other_data(folder):
    given = data(BackpropRegressor)
    net = resumed(make(BackpropRegressor), folder)
    refused(net, {"X": given["X"][:-1], "y": given["y"][:-1]}, "n_rows 120, not 119")
    refused(net, {"X": given["X"][:, :-1], "y": given["y"]}, "n_params")
    refused(resumed(make(BackpropClassifier), folder), data(BackpropClassifier), "n_params")


def test_a_damaged_file(folder, tmp_path):
    content = (folder / "epoch-00003.npz").read_bytes()
    damaged = tmp_path / "damaged.npz"
    for bad in (b"", b"no archive", content[:-100], content[:500] + b"xxxx" + content[504:]):
        damaged.write_bytes(bad)
        net = resumed(make(BackpropRegressor), damaged)
        refused(net, data(BackpropRegressor), "damaged")


def test_a_file_that_is_missing(tmp_path):
    net = resumed(make(BackpropRegressor), tmp_path / "missing.npz")
    refused(net, data(BackpropRegressor), "missing.npz", FileNotFoundError)


def test_a_folder_in_which_the_latest_is_damaged(folder, tmp_path):
    cls = BackpropRegressor
    for number in (2, 3):
        name = f"epoch-{number:05d}.npz"
        (tmp_path / name).write_bytes((folder / name).read_bytes()[: 200 if number == 3 else None])
    net = resumed(make(cls), tmp_path)
    with pytest.warns(UserWarning, match="damaged") as caught:
        net.fit(**data(cls))
    assert caught[0].filename == __file__
    assert_same_fit(net, make(cls).fit(**data(cls)))
