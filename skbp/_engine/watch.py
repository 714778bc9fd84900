"""Watching training: what decides when to stop, and which weights stand."""

import math


class LossWatch:
    """Watches the training loss; the last weights stand."""

    what = "Training loss"

    def __init__(self, history):
        self._history = history
        if history.best.loss is None:
            history.best.loss = math.inf

    def note(self, tol):
        """Look at the epoch that ended; returns whether it counts as improvement."""
        history = self._history
        # As scikit-learn has it: only a loss above best - tol is none.
        improved = not history.loss > history.best.loss - tol
        history.best.loss = min(history.best.loss, history.loss)
        return improved

    def restore(self, network):
        """Return whether better weights than the last were put into a network."""
        return False


class ScoreWatch:
    """Watches the validation score; keeps a copy of the network that had the best one.

    Parameters
    ----------
    history : History
        Whose last record holds the score of the epoch that ended.
    network : Network
        As it stands when `note` is called.
    best : object, optional
        A snapshot to go on from.
    name : str, default="score"
        What score it is.
    """

    def __init__(self, history, network, best=None, name="score"):
        self.what = f"Validation {name}"
        self._history = history
        self._network = network
        self.best = network.snapshot() if best is None else best
        history.best.loss = None
        if history.best.score is None:
            history.best.score = -math.inf

    def note(self, tol):
        """Look at the epoch that ended; returns whether it bettered the best one by `tol`.

        A network that is not finite is never the best, whatever its score.
        """
        best = self._history.best
        score = self._history.records[-1]["validation_score"]
        improved = score >= best.score + tol  # which NaN is not
        if score > best.score and self._network.finite:
            best.score, best.epoch = score, self._history.n_iter
            self.best = self._network.snapshot()
        return improved

    def restore(self, network):
        """Put the best epoch's weights into a network, if there is one; return whether there is."""
        found = self._history.best.score > -math.inf
        if found:
            network.restore(self.best)
        return found
