"""The callbacks, on a net that only pretends to train; test_callbacks_fit.py has the real ones."""

import copy
import inspect
import math
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.callback import CallbackSupportMixin, FitCallback, with_callbacks
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skbp.callbacks
from skbp._engine.checkpoint import TrainingState, read_epoch, write_state
from skbp.callbacks import (
    Call,
    Callback,
    Checkpoint,
    EarlyStopping,
    GradualUnfreezing,
    MLflowLogger,
    TargetScore,
    TensorBoard,
    TimeLimit,
    TrainingCache,
    WandbLogger,
    latest,
    read_state,
)
from skbp.callbacks import checkpoint as checkpoint_module
from skbp.callbacks import stopping as stopping_module
from skbp.callbacks._claims import claimed
from skbp.callbacks.base import task_path

X = np.random.default_rng(0).normal(size=(40, 2))
Y = (X[:, 0] > 0).astype(int)
IDENTITY = SimpleNamespace(key=lambda: "key", max_iter=9, random_state=0)


def state_of(epoch):
    """Return a state that tells which epoch it is of."""
    params = np.full(5, float(epoch["epoch"]))
    history = {"loss": [epoch["loss"]]}
    return TrainingState(params, params[:0], history, {})


def make_net():
    """Return the class of the pretenders; local, so that other processes get it by value."""

    class Net(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
        """Its epochs have the given losses; `sign` tells apart a search's candidates."""

        def __init__(self, losses=(5.0, 4.0, 3.0), sign=1, first=1, numbers=None):
            self.losses = losses
            self.sign = sign
            self.first = first
            self.numbers = numbers

        @with_callbacks
        def fit(self, X, y):
            context = self._init_callback_context(max_subtasks=None)
            context.call_on_fit_task_begin(estimator=self, X=X, y=y)
            for callback in getattr(self, "_skl_callbacks", ()):
                getattr(callback, "state_to_resume", lambda *args: None)(self, context, IDENTITY)
            self.classes_ = np.unique(y)
            self.n_iter_ = 0
            for i, loss in enumerate(self.losses):
                epoch = {"epoch": self.first + i, "loss": self.sign * loss, "learning_rate": 0.1}
                epoch.update((self.numbers or [{}] * (i + 1))[i])
                task = context.subcontext("epoch")
                task.call_on_fit_task_begin(estimator=self, X=X, y=y)
                task.training = SimpleNamespace(
                    epoch=epoch, state=lambda epoch=epoch: state_of(epoch)
                )
                self.n_iter_ = i + 1
                if task.call_on_fit_task_end(
                    estimator=self, X=X, y=y, reconstruction_attributes=self._never
                ):
                    break
            context.call_on_fit_task_end(estimator=self, X=X, y=y)
            return self

        def _never(self):
            raise AssertionError("a hook asked for a copy of the weights")

        def predict(self, X):
            return np.zeros(len(X), int)

        def score(self, X, y):
            return self.sign

    return Net


Net = make_net()


def epochs_run(callback, losses, **params):
    """Return after how many epochs a net with this callback stops."""
    net = Net(tuple(losses), **params).set_callbacks(callback)
    return net.fit(X, Y).n_iter_


def assert_nothing_is_left(callback):
    assert not callback._memories


CLASSES = [
    member
    for name in skbp.callbacks.__all__
    if inspect.isclass(member := getattr(skbp.callbacks, name))
]
EXAMPLES = [
    Callback(),
    Call(print),
    Checkpoint("run", every=2),
    EarlyStopping("loss", patience=3),
    GradualUnfreezing(every=2),
    MLflowLogger(SimpleNamespace(log_metric=print), "run"),
    TargetScore(0.5),
    TensorBoard(SimpleNamespace(add_scalar=print)),
    TimeLimit(5.0),
    TrainingCache("cache"),
    WandbLogger(SimpleNamespace(log=print)),
]


# ------------------------------------------------------------ the contract


def test_every_class_has_an_example():
    assert {type(example) for example in EXAMPLES} == set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES)
