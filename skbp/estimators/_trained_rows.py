"""Rows as training sees them: how many steps each one needs, and what frozen layers make."""

import numpy as np

from skbp._compat import InvalidParameterError
from skbp._engine.batches import Batches, rows_between, take_rows
from skbp._engine.objective import CHUNK, Objective, chunk_rows
from skbp._engine.workspace import Workspace
from skbp._quiet import quiet
from skbp.estimators._members import for_own_rows
from skbp.layers._steps import absent_steps
from skbp.layers.branches import _Branches
from skbp.losses.axes import _OwnTargets

#: What frozen layers make of all rows is kept if it takes at most so many bytes.
MOST_BYTES = 2**29


class TrainedRows:
    """What is minimised, and the batches of rows that it sees.

    Members may go through rows of their own. What frozen layers make of the rows is computed once,
    not each epoch, where it does not change; then training begins at the layer after them.

    Parameters
    ----------
    network : Network
    loss : Loss
    data : Data
        Every row there is.
    how : Optimization
    frozen : set of int, or None
        Numbers of the parameters that stay as they are, whatever callbacks do; None if there is but
        one epoch, or each has rows of its own, and so nothing to compute once.
    mean_factor : float or None, default=None
        See `Batches`.
    make_batches : callable, default=Batches
        Cuts rows into batches; takes the arguments of `Batches`.
    """

    def __init__(self, network, loss, data, how, frozen, mean_factor=None, make_batches=Batches):
        self._network, self._loss, self._data, self._how = network, loss, data, how
        self._frozen, self._mean_factor = frozen, mean_factor
        self._make_batches, self._after_frozen = make_batches, None

    def objective_and_batches(self, rng, rows=None, held_out=None):
        """Return both.

        Parameters
        ----------
        rng : numpy.random.RandomState
            Of the order of the rows.
        rows : ndarray of intp, optional
            Those to train on, by default all.
        held_out : ndarray of intp, optional
            Those kept back.
        """
        how, network, loss, data = self._how, self._network, self._loss, self._data
        batch_size = how.rows_per_batch(len(data.y) if rows is None else len(rows))
        if data.n_orders is not None:
            network, loss = for_own_rows(network), _OwnTargets(loss.of_one)
        objective = Objective(network, loss, how.alpha, batch_size, how.l1_ratio)
        if self._frozen and not objective.compiled and (depth := self._depth()):
            self._after_frozen = self._after_frozen or after_frozen(network, depth, data)
            network, data = network.beginning_at(depth), self._after_frozen
            objective = Objective(network, loss, how.alpha, batch_size, how.l1_ratio)
        return objective, self._make_batches(
            data, rows, batch_size, how.shuffle, rng, how.optimizer.lazy, held_out,
            self._mean_factor,
        )  # fmt: skip

    def _depth(self):
        depth = frozen_depth(self._network, self._frozen)
        return depth if keeps(self._network, depth, self._data) else 0


def lengths_of(network, x, by_step):
    """Return how many steps of each row there are: all after them are absent.

    Parameters
    ----------
    network : Network
        Whose rows are sequences: of codes, with a padding code, or of features.
    x : ndarray of shape (n, time) or (n, time, k), or Deferred
    by_step : bool
        Whether targets are codes too: then the one that ends a sequence is needed.

    Returns
    -------
    lengths : ndarray of shape (n,), intp
        At least 1.

    Raises
    ------
    InvalidParameterError
        If rows are no sequences, or layers do not take shorter ones.
    """
    time, *features = network.input_shape
    paddings = _paddings(network.layers[0])
    if len(features) != 1 and (features or not paddings):
        raise InvalidParameterError(
            f"shuffle='by_length' is for sequences: rows of codes for a first layer with a "
            f"padding_index, or of shape (time, features). Rows of shape {network.input_shape} go "
            f"into {network.layers[0]!r}. Use shuffle=True."
        )
    lengths = np.empty(len(x), np.intp)
    for start in range(0, len(x), CHUNK):
        part = rows_between(x, start, start + CHUNK)
        absent = absent_steps(part) if features else np.isin(part, paddings)
        there = np.ones(part.shape[:2], bool) if absent is None else ~absent
        lengths[start : start + CHUNK] = (there * np.arange(1, time + 1)).max(axis=1)
    lengths = np.clip(lengths + by_step, 1, time)
    _check_shorter(network, int(lengths.min()))
    return lengths


