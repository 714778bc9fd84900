"""Texts that a model writes, piece by piece."""

import numpy as np

from skbp._quiet import quiet_context
from skbp.estimators._generation import draws_in_parts, sent

#: What stands for bytes that are no character, or not yet.
NO_CHARACTER = "\ufffd"


def written(model, vocabulary, starts, n, sampling, stops, rng):
    """Draw texts; yield each piece as soon as its characters are whole.

    Parameters
    ----------
    model : BackpropSequenceModel
    vocabulary : Vocabulary
    starts : list of ndarray of intp
        Codes to go on from.
    n : int
        The most tokens of each.
    sampling : Sampling
    stops : list of str
        A text ends with the first of these in it.
    rng : numpy.random.RandomState

    Yields
    ------
    row : int
    piece : str
        What the text of that row goes on with.
    """
    texts = [_Growing(vocabulary, stops) for _ in starts]
    found = draws_in_parts(model, starts, [n] * len(starts), sampling, rng)
    context, ended = quiet_context(), None
    while (step := context.run(sent, found, ended)) is not None:
        rows, drawn = step
        ended = np.zeros(len(rows), bool)
        for place, (row, code) in enumerate(zip(rows.tolist(), drawn.tolist(), strict=True)):
            piece, ended[place] = texts[row].add(code)
            if piece:
                yield row, piece


class _Growing:
    """A text that grows by codes, until a stop is in it.

    Parameters
    ----------
    vocabulary : Vocabulary
    stops : list of str
    """

    def __init__(self, vocabulary, stops):
        self._vocabulary, self._stops = vocabulary, stops
        self._codes: list[int] = []  # since the last whole character, and the one before
        self._begin, self._said = 0, ""  # the text of that one's length; what is out of the rest
        self._kept = max(map(len, stops), default=1) - 1
        self._tail = ""  # the last characters so far, with which a stop may begin

    def add(self, code):
        """Return what a code adds to the text, and whether the text ends with it."""
        piece = self._whole(code)
        text = self._tail + piece
        ends = [text.find(stop) + len(stop) for stop in self._stops if stop in text]
        if ends:
            return text[len(self._tail) : min(ends)], True
        self._tail = text[max(0, len(text) - self._kept) :]
        return piece, False

    def _whole(self, code):
        """Return the characters that are whole with one more code."""
        if self._vocabulary.is_mark(code):
            return ""
        self._codes.append(code)
        text = self._vocabulary.text(self._codes)[self._begin :]
        whole = text.rstrip(NO_CHARACTER)
        piece, self._said = whole[len(self._said) :], whole
        if whole == text:  # the last code stays: a space may depend on what is before
            self._codes, self._begin, self._said = [code], len(self._vocabulary.text([code])), ""
        return piece
