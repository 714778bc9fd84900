"""Values that are no numbers, or hardly: missing, infinite, huge, tiny."""

import numpy as np
from sklearn.base import clone

from ..data import with_value
from ..expect import either, gives, raises
from ..oracles import finite
from ..registry import cases

TINY = np.finfo(np.float64).tiny


NOT_FINITE = {
    "NaN": (np.nan, raises("NaN")),
    "infinity": (np.inf, raises("inf")),
    "minus infinity": (-np.inf, raises("inf")),
}
#: Such numbers can be scaled away, or are too much for a network: both may be said.
EXTREME = {
    "1e30": (1e30, either("diverged|scale|too large", oracle=finite)),
    "1e150": (1e150, either("diverged|scale|too large", oracle=finite)),
    "1e300": (1e300, either("diverged|scale|too large", oracle=finite)),
    "the largest float": (
        np.finfo(np.float64).max,
        either("diverged|scale|too large", oracle=finite),
    ),
    "the smallest normal float": (TINY, gives(finite)),
    "a denormal": (TINY / 2**20, gives(finite)),
    "minus zero": (-0.0, gives(finite)),
}


@cases("values in fit", NOT_FINITE | EXTREME, on="numeric")
def in_fit(net, value):
    return net.use(net.fit(net.make(), with_value(value)))


@cases("values in predict", NOT_FINITE | EXTREME, on="numeric")
def in_predict(net, value):
    return net.use(net.fitted(), with_value(value))


@cases("values in partial_fit", NOT_FINITE | EXTREME, on="table stochastic")
def in_partial_fit(net, value):
    model = net.fitted()
    net.method(model, "partial_fit")(with_value(value), net.y)
    return net.use(model)


@cases("values in score", NOT_FINITE, on="table")
def in_score(net, value):
    return net.fitted().score(with_value(value), net.y)


@cases("values in all rows", EXTREME, on="numeric")
def everywhere(net, value):
    rows = np.full_like(net.X, value)
    return net.use(net.fit(net.make(), rows), rows)


@cases("values of targets", NOT_FINITE | EXTREME, on="numeric regressor")
def in_targets(net, value):
    y = np.array(net.y)
    y[7] = value
    return net.use(net.fit(net.make(), net.X, y))


@cases("values in a clone", NOT_FINITE, on="numeric")
def of_a_clone(net, value):
    return net.use(net.fit(clone(net.fitted()), with_value(value)))