def _paddings(layer):
    """Return the codes that all that read a row take for what is absent."""
    branches = layer._children().values() if isinstance(layer, _Branches) else [layer]
    found = [branch.paddings for branch in branches]
    return sorted(set.intersection(*found)) if all(one == found[0] for one in found) else []


def _check_shorter(network, steps):
    """Raise an InvalidParameterError unless layers take sequences of so many steps as well."""
    time, *features = network.input_shape
    if steps < time and (found := [layer for layer in network.layers if layer.by_whole_time]):
        raise InvalidParameterError(
            f"shuffle='by_length' leaves out steps that no row of a batch has, and {found[0]!r} "
            "then has other windows: those at the end, or all. Use shuffle=True."
        )
    try:
        outputs = network.bound_to((steps, *features)).output_shape
    except (ValueError, IndexError) as error:
        raise InvalidParameterError(
            f"shuffle='by_length' leaves out steps that no row of a batch has, and the layers do "
            f"not take {steps} of {time} steps: {error} Pool the steps (SequencePool) where they "
            "are flattened now, or use shuffle=True."
        ) from error
    if outputs[-1:] != network.output_shape[-1:]:
        raise InvalidParameterError(
            f"shuffle='by_length' leaves out steps that no row of a batch has, and {steps} of "
            f"{time} steps make outputs of shape {outputs}, not {network.output_shape}. Pool the "
            "steps, or use shuffle=True."
        )


def frozen_depth(network, numbers):
    """Return how many of the first layers do the same to a row each time, and are not trained.

    Parameters
    ----------
    network : Network
    numbers : set of int
        Of the parameters that are frozen.
    """
    network.freeze(numbers)
    depth = min(network.first_trained, len(network.layers) - 1)
    for index, layer in enumerate(network.layers[:depth]):
        if (layer.stochastic or layer.couples_rows) and index not in network.still:
            depth = index
            break
    network.freeze(())
    return depth


def keeps(network, depth, data):
    """Whether what so many layers make of all rows is worth keeping, and not too large."""
    shape, time = network.shape_after(depth), network.input_shape[0]
    n_bytes = len(data.y) * int(np.prod(shape)) * network.params.itemsize
    steps_stay = data.lengths is None or (len(shape) == 2 and shape[0] == time)
    has_weights = any(p.layer < depth for p in network.parameters)
    return has_weights and n_bytes <= MOST_BYTES and steps_stay and data.n_orders is None


@quiet
def after_frozen(network, depth, data):
    """Return data of which each row has gone through so many layers, in inference.

    Parameters
    ----------
    network : Network
    depth : int
    data : Data

    Returns
    -------
    data : Data
        With rows of the shape that layer number `depth` takes; absent steps are NaN.
    """
    shape, n, dtype = network.shape_after(depth), len(data.y), network.params.dtype
    out = np.full((n, *shape), np.nan, dtype)
    lengths = data.lengths
    order = np.arange(n) if lengths is None else np.argsort(lengths, kind="stable")[::-1]
    bound, workspace, most = network, None, min(n, chunk_rows(network, n))
    for start in range(0, n, most):
        rows = order[start : start + most]
        x, steps = take_rows(data.x, rows), slice(None)
        if lengths is not None:
            steps = slice(lengths[rows[0]])  # of the longest one
            x = np.ascontiguousarray(x[:, steps])
        if workspace is None or x.shape[1:] != bound.input_shape:
            bound = network if x.shape[1:] == network.input_shape else network.bound_to(x.shape[1:])
            workspace = Workspace(bound, most, training=False)
        made = bound.forward(x, workspace, depth=depth)
        if (absent := workspace.ctx.absent) is not None:
            made = np.where(absent[..., None], np.nan, made)
        if lengths is None:
            out[rows] = made
        else:
            out[rows, steps] = made
    return data._replace(x=out)
