"""Sequences that grow symbol by symbol: what may come next, and which of it is drawn."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_array

from skbp._compat import InvalidParameterError
from skbp._component import Maybe, Range, Whole
from skbp._engine.objective import predict_raw
from skbp._engine.stepping import Stepper, stepping
from skbp._numbers import check_container, check_numbers
from skbp._quiet import quiet_context
from skbp.estimators._entry import FLOATS
from skbp.estimators._sequences import check_codes, draw
from skbp.layers.base import NO_STEPS

#: The most bytes of workspace for rows that are drawn together.
MOST_BYTES = 2**28


@dataclass
class Sampling:
    """How a next code is drawn; see `BackpropSequenceModel.sample`.

    The order is: penalty, temperature, `top_k`, `top_p`.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    stop: list | None = None

    allowed = {
        "temperature": Range(0, low_open=True), "top_k": Maybe(Whole(1)),
        "top_p": Maybe(Range(0, 1, low_open=True)),
        "repetition_penalty": Range(0, low_open=True),
    }  # fmt: skip

    def check(self, n_symbols):
        """Raise an InvalidParameterError or ValueError unless all is in its range."""
        check_ranges(self.allowed, vars(self))
        self.stop = [_stop_of(item, n_symbols) for item in _items_of(self.stop)]

    def probability(self, raw, used, loss):
        """Return the probability of each code.

        Parameters
        ----------
        raw : ndarray of shape (n, n_symbols), float64
        used : ndarray of shape (n, n_symbols), bool
            Which codes are in a row already; looked at only if there is a penalty.
        loss : Loss

        Returns
        -------
        probability : ndarray of shape (n, n_symbols), float64
        """
        penalty = float(self.repetition_penalty)
        if penalty != 1:
            raw = np.where(used, np.where(raw > 0, raw / penalty, raw * penalty), raw)
        return loss.predict(raw / self.temperature)

    def draw(self, probability, rng):
        """Draw a code from each row of probabilities, an array that is changed."""
        return draw(probability, self.top_k, rng, self.top_p)


def check_ranges(allowed, values):
    """Raise an InvalidParameterError unless values, by name, are among what is allowed."""
    for name, what in allowed.items():
        if values[name] not in what:
            raise InvalidParameterError(f"{name} must be {what}. Got {values[name]!r} instead.")


def _items_of(stop):
    if stop is None:
        return []
    if not isinstance(stop, list | tuple):
        raise InvalidParameterError(
            "stop must be None or a list, each item a code or a sequence of codes. Got "
            f"{stop!r} instead; for one code write stop=[code]."
        )
    return list(stop)


def _stop_of(item, n_symbols):
    codes = _row_of([item] if np.ndim(item) == 0 else item, n_symbols, None, "an item of stop")
    if not len(codes):
        raise ValueError("an item of stop is an empty sequence. Give codes, or leave it out.")
    return codes


def _row_of(row, n_symbols, padding_index, name):
    """Return a sequence of codes, checked, without the padding at its end."""
    check_numbers(row, name)
    row = np.asarray(row)
    if row.ndim != 1:
        raise ValueError(f"{name} has the shape {row.shape}; give a sequence of codes.")
    if not len(row):
        return row.astype(np.intp)
    row = check_array(row[None], dtype=FLOATS, input_name=name)
    check_codes(row, n_symbols, padding_index, name)
    codes = row[0].astype(np.intp)
    return codes if padding_index is None else codes[codes != padding_index]


def starts_of(start, n_samples, n_symbols, padding_index):
    """Return the beginning of each sequence to draw: a list of ndarray of codes, intp.

    Parameters
    ----------
    start : array-like or None
        As in `BackpropSequenceModel.sample`.
    n_samples : int or None
    n_symbols, padding_index
        Of the model.
    """
    check_ranges({"n_samples": Maybe(Whole(1))}, {"n_samples": n_samples})
    if start is None:
        return [np.empty(0, np.intp)] * (n_samples or 1)
    check_container(start, "start")
    items = start if isinstance(start, list | tuple) else np.asarray(start)
    if (isinstance(items, np.ndarray) and items.ndim == 0) or not len(items):
        raise ValueError(f"start={start!r} is no sequence of codes. Give one, or None for none.")
    rows = [items] if np.ndim(items[0]) == 0 else list(items)
    names = ["start"] if len(rows) == 1 else [f"start[{i}]" for i in range(len(rows))]
    rows = [
        _row_of(row, n_symbols, padding_index, name) for row, name in zip(rows, names, strict=True)
    ]
    if n_samples is None or len(rows) == n_samples:
        return rows
    if len(rows) > 1:
        raise ValueError(
            f"start has {len(rows)} rows, and n_samples={n_samples}. Give one row, or one for each "
            "sample, or leave n_samples out."
        )
    return rows * n_samples


