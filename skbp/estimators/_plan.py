"""The plan of a fit: what an estimator's parameters ask of training, in a form of its own."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skbp._compat import InvalidParameterError
from skbp._component import resolve
from skbp._engine.plan import Optimization, Stopping
from skbp._warnings import warn
from skbp.estimators._parameters import own_copy
from skbp.optimizers import OPTIMIZERS, SGD
from skbp.schedules import SCHEDULES, Constant, InverseScaling

#: The optimizers that an estimator's own parameters are for; the others have their defaults.
SETTINGS: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterovs_momentum"),
    **dict.fromkeys(
        ("adam", "lazy_adam", "adamw", "nadam", "amsgrad", "radam", "muon"),
        ("beta_1", "beta_2", "epsilon"),
    ),
}


@dataclass(frozen=True)
class HeldOut:
    """Which rows are set aside to validate on, and what for.

    Attributes
    ----------
    early_stopping : bool
        Whether they decide when to stop.
    refit : bool
        Whether to train again, on all rows, for as many epochs as were best.
    fraction : float or splitter
        A share of the rows, or anything that scikit-learn takes as ``cv``.
    scoring : str, callable or None
    """

    early_stopping: bool
    refit: bool
    fraction: Any
    scoring: Any


@dataclass(frozen=True)
class Start:
    """What a network starts from.

    Attributes
    ----------
    random_state : int, RandomState or None
    dtype : "auto" or numpy dtype
        Precision of all computations.
    warm : bool
        Whether from the weights of the last call.
    init_from : object
        Whose weights it starts from, or None.
    """

    random_state: Any
    dtype: Any
    warm: bool
    init_from: Any

    def computes_in(self, input_dtype, optimization, n_rows):
        """Return the precision of a new network: see the parameter `dtype` of the estimators."""
        if self.dtype != "auto":
            return np.dtype(self.dtype)
        if optimization.optimizer is None:
            return np.dtype(np.float64)
        mini_batches = optimization.rows_per_batch(n_rows) < n_rows
        return np.dtype(np.float32 if mini_batches or input_dtype == np.float32 else np.float64)


@dataclass(frozen=True)
class Plan:
    """All that a fit is told, apart from data and layers; frozen."""

    optimization: Optimization
    stopping: Stopping
    held_out: HeldOut
    start: Start

    @classmethod
    def of(cls, estimator):
        """Read an estimator's parameters, which have been checked; components are copied."""
        optimizer = optimizer_of(estimator)
        schedule = _schedule(estimator, optimizer)
        rate = estimator.learning_rate_init
        if rate == "auto":
            rate = 0.0 if optimizer is None else optimizer.usual_rate
        if optimizer is None and estimator.shuffle == "by_length":
            warn("shuffle='by_length' is not used: solver='lbfgs' takes all rows at once.")
        frozen = estimator.freeze or ()
        if not isinstance(frozen, str) and not all(isinstance(name, str) for name in frozen):
            raise InvalidParameterError(
                f'freeze must be names of parameters or patterns, such as "dense_0" or "*.bias". '
                f"Got {frozen!r}."
            )
        schedule = own_copy(schedule, estimator.learning_rate)  # which checks it
        own = getattr(schedule, "patience", None)
        if own is not None and estimator.n_iter_no_change not in (10, np.inf):
            warn(
                f"n_iter_no_change={estimator.n_iter_no_change} is not used: {schedule!r} has its "
                "own patience, and training ends at its lowest rate. To end it earlier, use the "
                "callback EarlyStopping(patience=...)."
            )
        return cls(
            Optimization(
                own_copy(optimizer, estimator.solver),
                schedule,
                rate,
                estimator.alpha,
                estimator.l1_ratio,
                estimator.batch_size,
                estimator.shuffle,
                (frozen,) if isinstance(frozen, str) else tuple(frozen),
            ),
            Stopping(
                estimator.max_iter,
                estimator.tol,
                estimator.n_iter_no_change,
                bool(estimator.early_stopping),
                estimator.max_iter,
                estimator.max_fun,
                estimator.verbose,
            ),
            HeldOut(
                bool(estimator.early_stopping),
                estimator.early_stopping == "refit",
                estimator.validation_fraction,
                estimator.scoring,
            ),
            Start(
                estimator.random_state, estimator.dtype, estimator.warm_start, estimator.init_from
            ),
        )

    def one_pass(self):
        """Return the plan of going just once over the rows, as partial_fit does."""
        return replace(
            self,
            stopping=replace(self.stopping, max_iter=1, keep_best=False),
            held_out=replace(self.held_out, early_stopping=False, refit=False),
            start=replace(self.start, warm=True),
        )


def optimizer_of(estimator):
    """Return the optimizer that the parameters ask for, or None for L-BFGS."""
    if not isinstance(estimator.solver, str):
        return estimator.solver
    if estimator.solver == "lbfgs":
        return None
    names = SETTINGS.get(estimator.solver, ())
    return OPTIMIZERS[estimator.solver](**{name: getattr(estimator, name) for name in names})


def _schedule(estimator, optimizer):
    given = estimator.learning_rate
    if not isinstance(given, str):
        return given
    # In scikit-learn these names are for sgd only.
    if given in ("invscaling", "adaptive") and not isinstance(optimizer, SGD):
        if optimizer is not None:
            warn(
                f"learning_rate={given!r} is for solver='sgd', as in scikit-learn; here the rate "
                f"stays constant. Use {SCHEDULES[given].__name__}() of skbp.schedules for it with "
                "any solver."
            )
        return Constant()
    if given == "invscaling":
        return InverseScaling(estimator.power_t)
    return resolve(given, SCHEDULES, "learning_rate")
