"""What a case expects, and the judgement of what came."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

#: What may come of a check; the first two are good.
OUTCOMES = (
    "right", "clean error", "wrong but accepted", "non-finite", "unclean exception", "signal",
    "hang", "memory",
)  # fmt: skip
GOOD = OUTCOMES[:2]
#: What may be raised by those whose words and classes nobody has promised.
LENIENT = (ValueError, TypeError)


class Late(BaseException):
    """A check in this process took too long."""


@dataclass
class Came:
    """What came of a call: a value or an exception, warnings, and what of the caller's changed."""

    value: Any = None
    error: BaseException | None = None
    warnings: list = field(default_factory=list)
    changed: str | None = None


@dataclass(frozen=True)
class Expected:
    """An exception, a value, or either; and a warning.

    Parameters
    ----------
    errors : tuple of type
        Classes of exceptions that may be raised; none: a value has to come.
    words : tuple of str
        Patterns that all have to be in the message.
    oracle : callable, optional
        Is given the value, and raises an AssertionError if it is wrong. None: no value may come.
    warning : tuple of (type, str), optional
        The class of a warning that has to come with the value, and a pattern in its message.
    """

    errors: tuple = ()
    words: tuple = ()
    oracle: Any = None
    warning: tuple | None = None

    def judge(self, came, strict=True):
        """Return the outcome and a line that says why.

        Parameters
        ----------
        came : Came
        strict : bool
            Whether the exception has to be of the expected class, with the expected words in its
            message, and NumPy's warnings of overflow and the like count. Else, where an exception
            is expected, any ValueError or TypeError will do.
        """
        if came.error is not None:
            return self._judge_error(came.error, strict)
        if self.oracle is None:
            outcome = "non-finite" if holds_non_finite(came.value) else "wrong but accepted"
            return outcome, f"no exception; expected {self._expected_error()}"
        try:
            self.oracle(came.value)
        except AssertionError as error:
            outcome = "non-finite" if holds_non_finite(came.value) else "wrong but accepted"
            return outcome, first_line(error) or "the oracle disagrees"
        return self._judge_warnings(came.warnings, strict)

    def _judge_error(self, error, strict):
        if type(error) is AssertionError and AssertionError not in self.errors:
            return "wrong but accepted", first_line(error) or "an assertion of the case failed"
        told = f"{type(error).__name__}: {first_line(error)}"
        errors = self.errors if strict or not self.errors else (*self.errors, *LENIENT)
        if isinstance(error, errors):
            message = str(error)
            missing = [word for word in self.words if not re.search(word, message, re.I | re.S)]
            if not (strict and missing):
                return "clean error", told
            return "unclean exception", f"{missing} not in {told}"
        outcome = "memory" if isinstance(error, MemoryError) else "unclean exception"
        if isinstance(error, Late):
            return "hang", told
        wanted = self._expected_error() if self.errors else "a value"
        return outcome, f"{told}; expected {wanted}"

    def _judge_warnings(self, warnings, strict):
        noise = [one for one in warnings if one.category in (RuntimeWarning, DeprecationWarning)]
        if self.warning is not None:
            category, words = self.warning
            if any(issubclass(one.category, category) and re.search(words, str(one.message), re.I)
                   for one in warnings):  # fmt: skip
                return "right", ""
            if strict:
                return "wrong but accepted", f"no {category.__name__} that says {words!r}"
        if strict and noise:
            return "unclean exception", f"{noise[0].category.__name__}: {noise[0].message}"
        return "right", ""

    def _expected_error(self):
        return f"{' or '.join(one.__name__ for one in self.errors)} saying {list(self.words)}"


def raises(*words, error=ValueError):
    """Expect an exception of a class, or one of a tuple, with patterns in its message."""
    return Expected(error if isinstance(error, tuple) else (error,), words)


def gives(oracle):
    """Expect a value that a function does not raise an AssertionError for."""
    return Expected(oracle=oracle)


def either(*words, error=ValueError, oracle):
    """Expect such an exception, or such a value."""
    return replace(raises(*words, error=error), oracle=oracle)


def warns(category, words, oracle=lambda value: None):
    """Expect a value and a warning."""
    return Expected(oracle=oracle, warning=(category, words))


def first_line(error):
    """Return the beginning of an exception's message."""
    return " ".join(str(error).split())[:160]


def holds_non_finite(value):
    """Whether there is an array or number in a value that is NaN or infinite."""
    if isinstance(value, dict):
        return any(map(holds_non_finite, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_non_finite, value))
    if isinstance(value, float | np.ndarray | np.floating):
        array = np.asarray(value)
        return array.dtype.kind == "f" and not np.isfinite(array).all()
    return False
