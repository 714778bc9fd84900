"""L-BFGS over the whole training set, with scipy's optimizer."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from skbp._engine.interrupt import Interruptible
from skbp._engine.trainer import DivergenceError


@dataclass
class LBFGSResult:
    """What a run ended with: `loss` as reported, `n_iter` iterations, scipy's verdict."""

    loss: float
    n_iter: int
    converged: bool
    interrupted: bool
    message: str


def train_lbfgs(objective, data, max_iter, max_fun, tol, verbose=False):
    """Minimise an objective over a data set; the network is trained in place.

    Parameters
    ----------
    objective : Objective
        Without random layers: a line search needs the same value each time.
    data : Data
        The training set.
    max_iter, max_fun : int
        The most iterations, and evaluations of the objective.
    tol : float
        Stop when no component of the gradient is larger.
    verbose : bool or int, default=False
        Whether to print a line an iteration.

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
    iterations = 0

    def value_and_grad(flat):
        params[...] = flat
        return sum(objective.full_value_and_grad(data)), objective.grads.astype(np.float64)

    def after_iteration(intermediate_result):
        nonlocal iterations
        iterations += 1
        if verbose:
            print(f"Iteration {iterations}, objective = {intermediate_result.fun:.8f}")
        if interrupt.requested:
            raise StopIteration

    with Interruptible() as interrupt, np.errstate(over="ignore", invalid="ignore"):
        result = minimize(
            value_and_grad, params.astype(np.float64), method="L-BFGS-B", jac=True,
            callback=after_iteration,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
        )  # fmt: skip
        params[...] = result.x
        finite = np.isfinite(result.fun) and np.isfinite(params).all()
        if not finite:
            raise DivergenceError(f"iteration {max(result.nit, 1)}")
        loss = objective.reported(*objective.full_value_and_grad(data))
    return LBFGSResult(
        loss, min(result.nit, max_iter), result.status == 0, interrupt.requested, result.message
    )