def test_hooks(cls):
    hooks = {"setup", "teardown", "on_fit_task_begin", "on_fit_task_end"}
    for name in hooks:
        hook = inspect.signature(getattr(cls, name))
        positional = [p.name for p in hook.parameters.values() if p.kind != p.KEYWORD_ONLY]
        assert positional == ["self", "estimator", "context"]
        asked = {p.name for p in hook.parameters.values() if p.kind == p.KEYWORD_ONLY}
        assert asked <= {"X", "y", "metadata"}, "fitted_estimator costs a copy of the weights"
        assert not any(p.kind == p.VAR_KEYWORD for p in hook.parameters.values())
    assert not hasattr(cls, "max_propagation_depth")


@pytest.mark.parametrize("callback", EXAMPLES, ids=repr)
def test_copies_and_parameters(callback):
    assert isinstance(callback, FitCallback)
    for twin in (pickle.loads(pickle.dumps(callback)), copy.deepcopy(callback)):
        assert type(twin) is type(callback)
        assert repr(twin).partition("(")[0] == type(callback).__name__
        assert twin.get_params().keys() == callback.get_params().keys()
    net = Net().set_callbacks(callback)
    assert clone(net)._skl_callbacks[0] is callback


@pytest.mark.parametrize("cls", CLASSES)
def test_docstrings(cls):
    for name in inspect.signature(cls).parameters:
        assert name in cls.__doc__
    assert "Examples" in cls.__doc__


@pytest.mark.parametrize("callback", EXAMPLES, ids=repr)
def test_tasks_that_are_no_epochs_of_ours_are_ignored(callback, tmp_path, capsys):
    if isinstance(callback, Checkpoint | TrainingCache):
        callback = type(callback)(tmp_path)
    pipe = make_pipeline(StandardScaler(), Net(losses=()))
    pipe.set_callbacks(callback)
    with pytest.warns(UserWarning, match=r"was set on Pipeline.*on the network itself"):
        pipe.fit(X, Y)
    assert callback.on_fit_task_end(pipe, SimpleNamespace()) is False
    assert callback.epoch_of(SimpleNamespace()) is None
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []
    assert_nothing_is_left(callback)


class Remember(Callback):
    """Puts down what it is told."""

    def __init__(self, told):  # does not call the base class's
        self.told = told

    def start(self, estimator, context):
        return [type(estimator).__name__]

    def on_epoch_end(self, epoch, memory, context):
        memory.append(epoch["loss"])
        epoch["loss"] = None  # a copy: nobody else's

    def finish(self, memory):
        self.told.append(memory)


def test_a_callback_of_ones_own():
    first, second = Remember([]), Remember([])
    net = Net().set_callbacks(first, second)
    net.fit(X, Y).fit(X, Y)
    for callback in (first, second):
        assert callback.told == [["Net", 5.0, 4.0, 3.0]] * 2
        assert_nothing_is_left(callback)


def test_finish_comes_also_when_the_fit_fails():
    callback = Remember([])
    net = Net().set_callbacks(callback, Call(lambda epoch: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        net.fit(X, Y)
    assert callback.told == [["Net", 5.0]]
    assert_nothing_is_left(callback)


def test_setup_may_be_missing():
    # an estimator that calls only the hooks of tasks
    callback, context = EarlyStopping("loss", patience=1), SimpleNamespace()
    context.training = SimpleNamespace(epoch={"epoch": 1, "loss": 1.0})
    assert [callback.on_fit_task_end("net", context) for _ in range(2)] == [False, True]
    callback.teardown("net", context)
    callback.teardown("net", context)
    assert_nothing_is_left(callback)


def test_fits_at_the_same_time_do_not_mix():
    told = []
    callback = Remember(told)
    barrier = threading.Barrier(8)
    wait = Call(lambda epoch: barrier.wait(30) and None)

    def fit(sign):
        Net(sign=sign).set_callbacks(callback, wait).fit(X, Y)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fit, range(8)))
    assert sorted(told) == [["Net", 5 * sign, 4 * sign, 3 * sign] for sign in range(8)]
    assert_nothing_is_left(callback)


def test_a_fit_under_way_is_not_pickled():
    seen = []
    callback = Remember([])
    net = Net().set_callbacks(
        callback, Call(lambda epoch: seen.append((len(callback._memories), pickle.dumps(callback))))
    )
    net.fit(X, Y)
    for n_fits, pickled in seen:
        assert n_fits == 1
        assert_nothing_is_left(pickle.loads(pickled))


