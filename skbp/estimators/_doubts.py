"""What makes a finished training doubtful: its targets, its validation, its schedule."""

import numpy as np

from skbp._engine.batches import is_sparse, rows_between
from skbp._engine.training import Outcome
from skbp.estimators._finished import some_of

#: A loss that is larger than another by this share of it is larger, noise apart.
WORSE = 0.02
#: Mean or standard deviation of targets from which on they are unscaled; or below one over it.
UNSCALED = 10.0
#: A validation loss that fell by this share while the score stood still was still falling; and the
#: score hides something if, errors falling as the loss did, it would have risen by that much.
STILL_FALLING, WORTH = 0.06, 0.03
#: From this score on, nothing is wrong with standing still: 1 is the best of most scores.
GOOD = 0.98
#: A validation loss so many times above that of the first epoch has risen.
ROSE = 1.1
#: Share of a schedule's highest rate above which it had not come down when training stopped.
HIGH = 0.5
#: Standard deviations between two means, and ratio of two of them, that make another scale.
AWAY, TIMES = 5.0, 8.0
#: The fewest rows from which something is concluded.
FEWEST = 5


def doubt(finished):
    """Return a sentence on what is most likely wrong and what helps, or None.

    Parameters
    ----------
    finished : Finished

    Returns
    -------
    sentence : str or None
    """
    with np.errstate(all="ignore"):
        for look in (
            other_scale, no_score, first_epoch, cut_schedule, coarse_score, worse_than_constant,
        ):  # fmt: skip
            if found := look(finished):
                return found
    return None


def other_scale(finished):
    """Say that the caller's validation rows are on another scale than the training rows."""
    if not finished.given or finished.network.takes_codes:
        return None
    parts = finished.sample, some_of(finished.held_out)
    if any(is_sparse(rows.x) for rows in parts):
        return None
    train, validation = (
        rows_between(rows.x, 0, n).reshape(n, -1) for rows in parts for n in [len(rows.targets)]
    )
    if min(len(train), len(validation)) < FEWEST:
        return None
    means = [np.nanmean(x, axis=0, dtype=float) for x in (train, validation)]
    stds = [np.nanstd(x, axis=0, dtype=float) for x in (train, validation)]
    varies = (stds[0] > 0) & (stds[1] > 0)
    if not varies.any():
        return None
    away = np.abs(means[1] - means[0])[varies] / stds[0][varies]
    ratio = np.abs(np.log(stds[1][varies] / stds[0][varies]))
    if np.median(away) < AWAY and np.median(ratio) < np.log(TIMES):
        return None
    column = int(np.flatnonzero(varies)[np.argmax(np.maximum(away / AWAY, ratio / np.log(TIMES)))])
    return (
        f"X_val is on another scale than X: feature {column} has a mean of {means[0][column]:.3g} "
        f"and a standard deviation of {stds[0][column]:.3g} there, {means[1][column]:.3g} and "
        f"{stds[1][column]:.3g} in X_val. Transform X_val as X was; a Pipeline does so with "
        "transform_input=['X_val']"
    )


def no_score(finished):
    """Say that the validation score was never a number."""
    scores, losses = finished.curve("validation_score"), finished.curve("validation_loss")
    if finished.held_out is None or not np.isnan(scores).all() or np.isnan(losses).all():
        return None
    n = len(finished.held_out.targets)
    return (
        f"the validation score was not a number in any of {len(scores)} epochs, so that none was "
        f"the best: it is not defined on the {_rows(n)} held out. Use scoring='loss', or more rows"
    )


def worse_than_constant(finished):
    """Say that on training rows, or on those held out, one and the same output would be better."""
    sample = finished.sample
    own, best = finished.losses(sample)
    unscaled = _unscaled_targets(finished, sample)
    if own > best + (-WORSE if unscaled else WORSE) * abs(best):
        if not (unscaled or _stands(finished.curve("loss"))):
            return None  # more epochs are needed
        remedy = unscaled or "Scale X, and lower learning_rate_init and alpha"
        return (
            f"on training rows the network is no better than one and the same output for all of "
            f"them (a loss of {own:.3g} against {best:.3g}). {remedy}"
        )
    if finished.held_out is None or not finished.stopping.keep_best:
        return None
    own, best = finished.losses(finished.held_out)
    n = len(finished.held_out.targets)
    if not own > best + (WORSE + _noise(n)) * abs(best):
        return None
    return (
        f"on the {_rows(n)} held out the network, in its best epoch, "
        f"is worse than the best single output of the training rows (a loss of {own:.3g} against "
        f"{best:.3g}): what it has learned does not carry over. Use a smaller network or a larger "
        "alpha, or hold out rows that are like the training rows"
    )


