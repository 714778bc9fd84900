"""The contract of our callbacks, in scikit-learn's protocol."""

import re
from numbers import Integral

from skbp._component import Component
from skbp._warnings import warn

#: Attributes of estimators that hold other ones: Pipelines, searches and their like.
AROUND_OTHERS = "steps", "estimator", "estimators", "transformers"


class Whole:
    """The whole numbers from `low` on."""

    def __init__(self, low):
        self.low = low

    def __contains__(self, value):
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        return bool(whole and value >= self.low)

    def __str__(self):
        return f"a whole number from {self.low} on"


def task_path(context):
    """Return the place of a fit among others, as a tuple of str; () for one by itself.

    It has the ids of the tasks from the outermost estimator down to the last that may run side by
    side: so those of a search's candidate, while a step of a Pipeline adds nothing.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        Of the fit, or of a task in it.
    """
    ids: list[str] = []
    side_by_side = 0
    while (parent := getattr(context, "parent", None)) is not None:
        ids.append(re.sub(r"\W", "_", str(context.task_id)))
        if not parent.sequential_subtasks and not side_by_side:
            side_by_side = len(ids)
        context = parent
    return tuple(reversed(ids[side_by_side - 1 :])) if side_by_side else ()


class Callback(Component):
    """Base class of callbacks: told of each epoch, they may stop the training.

    Set them with ``net.set_callbacks(...)``, on the network itself also where it is part of a
    Pipeline or a search: they are not passed on to an estimator's parts. A subclass defines
    `on_epoch_end`, and what it must remember from epoch to epoch it puts into the object that
    `start` returns, never into itself: clones of an estimator share its callbacks, and may be
    trained at the same time.

    Examples
    --------
    >>> class Announce(Callback):
    ...     def on_epoch_end(self, epoch, memory, context):
    ...         print(f"epoch {epoch['epoch']}: {epoch['loss']:.2f}")
    ...         return epoch["loss"] < 0.1
    >>> from types import SimpleNamespace
    >>> training = SimpleNamespace(epoch={"epoch": 4, "loss": 0.09})
    >>> Announce().on_fit_task_end(None, SimpleNamespace(training=training))
    epoch 4: 0.09
    True
    """

    # ------------------------------------------------------------ what a subclass defines

    #: Whether `on_update_end` is called.
    per_update = False
    #: Whether it freezes parameters: then a fit that goes on from a checkpoint needs the same one.
    freezes = False

    def start(self, estimator, context):
        """Return what to remember of a fit that begins: any object, for this fit alone."""
        return None

    def on_epoch_begin(self, memory, context):
        """Get ready for an epoch that is about to begin.

        Parameters
        ----------
        memory : object
            What `start` returned for this fit.
        context : sklearn.callback.CallbackContext
            Of the epoch; ``context.training.freeze(numbers)`` says which parameters it leaves
            alone.
        """

    def on_epoch_end(self, epoch, memory, context):
        """Look at an epoch that has ended.

        Parameters
        ----------
        epoch : dict of str to number
            "epoch" (from 1), "loss", "learning_rate", "seconds"; with a validation set
            "validation_loss" and "validation_score"; where asked for "train_score".
        memory : object
            What `start` returned for this fit.
        context : sklearn.callback.CallbackContext
            Of the epoch; ``context.training.state()`` copies the whole state of the training.

        Returns
        -------
        stop : bool
            Whether to end the training here.
        """
        return False

    def on_update_end(self, memory):
        """Look at the clock, or whatever may end training before the epoch ends.

        Called after each update but an epoch's last, if the class says ``per_update = True``; so it
        should take microseconds. An epoch that ends here is noted in the history, with the loss of
        the rows that were seen, and validated. Callbacks are not told of it, so that checkpoints
        are always those of whole epochs. `early_stopping="refit"` trains again: then it is called
        there too, and if training ends there the weights of the best epoch stand.

        Parameters
        ----------
        memory : object
            What `start` returned for this fit.

        Returns
        -------
        stop : bool
            Whether to end the training here.
        """
        return False

    def state_to_resume(self, estimator, context, identity):
        """Return the state that a fit is to go on from, before it begins to train; or None.

        Parameters
        ----------
        estimator : estimator
            That is fitted.
        context : sklearn.callback.CallbackContext
            Of the fit.
        identity : object
            Its ``fingerprint``, a dict, has all that decides the result of the fit, save when it
            ends; ``key()`` is a hash of that and of the weights it begins with; ``max_iter`` and
            ``random_state`` are those of the network.

        Returns
        -------
        state : TrainingState or None
        """
        return None

    def finish(self, memory):
        """Put things away: a fit has ended, whether it succeeded or not."""

    # ------------------------------------------------------------ scikit-learn's hooks
    # A hook gets the keyword arguments that it names; fitted_estimator costs a copy of the weights,
    # so that none of these does.

    def setup(self, estimator, context):
        """Begin a fit; scikit-learn calls this."""
        self.check()
        if any(hasattr(estimator, name) for name in AROUND_OTHERS):
            warn(
                f"{type(self).__name__} was set on {type(estimator).__name__}, which has no epochs "
                "to tell of. Set it on the network itself, before that goes into a Pipeline or a "
                "search: net.set_callbacks(...)."
            )
        self._memories[id(estimator)] = self.start(estimator, context)

    def on_fit_task_begin(self, estimator, context):
        """Call `on_epoch_begin` if it is an epoch; scikit-learn calls this before each task."""
        if hasattr(context, "training"):
            self.on_epoch_begin(self._memory_of(estimator, context), context)

    def on_fit_task_end(self, estimator, context):
        """Call `on_epoch_end` if the task is an epoch; scikit-learn calls this after each task."""
        epoch = self.epoch_of(context)
        if epoch is None:
            return False
        return bool(self.on_epoch_end(epoch, self._memory_of(estimator, context), context))

    def ends_now(self, estimator, context):
        """Call `on_update_end`; skbp calls this between two updates, if `per_update`."""
        return bool(self.on_update_end(self._memory_of(estimator, context)))

    def teardown(self, estimator, context):
        """End a fit; scikit-learn calls this, whether the fit succeeded or not."""
        key = id(estimator)
        if key in self._memories:
            self.finish(self._memories.pop(key))

    def _memory_of(self, estimator, context):
        memories, key = self._memories, id(estimator)
        if key not in memories:
            memories[key] = self.start(estimator, context)
        return memories[key]

    @staticmethod
    def epoch_of(context):
        """Return a copy of the epoch's numbers, or None if the task is not an epoch of ours."""
        training = getattr(context, "training", None)
        return None if training is None else dict(training.epoch)

    @property
    def _memories(self):
        # Made on first use, so that a subclass's __init__ need not know. Reading, setting and
        # popping one key of a dict are atomic: fits in several threads need no lock.
        return self.__dict__.setdefault("_memory_of_fit", {})

    _in_files = False

    def __getstate__(self):
        # Fits that are under way stay in this process.
        return {key: value for key, value in dict(vars(self)).items() if key != "_memory_of_fit"}