@pytest.mark.parametrize(
    "callback, message",
    [
        (EarlyStopping("loss", patience=0), "'patience' .* a whole number from 1 on. Got 0"),
        (EarlyStopping("loss", patience=2.5), "'patience'"),
        (EarlyStopping("loss", patience=True), "'patience'"),
        (EarlyStopping("loss", min_delta=-1), "'min_delta'"),
        (EarlyStopping("loss", mode="least"), "'mode'"),
        (EarlyStopping("auc"), "more or less of 'auc' is better: give mode='max'"),
        (GradualUnfreezing(every=0), "'every' .* a whole number from 1 on. Got 0"),
        (GradualUnfreezing(schedule={"dense_0": 0}), "'schedule' .* a dict from parameters' names"),
        (GradualUnfreezing(schedule=[2, 3]), "'schedule'"),
        (TargetScore("high"), "'score'"),
        (TargetScore(1, "auc"), "more or less of 'auc'"),
        (TimeLimit(0), "'seconds'"),
        (TimeLimit(math.nan), "'seconds'"),
        (Checkpoint("x", every=0), "'every'"),
        (Checkpoint("x", keep=0), "'keep' .* from 1 on, or None"),
        (Checkpoint("x", best=1), "'best'"),
        (Checkpoint("x", name="best.npz"), "'name'"),
        (Checkpoint("x", name="a/{epoch}.npz"), "'name'"),
        (Checkpoint("x", name="{epoch.npz"), "'name'"),
        (Checkpoint("x", name="{epoch}"), "a name without folders that ends in '.npz'"),
        (MLflowLogger(SimpleNamespace()), "needs the run's id"),
    ],
    ids=repr,
)
def test_wrong_parameters(callback, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        Net().set_callbacks(callback).fit(X, Y)
    assert_nothing_is_left(callback)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------ stopping


@pytest.mark.parametrize(
    "losses, params, stops",
    [
        ([3, 2, 1, 0], {}, 4),
        ([3, 2, 2, 2, 2], {}, 4),
        ([3, 4, 2, 4, 4, 1], {}, 5),  # progress starts the count again
        ([3, 3, 3], {}, 3),
        ([3, np.nan, np.nan, 1], {}, 3),
        ([np.nan, np.nan, 1], {}, 2),
        ([3, np.inf, 2, 2, 2], {}, 5),
        ([3, 2.6, 2.2, 2.0], {"min_delta": 0.5}, 4),  # all count from the best, not the last
        ([3, 2.5, 2.5], {"min_delta": 0.5}, 3),  # more than min_delta, not as much
        ([3, 2, 1, 0], {"mode": "max"}, 3),
        ([3, 4, 5, 6], {"mode": "max"}, 4),
        ([3, 3, 3, 3], {"patience": 1}, 2),
        ([3, 3, 3, 3], {"patience": np.int64(3)}, 4),
    ],
)
def test_early_stopping(losses, params, stops):
    callback = EarlyStopping("loss", **{"patience": 2, **params})
    assert epochs_run(callback, losses) == stops
    assert epochs_run(callback, losses) == stops, "what was remembered of the first fit"
    assert_nothing_is_left(callback)


def test_monitors():
    numbers = [{"validation_score": score, "validation_loss": 1.0} for score in (0.1, 0.2, 0.2)]
    losses = [3, 2, 1, 1]
    numbers = [*numbers, numbers[-1]]
    stops = {"validation_score": 3, "validation_loss": 2, "loss": 4, "learning_rate": None}
    for monitor, stop in stops.items():
        mode = "auto" if stop else "max"
        callback = EarlyStopping(monitor, patience=1, mode=mode)
        assert epochs_run(callback, losses, numbers=numbers) == (stop or 2)
    assert epochs_run(TargetScore(0.2), losses, numbers=numbers) == 2
    assert epochs_run(TargetScore(0.21), losses, numbers=numbers) == 4
    assert epochs_run(TargetScore(2, "loss"), losses, numbers=numbers) == 2
    assert epochs_run(TargetScore(2, "loss", mode="max"), losses, numbers=numbers) == 1
    assert epochs_run(TargetScore(0, "loss"), [np.nan] * 3) == 3


def test_what_is_not_there_cannot_be_monitored():
    for callback in (EarlyStopping(), TargetScore(1)):
        with pytest.raises(ValueError, match=r"among the epoch's numbers: 'epoch', 'loss', .*Set"):
            epochs_run(callback, [1, 2])
        assert_nothing_is_left(callback)
    with pytest.raises(ValueError, match=r"'train_score' is not among.*'learning_rate'.$"):
        epochs_run(EarlyStopping("train_score"), [1, 2])


def test_time_limit(monkeypatch):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(stopping_module, "time", clock)

    def tick(epoch):
        clock.now += 10

    for seconds, stops in [(25, 3), (30, 3), (31, 4), (1000, 5)]:
        limit = TimeLimit(seconds)
        net = Net((1.0,) * 5).set_callbacks(Call(tick), limit)
        assert net.fit(X, Y).n_iter_ == stops
        assert net.fit(X, Y).n_iter_ == stops, "each fit has its own clock"
        assert_nothing_is_left(limit)


def test_call():
    told = []
    assert epochs_run(Call(told.append), [3, 2, 1]) == 3
    assert told == [
        {"epoch": i + 1, "loss": loss, "learning_rate": 0.1} for i, loss in enumerate([3, 2, 1])
    ]
    assert epochs_run(Call(lambda epoch: epoch["loss"] < 3), [3, 2, 1]) == 2
    assert epochs_run(Call(lambda epoch: np.bool_(epoch["loss"] < 3)), [3, 2, 1]) == 2
    assert epochs_run(Call(lambda epoch: epoch["loss"]), [3, 2, 1]) == 3  # only True ends it


# ------------------------------------------------------------ loggers


class Recorder:
    """Stands for TensorBoard's writer, a run of W&B, and MLflow's module and client."""

    def __init__(self):
        self.calls = []

    def add_scalar(self, tag, value, global_step):
        self.calls.append((tag, value, global_step))

    def log(self, data, step=None):
        self.calls.append((data, step))

    def log_metric(self, *args, step):
        self.calls.append((*args, step))


NUMBERS = [{"validation_score": np.float32(0.5)}, {"validation_score": np.float32(0.25)}]


def test_tensorboard():
    writer = Recorder()
    epochs_run(TensorBoard(writer), [3, 2], first=11, numbers=NUMBERS)
    assert writer.calls == [
        ("loss", 3.0, 11), ("learning_rate", 0.1, 11), ("validation_score", 0.5, 11),
        ("loss", 2.0, 12), ("learning_rate", 0.1, 12), ("validation_score", 0.25, 12),
    ]  # fmt: skip
    assert all(type(value) is float for _, value, _ in writer.calls)


def test_wandb():
    run = Recorder()
    epochs_run(WandbLogger(run), [3, 2], numbers=NUMBERS)
    assert run.calls == [
        ({"loss": 3.0, "learning_rate": 0.1, "validation_score": 0.5}, 1),
        ({"loss": 2.0, "learning_rate": 0.1, "validation_score": 0.25}, 2),
    ]


def test_mlflow():
    module, client = Recorder(), Recorder()
    module.active_run = module.start_run = None
    module.MlflowClient = lambda: client
    epochs_run(MLflowLogger(module), [3])
    assert module.calls == [("loss", 3.0, 1), ("learning_rate", 0.1, 1)]
    wanted = [("run 7", "loss", 3.0, 1), ("run 7", "learning_rate", 0.1, 1)]
    epochs_run(MLflowLogger(module, run_id="run 7"), [3])
    assert client.calls == wanted
    client.calls.clear()
    epochs_run(MLflowLogger(client, run_id="run 7"), [3])
    assert client.calls == wanted


def search(callback, n_jobs=None, **params):
    net = make_net()(losses=(3.0,), **params).set_callbacks(callback)
    pipe = make_pipeline(StandardScaler(), net)
    grid = {f"{pipe.steps[-1][0]}__sign": [1, 2]}
    return GridSearchCV(pipe, grid, cv=2, n_jobs=n_jobs).fit(X, Y)


def test_logging_in_a_search():
    writer, run = Recorder(), Recorder()
    search(TensorBoard(writer))
    losses = [call for call in writer.calls if call[0].endswith("loss")]
    assert losses == [
        ("0/0/loss", 3.0, 1), ("0/1/loss", 3.0, 1), ("0/2/loss", 6.0, 1), ("0/3/loss", 6.0, 1),
        ("loss", 6.0, 1),
    ]  # fmt: skip
    search(WandbLogger(run))
    assert run.calls[0] == ({"0/0/loss": 3.0, "0/0/learning_rate": 0.1, "0/0/epoch": 1}, None)
    assert run.calls[-1] == ({"loss": 6.0, "learning_rate": 0.1}, 1)


# ------------------------------------------------------------ checkpoints


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*.npz"))


def epoch_in(path):
    """Return the epoch of a checkpoint, once it is sure that its parts belong together."""
    state, epoch = read_state(path), read_epoch(path)
    assert (state.params == epoch["epoch"]).all()
    assert state.history == {"loss": [epoch["loss"]]}
    return epoch["epoch"]


def test_checkpoints(tmp_path):
    folder = tmp_path / "a" / "b"
    epochs_run(Checkpoint(folder), [5, 4, 3, 2, 6])
    assert names(folder) == ["best.npz", *(f"epoch-0000{i}.npz" for i in (3, 4, 5))]
    assert epoch_in(folder / "best.npz") == 4
    assert epoch_in(folder / "epoch-00003.npz") == 3
    assert latest(folder) == folder / "epoch-00005.npz"
    assert sorted(os.listdir(folder)) == names(folder), "nothing else is left behind"


@pytest.mark.parametrize(
    "params, wanted",
    [
        ({"keep": 1}, ["best.npz", "epoch-00007.npz"]),
        ({"every": 3, "best": False}, ["epoch-00003.npz", "epoch-00006.npz"]),
        ({"every": 3, "keep": 1}, ["best.npz", "epoch-00006.npz"]),
        ({"every": 9}, ["best.npz"]),
        ({"every": 9, "best": False}, []),
        ({"keep": None}, ["best.npz", *(f"epoch-0000{i}.npz" for i in range(1, 8))]),
        (
            {"name": "{epoch}-{loss:.1f}.npz", "keep": 2, "best": False},
            ["6-4.0.npz", "7-5.0.npz"],
        ),
        ({"name": "last.npz"}, ["best.npz", "last.npz"]),
    ],
)
def test_which_checkpoints_stay(tmp_path, params, wanted):
    epochs_run(Checkpoint(str(tmp_path), **params), [5, 4, 3, 2, 3, 4, 5])
    assert names(tmp_path) == wanted
    if "best.npz" in wanted:
        assert epoch_in(tmp_path / "best.npz") == 4
    if "last.npz" in wanted:
        assert epoch_in(tmp_path / "last.npz") == 7


def test_what_is_best(tmp_path):
    numbers = [
        {"validation_score": 0.5, "validation_loss": 3.0},
        {"validation_score": 0.7, "validation_loss": 2.0},
        {"validation_score": 0.7, "validation_loss": 1.0},
        {"validation_score": math.nan, "validation_loss": math.nan},
    ]
    losses = [4, 3, 2, 1]
    epochs_run(Checkpoint(tmp_path / "score"), losses, numbers=numbers)
    without = [{"validation_loss": epoch["validation_loss"]} for epoch in numbers]
    epochs_run(Checkpoint(tmp_path / "loss"), losses, numbers=without)
    epochs_run(Checkpoint(tmp_path / "training"), losses)
    found = [epoch_in(tmp_path / name / "best.npz") for name in ("score", "loss", "training")]
    assert found == [2, 3, 4]  # the first of equal ones; NaN never


def test_a_diverged_epoch_is_not_saved(tmp_path):
    epochs_run(Checkpoint(tmp_path, keep=1), [3, 4, math.nan, math.inf])
    assert names(tmp_path) == ["best.npz", "epoch-00002.npz"]


def test_a_training_without_state(tmp_path):
    context = SimpleNamespace(parent=None)
    context.training = SimpleNamespace(epoch={"epoch": 1, "loss": 1.0})
    with pytest.raises(ValueError, match=r"no state to go on from\. Use a stochastic solver"):
        Checkpoint(tmp_path).on_fit_task_end("net", context)


def test_another_fit_takes_a_folder_of_its_own(tmp_path):
    callback = Checkpoint(tmp_path, keep=1)
    for _ in range(3):
        epochs_run(callback, [3, 2])
    fits = ["", "fit-2/", "fit-3/"]
    assert names(tmp_path) == sorted(
        f"{fit}{name}.npz" for fit in fits for name in ("best", "epoch-00002")
    )
    assert latest(tmp_path).parent.name == "fit-3"


@pytest.mark.parametrize("place", ["", "fit-2"])
def test_a_fit_that_goes_on(tmp_path, place):
    callback = Checkpoint(tmp_path, keep=2)
    for _ in range(2 if place else 1):
        epochs_run(callback, [5, 1, 3])
    mine = tmp_path / place / "epoch-00000-mine.npz"
    mine.write_bytes(b"not a checkpoint")
    os.utime(mine, (0, 0))
    # it goes on, and is better than it was only in the end
    callback = Checkpoint(tmp_path, keep=2, resume=True)
    epochs_run(callback, [4, 2], first=4)
    home = tmp_path / place
    assert sorted(path.name for path in home.glob("epoch-0000*.npz")) == [
        "epoch-00000-mine.npz", "epoch-00004.npz", "epoch-00005.npz",
    ]  # fmt: skip
    assert epoch_in(home / "best.npz") == 2
    epochs_run(callback, [0.5], first=6)
    assert epoch_in(home / "best.npz") == 6
    assert latest(tmp_path).name in ("epoch-00006.npz", "best.npz")
    assert len(list(tmp_path.glob("fit-*"))) == bool(place)


def test_going_on_elsewhere(tmp_path):
    epochs_run(Checkpoint(tmp_path), [2, 3], first=7)
    assert names(tmp_path) == ["best.npz", "epoch-00007.npz", "epoch-00008.npz"]


def test_going_on_beside_a_damaged_best(tmp_path):
    epochs_run(Checkpoint(tmp_path), [1, 2])
    (tmp_path / "best.npz").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"best\.npz is damaged"):
        epochs_run(Checkpoint(tmp_path, resume=True), [3], first=3)
    assert epoch_in(tmp_path / "best.npz") == 3


