"""What parts of objects out of files may be: checked before anything relies on them."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

#: Kinds of dtypes of labels and ids.
LABELS = "biufUSO"


class Is(tuple):
    """Instances of some classes; True and False are no numbers."""

    def __new__(cls, *kinds):
        return super().__new__(cls, kinds)

    def __contains__(self, value):
        return isinstance(value, tuple(self)) and (type(value) is not bool or bool in tuple(self))

    def __str__(self):
        return f"a {' or '.join(kind.__name__ for kind in self)}"


class Array(NamedTuple):
    """Arrays of some kinds of dtypes, and with so many axes."""

    kinds: str
    ndim: int = 1

    def __contains__(self, value):
        return isinstance(value, np.ndarray) and (
            value.dtype.kind in self.kinds and value.ndim == self.ndim
        )

    def __str__(self):
        return f"an array with {self.ndim} axes, of a dtype of the kinds {self.kinds!r}"


class Each(NamedTuple):
    """Lists whose items are all in a container, and so many of them."""

    item: Any
    length: int | None = None

    def __contains__(self, value):
        fits = isinstance(value, list) and self.length in (None, len(value))
        return fits and all(one in self.item for one in value)

    def __str__(self):
        number = "" if self.length is None else f"{self.length} items, "
        return f"a list of {number}each {self.item}"


class Values(NamedTuple):
    """Dicts whose values are all in a container."""

    value: Any

    def __contains__(self, value):
        return isinstance(value, dict) and all(one in self.value for one in value.values())

    def __str__(self):
        return f"a dict of which each value is {self.value}"


class Optionally(NamedTuple):
    """None, or what is in a container."""

    item: Any

    def __contains__(self, value):
        return value is None or value in self.item

    def __str__(self):
        return f"None or {self.item}"


class Estimators:
    """Estimators: what has parameters, and can be fitted."""

    def __contains__(self, value):
        return isinstance(value, BaseEstimator) and hasattr(value, "fit")

    def __str__(self):
        return "an estimator"


ESTIMATOR = Estimators()
REAL, TEXT = Is(Real), Is(str)


def check_form(owner, parts, form):
    """Raise a ValueError for the first of some parts that is not what it may be.

    Parameters
    ----------
    owner : type
        For the message.
    parts : dict of str to object
    form : dict of str to container
        Parts that it does not name may be anything.
    """
    for name, value in parts.items():
        if name in form and value not in form[name]:
            raise ValueError(
                f"a {owner.__name__} has a {name} that is a {type(value).__name__}; it must be "
                f"{form[name]}"
            )


def fits_form(estimator, form):
    """Whether an estimator out of a file is fitted, by attributes that must be there together.

    Raises
    ------
    ValueError
        If one of them is missing, or is not what it may be.
    """
    has, owner = vars(estimator), type(estimator)
    missing = [name for name in form if name not in has]
    if len(missing) == len(form) and not any(name.endswith("_") for name in has):
        return False
    if missing:
        raise ValueError(f"a {owner.__name__} lacks its {missing}")
    check_form(owner, has, form)
    return True


def require(fits, owner, what):
    """Raise a ValueError unless parts go together."""
    if not fits:
        raise ValueError(f"a {type(owner).__name__} has {what}")


def check_features(estimator):
    """Raise a ValueError unless what an estimator says of its columns goes together."""
    has = vars(estimator)
    count = {"n_features_in_": Is(int, np.integer), "feature_names_in_": Array("O")}
    check_form(type(estimator), has, count)
    names = has.get("feature_names_in_")
    if names is not None:
        fits = len(names) == has.get("n_features_in_", len(names))
        fits = fits and all(isinstance(name, str) for name in names)
        require(fits, estimator, "names of other features than it has")
