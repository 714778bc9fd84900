"""Cases, and on which subjects each is checked."""

from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from .expect import Came, Expected
from .state import State

#: All cases by their names, "group: what is done".
CASES: dict = {}


class NotMeant(Exception):
    """A subject has no such parameter or method: the case has no meaning for it."""


@dataclass(frozen=True)
class Case:
    """What is done and what is expected.

    Parameters
    ----------
    group, name : str
    do : callable
        Is given a subject and returns a value.
    expected : Expected or callable
        A callable is given the subject.
    on : str
        Roles that a subject has to have all, as "classifier stochastic"; "-lbfgs" is a role that
        it must not have.
    risky : bool
        Whether it may end or block the process: then it has one of its own.
    slow : bool
        Whether it takes more than a second: then it is no part of the quick battery.
    seconds : float
        After which it counts as hanging.
    watched : bool
        Whether filters of warnings have to be as before; scikit-learn's searches by threads set
        them in several threads at once, and do not always set them back.
    megabytes : int
        How much address space it may take beyond what is in use before.
    """

    group: str
    name: str
    do: Callable
    expected: Any
    on: str = "table"
    risky: bool = False
    slow: bool = False
    seconds: float = 180
    megabytes: int = 2000
    watched: bool = True

    def fits(self, subject):
        """Whether a subject has the roles."""
        return all(
            one[1:] not in subject.roles if one.startswith("-") else one in subject.roles
            for one in self.on.split()
        )


@dataclass(frozen=True)
class Check:
    """A case on a subject."""

    case: Case
    subject: Any

    @property
    def name(self):
        return f"{self.case.group}: {self.case.name} [{self.subject.name}]"

    def __call__(self):
        """Return the outcome and why, or None if the case has no meaning for the subject.

        What is the caller's must be as before: NumPy's settings, the filters of warnings, its
        global stream, and the arrays of the battery.
        """
        expected = self.case.expected
        if not isinstance(expected, Expected):
            expected = expected(self.subject)
        before = State.now()
        try:
            came = self._came()
        except NotMeant:
            return None
        changed = came.changed or State.now().differs_from(before)
        if changed == "filters of warnings" and not self.case.watched:
            changed = None
        if changed:
            before.restore()
            return "wrong but accepted", f"the caller's {changed} changed"
        return expected.judge(came, strict=self.subject.owner == "skbp")

    def _came(self):
        with catch_warnings(record=True) as caught, redirect_stdout(StringIO()):
            simplefilter("always")
            filters = State.filters()
            try:
                came = Came(self.case.do(self.subject))
            except NotMeant:
                raise
            except BaseException as error:
                came = Came(error=error)
            if State.filters() != filters:
                came.changed = "filters of warnings"
        came.warnings = list(caught)
        return came


def case(group, name, expected, on="table", **options):
    """Decorate a function of a subject, so that it is a case."""

    def add(do):
        one = Case(group, name, do, expected, on, **options)
        key = f"{group}: {name}"
        assert key not in CASES, f"two cases are called {key!r}"
        CASES[key] = one
        return do

    return add


def cases(group, table, on="table", **options):
    """Decorate a function of subject and value, so that each row of a table is a case.

    Parameters
    ----------
    group : str
    table : dict of str to (value, Expected)
    """

    def add(do):
        for name, (value, expected) in table.items():
            case(group, name, expected, on, **options)(lambda net, value=value: do(net, value))
        return do

    return add


def checks(groups=None, rivals=False, quick=False):
    """Return all checks.

    Parameters
    ----------
    groups : list of str, optional
        Only those of groups of which a name begins so.
    rivals : bool
        Whether MLPClassifier, MLPRegressor and skorch go through them too.
    quick : bool
        Whether each case is checked on one or two subjects only, in turn, and slow ones are not.
    """
    from . import written  # noqa: F401  (it fills CASES)
    from .subjects import subjects

    everyone, found = subjects(rivals), []
    for number, one in enumerate(CASES.values()):
        if groups and not any(one.group.startswith(group) for group in groups):
            continue
        fitting = [subject for subject in everyone if one.fits(subject)]
        assert fitting, f"nobody fits {one.on!r} of {one.group}: {one.name}"
        if quick:
            ours = [subject for subject in fitting if subject.owner == "skbp"]
            fitting = [] if one.slow or not ours else [ours[number % len(ours)]]
        found += [Check(one, subject) for subject in fitting]
    return found


def assert_equal(value, expected):
    """Raise an AssertionError if arrays differ in a bit."""
    np.testing.assert_array_equal(value, expected)
