"""What compiled training passes have in common, of one network or of members that threads share."""

import numpy as np

from skbp._kernels import threads
from skbp.losses import Members

#: A second thread for members pays from so many bytes of workspace on.
SHARED_BYTES = 2**21


def may_share(loss):
    """Whether threads may call the loss of members: it is one of skbp's.

    Somebody's own may keep something between calls.
    """
    return isinstance(loss, Members) and type(loss.of_one).__module__.startswith("skbp.")


def takes(x, network, max_rows):
    """Whether compiled passes can be used for these rows now; they trust what they are handed."""
    return (
        isinstance(x, np.ndarray)
        and x.dtype == network.params.dtype
        and x.shape[1:] == network.input_shape
        and len(x) <= max_rows
        and not network.frozen
    )


class MemberPasses:
    """Training passes of several members, which threads share: none knows of the others.

    Parameters
    ----------
    network : Network
        That of all members.
    n_members, max_rows : int
    make : callable
        Called for each thread with a list of numbers of members. Returns for each of these what has
        a method ``value_and_grad(loss, x, y, weight)`` for its rows.
    """

    def __init__(self, network, n_members, max_rows, make):
        self._network, self._max_rows = network, max_rows
        size = max_rows * network.bytes_per_row(training=True)
        n_threads = threads.count() if size >= SHARED_BYTES else 1
        self._shares = [
            list(range(part.start, part.stop)) for part in threads.even_shares(n_members, n_threads)
        ]
        self._members = [member for share in self._shares for member in make(share)]

    def take(self, x):
        """Whether the passes can be used for these rows now."""
        return takes(x, self._network, self._max_rows)

    def value_and_grad(self, loss, x, y, weight, rng=None, progress=None):
        """Return the loss of a batch, and fill the gradient vector.

        Parameters
        ----------
        loss : Members
        x : ndarray of shape (n, n_features) or (n, n_members, n_features)
        y, weight, rng, progress
            As in `Objective.data_value_and_grad`.
        """
        values = [0.0] * len(self._members)

        def task(share):
            for number in share:
                rows = x if x.ndim == 2 else x[:, number]
                targets, weights = loss.of_member(number, y, weight)
                values[number] = self._members[number].value_and_grad(
                    loss.of_one, rows, targets, weights
                )

        threads.run(task, self._shares)
        return sum(values)
