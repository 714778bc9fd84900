"""States to go on from whose parts do not fit: refused by name, before any of it is used."""

from copy import deepcopy
from dataclasses import fields

import joblib
import numpy as np
import pytest

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.checkpoint import TrainingState, read_state, write_state
from skbp.callbacks import Call, Callback, Checkpoint
from skbp.layers import LSTM, BatchNorm, Dense, Dropout
from skbp.optimizers import Adam, Muon

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6))
STEPS = RNG.normal(size=(40, 4, 3))
Y = X[:, 0] + 0.1 * RNG.normal(size=40)


class GoOn(Callback):
    """Hands over a state as it is."""

    def __init__(self, state):
        self.state = state

    def state_to_resume(self, estimator, context, identity):
        return self.state


CASES = {
    "adam": (BackpropRegressor, {"hidden_layer_sizes": (5,)}, X),
    "not shuffled": (BackpropRegressor, {"shuffle": False, "solver": "sgd"}, X),
    "average, statistics, noise, best epoch": (
        BackpropClassifier,
        {
            "layers": [Dense(5), BatchNorm(), Dropout(0.2)], "solver": Adam(ema_decay=0.9),
            "early_stopping": True,
        },
        X,
    ),
    "matrices of a recurrence": (
        BackpropRegressor, {"layers": [LSTM(4)], "solver": Muon(), "freeze": "output"}, STEPS
    ),
}  # fmt: skip


def net_and_data(case):
    cls, params, rows = CASES[case]
    net = cls(**{"max_iter": 4, "batch_size": 16, "random_state": 0, **params})
    return net, {"X": rows, "y": Y > 0 if cls is BackpropClassifier else Y}


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    found = {}
    for case in CASES:
        folder = tmp_path_factory.mktemp("run")
        net, given = net_and_data(case)
        stop = Call(lambda epoch: epoch["epoch"] == 2)
        net.set_callbacks(Checkpoint(folder), stop).fit(**given)
        found[case] = read_state(folder / "epoch-00002.npz")
    return found


def parts(value, where=()):
    """Yield the places of all parts of a state."""
    if isinstance(value, TrainingState):
        value = {one.name: getattr(value, one.name) for one in fields(value)}
        value.pop("fingerprint")
    yield where
    if isinstance(value, dict):
        for key, part in value.items():
            yield from parts(part, (*where, key))
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from parts(part, (*where, place))


def get(state, where):
    for key in where:
        state = getattr(state, key) if isinstance(state, TrainingState) else state[key]
    return state


def changed(state, where, new):
    """Return a copy of a state with another part at a place."""
    if not where:
        return new
    first, *rest = where
    inside = changed(get(state, [first]), rest, new)
    if isinstance(state, TrainingState):
        copy = deepcopy(state)
        setattr(copy, first, inside)
        return copy
    if isinstance(state, tuple):
        return (*state[:first], inside, *state[first + 1 :])
    copy = state.copy()
    copy[first] = inside
    return copy


def spoiled(value):
    """Yield what stands no more for a value."""
    if isinstance(value, np.ndarray):
        yield from (value[:-1], value[:1], np.append(value, value[:1]), value[None], list(value))
        yield value.astype(complex)
        yield value.astype("U8")
        yield value[:0]
        if len(value) == 1:
            return
    elif isinstance(value, dict):
        yield {**value, "more": 1}
        for name in value:
            yield {key: part for key, part in value.items() if key != name}
        yield list(value)
    elif isinstance(value, list | tuple):
        if value:
            yield value[:-1]
        yield (*value, value[0]) if isinstance(value, tuple) else [*value, "x"]
        yield dict.fromkeys(map(str, value))
    else:
        yield from ("another", [1], {}, np.zeros(3))
        if isinstance(value, int):
            yield from (-1, 2.5, True)
    if value is not None:
        yield None


