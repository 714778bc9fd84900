"""Rows as training sees them: how many steps each one needs."""

import numpy as np

from skbp._compat import InvalidParameterError
from skbp._engine.batches import rows_between
from skbp._engine.objective import CHUNK
from skbp.layers._steps import absent_steps


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
    paddings = sorted(network.layers[0].paddings)
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


def _check_shorter(network, steps):
    """Raise an InvalidParameterError unless layers take sequences of so many steps as well."""
    time, *features = network.input_shape
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
