"""Columns of numbers and of durations."""

import numpy as np

from skbp._forms import REAL, Each, Is, require
from skbp._plain import kept
from skbp.preprocessing._encoder import ONE_HOT, Encoder, Feature, digest_of
from skbp.preprocessing._scales import SCALES, Plain, Standard, quantiles_of

HALF = np.array([0.5])


@kept
class ScaledNumbers:
    """Numbers, on one scale or several, and whether they are missing.

    Parameters
    ----------
    values : ndarray of shape (n,), float64
        Of the training data; NaN where missing.
    settings : Settings
    suffix : str
        How the name of what is scaled ends.

    Attributes
    ----------
    is_empty : bool
        Whether no value is there.
    median : float
        Takes the place of missing values.
    """

    _form = {
        "is_empty": Is(bool), "median": REAL, "scales": Each(SCALES),
        "features": Each(Is(Feature)),
    }  # fmt: skip

    def __init__(self, values, settings, suffix=""):
        missing = np.isnan(values)
        ordered = np.sort(values[~missing])
        self.is_empty = not len(ordered)
        self.median = 0.0 if self.is_empty else float(quantiles_of(ordered, HALF)[0])
        varies = not self.is_empty and (ordered[0] < ordered[-1] or settings.n_rows == 1)
        self.scales = [make(ordered) for make in settings.scales.values()] if varies else []
        several = len(settings.scales) > 1
        self.features = [
            Feature(f"{suffix}_{block}" if several else suffix, block)
            for block in settings.scales
            if varies
        ]
        if settings.indicates and missing.any() and not self.is_empty:
            self.features.append(Feature("_missing", ONE_HOT))

    def _check_parts(self):
        more = len(self.features) - len(self.scales)
        require(more in (0, 1), self, "other features than scales")

    def write(self, values, out, at, where):
        """Write numbers to their places; `values` is changed."""
        missing = np.isnan(values)
        values[missing] = self.median
        for scale, j in zip(self.scales, at, strict=False):
            with np.errstate(over="ignore"):
                out[:, j] = scale.apply(values)
            if isinstance(scale, Plain | Standard) and np.isinf(out[:, j]).any():
                raise ValueError(
                    f"{where} has numbers too large for {out.dtype.name}. Use numeric='robust' or "
                    "'quantile', or dtype=np.float64."
                )
        if len(self.features) > len(self.scales):
            out[:, at[-1]] = missing


@kept
class NumberEncoder(Encoder):
    """Encodes a column of numbers."""

    kinds: tuple[str, ...] = ("number", "bool")
    what = "numbers"
    _form = Encoder._form | {"numbers": Is(ScaledNumbers)}

    def _check_parts(self):
        super()._check_parts()
        require(self.features == self.numbers.features, self, "features of other numbers")

    def __init__(self, column, settings):
        values = self._values(column)
        self.digest = digest_of(self.what, values)
        self.numbers = ScaledNumbers(values, settings)
        self.features = self.numbers.features
        if self.numbers.is_empty:
            self.reason = "all missing"

    def write(self, column, out, at):
        """Write a column to the output; see `Encoder.write`."""
        self.numbers.write(self._values(column), out, at, column.where)

    def _values(self, column):
        if column.kind not in self.kinds:
            if column.is_blank():
                return np.full(len(column), np.nan)
            raise ValueError(
                f"{column.where} holds values of kind {column.kind!r}; in fit it held {self.what}. "
                "Give it as in fit."
            )
        return self._read(column)

    def _read(self, column):
        return column.numbers()


@kept
class DurationEncoder(NumberEncoder):
    """Encodes a column of durations, as seconds."""

    kinds = ("duration",)
    what = "durations"

    def _read(self, column):
        return column.seconds()