class Growth:
    """Rows that grow by codes, and the raw outputs for what comes next in each.

    Where the network can go on step by step, each code runs through it once. Else, and where the
    places of its context have ended, the last codes run through it anew each time.

    Parameters
    ----------
    network : Network
    n : int
        Number of rows.
    filling : int
        The code that stands behind the last one where a row is not full.
    """

    def __init__(self, network, n, filling):
        self._network, self._filling = network, filling
        # The last step has no target in training, so it is never asked.
        self.context = network.input_shape[0] - 1
        self._codes = np.empty((n, 0), np.intp)
        self._stepper = None
        if stepping(network) != NO_STEPS:
            self._stepper = Stepper(network, n, self.context)

    def feed(self, codes):
        """Go on by codes; return raw outputs for the next one.

        Parameters
        ----------
        codes : ndarray of shape (n, t), intp
            At first at most `context` of them, later one.

        Returns
        -------
        raw : ndarray of shape (n, n_symbols), float64
        """
        self._codes = np.concatenate([self._codes, codes], axis=1)[:, -self.context :]
        if self._stepper is not None and not self._stepper.room:
            self._stepper = None
        if self._stepper is None:
            return self._anew()
        features = self._stepper.step(codes, depth=len(self._network.layers) - 1)
        return self._stepper.finish(features[:, -1:])[:, 0].astype(np.float64)

    def keep(self, rows):
        """Go on with some of the rows, an array of bool."""
        self._codes = self._codes[rows]
        if self._stepper is not None:
            self._stepper.keep(rows)

    def _anew(self):
        n, seen = self._codes.shape
        window = np.full((n, self.context + 1), self._filling, np.intp)
        window[:, :seen] = self._codes
        return raw_after(self._network, window, np.full(n, seen))


def raw_after(network, codes, n_codes):
    """Return raw outputs for the code after the first few of each row, from whole rows.

    Parameters
    ----------
    network : Network
    codes : ndarray of shape (n, time)
    n_codes : ndarray of shape (n,), int

    Returns
    -------
    raw : ndarray of shape (n, n_symbols), float64
    """
    last, p = len(network.layers) - 1, network.views[-1]
    features = predict_raw(network, codes, depth=last)
    features = features[np.arange(len(codes)), n_codes - 1].astype(np.float64)
    weight = p["table"].T if "table" in p else p["weight"]
    return features @ weight + p["bias"]


class _Rows:
    """What is known of each row while all of them grow.

    Attributes
    ----------
    begun : ndarray of shape (n, longest), intp
        The last codes of each start, as many as the network sees.
    lengths : ndarray of shape (n,), int
        How many these are.
    going : ndarray of shape (n,), bool
        Which rows have not ended.
    """

    def __init__(self, starts, n_steps, context, sampling, n_symbols):
        n = len(starts)
        self.lengths = np.array([min(len(codes), context) for codes in starts])
        self.begun = np.zeros((n, self.lengths.max()), np.intp)
        for row, length, codes in zip(self.begun, self.lengths, starts, strict=True):
            row[:length] = codes[len(codes) - length :]
        self.going = np.ones(n, bool)
        self._left = np.array(n_steps)
        self._stop = sampling.stop
        self._tails = np.full((n, max(map(len, self._stop), default=0)), -1)
        self._used = np.zeros((n, n_symbols), bool)
        for used, codes in zip(self._used, starts, strict=True):
            used[codes] = True

    def given(self, rows, column):
        """Return the codes that starts have in a column; 0 for those that have none there."""
        inside = column < self.begun.shape[1]
        return self.begun[rows, column] if inside else np.zeros(len(rows), np.intp)

    def used(self, rows):
        """Return which codes are in rows already, ndarray of shape (m, n_symbols), bool."""
        return self._used[rows]

    def note(self, rows, drawn, padding_index, ended):
        """Take down what rows have drawn, and which of them end with it, by `ended` too."""
        self._used[rows, drawn] = True
        self._left[rows] -= 1
        over = (self._left[rows] == 0) | ended
        if padding_index is not None:
            over |= drawn == padding_index
        if self._stop:
            tails = np.column_stack([self._tails[rows, 1:], drawn])
            self._tails[rows] = tails
            for stop in self._stop:
                over |= (tails[:, tails.shape[1] - len(stop) :] == stop).all(axis=1)
        self.going[rows] = ~over