def first_epoch(finished):
    """Say that the first epoch was the best, and those after it worse."""
    losses = finished.curve("validation_loss")
    if finished.history.best.epoch != 1 or len(losses) < 3 or finished.held_out is None:
        return None
    rose = ROSE + _noise(len(finished.held_out.targets))
    if not (losses[0] > 0 and losses[-1] > rose * losses[0]):
        return None
    if not finished.forgot(losses[0], losses[-1], finished.held_out):
        return None
    return (
        f"the first of {len(losses)} epochs is the best, and its weights are kept; after it the "
        f"validation loss rose from {losses[0]:.3g} to {losses[-1]:.3g}: the learning rate is too "
        "high, the rows held out are unlike the training rows, or there is nothing to learn. Lower "
        "learning_rate_init"
    )


def coarse_score(finished):
    """Say that the score on few rows stood still while the loss on them still fell."""
    best, losses = finished.history.best, finished.curve("validation_loss")
    stopped = finished.outcome is Outcome.CONVERGED and finished.stopping.keep_best
    if finished.by_loss or not stopped or best.epoch is None or best.score >= GOOD:
        return None
    if finished.held_out is None:  # out of fold, where all rows are
        return None
    begin, after = losses[best.epoch - 1], losses[best.epoch :]
    n = len(finished.held_out.targets)
    if not (begin > 0 and len(after) > 1 and n >= FEWEST):
        return None
    lowest = int(after.argmin())
    fell = 1 - after[lowest] / _worth_falling_from(finished, begin)
    if lowest < len(after) // 2 or not fell > STILL_FALLING:
        return None
    if not fell * _errors(best.score, n) > WORTH:
        return None
    return (
        f"training stopped since the validation score had not risen for {len(after)} epochs, but "
        f"the validation loss still fell, from {begin:.3g} to {after[lowest]:.3g}: a score on "
        f"{_rows(n)} is coarse. Use scoring='loss', or a larger n_iter_no_change"
    )


def _worth_falling_from(finished, loss):
    """Return from where on it counts that a validation loss falls.

    Where training rows are learned, and the validation loss only falls to that of a constant
    output, wrong answers become less certain, and no more is learned than that. Before, the network
    is still on its way.
    """
    begun = finished.curve("loss")[-1] < finished.constant_loss(finished.rows)
    return min(loss, finished.constant_loss(finished.held_out)) if begun else loss


def _errors(score, n):
    """Return the share of errors that may be behind a score on so many rows: a deviation more."""
    seen = min(max(1 - score, 0), 1)
    share = min(max(seen, 1 / n), 1 - 1 / n)  # as of one row, where there seems to be no chance
    return seen + np.sqrt(share * (1 - share) / n)


def cut_schedule(finished):
    """Say that training stopped while the rate of a schedule that comes down was still high."""
    rates = finished.curve("learning_rate")
    planned = finished.stopping.planned_epochs or finished.stopping.max_iter
    if not finished.schedule_ends or finished.outcome is not Outcome.CONVERGED:
        return None
    if len(rates) >= planned or not rates[-1] > HIGH * rates.max():
        return None
    return (
        f"the schedule was to bring the learning rate down within {planned} epochs, but training "
        f"stopped after {len(rates)}, at a rate of {rates[-1]:.3g}. Use n_iter_no_change=np.inf, "
        "or a smaller max_iter"
    )


def _unscaled_targets(finished, sample):
    """Return a sentence on targets that are far from the scale of outputs, or None."""
    targets = sample.targets
    zeros = np.zeros((1, *finished.network.output_shape))
    if targets.dtype.kind != "f" or np.any(finished.loss.predict(zeros)):
        return None  # the outputs are not on the scale of y
    mean, std = targets.mean(axis=0, dtype=float), targets.std(axis=0, dtype=float)
    size = np.maximum(np.abs(mean), std)
    column = int(np.argmax(np.abs(np.log(np.maximum(size, np.finfo(float).tiny)))))
    if 1 / UNSCALED < size[column] < UNSCALED:
        return None
    which = f"column {column} of y" if targets.shape[1] > 1 else "y"
    return (
        f"{which} has a mean of {mean[column]:.3g} and a standard deviation of {std[column]:.3g}, "
        "and outputs begin near 0, about 1 in size: wrap the estimator in "
        "TransformedTargetRegressor(..., transformer=StandardScaler())"
    )


def _stands(losses):
    """Whether the training loss fell no more in the last of at least ten epochs."""
    return len(losses) >= 10 and not min(losses[-3:]) < 0.999 * min(losses[:-3])


def _noise(n):
    """Return the share by which a mean over n rows may differ from what it stands for."""
    return 2 / np.sqrt(n)


def _rows(n):
    return "one row" if n == 1 else f"{n} rows"
