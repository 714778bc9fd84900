"""What a state to go on from has to hold: compared with what a fit needs before any of it is used.

Compiled kernels trust the shapes and dtypes that they are handed, so nothing of a file may reach
them unseen.
"""

from copy import deepcopy
from dataclasses import dataclass, fields
from math import prod
from numbers import Integral, Real
from typing import Any

import numpy as np

from skbp._engine.history import Best, History, OptimizerMemory, Progressing

#: Most values of a row, at any place of a network out of a file.
LARGEST_ROW = 2**31


class Misfit(ValueError):
    """A state to go on from that does not hold what a fit needs."""

    def __init__(self, where, value, expected):
        super().__init__(
            f"Checkpoint(resume=...): the state to go on from does not fit: {where} is "
            f"{told(value)}, expected {expected}. It was damaged, or written by something else; "
            "resume from another checkpoint, or remove this one and begin anew."
        )


@dataclass(frozen=True)
class Needs:
    """What a fit can go on from.

    Attributes
    ----------
    network : Network
    optimizer : Optimizer
    n_rows : int
        Rows of the data, those to validate on included.
    splits : bool
        Whether fit itself chooses rows to validate on.
    covers : bool
        Whether it then takes each row either for that or to train on.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    keep_best : bool
        Whether the best epoch's weights are kept.
    rng : numpy.random.RandomState
        The stream behind the batches; only its kind is looked at.
    keeps_unseen : bool
        Whether outputs of held-out rows are kept; see `ChosenByOthers`.
    """

    network: Any
    optimizer: Any
    n_rows: int
    splits: bool
    covers: bool
    shuffle: bool
    keep_best: bool
    rng: np.random.RandomState
    keeps_unseen: bool

    def check(self, state):
        """Compare keys, shapes, dtypes and ranges of a `TrainingState`.

        Raises
        ------
        Misfit
            A ValueError; it names the first part that does not fit, what it is and what it has to
            be.
        """
        network = self.network
        like("params", state.params, network.params)
        like("state", state.state, network.state)
        self._check_history(state.history)
        check_stream("rng_state", state.rng_state, self.rng)
        noise = np.random.default_rng(0) if network.stochastic else None
        check_stream("noise_state", state.noise_state, noise)
        if self.keep_best or state.best is not None:
            pair("best", state.best)
            like("best/0", state.best[0], network.params)
            like("best/1", state.best[1], network.state)
        self._check_rows(state.split, state.order)
        if not self.keeps_unseen:
            require(state.unseen is None, "unseen", state.unseen, "None")
            return
        pair("unseen", state.unseen)
        n, params = len(state.split[1]), network.params
        like("unseen/0", state.unseen[0], np.empty(n))
        like("unseen/1", state.unseen[1], np.empty((n, network.output_shape[-1]), params.dtype))

    def _check_history(self, history):
        keys("history", history, fields(History))
        for name in ("n_iter", "samples"):
            whole(f"history/{name}", history[name])
        number("history/loss", history["loss"])
        for name in ("loss_curve", "records"):
            instance(f"history/{name}", history[name], list, "a list")
        for place, loss in enumerate(history["loss_curve"]):
            number(f"history/loss_curve/{place}", loss)
        whole("history/n_iter", history["n_iter"], len(history["records"]))
        require(
            len(history["loss_curve"]) >= history["n_iter"], "history/loss_curve",
            history["loss_curve"], f"a list of at least {history['n_iter']} losses",
        )  # fmt: skip
        of_this_call = len(history["records"]) - history["n_iter"]
        for place, record in enumerate(history["records"]):
            check_record(f"history/records/{place}", record, place >= of_this_call)
        self._check_optimizer("history/optimizer", history["optimizer"])
        self._check_call("history/call", history["call"])
        check_best("history/best", history["best"], history["n_iter"], self.keep_best)

    def _check_optimizer(self, where, memory):
        params, optimizer = self.network.params, self.optimizer
        keys(where, memory, fields(OptimizerMemory))
        like(f"{where}/name", memory["name"], type(optimizer).__name__)
        whole(f"{where}/steps", memory["steps"])
        like(f"{where}/arrays", memory["arrays"], optimizer.init_state(params))
        skipped, n_parameters = memory["skipped"], len(self.network.parameters)
        told_length = f"a list of {n_parameters} numbers of steps"
        instance(f"{where}/skipped", skipped, list, told_length)
        require(len(skipped) == n_parameters, f"{where}/skipped", skipped, told_length)
        for place, steps in enumerate(skipped):
            whole(f"{where}/skipped/{place}", steps, memory["steps"])
        average = None if optimizer.ema_decay is None else params
        like(f"{where}/average", memory["average"], average)
        if memory["training_params"] is not None:
            like(f"{where}/training_params", memory["training_params"], params)

    def _check_call(self, where, call):
        keys(where, call, fields(Progressing))
        for name in ("epochs", "updates", "plateaus", "no_improvement"):
            whole(f"{where}/{name}", call[name])
        expected = f"a list for each of {call['epochs']} epochs"
        instance(f"{where}/frozen", call["frozen"], list, expected)
        require(len(call["frozen"]) == call["epochs"], f"{where}/frozen", call["frozen"], expected)
        for place, numbers in enumerate(call["frozen"]):
            instance(f"{where}/frozen/{place}", numbers, list, "a list")
            for one in numbers:
                whole(f"{where}/frozen/{place}", one, len(self.network.parameters) - 1)

    def _check_rows(self, split, order):
        n, rows = self.n_rows, np.arange(self.n_rows)
        if self.splits:
            pair("split", split)
            for place, part in enumerate(split):
                check_numbers(f"split/{place}", part, n)
            rows = split[0]
            both = np.concatenate(split)
            check_numbers("split", both, n)
            require(not self.covers or len(both) == n, "split", both, f"each of {n} rows once")
        else:
            require(split is None, "split", split, "None, as fit chooses no rows to validate on")
        if order is None and not (self.shuffle or self.splits):
            return
        check_numbers("order", order, n)
        same = len(order) == len(rows) and (np.sort(order) == np.sort(rows)).all()
        require(same, "order", order, f"the {len(rows)} rows that are trained on, in some order")