@pytest.mark.parametrize("first", [1, 4])
def test_another_fit_takes_nothing_of_the_first_ones_files(tmp_path, first):
    epochs_run(Checkpoint(tmp_path), [1, 2])
    before = {path: path.read_bytes() for path in tmp_path.glob("*.npz")}
    epochs_run(Checkpoint(tmp_path, keep=1), [3, 0.5], first=first)  # from 4 on: a warm start
    assert {path: path.read_bytes() for path in tmp_path.glob("*.npz")} == before
    assert epoch_in(tmp_path / "fit-2" / "best.npz") == first + 1
    elsewhere = tmp_path / "elsewhere"
    epochs_run(Checkpoint(elsewhere, resume=tmp_path), [4, 3], first=3)
    assert names(elsewhere) == ["best.npz", "epoch-00003.npz", "epoch-00004.npz"]
    assert {path: path.read_bytes() for path in tmp_path.glob("*.npz")} == before


@pytest.mark.parametrize("name", [
    "epoch[{epoch}].npz", "a*{epoch:03d}.npz", "{{{epoch}}}?.npz", "[!e]{epoch:{epoch}}.npz",
])  # fmt: skip
def test_names_with_signs_that_patterns_know(tmp_path, name):
    epochs_run(Checkpoint(tmp_path, name=name, best=False), [5, 4])
    other = tmp_path / "e2.npz"  # what these names, taken as patterns, would fit too
    write_state(other, state_of({"epoch": 7, "loss": 1.0}), {"epoch": 7, "loss": 1.0})
    os.utime(other, (0, 0))
    epochs_run(Checkpoint(tmp_path, name=name, best=False, keep=1, resume=True), [3], first=3)
    assert set(names(tmp_path)) == {"e2.npz", name.format(epoch=3)}


