"""scikit-learn's callbacks at work in a fit."""

from typing import Any


class Hooks:
    """Calls the hooks of an estimator's callbacks, epoch by epoch.

    The context of an epoch carries the `Training` as its attribute ``training``, from which
    callbacks read what the epoch brought (``context.training.epoch``).

    Parameters
    ----------
    estimator : estimator
        The one that is fitted.
    context : sklearn.callback.CallbackContext
        That of the whole fit.
    given : Given
        The training data, as the caller gave them.

    Attributes
    ----------
    fit : Fit
        Set by the fit that uses the hooks.
    """

    fit: Any = None

    def __init__(self, estimator, context, given):
        self._estimator = estimator
        self._context = context
        weight = given.sample_weight
        self._told = {
            "estimator": estimator,
            "X": given.X,
            "y": given.y,
            "metadata": None if weight is None else {"sample_weight": weight},
        }
        self._task: Any = None
        callbacks = estimator._skl_callbacks
        self._quick = [one for one in callbacks if getattr(one, "per_update", False)]

    def state_to_resume(self, identity):
        """Return the state that a callback wants training to go on from, or None.

        Parameters
        ----------
        identity : Identity
            Of the fit.
        """
        for callback in self._estimator._skl_callbacks:
            find = getattr(callback, "state_to_resume", None)
            state = None if find is None else find(self._estimator, self._context, identity)
            if state is not None:
                return state
        return None

    def begin(self):
        """Tell of the beginning of the fit."""
        self._context.call_on_fit_task_begin(**self._told)

    def end(self):
        """Tell of the end of the fit."""
        self._context.call_on_fit_task_end(**self._told, reconstruction_attributes={})

    def begin_epoch(self, training):
        """Tell of the beginning of an epoch."""
        self._task = self._context.subcontext(task_name="epoch")
        self._task.training = training
        self._task.call_on_fit_task_begin(**self._told)

    def end_update(self):
        """Ask callbacks that look between two updates whether one wants training to end."""
        ends = False
        for one in self._quick:  # not in a generator, which would change a StopIteration
            ends = ends or one.ends_now(self._estimator, self._context)
        return ends

    def end_epoch(self, training):
        """Tell of the end of an epoch; returns whether a callback wants training to end."""

        def fitted():
            return self._estimator._fitted(
                self.fit, training.outcome(self.fit.network), training.history.copy()
            )

        try:
            return self._task.call_on_fit_task_end(**self._told, reconstruction_attributes=fitted)
        finally:
            self._forget_training()

    def close(self):
        """Let go of the fit and its data, which contexts and callbacks would else keep alive."""
        self._forget_training()
        self.fit, self._task, self._told = None, None, {}

    def _forget_training(self):
        # The contexts of all epochs live as long as the fit, and with callbacks perhaps longer.
        if self._task is not None:
            vars(self._task).pop("training", None)


def begin_hooks(estimator, given, n_epochs, kind=Hooks):
    """Return what calls an estimator's callbacks around each epoch, after the first call; or None.

    Parameters
    ----------
    estimator : estimator
    given : Given
        The training data, as the caller gave them.
    n_epochs : int
        The most that there will be.
    kind : type, default=Hooks
        What to make.
    """
    context = estimator._init_callback_context(max_subtasks=None)
    if not getattr(estimator, "_skl_callbacks", None):
        return None
    context.max_subtasks = n_epochs
    hooks = kind(estimator, context, given)
    hooks.begin()
    return hooks


def without_fit(state):
    """Return the state of an estimator without its part in a fit under way.

    A copy that a callback makes or saves is a model: the contexts of a fit lead to the training,
    and so to the data.
    """
    state = dict(state)
    if state.pop("_callback_fit_ctx", None) is not None:
        state.pop("_skl_callbacks_to_teardown", None)
        state.pop("_parent_callback_ctx", None)
    return state


class BetweenUpdates:
    """Asks the callbacks that look between two updates, and tells none of epochs.

    For a training that repeats another one, whose epochs they know already.

    Parameters
    ----------
    hooks : Hooks
        Those of the first training.
    """

    def __init__(self, hooks):
        self.end_update = hooks.end_update

    def begin_epoch(self, training):
        """Do nothing."""

    def end_epoch(self, training):
        """Never want training to end."""
        return False
