"""L-BFGS over the whole training set, with scipy's optimizer."""

from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from scipy.optimize import minimize

from skbp._engine.interrupt import Interruptible
from skbp._engine.lines import say
from skbp._engine.training import DivergenceError


@dataclass
class LBFGSResult:
    """How a run ended: scipy's verdict, and whether a callback or the user stopped it."""

    converged: bool
    interrupted: bool
    stopped: bool
    message: str


class _Raised(Exception):
    """Carries an error through scipy."""

    def __init__(self, error):
        self.error = error


class LBFGSRun:
    """One minimisation as it goes: what callbacks may look at; see `Training`."""

    def __init__(self, network, history, hooks):
        self.network = network
        self.history = history
        self._hooks = hooks
        self.stopped = False
        self.iterations = 0
        self._start = perf_counter()
        self._begin()

    def _begin(self):
        if self._hooks is not None:
            self._hooks.begin_epoch(self)

    def outcome(self, network):
        """Return a copy of the network, as it would be if training ended now."""
        return deepcopy(network)

    @property
    def epoch(self):
        """The record of the last iteration."""
        return self.history.records[-1]

    def note(self, loss):
        """Note an iteration; returns whether a callback wants training to end."""
        now, number = perf_counter(), len(self.history.records) + 1
        record = {"epoch": number, "loss": loss, "seconds": now - self._start}
        self._start = now
        self.iterations += 1
        self.history.records.append(record)
        self.history.loss, self.history.n_iter = loss, self.iterations
        if self._hooks is not None:
            self.stopped = self._hooks.end_epoch(self)
        return self.stopped

    def go_on(self):
        """Begin another iteration."""
        self._begin()


def train_lbfgs(objective, data, history, max_iter, max_fun, tol, verbose=False, hooks=None):
    """Minimise an objective over a data set; the network is trained in place.

    Parameters
    ----------
    objective : Objective
        Without random layers: a line search needs the same value each time.
    data : Data
        The training set.
    history : History
        Its `loss`, `n_iter` and `records` are set.
    max_iter, max_fun : int
        The most iterations, and evaluations of the objective.
    tol : float
        Stop when no component of the gradient is larger.
    verbose : bool or int, default=False
        Whether to print a line an iteration.
    hooks : object or None, default=None
        Called around each iteration, as in `Training`.

    Returns
    -------
    result : LBFGSResult

    Raises
    ------
    DivergenceError
        If the solution is not finite.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal, C. Zhu (1995), "A limited memory algorithm for bound constrained
    optimization".
    """
    params = objective.network.params
    run, reported = LBFGSRun(objective.network, history, hooks), np.nan

    def value_and_grad(flat):
        nonlocal reported
        params[...] = flat
        data_term, penalty = objective.full_value_and_grad(data)
        reported = float(objective.reported(data_term, penalty))
        return data_term + penalty, objective.grads.astype(np.float64)

    def after_iteration(intermediate_result):
        # The point that scipy accepts is the last one it had evaluated.
        if verbose:
            say(f"Iteration {run.iterations + 1}, objective = {intermediate_result.fun:.8f}")
        params[...] = intermediate_result.x
        try:
            ends = run.note(reported) or interrupt.requested
            if not ends and run.iterations < max_iter:
                run.go_on()
        except StopIteration as error:  # of a callback: scipy would take it for a wish to stop
            raise _Raised(error) from None
        if ends:
            raise StopIteration

    with np.errstate(over="ignore", invalid="ignore"), Interruptible() as interrupt, interrupt:
        try:
            result = minimize(
                value_and_grad, params.astype(np.float64), method="L-BFGS-B", jac=True,
                callback=after_iteration,
                options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
            )  # fmt: skip
        except _Raised as carrier:
            raise carrier.error from None
        params[...] = result.x
        finite = np.isfinite(result.fun) and np.isfinite(params).all()
        if not finite:
            raise DivergenceError(f"iteration {max(result.nit, 1)}")
        history.loss = objective.reported(*objective.full_value_and_grad(data))
    history.n_iter = min(result.nit, max_iter)
    return LBFGSResult(result.status == 0, interrupt.requested, run.stopped, result.message)