def test_only_files_of_the_same_kind_of_name_are_taken_up(tmp_path):
    epochs_run(Checkpoint(tmp_path, name="{epoch}.npz", best=False), [5, 4])
    for kept in ("weights-1.npz", "1-final.npz", "11.npz"):
        write_state(tmp_path / kept, state_of({"epoch": 1, "loss": 5.0}), {"epoch": 1, "loss": 5.0})
        os.utime(tmp_path / kept, (0, 0))
    callback = Checkpoint(tmp_path, name="{epoch}.npz", best=False, keep=1, resume=True)
    epochs_run(callback, [3], first=3)
    assert set(names(tmp_path)) == {"3.npz", "weights-1.npz", "1-final.npz", "11.npz"}


@pytest.mark.parametrize("inside", ["other", "0", "fit", "other/fit-2"])
def test_a_folder_inside_is_another_fit_s(tmp_path, inside):
    epochs_run(Checkpoint(tmp_path / inside), [5, 4])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.npz")}
    source = tmp_path / inside / "epoch-00001.npz"
    epochs_run(Checkpoint(tmp_path, keep=1, resume=source), [3, 2], first=2)
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["best.npz", "epoch-00003.npz"]


def test_its_own_place_by_another_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, source in [("a", tmp_path / "a"), (tmp_path / "b", "b"), ("c", "./c/../c")]:
        epochs_run(Checkpoint(folder), [5, 4])
        epochs_run(Checkpoint(folder, keep=1, resume=source), [3], first=3)
        assert names(folder) == ["best.npz", "epoch-00003.npz"]


