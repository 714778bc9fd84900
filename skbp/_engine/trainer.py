"""Training: epochs, stopping, best weights, history."""

import math
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from skbp._engine.batches import Batches
from skbp._engine.interrupt import Interruptible
from skbp._engine.objective import Objective
from skbp._engine.updater import Updater
from skbp.optimizers import Optimizer
from skbp.schedules import Progress, Schedule


class Outcome(Enum):
    """Why training ended."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


class DivergenceError(ValueError):
    """Training produced a loss or weights that are not finite."""

    def __init__(self, where):
        super().__init__(
            f"Training diverged in {where}. Solver produced "
            "non-finite parameter weights. The input data may contain large values and need to be "
            "preprocessed. Scale the features (StandardScaler), and the targets of a regression; "
            "lower learning_rate_init; or, for values beyond 1e38, use dtype=np.float64."
        )


@dataclass
class History:
    """What training remembers from one call of fit or partial_fit to the next.

    The fields have the meaning of scikit-learn's fitted attributes of the same names;
    `samples` is its ``t_``, `no_improvement` counts epochs without progress, `optimizer_state` is
    that of the optimizer named `optimizer_name` after `steps` updates; another one starts afresh.
    """

    n_iter: int = 0
    samples: int = 0
    loss: float = math.nan
    loss_curve: list[float] = field(default_factory=list)
    best_loss: float | None = math.inf
    validation_scores: list[float] | None = None
    best_validation_score: float | None = None
    no_improvement: int = 0
    plateaus: int = 0
    optimizer_name: str = ""
    steps: int = 0
    optimizer_state: dict | None = None

    def copy(self):
        """Return a copy that can be trained further without changing what was there."""
        state, scores = self.optimizer_state, self.validation_scores
        return replace(
            self,
            loss_curve=list(self.loss_curve),
            validation_scores=None if scores is None else list(scores),
            optimizer_state=None
            if state is None
            else {name: np.array(array) for name, array in state.items()},
        )

    def start_over(self):
        """Begin another call of fit: scores and losses go on, the optimizer starts afresh."""
        self.optimizer_state = None
        self.plateaus = 0


@dataclass
class Trainer:
    """Runs epochs of stochastic training.

    Parameters
    ----------
    optimizer : Optimizer
    schedule : Schedule
    learning_rate : float
        The initial rate that the schedule starts from.
    max_iter : int
        The most epochs.
    tol : float
        An epoch that does not better the best loss (or validation score) by this much counts as
        no improvement.
    n_iter_no_change : int or inf
        More epochs than this without improvement are a plateau, which ends training unless the
        schedule survives it.
    verbose : bool or int
        Whether to print a line an epoch.
    """

    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    max_iter: int
    tol: float
    n_iter_no_change: float
    verbose: bool | int = False

    def train(self, objective, batches, history, score=None, rng=None):
        """Train until convergence, interruption, divergence or `max_iter`.

        Parameters
        ----------
        objective : Objective
            Its network is trained in place.
        batches : Batches
            The training rows.
        history : History
            Continued in place.
        score : callable or None
            Returns the validation score of the network as it stands, higher is better. If given, it
            decides when to stop, and the best epoch's weights are restored.
        rng : numpy.random.Generator, optional
            For layers that draw random numbers.

        Returns
        -------
        outcome : Outcome

        Raises
        ------
        DivergenceError
            If the loss or the weights are not finite, and no epoch was good (a validation score
            tells which are).
        """
        network = objective.network
        history.n_iter = 0
        watch = LossWatch(history) if score is None else ScoreWatch(history, score, network)
        passes = Passes(
            objective, self._updater(objective, batches, history), batches, history, rng
        )
        # Overflow is found by looking at the loss, not by NumPy's warnings on the way.
        with Interruptible() as interrupt, np.errstate(over="ignore", invalid="ignore"):
            outcome = self._epochs(passes, watch, history, interrupt)
        restored = watch.restore()
        if not restored and (outcome is Outcome.DIVERGED or not network.finite):
            rate = self._rate(history)
            raise DivergenceError(f"epoch {history.n_iter}, at learning rate {rate:g}")
        return outcome

    def _updater(self, objective, batches, history):
        name, network = type(self.optimizer).__name__, objective.network
        if history.optimizer_state is None or history.optimizer_name != name:
            history.optimizer_name, history.steps = name, 0
            history.optimizer_state = self.optimizer.init_state(network.params)
        return Updater(
            self.optimizer, network, objective.grads, history.optimizer_state, batches.lazy
        )

    def _rate(self, history):
        progress = Progress(history.samples, history.n_iter, history.plateaus)
        return float(self.schedule(progress, self.learning_rate))

    def _epochs(self, passes, watch, history, interrupt):
        while history.n_iter < self.max_iter:
            rate = self._rate(history)
            if not passes.run(rate, interrupt):
                return Outcome.INTERRUPTED
            self._say(f"Iteration {history.n_iter}, loss = {history.loss:.8f}")
            improved = watch.note(self.tol)
            self._say(watch.line())
            if not math.isfinite(history.loss):
                return Outcome.DIVERGED
            if interrupt.requested:
                return Outcome.INTERRUPTED
            history.no_improvement = 0 if improved else history.no_improvement + 1
            if history.no_improvement > self.n_iter_no_change and self._ends(rate, watch, history):
                return Outcome.CONVERGED
        return Outcome.MAX_ITER

    def _ends(self, rate, watch, history):
        """Whether a plateau at this rate ends training."""
        message = (
            f"{watch.what} did not improve more than tol={self.tol:f} "
            f"for {self.n_iter_no_change} consecutive epochs."
        )
        if not self.schedule.survives_plateau(rate):
            self._say(f"{message} Stopping.")
            return True
        history.plateaus += 1
        history.no_improvement = 0
        self._say(f"{message} Setting learning rate to {self._rate(history):f}")
        return False

    def _say(self, line):
        if self.verbose and line:
            print(line)


@dataclass
class Passes:
    """Passes over the training rows, update by update."""

    objective: Objective
    updater: Updater
    batches: Batches
    history: History
    rng: np.random.Generator | None

    def run(self, rate, interrupt):
        """Run one epoch and note it in the history; returns False if it was interrupted."""
        history, objective, n_rows = self.history, self.objective, self.batches.n_rows
        total = 0.0
        for batch in self.batches.epoch():
            data = objective.data_value_and_grad(batch, self.rng)
            if not math.isfinite(data):
                total = data
                break
            history.steps += 1
            strength = objective.penalty_strength(batch.total)
            penalty = self.updater.step(rate, history.steps, strength, batch.x)
            total += objective.reported(data, penalty) * len(batch.y)
            if interrupt.requested:
                return False
        history.n_iter += 1
        history.samples += n_rows
        history.loss = float(total / n_rows)
        history.loss_curve.append(history.loss)
        return True


class LossWatch:
    """Watches the training loss; the last weights stand."""

    what = "Training loss"

    def __init__(self, history):
        self._history = history
        if history.best_loss is None:
            history.best_loss = math.inf

    def note(self, tol):
        """Look at the epoch that ended; returns whether it counts as improvement."""
        history = self._history
        # As scikit-learn has it: only a loss above best - tol is none.
        improved = not history.loss > history.best_loss - tol
        history.best_loss = min(history.best_loss, history.loss)
        return improved

    def line(self):
        """Return what there is to tell of the epoch besides its loss."""
        return ""

    def restore(self):
        """Return whether better weights than the last were put back."""
        return False


class ScoreWatch:
    """Watches the validation score; keeps a copy of the network that had the best one."""

    what = "Validation score"

    def __init__(self, history, score, network):
        self._history = history
        self._score = score
        self._network = network
        self._best = network.snapshot()
        history.best_loss = None
        if history.validation_scores is None:
            history.validation_scores = []
            history.best_validation_score = -math.inf

    def note(self, tol):
        """Score the epoch that ended; returns whether it bettered the best one by `tol`."""
        history = self._history
        score = self._score() if math.isfinite(history.loss) else math.nan
        history.validation_scores.append(score)
        improved = not score < history.best_validation_score + tol
        if score > history.best_validation_score:
            history.best_validation_score = score
            self._best = self._network.snapshot()
        return improved

    def line(self):
        """Return what there is to tell of the epoch besides its loss."""
        return f"Validation score: {self._history.validation_scores[-1]:f}"

    def restore(self):
        """Put the best epoch's weights back, if there was one; returns whether there was."""
        found = self._history.best_validation_score > -math.inf
        if found:
            self._network.restore(self._best)
        return found
