"""What several groups of cases need."""

from contextlib import contextmanager

import joblib

from skbp import _kernels as kernels
from skbp.callbacks import Callback


def shown(model):
    """Return a digest of all that fit gave an estimator, and which objects its parameters are."""
    params = {name: id(value) for name, value in model.get_params(deep=False).items()}
    fitted = {name: value for name, value in vars(model).items() if name not in params}
    fitted.pop("_skl_callbacks", None)  # which may hold anything
    return joblib.hash(fitted), params


@contextmanager
def unchanged(model):
    """Assert that an exception leaves an estimator as it was, to the bit; pass it on."""
    before = shown(model)
    try:
        yield
    except BaseException as error:
        if shown(model) != before:
            raise AssertionError(f"a call that failed changed the estimator: {error!r}") from error
        raise


class Failing(Callback):
    """Raises an error in one of its methods."""

    per_update = True

    def __init__(self, where, error):
        self.where = where
        self.error = error

    def _maybe(self, where):
        if where == self.where:
            raise self.error

    def start(self, estimator, context):
        self._maybe("start")

    def state_to_resume(self, estimator, context, identity):
        self._maybe("state_to_resume")

    def on_epoch_begin(self, memory, context):
        self._maybe("on_epoch_begin")

    def on_update_end(self, memory):
        self._maybe("on_update_end")

    def on_epoch_end(self, epoch, memory, context):
        self._maybe("on_epoch_end")

    def finish(self, memory):
        self._maybe("finish")


HOOKS = (
    "start", "state_to_resume", "on_epoch_begin", "on_update_end", "on_epoch_end", "finish"
)  # fmt: skip


@contextmanager
def failing_kernels(number, error):
    """Let the kernels raise an error in their call of a number, from 1."""
    names = (*kernels.NAMES, *kernels.RECURRENT, *kernels.TABLES)
    found = {name: getattr(kernels, name) for name in names}
    originals = {name: kernel for name, kernel in found.items() if callable(kernel)}
    calls = 0

    def counting(function):
        def inner(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == number:
                raise error
            return function(*args, **kwargs)

        return inner

    try:
        for name, function in originals.items():
            setattr(kernels, name, counting(function))
        yield
    finally:
        for name, function in originals.items():
            setattr(kernels, name, function)
