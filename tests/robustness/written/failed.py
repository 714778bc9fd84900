"""Calls that fail: the estimator, the caller's streams and settings are as they were."""

from dataclasses import replace

import numpy as np

from ..data import with_value
from ..expect import either, raises
from ..helpers import HOOKS, Failing, failing_kernels, unchanged
from ..oracles import anything, finite
from ..registry import case, cases


def fitting(**params):
    def call(net, model):
        return net.fit(model.set_params(**params))

    return call


CALLS = {
    "NaN in X": (lambda net, model: net.fit(model, with_value(np.nan)), raises("NaN")),
    "infinity in X": (lambda net, model: net.fit(model, with_value(np.inf)), raises("inf")),
    "NaN in y": (lambda net, model: net.fit(model, net.X, np.full(len(net.X), np.nan)),
                 raises("NaN|missing")),
    "one row less": (lambda net, model: net.fit(model, net.X[1:], net.y), raises("inconsistent")),
    "no rows": (lambda net, model: net.fit(model, net.X[:0], net.y[:0]),
                raises("0 sample|no rows")),
    "text for rows": (lambda net, model: net.fit(model, "abc"), raises("str|expected")),
}  # fmt: skip


@cases("failed fits", CALLS, on="numeric -skorch")
def of_a_fitted(net, call):
    model = net.fitted()
    with unchanged(model):
        call(net, model)


@cases("failed first fits", CALLS, on="numeric -skorch")
def of_an_unfitted(net, call):
    model = net.make()
    with unchanged(model):
        call(net, model)


STREAM = np.random.RandomState(3)


@cases("failed fits with a caller's stream", CALLS, on="table")
def with_a_stream(net, call):
    stream = np.random.RandomState(3)
    model = net.make(random_state=stream)
    try:
        call(net, model)
    except ValueError:
        same = stream.get_state()[1] == STREAM.get_state()[1]
        assert same.all() and stream.get_state()[2] == STREAM.get_state()[2], "the stream went on"
        raise


@case("failed fits", "early stopping with too few rows", raises("too small|rows|class"),
      on="table stochastic -skorch")  # fmt: skip
def too_few(net):
    model = net.fitted(early_stopping=True)
    with unchanged(model):
        net.fit(model, net.X[:2], net.y[:2])


@case("failed fits", "a rate that diverges", either("diverged|not finite|scale", oracle=finite),
      on="table stochastic")  # fmt: skip
def diverging(net):
    model = net.fitted()
    model.set_params(**net.translated({"learning_rate_init": 1e300}))
    with unchanged(model):
        net.fit(model)
    return net.use(model)


ERRORS = (ValueError("own"), RuntimeError("own"), KeyboardInterrupt("own"), SystemExit("own"),
          StopIteration("own"), MemoryError("own"), GeneratorExit("own"))  # fmt: skip


def _add(hook, error):
    # What leaves scikit-learn's context manager, a generator, as StopIteration is a RuntimeError.
    of_generators = hook == "finish" and isinstance(error, StopIteration)
    expected = raises(error=RuntimeError) if of_generators else raises("own", error=type(error))

    @case("callbacks that raise", f"{type(error).__name__} in {hook}", expected,
          on="table stochastic skbp")  # fmt: skip
    def raising(net):
        model = net.make(batch_size=10).set_callbacks(Failing(hook, error))
        with unchanged(model):
            net.fit(model)

    @case("callbacks that raise in other fits", f"{type(error).__name__} in {hook}",
          replace(expected, oracle=anything), on="any seeded callbacks")  # fmt: skip
    def raising_elsewhere(net):
        model = net.fitted().set_callbacks(Failing(hook, error))
        with unchanged(model):
            net.fit(model)


for _hook in HOOKS:
    for _error in ERRORS:
        _add(_hook, _error)


class Unpicklable(Exception):
    """An error that cannot be pickled, and is no one's."""

    def __reduce__(self):
        raise TypeError("no")


CALL_NUMBERS = (1, 2, 3, 5, 8, 13, 30, 60)
KERNEL_ERRORS = (RuntimeError, MemoryError, FloatingPointError, KeyboardInterrupt, Unpicklable)


def _add_kernel(number, error):
    @case("kernels that raise in fit", f"{error.__name__}, call {number}",
          either("planted", error=error, oracle=finite), on="network")  # fmt: skip
    def in_fit(net):
        model = net.fitted()
        with unchanged(model), failing_kernels(number, error("planted")):
            net.fit(model)
        return net.use(model)

    @case("kernels that raise in predict", f"{error.__name__}, call {number}",
          either("planted", error=error, oracle=finite), on="network")  # fmt: skip
    def in_predict(net):
        model = net.fitted()
        with unchanged(model), failing_kernels(number, error("planted")):
            return net.use(model)


for _number in CALL_NUMBERS:
    for _error in KERNEL_ERRORS:
        _add_kernel(_number, _error)


@case("kernels that raise in fit", "and afterwards all is as before", raises("planted",
      error=RuntimeError), on="network")  # fmt: skip
def afterwards(net):
    reference, model = net.reference, net.fitted()
    try:
        with failing_kernels(2, RuntimeError("planted")):
            net.fit(model)
    except RuntimeError:
        np.testing.assert_array_equal(net.use(model), reference)
        np.testing.assert_array_equal(net.use(net.fit(model)), reference)
        raise


@case("settings", "all of NumPy's errors raised", either("diverged|scale", oracle=finite),
      on="any seeded -towers -language")  # fmt: skip
def all_raised(net):
    with np.errstate(all="raise"):
        return net.use(net.fitted())


@case("settings", "underflow raised, in networks", either("diverged|scale", oracle=finite),
      on="network")  # fmt: skip
def underflow_raised(net):
    with np.errstate(all="raise"):
        return net.use(net.fitted())