# ------------------------------------------------------------ single parts


def told(value):
    """Return what a value is, in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, dict):
        return f"a dict with the keys {sorted(map(str, value))}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)


def require(fits, where, value, expected):
    """Raise a `Misfit` unless something fits."""
    if not fits:
        raise Misfit(where, value, expected)


def instance(where, value, kind, expected):
    """Require an instance of a class."""
    require(isinstance(value, kind), where, value, expected)


def whole(where, value, most=None):
    """Require a whole number, at least 0 and at most `most`."""
    fits = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0
    fits = fits and (most is None or int(value) <= most)
    bound = "" if most is None else f" and at most {most}"
    require(fits, where, value, f"a whole number of at least 0{bound}")


def number(where, value):
    """Require a number, which may be NaN or infinite."""
    fits = isinstance(value, Real) and not isinstance(value, bool)
    require(fits, where, value, "a number")


def keys(where, value, wanted):
    """Require a dict with just the fields of a dataclass."""
    names = [one if isinstance(one, str) else one.name for one in wanted]
    fits = isinstance(value, dict) and sorted(map(str, value)) == sorted(names)
    require(fits, where, value, f"a dict with the keys {sorted(names)}")


def pair(where, value):
    """Require a tuple of two."""
    require(isinstance(value, tuple) and len(value) == 2, where, value, "a tuple of two arrays")


def like(where, value, template):
    """Require the keys, types, shapes and dtypes of a template; strings, and None, as they are."""
    if isinstance(template, dict):
        keys(where, value, template)
        for key, part in template.items():
            like(f"{where}/{key}", value[key], part)
    elif isinstance(template, np.ndarray):
        fits = isinstance(value, np.ndarray)
        fits = fits and (value.shape, value.dtype) == (template.shape, template.dtype)
        require(fits, where, value, told(template))
    elif template is None:
        require(value is None, where, value, "None")
    elif isinstance(template, str):
        require(isinstance(value, str) and value == template, where, value, repr(template))
    elif isinstance(template, Integral):
        whole(where, value)
    else:
        number(where, value)


def check_stream(where, value, source):
    """Require the state of a source of random numbers of the same kind; None for no source."""
    if source is None:
        require(value is None, where, value, "None, as no layer draws random numbers")
        return
    if isinstance(source, np.random.RandomState):
        like(where, value, source.get_state(legacy=False))
    else:
        like(where, value, source.bit_generator.state)
    if "pos" in value["state"]:  # NumPy reads there without a look
        whole(f"{where}/state/pos", value["state"]["pos"], len(value["state"]["key"]))
    trial = deepcopy(source)
    try:
        if isinstance(trial, np.random.RandomState):
            trial.set_state(value)
        else:
            trial.bit_generator.state = value
    except (ValueError, TypeError, OverflowError) as error:
        raise Misfit(where, value, f"a state that NumPy takes ({error})") from error


def check_numbers(where, value, n_rows):
    """Require numbers of rows, at least one and none twice."""
    fits = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == np.intp
    fits = fits and len(value) > 0 and value.min() >= 0 and value.max() < n_rows
    fits = fits and len(np.unique(value)) == len(value)
    require(fits, where, value, f"different numbers of rows, from 0 to {n_rows - 1}, dtype intp")


def check_record(where, record, of_this_call):
    """Require the numbers of an epoch; earlier ones may be L-BFGS's, which has no rate."""
    needed = {"epoch", "loss", "seconds"} | ({"learning_rate"} if of_this_call else set())
    fits = isinstance(record, dict) and needed <= set(record)
    require(fits, where, record, f"a dict with at least the keys {sorted(needed)}")
    for name, value in record.items():
        number(f"{where}/{name}", value)


def check_best(where, best, n_iter, keep_best):
    """Require what is known of the best epoch."""
    keys(where, best, fields(Best))
    for name in ("loss", "score"):
        if best[name] is not None or (keep_best and name == "score"):
            number(f"{where}/{name}", best[name])
    if best["epoch"] is not None:
        whole(f"{where}/epoch", best["epoch"], n_iter)
        require(best["epoch"] > 0, f"{where}/epoch", best["epoch"], "None, or counted from 1")


def check_sizes(layers, shape, n_params):
    """Raise a ValueError if layers ask for other parameters, or rows beyond all memory.

    Binding a layer makes what its shapes ask for; so they are looked at before.
    """
    found = 0
    for layer in layers:
        found += sum(map(prod, layer.param_shapes(shape).values()))
        if found > n_params or prod(shape) > LARGEST_ROW:
            break
        shape = layer.output_shape(shape)
    if found != n_params or prod(shape) > LARGEST_ROW:
        raise ValueError(
            f"a network has {n_params} parameters, and layers that ask for others, or for rows of "
            f"shape {shape!r:.100}"
        )
