"""Updates at given learning rates, one each: the machinery of the learning rate range test."""

from itertools import count

import numpy as np

from skbp._engine.updater import Updater


def losses_at(rates, objective, batches, optimizer, rng=None):
    """Take one update at each rate, and yield the loss of each batch before its update.

    Parameters
    ----------
    rates : sequence of float
        Learning rates.
    objective : Objective
        Its network is trained in place.
    batches : Batches
        The training rows; epochs follow each other until all rates were used.
    optimizer : Optimizer
    rng : numpy.random.Generator, optional
        For layers that draw random numbers.

    Yields
    ------
    loss : float
        With the penalty, as in a loss curve; not finite once training has diverged.
    """
    network = objective.network
    state = optimizer.init_state(network.params)
    updater = Updater(optimizer, network, objective.grads, state, batches.lazy)
    endless = (batch for _ in count() for batch in batches.epoch())
    for t, (rate, batch) in enumerate(zip(rates, endless, strict=False), 1):
        with np.errstate(over="ignore", invalid="ignore"):
            data = objective.data_value_and_grad(batch, rng)
            l2, l1 = objective.penalty.strengths(batch.total)
            penalty = updater.step(rate, t, l2, l1, batch.x)
            loss = objective.reported(data, penalty)
        yield float(loss)
