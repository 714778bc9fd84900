"""A network inside of another estimator, of which callbacks are told in its place."""

from abc import ABC, abstractmethod
from copy import copy
from typing import Any, NamedTuple

from sklearn.callback import CallbackSupportMixin

from skbp._plain_state import PlainState
from skbp.estimators._fit import Given
from skbp.estimators._hooks import Hooks, begin_hooks, without_fit
from skbp.estimators.base import BaseBackprop


class UnderWay(NamedTuple):
    """A fit under way: the network, the data as the caller gave them, the caller's callbacks."""

    network: Any
    given: Given
    callbacks: list


class OutsideHooks(Hooks):
    """Calls the hooks of the estimator outside while the network inside is trained.

    So they are told of that estimator, of its rows and of the targets as they were given.
    """

    def end(self):
        """Tell of the end of the fit, of an estimator that is fitted by then."""
        self._estimator._publish()
        super().end()


class Inside(BaseBackprop):
    """A network whose callbacks are told of the estimator around it, if there is one."""

    _outside: Any = None  # in a fit: that estimator

    def _hooks(self, given, incremental):
        if self._outside is None:
            return super()._hooks(given, incremental)
        told = self._outside._under_way.given
        return begin_hooks(self._outside, told, self.max_iter, OutsideHooks)

    def _parts(self):
        state = super()._parts()
        if state.pop("_outside", None) is not None:
            state.pop("_skl_callbacks", None)
        return state


class Around(PlainState, CallbackSupportMixin, ABC):
    """An estimator that trains a network inside of it.

    It says in `_attributes_of` what a trained network makes of it.
    """

    _under_way: UnderWay  # in a fit only

    @abstractmethod
    def _attributes_of(self, network):
        """Return the attributes that come of a network, by name."""

    def _train_inside(self, network, given, rows, targets, more=(), **params):
        """Train a network; callbacks see this estimator at work.

        Parameters
        ----------
        network : Inside
            Unfitted, or with weights to go on from.
        given : Given
            The data as the caller gave them, for callbacks.
        rows, targets
            What the network takes.
        more : sequence of Callback, default=()
            Those of this fit alone.
        **params : dict
            For the network's `fit`.
        """
        own = getattr(self, "_skl_callbacks", [])
        network.set_callbacks(*own, *more)
        self.set_callbacks(*own, *more)
        self._under_way = UnderWay(network, given, own)
        network._outside = self
        network.fit(rows, targets, **params)
        if not own and not more:  # else the hooks did so
            self._publish()
        del self._under_way, network._outside
        network.set_callbacks()
        self.set_callbacks(*own)

    def _publish(self):
        """Set the attributes of a network whose training has ended."""
        self.__dict__.update(self._attributes_of(self._under_way.network))

    def _fitted(self, fit, network, history):
        """Return the attributes that there were if training ended now; see `Hooks`."""
        inner = copy(self._under_way.network)
        inner.__dict__.update(inner._fitted(fit, network, history))
        return self._attributes_of(inner)

    def _parts(self):
        state = without_fit(super()._parts())
        under_way = state.pop("_under_way", None)
        if under_way is not None:
            state.pop("_skl_callbacks", None)
            if under_way.callbacks:
                state["_skl_callbacks"] = list(under_way.callbacks)
        return state


class Keeping(Around):
    """An estimator that keeps the network inside as `network_`."""

    network_: Any

    @property
    def n_iter_(self):
        """Number of epochs of the training."""
        return self.network_.n_iter_

    @property
    def loss_curve_(self):
        """Loss of each epoch, of all calls that went on from another."""
        return self.network_.loss_curve_

    @property
    def validation_scores_(self):
        """Validation score of each epoch, or None."""
        return self.network_.validation_scores_
