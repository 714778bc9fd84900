"""Next symbols as targets: the output layer of a sequence model, its checks, and its draws."""

import numpy as np

from skbp._engine.objective import predict_raw
from skbp.layers import Dense

#: How much of the largest output a step may move, by rounding, when later codes change.
ROUNDING = 1e-3


class StepOutput(Dense):
    """The output layer at each step; raw outputs of absent steps, which no loss sees, are 0."""

    def stepping(self, input_shape):
        return super().stepping(input_shape)

    def forward(self, x, p, w, ctx):
        y = super().forward(x, p, w, ctx)
        if ctx.absent is not None:
            y[ctx.absent] = 0
        return y


def lengths(codes, padding_index):
    """Return the number of symbols in each row, shape (n,)."""
    if padding_index is None:
        return np.full(len(codes), codes.shape[1])
    return (codes != padding_index).sum(axis=1)


def check_codes(codes, n_symbols, padding_index, name="X"):
    """Raise a ValueError unless rows are codes, with padding only at their ends.

    Parameters
    ----------
    codes : ndarray of shape (n, time)
        Finite numbers.
    n_symbols : int or None
        Codes are below it; None for no limit.
    padding_index : int or None
    name : str, default="X"
        What they are called.
    """
    bad = (codes != np.floor(codes)) | (codes < 0)
    if n_symbols is not None:
        bad |= codes >= n_symbols
    if bad.any():
        row, column = np.argwhere(bad)[0]
        limit = "" if n_symbols is None else f" to {n_symbols - 1} (n_symbols={n_symbols})"
        raise ValueError(
            f"{name} has {codes[row, column]} in row {row}, column {column}; codes of symbols are "
            f"whole numbers from 0{limit}. Number the symbols, or raise n_symbols."
        )
    if padding_index is None:
        return
    padding = codes == padding_index
    early = padding[:, :-1] & ~padding[:, 1:]
    if early.any():
        row, column = np.argwhere(early)[0]
        raise ValueError(
            f"{name} has the padding code {padding_index} in row {row}, column {column}, and "
            "symbols after it; padding stands at the end of a row only. Move it there, or set "
            "padding_index=None if that code is a symbol like others."
        )


def check_steps(network, padding_index):
    """Raise a ValueError unless the network's outputs depend on nothing that comes later.

    Tried out on rows whose later codes are changed.

    Parameters
    ----------
    network : Network
        From codes, shape (time,), to raw outputs, shape (time, n_symbols).
    padding_index : int or None
    """
    (time,), n_symbols = network.input_shape, network.output_shape[-1]
    rng = np.random.RandomState(0)
    symbols = np.setdiff1d(np.arange(n_symbols), [padding_index])
    whole = rng.choice(symbols, (1, time)).astype(network.params.dtype)
    cuts = sorted({1, time // 2, time - 1} - {0})
    rows = np.repeat(whole, 1 + len(cuts), axis=0)
    for row, cut in zip(rows[1:], cuts, strict=True):
        row[cut:] = rng.choice(symbols, time - cut) if padding_index is None else padding_index
    raw = predict_raw(network, rows)
    for row, cut in zip(raw[1:], cuts, strict=True):
        moved = np.abs(row[:cut] - raw[0, :cut]).max()
        if not moved <= ROUNDING * np.abs(raw[0]).max():
            raise ValueError(
                f"layers={network.layers[:-1]!r} look ahead: the outputs of the first {cut} steps "
                "change with the codes after them, which they are to predict. Use causal=True in "
                "attention, recurrent layers with bidirectional=False, no convolution over time."
            )


def draw(probability, top_k, rng, top_p=None):
    """Draw a column from each row of probabilities, or from its largest.

    Parameters
    ----------
    probability : ndarray of shape (n, k), float64
        Changed.
    top_k : int or None
        Only so many are drawn from.
    rng : numpy.random.RandomState
    top_p : float or None, default=None
        Only the fewest are drawn from that, of those, have this share together.

    Returns
    -------
    drawn : ndarray of shape (n,), intp
    """
    k = probability.shape[1]
    if top_k is not None and top_k < k:
        others = np.argsort(-probability, axis=1, kind="stable")[:, top_k:]
        np.put_along_axis(probability, others, 0, axis=1)
    if top_p is not None:
        order = np.argsort(-probability, axis=1, kind="stable")
        ranked = np.take_along_axis(probability, order, axis=1)
        total = ranked.cumsum(axis=1)
        ranked[:, 1:][total[:, :-1] >= top_p * total[:, -1:]] = 0
        np.put_along_axis(probability, order, ranked, axis=1)
    cumulative = probability.cumsum(axis=1)
    level = rng.random_sample(len(probability)) * cumulative[:, -1]
    return np.minimum((cumulative <= level[:, None]).sum(axis=1), k - 1)
