"""Columns of dates."""

import numpy as np

from skbp._component import OneOf
from skbp._forms import Each, Is, require
from skbp._plain import kept
from skbp.preprocessing._encoder import CYCLIC, Encoder, Feature, digest_of
from skbp.preprocessing._number_encoder import ScaledNumbers
from skbp.preprocessing._times import MISSING, Calendar
from skbp.preprocessing.dates import check_kind, moments_of

CIRCLES = ("month", "weekday", "hour")


@kept
class DateEncoder(Encoder):
    """Encodes a column of dates: days as numbers, and circles of those parts that vary."""

    _form = Encoder._form | {
        "zoned": Is(bool), "calendar": Is(Calendar), "days": Is(ScaledNumbers),
        "circles": Each(OneOf(CIRCLES)),
    }  # fmt: skip

    def __init__(self, column, settings):
        self.zoned = column.zoned
        moments = self._moments(column)
        self.digest = digest_of("date", moments)
        self.calendar = Calendar(moments)
        self.days = ScaledNumbers(self.calendar.days(moments), settings, suffix="_days")
        if self.days.is_empty:
            self.reason = "all missing"
        self.circles = [part for part in CIRCLES if _varies(self.calendar.angle(part, moments))]
        self.features = self.days.features + [
            Feature(f"_{part}_{end}", CYCLIC) for part in self.circles for end in ("sin", "cos")
        ]

    def _check_parts(self):
        super()._check_parts()
        n_features = len(self.days.features) + 2 * len(self.circles)
        require(len(self.features) == n_features, self, "other features than parts")

    def write(self, column, out, at):
        """Write a column to the output; see `Encoder.write`."""
        moments = self._moments(column)
        n_days = len(self.days.features)
        self.days.write(self.calendar.days(moments), out, at[:n_days], column.where)
        missing = moments == MISSING
        for i, part in enumerate(self.circles):
            angle = self.calendar.angle(part, moments)
            for j, function in zip(at[n_days + 2 * i :], (np.sin, np.cos), strict=False):
                out[:, j] = function(angle)
                out[missing, j] = 0  # the middle of the circle

    def _moments(self, column):
        check_kind(column, "date", self.zoned, numbers=False)
        return moments_of(column)


def _varies(angle):
    present = angle[~np.isnan(angle)]
    return len(present) > 0 and present.min() < present.max()