def test_a_claim_that_a_killed_process_left_means_nothing(tmp_path):
    for number, name in enumerate(("a", "b", "c")):
        claim = tmp_path / name / ".claim"
        claim.parent.mkdir()
        claim.write_bytes(b"x" * number)
        os.utime(claim, (time.time() - 10**number,) * 2)
        epochs_run(Checkpoint(claim.parent), [5])
        assert names(claim.parent) == ["best.npz", "epoch-00001.npz"]
        assert not claim.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork where there are threads
def test_a_process_that_is_killed_with_a_claim(tmp_path):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            with claimed(tmp_path) as free:
                os.write(write, b"1" if free else b"0")
                time.sleep(60)
        finally:
            os._exit(1)
    assert os.read(read, 1) == b"1"
    with claimed(tmp_path) as free:
        assert not free
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / ".claim").exists()
    with claimed(tmp_path) as free:
        assert free
        with claimed(tmp_path) as again:
            assert not again
    assert not os.listdir(tmp_path)


def test_fits_at_the_same_time_in_one_folder(tmp_path):
    callback = Checkpoint(tmp_path)
    barrier = threading.Barrier(6)
    wait = Call(lambda epoch: barrier.wait(60) and None)

    def fit(sign):
        Net(sign=sign).set_callbacks(wait, callback).fit(X, Y)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(fit, range(1, 7)))
    folders = [tmp_path, *(tmp_path / f"fit-{i}" for i in range(2, 7))]
    signs = set()
    for folder in folders:
        assert sorted(path.name for path in folder.glob("*.npz")) == [
            "best.npz", "epoch-00001.npz", "epoch-00002.npz", "epoch-00003.npz",
        ]  # fmt: skip
        losses = {read_epoch(path)["loss"] / (6 - epoch_in(path)) for path in folder.glob("*.npz")}
        assert len(losses) == 1, "files of two fits in one folder"
        signs |= losses
    assert signs == {1, 2, 3, 4, 5, 6}
    assert not list(tmp_path.rglob(".*"))
    assert_nothing_is_left(callback)


