"""Callbacks of an estimator for tables, told of the training of the network inside."""

from typing import Any, NamedTuple

from skbp.estimators._fit import Given
from skbp.estimators._hooks import Hooks


class UnderWay(NamedTuple):
    """A fit under way: the network, the table as the caller gave it, the caller's callbacks."""

    network: Any
    given: Given
    callbacks: list


class OutsideHooks(Hooks):
    """Calls the hooks of an estimator for tables while the network inside is trained.

    So they are told of that estimator, of the raw table and of the targets as they were given.
    """

    def end(self):
        """Tell of the end of the fit, of an estimator that is fitted by then."""
        self._estimator._publish()
        super().end()
