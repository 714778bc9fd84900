"""What is said of batches that are too large, and of the way in which training ended."""

from sklearn.exceptions import ConvergenceWarning

from skbp._engine.training import Outcome
from skbp._warnings import warn


def warn_of(outcome, history, plan, incremental):
    """Warn if training was interrupted, diverged, or had not converged.

    Parameters
    ----------
    outcome : Outcome
    history : History
    plan : Plan
    incremental : bool
        Whether it was one pass only, which is not meant to converge.
    """
    if outcome is Outcome.INTERRUPTED:
        warn_interrupted(history)
    elif outcome is Outcome.DIVERGED:
        warn(
            f"Training diverged in epoch {history.n_iter}; the weights of the epoch with the "
            "best validation score are kept. Scale the features, or lower learning_rate_init.",
            ConvergenceWarning,
        )
    elif outcome is Outcome.MAX_ITER and history.n_iter > plan.stopping.max_iter:
        warn(
            f"The checkpoint is of epoch {history.n_iter}, beyond max_iter={plan.stopping.max_iter}"
            ": nothing was trained. Raise max_iter, or remove the checkpoint."
        )
    elif (
        outcome is Outcome.MAX_ITER
        and not incremental
        and not plan.optimization.schedule.ends_with_training
    ):
        warn(
            f"Stochastic Optimizer: Maximum iterations ({plan.stopping.max_iter}) "
            "reached and the optimization hasn't converged yet.",
            ConvergenceWarning,
        )


def warn_interrupted(history):
    """Warn that the user ended training."""
    warn(
        f"Training interrupted by user after {history.n_iter} finished epochs; the "
        "weights of the last finished update are kept (with early_stopping those of the "
        "best epoch).",
    )


def warn_of_large_batch(size, n_rows):
    """Warn if batches are to be larger than all rows; a pass over a piece of them may be one."""
    if size != "auto" and size > n_rows:
        warn(
            f"Got batch_size={size}, larger than the sample size {n_rows}. It is going to be "
            "clipped.",
        )
