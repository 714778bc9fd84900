"""What decides the result of a fit: the fingerprint that its checkpoints carry."""

import json
from functools import cached_property
from hashlib import blake2b
from typing import Any

from skbp._component import resolve
from skbp._engine.content import Needs
from skbp._engine.fingerprint import check_fingerprint, describe, digest
from skbp.estimators._members import sees_folds
from skbp.estimators._parameters import is_fraction
from skbp.schedules import SCHEDULES, Schedule, Scheduled


class Identity:
    """The fingerprint of a fit, made when it is first asked for.

    Not in it: when training ends (`max_iter`, `n_iter_no_change`, callbacks that stop it), unless
    that decides rates; whether it began from other weights; what is printed.

    Parameters
    ----------
    estimator : estimator
    plan : Plan
    network : Network
    loss : Loss
    data : Data
        All rows, encoded and cast, those to validate on included.
    held_out : Encoded or None
        The caller's own rows to validate on.

    Attributes
    ----------
    max_iter, random_state
        The network's parameters.
    """

    def __init__(self, estimator, plan, network, loss, data, held_out):
        self._estimator, self._plan, self._network = estimator, plan, network
        self._loss, self._data, self._held_out = loss, data, held_out
        self.max_iter = plan.stopping.max_iter
        self.random_state = plan.start.random_state

    @cached_property
    def fingerprint(self):
        """A dict of numbers, strings, lists and dicts; see `check_fingerprint`."""
        return self._of_network() | self._of_updates() | self._of_validation() | self._of_data()

    def key(self):
        """Return a hash of the fingerprint and of the weights that training begins with.

        Two trainings that have the same one are the same, epoch by epoch, as long as both go on.
        """
        text = json.dumps([self.fingerprint, digest(self._network.params)], sort_keys=True)
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def check(self, state, rng):
        """Check that the fit can go on from a state, before any of it is used.

        Parameters
        ----------
        state : TrainingState
        rng : numpy.random.RandomState
            The stream behind the batches; only its kind is looked at.

        Raises
        ------
        ValueError
            If it is the state of another fit, or does not hold what this one needs; it says what
            differs.
        """
        check_fingerprint(state, self.fingerprint)
        plan = self._plan
        by_fold = sees_folds(self._estimator)
        own_rows = self._data.n_orders is not None and self._data.shares is not None
        in_order = bool(plan.optimization.shuffle) and not own_rows and self._n_crops is None
        splits = plan.held_out.early_stopping and self._held_out is None and not by_fold
        Needs(
            self._network, plan.optimization.optimizer, len(self._data.y), splits,
            is_fraction(plan.held_out.fraction), in_order,
            plan.stopping.keep_best, rng, splits and self._estimator._keeps_unseen,
        ).check(state)  # fmt: skip

    @property
    def _n_crops(self):
        return getattr(self._estimator, "crops", None)

    def _of_network(self):
        network = self._network
        return {
            "layers": [describe(layer) for layer in network.specification],
            "input_shape": list(network.input_shape),
            "n_params": network.params.size,
            "dtype": network.params.dtype.name,
            "loss": describe(self._loss),
        }

    def _of_updates(self):
        how, stopping, n_rows = self._plan.optimization, self._plan.stopping, len(self._data.y)
        components = [how.optimizer, how.schedule, *self._network.specification]
        found = {
            "optimizer": describe(how.optimizer),
            "learning_rate": describe(how.schedule),
            "learning_rate_init": float(how.rate),
            "alpha": float(how.alpha),
            "l1_ratio": float(how.l1_ratio),
            "batch_size": int(how.rows_per_batch(n_rows)),
            "shuffle": how.shuffle if isinstance(how.shuffle, str) else bool(how.shuffle),
            "crops": self._n_crops,
            "freeze": sorted(how.frozen),
            "unfreezing": [
                describe(callback)
                for callback in getattr(self._estimator, "_skl_callbacks", None) or ()
                if getattr(callback, "freezes", False)
            ],
            "tol": float(stopping.tol),
        }
        if any(schedule.ends_with_training for schedule in schedules(components)):
            found["max_iter"] = int(stopping.max_iter)
        if how.schedule.survives_plateau(how.rate) and how.schedule.patience is None:
            found["n_iter_no_change"] = float(stopping.patience)
        return found

    def _of_validation(self):
        how, given = self._plan.held_out, self._held_out
        found = {
            "early_stopping": "refit" if how.refit else how.early_stopping,
            "scoring": describe(how.scoring),
            "X_val": None, "y_val": None, "sample_weight_val": None,
        }  # fmt: skip
        if how.early_stopping and given is None:
            share = how.fraction
            found["validation_fraction"] = float(share) if is_fraction(share) else describe(share)
        if given is not None:
            parts = given.x, given.targets, given.weight
            names = "X_val", "y_val", "sample_weight_val"
            found |= {name: digest(part) for name, part in zip(names, parts, strict=True)}
        return found

    def _of_data(self):
        data, seed = self._data, self._plan.start.random_state
        classes: Any = getattr(self._estimator, "classes_", None)
        factors = None if data.class_weight is None else digest(data.class_weight)
        return {
            "n_rows": len(data.y),
            "class_weight": describe(getattr(self._estimator, "class_weight", None)),
            "classes": describe(classes),
            "X": digest(data.x),
            "y": digest(data.y),
            "sample_weight": digest(data.weight),
            "weights by class": factors,
            "n_members": digest(data.shares),
            "orders of members": data.n_orders,
            "random_state": int(seed) if hasattr(seed, "__index__") else None,
        }


def schedules(value):
    """Yield all schedules among some components and what they hold."""
    if isinstance(value, Schedule):
        yield value
    elif isinstance(value, Scheduled):
        yield resolve(value.schedule, SCHEDULES, "schedule")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from schedules(item)
    elif hasattr(value, "get_params"):
        parts = value.get_params(deep=False)
        for name, part in parts.items():
            named = name == "schedule" and isinstance(part, str)
            yield from schedules(resolve(part, SCHEDULES, name) if named else part)
