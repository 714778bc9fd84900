"""A callback that lets layers join the training one after another."""

from skbp._component import Maybe
from skbp.callbacks.base import Callback, Whole
from skbp.layers import Norm


class _Plan:
    """Names or patterns of parameters, and for each the epoch with which they join."""

    def __contains__(self, value):
        return isinstance(value, dict) and all(
            isinstance(name, str) and epoch in Whole(1) for name, epoch in value.items()
        )

    def __str__(self):
        return "a dict from parameters' names, or patterns, to whole numbers from 1 on"


class GradualUnfreezing(Callback):
    """Trains the output layer first; the other layers join one by one, from the top.

    For a network that starts from another's weights (`init_from`): what it learned is not torn
    down while its new output layer is still random. Layers that wait are left as they are, as by
    the estimator's `freeze`. What `freeze` names never joins; what has joined is trained at the
    rate that the optimizer's groups give it.

    Parameters
    ----------
    every : int, default=1
        The epochs from one layer's joining to the next one's, at least 1. Only layers with
        parameters count, and a normalisation joins with the layer before it.
    schedule : dict of str to int, or None, default=None
        In place of `every`: names of parameters, or patterns as in `freeze`, and the number, from
        1, of the epoch with which they join; what it does not name is trained from the start.

    Raises
    ------
    ValueError
        In fit, if a parameter is not allowed, or a pattern fits no parameter; if the solver is
        "lbfgs", which changes all weights in each update.

    Notes
    -----
    Epochs count from the beginning of the fit. A plateau may end it before the last layer has
    joined: ``n_iter_no_change=numpy.inf`` prevents that. In `partial_fit` callbacks take no part.

    References
    ----------
    J. Howard, S. Ruder (2018), "Universal language model fine-tuning for text classification",
    section 3.3: one more layer every epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor
    >>> from skbp.callbacks import GradualUnfreezing
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> net = BackpropRegressor((4, 4), "tanh", solver="lbfgs", random_state=0).fit(X, X[:, 0])
    >>> tuned = BackpropRegressor((4, 4), "tanh", init_from=FrozenEstimator(net), max_iter=4,
    ...                           learning_rate="cosine", learning_rate_init=0.01)
    >>> tuned = tuned.set_callbacks(GradualUnfreezing(every=2)).fit(X, X[:, 0] - 0.2)
    >>> [name for name, had in net.weights_.items() if (had == tuned.weights_[name]).all()]
    ['dense_0.weight', 'dense_0.bias']
    """

    allowed = {"every": Whole(1), "schedule": Maybe(_Plan())}

    freezes = True

    def __init__(self, every=1, schedule=None):
        self.every = every
        self.schedule = schedule

    def on_epoch_begin(self, memory, context):
        training = context.training
        if not hasattr(training, "freeze"):
            raise ValueError(
                "GradualUnfreezing needs a stochastic solver: solver='lbfgs' changes all weights "
                "in each update. Use solver='adam', or leave the callback out."
            )
        training.freeze(self.waiting(training, training.history.call.epochs + 1))

    def waiting(self, training, epoch):
        """Return the numbers of the parameters that have not joined yet.

        Parameters
        ----------
        training : object
            Has the `network`, and as `trainable` the numbers of the parameters that can join.
        epoch : int
            Number of the epoch that begins, from 1.
        """
        joins = self._joins_by_name(training) if self.schedule else self._joins_in_turn(training)
        return [number for number, first in joins.items() if epoch < first]

    def _joins_in_turn(self, training):
        """Return for each parameter the epoch with which it joins."""
        parameters, network = training.network.parameters, training.network
        joins, first = {}, 1
        for layer in sorted({parameters[i].layer for i in training.trainable}, reverse=True):
            joins[layer] = first
            if not isinstance(network.layers[layer], Norm):
                first += self.every
        return {i: joins[parameters[i].layer] for i in training.trainable}

    def _joins_by_name(self, training):
        joins: dict[int, int] = {}
        for pattern, first in self.schedule.items():
            try:
                numbers = training.network.matching(pattern)
            except ValueError as error:
                raise ValueError(f"GradualUnfreezing: {error}") from None
            joins |= {i: max(first, joins.get(i, 1)) for i in numbers}
        return joins
