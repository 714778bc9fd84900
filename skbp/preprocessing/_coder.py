"""Categories of one column, and their codes."""

from collections import Counter
from math import ceil
from numbers import Integral

import numpy as np

from skbp._forms import Is, require
from skbp._plain import kept
from skbp.preprocessing._values import in_order, text_of

#: Codes that every column has; those of the categories come after.
MISSING, UNSEEN, RARE, FIRST = 0, 1, 2, 3


def least_count(min_frequency, n_rows):
    """Return how often a category must occur to have a code of its own."""
    if min_frequency is None:
        return 1
    if isinstance(min_frequency, Integral):
        return int(min_frequency)
    return max(1, ceil(round(min_frequency * n_rows, 6)))


@kept
class Coder:
    """Codes for the values of a column.

    Parameters
    ----------
    factor : Factor
        The values to make it for.
    least : int
        Rarer values share the code `RARE`.
    at_most : int or None
        How many values get codes of their own: the most frequent, of equally frequent ones the
        first in order.

    Attributes
    ----------
    values, rare : list
        Those with codes of their own, from `FIRST` on in increasing order; the others.
    """

    _form = {"values": Is(list), "rare": Is(list), "_code": Is(dict), "_code_of_text": Is(dict)}

    def __init__(self, factor, least=1, at_most=None):
        present = factor.codes[factor.codes >= 0]
        counts = np.bincount(present, minlength=len(factor.values)).tolist()
        count = {v: c for v, c in zip(factor.values, counts, strict=True) if c}
        ordered = in_order(list(count))
        frequent = [value for value in ordered if count[value] >= least]
        if at_most is not None and len(frequent) > at_most:
            frequent = sorted(frequent, key=lambda value: -count[value])[:at_most]
        own = set(frequent)
        self.values = [value for value in ordered if value in own]
        self.rare = [value for value in ordered if value not in own]
        self._code = {value: FIRST + i for i, value in enumerate(self.values)}
        self._code.update(dict.fromkeys(self.rare, RARE))
        # "1" where 1 is known, and the other way round: whoever reads a file anew may get the other
        texts = [(text_of(value), code) for value, code in self._code.items()]
        several = Counter(text for text, _ in texts)
        self._code_of_text = {text: code for text, code in texts if several[text] == 1}

    def _check_parts(self):
        codes, known = [*self._code.values(), *self._code_of_text.values()], range(self.n_codes)
        fits = all(type(code) is int and code in known[RARE:] for code in codes)
        require(fits, self, "codes that it lacks")

    @property
    def n_codes(self):
        """How many codes there may be."""
        return FIRST + len(self.values)

    def codes(self, factor):
        """Return the codes of values, whatever their type.

        Parameters
        ----------
        factor : Factor

        Returns
        -------
        codes : ndarray of shape (n,), int32
        """
        found = [self._find(value) for value in factor.values]
        return np.array([*found, MISSING], np.int32)[factor.codes]  # -1 is the last

    def _find(self, value):
        code = self._code.get(value)
        return self._code_of_text.get(text_of(value), UNSEEN) if code is None else code
