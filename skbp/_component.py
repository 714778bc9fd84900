"""Components: hyperparameters in an object of their own, and the names they go by."""

import math
from functools import cache
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from skbp._plain import check_names, kept
from skbp._warnings import silent


class Range(NamedTuple):
    """The finite numbers from `low` to `high`; a bound marked open is outside."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value):
        # NumPy does not reckon with fractions and other real numbers of their own kind.
        known = isinstance(value, Real) and isinstance(value, int | float | np.number)
        if not known or isinstance(value, bool | np.bool_):
            return False
        try:
            value = float(value)
        except OverflowError:  # a whole number beyond all floats
            return False
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return bool(above and below and math.isfinite(value))

    def __str__(self):
        endless = math.isinf(self.low), math.isinf(self.high)
        left = "(" if self.low_open or endless[0] else "["
        right = ")" if self.high_open or endless[1] else "]"
        return f"a finite number in {left}{self.low}, {self.high}{right}"


class AnyOf(tuple):
    """What is in any of some containers."""

    def __new__(cls, *containers):
        return super().__new__(cls, containers)

    def __contains__(self, value):
        return any(value in container for container in self)

    def __str__(self):
        return ", or ".join(str(container) for container in self)


class Increasing(NamedTuple):
    """A number of a range, or a sequence of such numbers, at least one, that strictly increase."""

    each: Range

    def __contains__(self, value):
        if isinstance(value, Real):
            return value in self.each
        if not isinstance(value, list | tuple | np.ndarray) or np.size(value) == 0:
            return False
        values = list(np.atleast_1d(value))
        return all(one in self.each for one in values) and values == sorted(set(values))

    def __str__(self):
        return f"{self.each}, or a strictly increasing sequence of such numbers"


class Flag:
    """True or False."""

    def __contains__(self, value):
        return isinstance(value, bool | np.bool_)

    def __str__(self):
        return "True or False"


class Whole(NamedTuple):
    """The whole numbers from `low` on."""

    low: int = 0

    def __contains__(self, value):
        is_whole = isinstance(value, Integral) and not isinstance(value, bool | np.bool_)
        return is_whole and value >= self.low

    def __str__(self):
        return f"a whole number of at least {self.low}"


class OneOf(tuple):
    """A few values."""

    def __contains__(self, value):
        # An array compares with each of them value by value, and is none of them.
        return not isinstance(value, np.ndarray) and super().__contains__(value)

    def __str__(self):
        return " or ".join(repr(value) for value in self)


class Maybe(NamedTuple):
    """None, or what another container allows."""

    allowed: Any

    def __contains__(self, value):
        return value is None or value in self.allowed

    def __str__(self):
        return f"None or {self.allowed}"


class Named(NamedTuple):
    """A name that stands for a component, or a component of that kind, which is checked too."""

    registry: dict
    kind: Any

    def __contains__(self, value):
        if isinstance(value, str):
            return value in self.registry
        if not isinstance(value, self.kind):
            return False
        value.check()  # its error says more than that it is not allowed here
        return True

    def __str__(self):
        names = f"one of {', '.join(map(repr, self.registry))}, or " if self.registry else ""
        article = "an" if self.kind.__name__[0] in "AEIOU" else "a"
        return f"{names}{article} {self.kind.__name__}"


class Component(BaseEstimator):
    """Base class of activations, initialisers, losses, optimizers, schedules and layers.

    A component holds hyperparameters only, under the names of its constructor's arguments; `fit`
    works on a copy and never changes it.

    Attributes
    ----------
    allowed : dict of str to container
        What each hyperparameter may be: anything that says so by ``value in allowed[name]``.
    """

    allowed: ClassVar[dict] = {}
    #: Whether files may hold one.
    _in_files: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls._in_files:
            kept(cls)

    def _parts(self):
        """Return the hyperparameters, by name: what files hold of a component."""
        names = self._get_param_names()
        more = [name for name in vars(self) if name not in names]
        if more:
            raise TypeError(f"a {type(self).__name__} has more than its parameters: {more}")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def _of_parts(cls, parts):
        """Return a component with these hyperparameters; those that are missing are defaults."""
        check_names(cls, parts, cls._get_param_names())
        made = cls(**parts)
        with silent():  # whoever fitted it has been warned
            made.check()
        return made

    def check(self):
        """Check the hyperparameters.

        Raises
        ------
        ValueError
            If one is not allowed; names it, what it may be, and what was given.
        """
        check_allowed(self, self.allowed)


def check_allowed(owner, allowed):
    """Check the parameters of an object.

    Parameters
    ----------
    owner : object
        Has the parameters as attributes.
    allowed : dict of str to container
        What each may be.

    Raises
    ------
    ValueError
        If one is not allowed; names it, what it may be, and what was given.
    """
    for name, container in allowed.items():
        value = getattr(owner, name)
        if value not in container:
            hint = f" Give an instance: {value.__name__}()." if isinstance(value, type) else ""
            raise ValueError(
                f"The {name!r} parameter of {type(owner).__name__} must be {container}. "
                f"Got {value!r} instead.{hint}"
            )


@cache
def _default_instance(cls):
    return cls()


def resolve(spec, registry, what):
    """Turn a name into its component with default parameters; let a component through.

    Parameters
    ----------
    spec : str or object
        A key of `registry`, or a component (an instance, not its class).
    registry : dict of str to class
        The components known by name.
    what : str
        What the component is, for the error's text.

    Returns
    -------
    component : object
        Components hold hyperparameters only and are never changed, so one instance of each
        named component serves everybody.

    Raises
    ------
    ValueError
        If the name is not in the registry.
    TypeError
        If it is no component: a class, say, where an instance belongs.
    """
    if isinstance(spec, str):
        if spec not in registry:
            known = ", ".join(repr(name) for name in registry)
            raise ValueError(f"unknown {what} {spec!r}; use one of {known}, or a component")
        return _default_instance(registry[spec])
    if isinstance(spec, type):
        raise TypeError(f"{what} was given the class {spec.__name__}; give an instance: "
                        f"{spec.__name__}()")  # fmt: skip
    if not isinstance(spec, Component):
        raise TypeError(f"{what} must be a name or a component. Got {spec!r} instead.")
    return spec