def draws(model, starts, n_steps, sampling, rng):
    """Draw sequences from a fitted model; yield what is drawn, step by step.

    All rows go on together. While some draw, those with longer starts are fed the rest of these.

    Parameters
    ----------
    model : BackpropSequenceModel
    starts : list of ndarray of intp
        The beginning of each row.
    n_steps : list of int
        How many codes each row draws at most, at least 1.
    sampling : Sampling
    rng : numpy.random.RandomState

    Yields
    ------
    rows, codes : ndarray of shape (m,), intp
        Which rows have drawn, and what. What is sent back says which of them end with it, an array
        of bool of shape (m,); None says that none does but those that `sampling` stops.
    """
    padding = model.padding_index
    growth = Growth(model._network, len(starts), padding or 0)
    rows = _Rows(starts, n_steps, growth.context, sampling, model.n_symbols_)
    column = rows.lengths.min()
    raw = growth.feed(rows.begun[:, :column]) if column else None
    while True:
        numbers = np.flatnonzero(rows.going)
        codes = rows.given(numbers, column)
        drawing = rows.lengths[numbers] <= column
        if drawing.any():
            own = numbers[drawing]
            if raw is None:
                probability = np.tile(model.start_proba_, (len(own), 1))
            else:
                probability = sampling.probability(raw[drawing], rows.used(own), model._loss)
            codes[drawing] = drawn = sampling.draw(probability, rng)
            ended = yield own, drawn
            rows.note(own, drawn, padding, False if ended is None else ended)
        stay = rows.going[numbers]
        if not stay.any():
            return
        if not stay.all():
            growth.keep(stay)
            codes = codes[stay]
        raw = growth.feed(codes[:, None])
        column += 1


def sampled(model, starts, n_steps, sampling, rng):
    """Draw sequences from a fitted model.

    Parameters
    ----------
    model, starts, sampling, rng
        As in `draws`.
    n_steps : int or None
        How many codes each row draws at most; None: until it has as many as a training row.

    Returns
    -------
    codes : ndarray of shape (n, time), intp
        Starts and what was drawn; at the end the padding code, or -1 if there is none.
    """
    steps = steps_of(model, starts, n_steps)
    ends = [len(start) for start in starts]
    most = max(end + step for end, step in zip(ends, steps, strict=True))
    codes = np.full((len(starts), most), -1 if model.padding_index is None else model.padding_index)
    for row, start in zip(codes, starts, strict=True):
        row[: len(start)] = start
    at = np.array(ends)
    for rows, drawn in draws_in_parts(model, starts, steps, sampling, rng):
        codes[rows, at[rows]] = drawn
        at[rows] += 1
    return codes


def draws_in_parts(model, starts, steps, sampling, rng):
    """Draw any number of sequences, as `draws` does, so many at a time as memory allows.

    Parameters
    ----------
    model, starts, sampling, rng
        As in `draws`.
    steps : list of int
        How many codes each row draws at most; rows of 0 draw none.

    Yields
    ------
    rows, codes : ndarray of shape (m,), intp
        As in `draws`, which also gets what is sent back.
    """
    drawing = [row for row, step in enumerate(steps) if step]
    chunk = max(32, MOST_BYTES // model._network.bytes_per_row())
    for first in range(0, len(drawing), chunk):
        some = np.array(drawing[first : first + chunk])
        begun, left = [starts[row] for row in some], [steps[row] for row in some]
        found, ended = draws(model, begun, left, sampling, rng), None
        while (step := sent(found, ended)) is not None:
            ended = yield some[step[0]], step[1]


def sent(generator, value):
    """Send a value to a generator; return what it yields next, None if it has ended."""
    try:
        return generator.send(value)
    except StopIteration:
        return None


def steps_of(model, starts, n_steps):
    """Return how many codes each row is to draw at most."""
    if n_steps is not None:
        return [n_steps] * len(starts)
    return [max(model.n_features_in_ - len(start), 0) for start in starts]


def streamed(model, starts, n_steps, sampling, rng):
    """Yield the codes that a single row draws, without the end; NumPy is quiet at each step."""
    steps = steps_of(model, starts, n_steps)
    if steps == [0]:
        return
    found, context = draws(model, starts, steps, sampling, rng), quiet_context()
    while (step := context.run(next, found, None)) is not None:
        code = int(step[1][0])
        if code != model.padding_index:
            yield code
