"""What may have gone wrong in a training, said in words."""

from typing import Any

import numpy as np

from skbp._engine.batches import Batch, is_sparse, rows_between
from skbp._engine.objective import Objective, chunk_rows
from skbp._engine.workspace import Workspace
from skbp.activations import ReLU
from skbp.estimators._finished import SAMPLE

#: Root mean square of a feature from which on it is called unscaled.
UNSCALED = 100.0
#: Share of a layer's units above which dead ones are worth a word.
MOSTLY = 0.75
#: So many of the last epochs must all be bad: one alone may be noise, as of dropout.
LAST = 3
#: A training that lowered its loss by a smaller share has stood still.
STOOD_STILL = 0.01
#: A loss that ends so many times above its best has risen.
ROSE = 1.5
#: Relative fall of the loss by which one longer step shows that the rate was too low.
WORTH_A_STEP = 0.05


def unscaled_feature(x):
    """Return a sentence about the feature with the largest values, or None if none is large."""
    n, squares, n_values = x.shape[0], np.zeros(()), 0
    for start in range(0, n, SAMPLE):
        part = rows_between(x, start, min(start + SAMPLE, n))
        values = part.data if is_sparse(x) else part.reshape(part.shape[0], -1)
        with np.errstate(over="ignore"):
            of_part = np.square(values, dtype=np.float64)
            squares = squares + of_part.sum(axis=None if is_sparse(x) else 0)
        n_values += len(values)
    sizes = np.sqrt(squares / max(1, n_values)).reshape(-1)
    column = int(sizes.argmax())
    size = float(sizes[column])
    if is_sparse(x):
        return _scale_it(f"the entries of X have a root mean square of {size:.3g}", size)
    return _scale_it(f"feature {column} of X has a root mean square of {size:.3g}", size)


def _scale_it(seen, size):
    if not size >= UNSCALED:  # NaN, where steps are absent, is no size
        return None
    return f"{seen}: put a StandardScaler before the network, in a Pipeline"


def dead_units(network, x):
    """Return a sentence about a hidden layer most of whose units never fire, or None."""
    n = x.shape[0]
    for index, fires in _units_that_fire(network, x).items():
        dead = int((~fires).sum())
        if dead > MOSTLY * len(fires):
            hidden = sum("weight" in views for views in network.views[: index + 1])
            return (
                f"{dead} of the {len(fires)} units of hidden layer {hidden} are dead: 0 for "
                f"each of {n} training rows. Lower learning_rate_init, scale X, or use "
                "activation='leaky_relu'"
            )
    return None


def _units_that_fire(network, x):
    """Return, for each hidden layer of rectifiers, which units are above zero for some row.

    Not for convolutions: one of their units is in many places.
    """
    found = {
        index: np.zeros(network.shape_after(index + 1), bool)
        for index, layer in enumerate(network.layers[:-1])
        if _rectifies(layer) and len(network.shape_after(index + 1)) == 1
    }
    if not found:
        return found
    n, depth = x.shape[0], max(found) + 1  # outputs may be many, and are not needed
    chunk = min(n, chunk_rows(network, n))
    workspace = Workspace(network, chunk, training=False)
    for start in range(0, n, chunk):
        part = rows_between(x, start, min(start + chunk, n))
        last = network.forward(part, workspace, depth=depth)
        for index, fires in found.items():
            output: Any = workspace.inputs[index + 1] if index + 1 < depth else last
            fires |= (output > 0).any(axis=0)
    return found


def _rectifies(layer):
    activation = getattr(layer, "activation", None)
    return activation == "relu" or isinstance(activation, ReLU)


def risen_loss(curve, finished):
    """Return a sentence about a loss that ended far above its best, or None."""
    best = int(np.argmin(curve))
    least, last = curve[best], min(curve[-LAST:])
    if not (least > 0 and last > ROSE * least):
        return None
    if not finished.forgot(least, last, finished.rows):
        return None
    return (
        f"the loss rose from {curve[best]:.3g} in epoch {best + 1} to {curve[-1]:.3g} in epoch "
        f"{len(curve)}: the learning rate is too high. Lower learning_rate_init, or use "
        "early_stopping=True, which keeps the best epoch's weights"
    )


def low_rate(network, loss, rows, curve, rate):
    """Return a sentence about a rate that was too low, or None.

    Suspected where the loss stood still; shown by a longer step down the gradient that lowers it.
    The network is not changed.
    """
    kept = network.params.copy()
    objective = Objective(network, loss, 0.0, len(rows.targets))
    weight = np.full(len(rows.targets), 1 / len(rows.targets), kept.dtype)
    batch = Batch(rows.x, rows.targets, weight, 1.0)
    start = objective.data_value_and_grad(batch)
    largest = max(float(np.abs(objective.grads).max()), np.finfo(kept.dtype).tiny)
    direction = objective.grads / largest
    best = start
    for length in (1e-3, 1e-2, 1e-1):
        network.params[...] = kept - length * direction
        best = min(best, objective.data_value_and_grad(batch))
    network.params[...] = kept
    if not best < (1 - WORTH_A_STEP) * start:
        return None
    return (
        f"the loss hardly fell, from {curve[0]:.4g} to {min(curve):.4g} in {len(curve)} epochs, "
        f"but one longer step would have lowered it by {100 * (1 - best / start):.0f} %: the "
        f"learning rate, {rate:.3g} at most, is too low. Raise learning_rate_init"
    )


def findings(finished):
    """Look at a finished training; return sentences, each on something that needs attention.

    Parameters
    ----------
    finished : Finished
        At most a thousand of its training rows are looked at, evenly spread.

    Returns
    -------
    sentences : list of str
    """
    network, rows = finished.network, finished.sample
    curve = finished.curve("loss")
    found = []
    with np.errstate(all="ignore"):
        if dead := dead_units(network, rows.x):
            found.append(dead)
        risen = risen_loss(curve, finished)
        # A rise does not matter where the weights are those of the best epoch.
        if risen and not finished.stopping.keep_best:
            found.append(risen)
        stood_still = not risen and _stood_still(curve)
        stood_still = stood_still and not finished.has_learned(min(curve), finished.rows)
        rate = max(finished.curve("learning_rate"))
        if stood_still and (low := low_rate(network, finished.loss, rows, curve, rate)):
            found.append(low)
        suspicious = (found or stood_still) and not network.takes_codes
        if suspicious and (unscaled := unscaled_feature(rows.x)):
            found.insert(0, unscaled)
    return found


def _stood_still(curve):
    """Whether a loss hardly fell.

    Where it has been low all the time, as in a training that goes on from good weights, that is
    as it should be: there `Finished.has_learned`.
    """
    return len(curve) > 1 and curve[0] > 0 and (curve[0] - min(curve)) / curve[0] < STOOD_STILL