@pytest.mark.parametrize("n_jobs, backend", [(None, "loky"), (2, "loky"), (2, "threading")])
def test_checkpoints_of_a_search(tmp_path, n_jobs, backend):
    callback = Checkpoint(tmp_path)
    with joblib.parallel_config(backend):
        search(callback, n_jobs)
    wanted = [f"0/{task}/{name}" for task in range(4) for name in ("best", "epoch-00001")]
    assert names(tmp_path) == sorted(f"{name}.npz" for name in [*wanted, "best", "epoch-00001"])
    losses = [read_epoch(tmp_path / f"0/{task}/best.npz")["loss"] for task in range(4)]
    assert losses == [3, 3, 6, 6]
    assert_nothing_is_left(callback)


def test_checkpoints_of_cross_validation(tmp_path):
    # which tells its fits nothing of each other
    net = make_net()().set_callbacks(Checkpoint(tmp_path / "new"))
    cross_val_score(net, X, Y, cv=4, n_jobs=2)
    found = {path.split("/")[0] for path in names(tmp_path / "new") if "fit" in path}
    assert found == {"fit-2", "fit-3", "fit-4"}
    assert len(names(tmp_path / "new")) == 16


def test_checkpoints_of_a_pipeline(tmp_path):
    pipe = make_pipeline(StandardScaler(), Net().set_callbacks(Checkpoint(tmp_path)))
    pipe.fit(X, Y)
    assert "epoch-00003.npz" in names(tmp_path)


