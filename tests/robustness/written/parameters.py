"""Every constructor parameter: outside of its range, of a wrong type, right at the edge."""

from decimal import Decimal
from fractions import Fraction

import numpy as np

from skbp.layers import Dense
from skbp.optimizers import SGD, Adam

from ..expect import either, gives, raises
from ..oracles import finite
from ..registry import case

NAN, INF = float("nan"), float("inf")
NOT_NUMBERS = [None, "a", NAN, [1.0], 1j, np.datetime64("2020-01-01")]
BAD = {
    "hidden_layer_sizes": [0, -1, (0,), (4, 0), 2.5, "4", (4, None), True, [[3]], NAN, {4}, {4: 4},
                           (4.0,), 10**400],
    "activation": ["foo", "ReLU", None, 3, ["relu"] * 2, [], ["foo"], len, SGD()],
    "loss": ["foo", None, 3, [], "LogLoss", SGD()],
    "solver": ["foo", "ADAM", None, 1, Adam, Dense(3), []],
    "alpha": [-1, -1e-300, INF, True, *NOT_NUMBERS],
    "batch_size": [0, -1, 1.5, 4.0, True, "full", None, NAN, INF, [4]],
    "learning_rate": ["foo", 0.1, None, [0.1], True],
    "learning_rate_init": [0, 0.0, -1, INF, True, *NOT_NUMBERS],
    "power_t": [-1, INF, True, *NOT_NUMBERS],
    "max_iter": [0, -1, 1.5, 4.0, True, INF, *NOT_NUMBERS],
    "shuffle": [None, 2, "foo", 1.5, []],
    "random_state": [-1, "a", 1.5, True, 2**32, NAN, [1], np.random.default_rng(0)],
    "tol": [-1, INF, True, *NOT_NUMBERS],
    "verbose": [-1, "a", None, 1.5],
    "warm_start": [None, 3, "yes", []],
    "momentum": [-0.1, 1.1, INF, True, *NOT_NUMBERS],
    "nesterovs_momentum": [None, 3, "yes"],
    "early_stopping": [None, 2, "maybe"],
    "validation_fraction": [-0.1, 1.0, 1.5, INF, *NOT_NUMBERS],
    "beta_1": [-0.1, 1.0, INF, True, *NOT_NUMBERS],
    "beta_2": [-0.1, 1.0, INF, True, *NOT_NUMBERS],
    "epsilon": [0, 0.0, -1, INF, True, *NOT_NUMBERS],
    "n_iter_no_change": [0, -1, 1.5, True, -INF, *NOT_NUMBERS],
    "max_fun": [0, -1, 1.5, True, *NOT_NUMBERS],
    "class_weight": [3, "foo"],
    "dropout": [-0.1, 1.0, 2, INF, True, *NOT_NUMBERS],
    "normalization": ["foo", 3, True, [], Dense(3)],
    "initializer": ["foo", None, 3, []],
    "dtype": ["float16", "int", int, None, np.float16, "foo", 3],
    "layers": ["foo", 3, [3], [None], [Dense], [Dense(0)], [Dense("a")], [[Dense(3)]], {1: 2}],
    "l1_ratio": [-0.1, 1.1, INF, True, *NOT_NUMBERS],
    "scoring": ["foo", 3, NAN, []],
    "init_from": [3, "/no/such/file", {3: np.ones(3)}, {"foo": np.ones(3)}, Dense(3), []],
    "freeze": [3, [0], "no_such_layer", [None], {"dense_0"}],
    "n_members": [0, -1, 1.5, True, *NOT_NUMBERS],
}  # fmt: skip
#: Message of another part, where that names the parameter in other words.
WORDS = {"layers": "layers|Dense|units", "scoring": "scoring|score", "init_from": "init_from|file",
         "freeze": "freeze", "random_state": "random_state|seed"}  # fmt: skip


def _add_bad(name, value, number):
    on = "table classifier" if name == "class_weight" else "table"
    error = (ValueError, FileNotFoundError) if name == "init_from" else ValueError
    expected = raises(WORDS.get(name, name), error=error)

    @case("parameters", f"{name}={value!r:.40} ({number})", expected, on=on)
    def bad(net):
        return net.use(net.fit(net.make(**{name: value})))


for _name, _values in BAD.items():
    for _number, _value in enumerate(_values):
        _add_bad(_name, _value, _number)

STOCHASTIC, BOTH = "table stochastic", "table"
EDGE = [
    ("hidden_layer_sizes", [(), [], 1, (1,), np.int8(3), np.array([3, 2]), [np.int64(3)]], BOTH),
    ("alpha", [0, 0.0, -0.0, 1e-300, 5e-324, np.float32(0.1), np.float64(1), Fraction(1, 3)], BOTH),
    ("batch_size", [1, np.int64(7), 30, 29], STOCHASTIC),
    ("learning_rate_init", [5e-324, 1e-300, np.float32(0.1), 1], STOCHASTIC),
    ("power_t", [0, 300.0], STOCHASTIC),
    ("max_iter", [1, np.int64(2)], BOTH),
    ("shuffle", [False, np.bool_(False)], STOCHASTIC),
    ("random_state", [0, 2**32 - 1, np.int64(3), np.random.RandomState(3)], BOTH),
    ("tol", [0, 0.0, 1e-300, 1e300], BOTH),
    ("verbose", [0, 1, 2, True], BOTH),
    ("momentum", [0, 1, 1.0, np.float32(0.5)], STOCHASTIC),
    ("nesterovs_momentum", [False, np.bool_(True)], STOCHASTIC),
    ("validation_fraction", [0.0, 1e-300, 0.9], STOCHASTIC),
    ("beta_1", [0, 0.0, 1 - 1e-16], STOCHASTIC),
    ("beta_2", [0, 0.0, 1 - 1e-16], STOCHASTIC),
    ("epsilon", [5e-324, 1e-300, 1e300], STOCHASTIC),
    ("n_iter_no_change", [1, INF, np.int64(5)], STOCHASTIC),
    ("max_fun", [1, 10**9], BOTH),
    ("dropout", [0, 0.999999, 1e-300], STOCHASTIC),
    ("n_members", [1, np.int64(2)], BOTH),
    ("l1_ratio", [0, 1, 1.0, 1e-300], STOCHASTIC),
    ("dtype", ["float32", np.float64, "auto"], BOTH),
    ("layers", [[], (), [Dense(3)], Dense(3)], "table skbp"),
]


def _add_edge(name, value, number, on):
    accepted = gives(finite)
    if isinstance(value, Fraction | Decimal):
        accepted = either(name, oracle=finite)

    @case("parameters at the edge", f"{name}={value!r:.40} ({number})", accepted, on=on)
    def edge(net):
        more = {"hidden_layer_sizes": (100,)} if name == "layers" else {}
        return net.use(net.fit(net.make(**(more | {name: value}))))


for _name, _values, _on in EDGE:
    for _number, _value in enumerate(_values):
        _add_edge(_name, _value, _number, _on)


@case("parameters", "one that is not there", raises("foo", error=(ValueError, TypeError)))
def not_there(net):
    return net.make().set_params(foo=3)


@case("parameters", "one of a part that is not there", raises("foo"), on="table -skorch")
def of_a_part(net):
    return net.make().set_params(solver__foo=3)