def legitimate(where, new):
    """Whether a part may be that, too."""
    if where[:2] == ("history", "records") and len(where) == 3 and isinstance(new, dict):
        return {"epoch", "loss", "learning_rate", "seconds"} <= set(new)
    if where[:2] == ("history", "best") and new is None:
        return where[-1] in ("loss", "epoch", "score")
    if isinstance(new, float | bool | int) and not isinstance(new, bool):
        return where[1:2] == ("records",)
    # an empty array of no statistics is what it has to be
    return isinstance(new, np.ndarray) and new.size == 0 and where[-1] in ("state", 1)


@pytest.mark.parametrize("case", CASES)
def test_each_part_is_compared(case, states):
    net, given = net_and_data(case)
    state, tried = states[case], 0
    net.set_callbacks(GoOn(state)).fit(**given)
    for where in parts(state):
        for new in spoiled(get(state, where)) if where else ():
            if legitimate(where, new):
                continue
            bad = changed(state, where, new)
            net.set_callbacks(GoOn(bad))
            try:
                net.fit(**given)
            except ValueError as error:
                words = "state to go on from does not fit", where[0], "expected"
                assert all(word in str(error) for word in words), (where, new)
            else:
                pytest.fail(f"{where} may be {new!r}")
            tried += 1
    assert tried > 200


@pytest.mark.parametrize("where, change, message", [
    (("params",), lambda a: a[:-1], r"params is an array of shape \(40,\) and dtype float32, "
     r"expected an array of shape \(41,\) and dtype float32"),
    (("params",), lambda a: a[:1], r"params .* shape \(1,\)"),
    (("history", "optimizer", "arrays", "m"), lambda a: a[:-1], r"arrays/\w+ .*\(40,\)"),
    (("history", "optimizer", "arrays", "m"), lambda a: a[:3], r"arrays/\w+ .*\(3,\)"),
    (("history", "optimizer", "arrays", "m"), np.float64, r"arrays/\w+ .*dtype float64"),
    (("order",), lambda a: a * 10**6, "order .*, expected different numbers of rows, from 0 to 39"),
    (("order",), lambda a: np.zeros_like(a), "order .*, expected different numbers of rows"),
    (("rng_state", "state", "pos"), lambda pos: 10**6, "pos is 1000000, expected .* at most 624"),
])  # fmt: skip
def test_in_files(where, change, message, states, tmp_path):
    state = states["adam"]
    bad = changed(state, where, change(get(state, where)))
    path = tmp_path / "a.npz"
    write_state(path, bad)
    net, given = net_and_data("adam")
    net.set_callbacks(Checkpoint(tmp_path / "new", resume=path))
    before = joblib.hash(vars(net))
    with pytest.raises(ValueError, match=f"{message}.*resume from another checkpoint"):
        net.fit(**given)
    assert joblib.hash(vars(net)) == before


@pytest.mark.parametrize("change", [
    lambda train, rest: (train + 100, rest),
    lambda train, rest: (train, train),
    lambda train, rest: (train, rest[:0]),
    lambda train, rest: (train, np.append(rest, rest[0])),
    lambda train, rest: (train, rest - 40),
    lambda train, rest: (train[:-1], rest),
    lambda train, rest: (train, rest.astype(np.int32)),
    lambda train, rest: (train,),
])  # fmt: skip
def test_the_rows_held_out(change, states):
    case = "average, statistics, noise, best epoch"
    net, given = net_and_data(case)
    state = deepcopy(states[case])
    state.split = change(*state.split)
    with pytest.raises(ValueError, match=r"does not fit: (split|order)"):
        net.set_callbacks(GoOn(state)).fit(**given)


def test_a_state_is_not_changed_by_the_fits_that_go_on_from_it(states):
    for case, state in states.items():
        net, given = net_and_data(case)
        before = joblib.hash(vars(state))
        one = deepcopy(net).set_callbacks(GoOn(state)).fit(**given)
        other = net.set_callbacks(GoOn(state)).fit(**given)
        assert joblib.hash(vars(state)) == before
        np.testing.assert_array_equal(one._network.params, other._network.params)
