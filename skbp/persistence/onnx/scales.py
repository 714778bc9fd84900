"""What brings numbers of tables to a scale, in standard operators, all columns at once.

Graphs here compute in float64, as the preparation itself does, whatever comes in.
"""

from typing import Literal

import numpy as np

from skbp.preprocessing._scales import FLAT, THRESHOLD, Plain, Quantile, Robust, Standard

#: Shares of rows are kept within this and 1 minus this.
LOWEST_SHARE = THRESHOLD - np.spacing(1)
SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
# Coefficients of rational approximations to the quantiles of the normal distribution, highest power
# first: near the middle, and in the tails up to a share of exp(-25).
MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)  # fmt: skip


def add_scaled(graph, scales, x, dtypes):
    """Add columns of numbers on their scales.

    Parameters
    ----------
    graph : Graph
        Of float64.
    scales : list of Quantile, Robust, Standard or Plain
        One a column, all of one class.
    x : str
        Tensor of shape (n, n_columns), float64, without NaN.
    dtypes : list of numpy dtype
        In which the numbers of each column came, float32 or float64: limits are rounded to it, so
        that numbers that were equal to a limit still are.

    Returns
    -------
    str
        Tensor of shape (n, n_columns).
    """
    return ADD[type(scales[0])](graph, scales, x, dtypes)


def _plain(graph, scales, x, dtypes):
    return x


def _standard(graph, scales, x, dtypes):
    center, scale = np.array([(one.center, one.scale) for one in scales]).T
    return graph.add("Div", graph.add("Sub", x, center), scale)


def _robust(graph, scales, x, dtypes):
    clip = float(scales[0].clip)
    z = graph.add("Div", _standard(graph, scales, x, dtypes), clip)
    z = graph.add("Min", graph.add("Max", z, -FLAT), FLAT)
    length = graph.add("Sqrt", graph.add("Add", graph.add("Mul", z, z), 1.0))
    return graph.add("Mul", graph.add("Div", z, length), clip)


def _quantile(graph, scales, x, dtypes):
    parts = [_Steps(*pair) for pair in zip(scales, dtypes, strict=True)]
    longest = max(len(part.knots) for part in parts)
    knots = np.array([part.padded(part.knots, longest, np.inf) for part in parts])
    below = graph.less(graph.unsqueeze(x, 2), knots)
    place = graph.sum(graph.cast(graph.add("Not", below), np.int64), 2)
    place = graph.add("Max", graph.add("Sub", place, 1), 0)
    place = graph.add("Min", place, np.array([len(part.knots) - 1 for part in parts]))
    place = graph.add("Add", place, longest * np.arange(len(parts)))

    def at_place(name):
        table = [part.padded(getattr(part, name), longest, 0.0) for part in parts]
        return graph.gather(np.concatenate(table), place)

    left = at_place("knots")
    share = graph.add("Mul", graph.add("Sub", x, left), at_place("slope"))
    share = graph.add("Add", share, at_place("last"))
    share = graph.where(graph.add("Equal", x, left), at_place("middle"), share)
    low, high = knots[:, 0], np.array([part.knots[-1] for part in parts])
    share = graph.where(graph.add("Not", graph.less(low, x)), 0.0, share)
    share = graph.where(graph.less(x, high), share, 1.0)
    varies = np.array([part.varies for part in parts], float)
    return graph.add("Mul", _normal(graph, share), varies)


class _Steps:
    """The share of rows below a number: straight lines between knots, with steps at some.

    knots : ndarray of shape (m,), different quantiles; middle, last : the share at each, and right
    behind it; slope : of the line from there on.
    """

    def __init__(self, scale, dtype):
        self.varies = scale.quantiles[0] < scale.quantiles[-1]
        values, first, count = np.unique(scale.quantiles, return_index=True, return_counts=True)
        last = first + count - 1
        self.knots, group = np.unique(values.astype(dtype).astype(np.float64), return_inverse=True)
        begin, end = (np.searchsorted(group, np.arange(len(self.knots)), side) for side in SIDES)
        # Of values that are one after rounding, that which is the most quantiles at once.
        most = np.lexsort((count, group))[end - 1]
        self.middle = (scale.shares[first[most]] + scale.shares[last[most]]) / 2
        self.last = scale.shares[last[end - 1]]
        self.slope = np.zeros(len(self.knots))
        with np.errstate(over="ignore"):
            width = np.diff(self.knots)
        self.slope[:-1] = (scale.shares[first[begin[1:]]] - self.last[:-1]) / width

    @staticmethod
    def padded(array, length, value):
        """Return an array made longer."""
        return np.concatenate([array, np.full(length - len(array), value)])


def _normal(graph, share):
    """Add the quantiles of the standard normal distribution at shares.

    References
    ----------
    M. J. Wichura (1988), "Algorithm AS 241: the percentage points of the normal distribution",
    PPND16.
    """
    share = graph.add("Min", graph.add("Max", share, LOWEST_SHARE), 1 - LOWEST_SHARE)
    centered = graph.add("Sub", share, 0.5)
    r = graph.add("Sub", 0.180625, graph.add("Mul", centered, centered))
    middle = graph.add("Mul", centered, _ratio(graph, r, MIDDLE))
    smaller = graph.add("Min", share, graph.add("Sub", 1.0, share))
    r = graph.add("Sqrt", graph.add("Neg", graph.add("Log", smaller)))
    tail = _ratio(graph, graph.add("Sub", r, 1.6), TAIL)
    tail = graph.add("Mul", tail, graph.add("Sign", centered))
    in_tail = graph.less(0.425, graph.add("Abs", centered))
    return graph.where(in_tail, tail, middle)


def _ratio(graph, x, polynomials):
    """Add the ratio of two polynomials, by Horner's rule."""
    found = []
    for coefficients in polynomials:
        value = coefficients[0]
        for one in coefficients[1:]:
            value = graph.add("Add", graph.add("Mul", value, x), one)
        found.append(value)
    return graph.add("Div", *found)


ADD = {Plain: _plain, Standard: _standard, Robust: _robust, Quantile: _quantile}