def test_task_path():
    def task(parent, task_id, sequential):
        return SimpleNamespace(parent=parent, task_id=task_id, sequential_subtasks=sequential)

    root = task(None, 0, True)
    halving = task(root, 2, False)
    candidate = task(halving, "../a b", True)
    assert task_path(root) == task_path(task(root, 1, True)) == ()
    assert task_path(candidate) == task_path(task(task(candidate, 1, True), 5, True))
    assert task_path(candidate) == ("2", "___a_b")
    inner = task(task(candidate, 4, False), 6, True)
    assert task_path(inner) == ("2", "___a_b", "4", "6")


def test_an_error_in_writing_ends_the_fit(tmp_path, monkeypatch):
    callback = Checkpoint(tmp_path)
    fsync = os.fsync

    def full(handle):
        if list(tmp_path.glob("epoch-00002.npz")):
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"could not write the checkpoint .*No space left"):
        epochs_run(callback, [3, 2, 1])
    monkeypatch.undo()
    assert epoch_in(latest(tmp_path)) in (1, 2)
    assert not list(tmp_path.glob(".*"))
    assert_nothing_is_left(callback)


def test_old_checkpoints_go_only_when_the_new_one_is_there(tmp_path, monkeypatch):
    seen = []

    def write(path, state, epoch):
        seen.append(set(names(tmp_path)))
        write_state(path, state, epoch)

    monkeypatch.setattr(checkpoint_module, "write_state", write)
    epochs_run(Checkpoint(tmp_path, keep=1, best=False), [3, 2, 1])
    assert seen == [set(), {"epoch-00001.npz"}, {"epoch-00002.npz"}]
    assert names(tmp_path) == ["epoch-00003.npz"]


def test_an_old_checkpoint_that_cannot_be_removed_is_no_reason_to_end(tmp_path, monkeypatch):
    def refuse(self, missing_ok=False):
        if self.name.startswith("epoch"):
            raise PermissionError(13, "in use")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.warns(UserWarning, match="could not remove the old checkpoint.*in use"):
        assert epochs_run(Checkpoint(tmp_path, keep=1, best=False), [3, 2]) == 2


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("here")
    callback = Checkpoint(tmp_path / "file")
    with pytest.raises(FileExistsError):
        epochs_run(callback, [3, 2])
    assert_nothing_is_left(callback)


def test_a_name_that_does_not_fit_the_epoch(tmp_path):
    with pytest.raises(ValueError, match=r"'\{auc\}.npz' .* which are epoch, loss, learning_rate"):
        epochs_run(Checkpoint(tmp_path, name="{auc}.npz"), [1])


def test_what_killed_processes_left_is_removed_in_time(tmp_path):
    old, fresh = tmp_path / ".epoch-00001.npz.abc.tmp", tmp_path / ".epoch-00001.npz.def.tmp"
    for path in (old, fresh):
        path.write_bytes(b"half")
    hours_ago = time.time() - 2 * checkpoint_module.ABANDONED
    os.utime(old, (hours_ago, hours_ago))
    epochs_run(Checkpoint(tmp_path), [1])
    assert not old.exists()
    assert fresh.exists()


def test_no_state_is_copied_in_vain(tmp_path):
    calls = []
    context = SimpleNamespace(parent=None)

    def state():
        calls.append(1)
        return state_of(context.training.epoch)

    callback = Checkpoint(tmp_path, every=5, best=False)
    memory = callback.start(None, context)
    for number in range(1, 12):
        epoch = {"epoch": number, "loss": 1.0}
        context.training = SimpleNamespace(epoch=epoch, state=state)
        callback.on_epoch_end(epoch, memory, context)
    assert len(calls) == 2
