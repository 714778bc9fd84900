"""Columns of categories, and of booleans."""

import numpy as np

from skbp._forms import Array, Is, require
from skbp._plain import kept
from skbp.preprocessing._coder import MISSING, RARE, UNSEEN, Coder
from skbp.preprocessing._encoder import CODES, ONE_HOT, Encoder, Feature, digest_of


@kept
class CategoryEncoder(Encoder):
    """Encodes a column of categories: one-hot if they are few, else as codes.

    Of two categories comes one column of -1 and 1, of a single one a column of 0 and 1.
    """

    _form = Encoder._form | {"coder": Is(Coder), "is_one_hot": Is(bool), "numbers": Array("i")}
    _optional = ("reason", "numbers")

    def __init__(self, column, settings):
        factor = column.factor
        self.coder = Coder(factor, settings.least, settings.max_categories)
        codes = self.coder.codes(factor)
        values, rare = self.coder.values, self.coder.rare
        self.digest = digest_of("category", codes, values, *([rare, factor.codes] if rare else []))
        known = ["rare"] * bool(rare) + values
        at_most = settings.one_hot_max
        self.is_one_hot = False
        if not known:
            self.reason = "all missing"
        if (len(known) < 2 and settings.n_rows > 1 and (codes != MISSING).all()) or not known:
            self.features = []
        elif at_most is not None and len(known) > at_most:
            self.features = [Feature("", CODES)]
            self.numbers = np.arange(self.coder.n_codes)
        elif len(known) <= 2:
            self.features = [Feature(f"_{known[-1]}", ONE_HOT)]
            self.numbers = self._numbers_of([1] if len(known) == 1 else [-1, 1])
        else:
            self.features = [Feature(f"_{value}", ONE_HOT) for value in known]
            self.is_one_hot = True
            self.numbers = self._numbers_of(np.arange(1, len(known) + 1))

    def _check_parts(self):
        super()._check_parts()
        if not self.features:
            return
        numbers, n = getattr(self, "numbers", np.empty(0, int)), self.coder.n_codes
        low, high = (0, len(self.features)) if self.is_one_hot else (-1, n - 1)
        fits = len(numbers) == n and numbers.min() >= low and numbers.max() <= high
        require(fits and (self.is_one_hot or len(self.features) == 1), self, "other categories")

    def _numbers_of(self, numbers):
        """Return a number for each code: 0 if missing or unseen, but unseen is rare if any is."""
        first = RARE if self.coder.rare else RARE + 1
        result = np.zeros(self.coder.n_codes, np.int64)
        result[first:] = numbers
        if self.coder.rare:
            result[UNSEEN] = result[RARE]
        return result

    def write(self, column, out, at):
        """Write a column to the output; see `Encoder.write`."""
        numbers = self.numbers[self.coder.codes(column.factor)]
        if not self.is_one_hot:
            out[:, at[0]] = numbers
            return
        block = out[:, at[0] : at[-1] + 1]
        block[:] = 0
        rows = np.flatnonzero(numbers)
        block[rows, numbers[rows] - 1] = 1
