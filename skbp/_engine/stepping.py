"""A network that goes on step by step, in inference."""

import numpy as np

from skbp.layers._past import Past
from skbp.layers.base import CONTEXT, NO_STEPS, least_stepping


class Stepper:
    """Runs a network over the steps of sequences as they come, each step once.

    Parameters
    ----------
    network : Network
        Whose `stepping` is not "none". Later changes of its weights are not foreseen.
    n : int
        Number of sequences.
    context : int
        How many steps a layer looks back at most, the step itself among them; at most as many as
        the network's rows have.

    Attributes
    ----------
    past : Past
        What the steps so far have left.
    """

    def __init__(self, network, n, context):
        self._network = network
        self._ends = stepping(network) == CONTEXT
        self.past = Past(n, context)

    @property
    def room(self):
        """How many more steps can be taken at once; 0 if the context has ended for good."""
        left = self.past.context - self.past.seen
        return max(left, 0) if self._ends else max(left, 1)

    def step(self, x, depth=None):
        """Take the next steps of each sequence.

        Parameters
        ----------
        x : ndarray of shape (n, t, ...)
            The next t steps, at most `room`; for a network that takes codes, shape (n, t).
        depth : int, optional
            Only so many layers, from the first on.

        Returns
        -------
        y : ndarray of shape (n, t, k)
            Outputs of the last layer, or of the last of `depth`, at these steps.

        Raises
        ------
        ValueError
            If t is larger than `room`, or a step is absent.
        """
        network, past = self._network, self.past
        if x.shape[1] > self.room:
            raise ValueError(
                f"{x.shape[1]} steps after {past.seen} do not fit into a context of {past.context}."
            )
        past.ctx.absent = None
        x = x.astype(network.params.dtype, copy=False)
        for layer, p in zip(network.layers[:depth], network.views[:depth], strict=True):
            x = layer.step(x, p, past)
        if past.ctx.absent is not None:
            row, step = np.argwhere(past.ctx.absent)[0]
            raise ValueError(f"step {step} of sequence {row} is absent; none may be.")
        past.seen += x.shape[1]
        return x

    def finish(self, y):
        """Return the last layer's outputs, given those of the layer before it, shape (n, t, k)."""
        return self._network.layers[-1].step(y, self._network.views[-1], self.past)

    def keep(self, rows):
        """Go on with some of the sequences only, an array of their numbers or of bool."""
        self.past.keep(rows)


def stepping(network):
    """Return how far a network goes on step by step: see `Layer.stepping`."""
    if len(network.output_shape) != 2:
        return NO_STEPS
    return least_stepping(network.layers, network.input_shapes)
