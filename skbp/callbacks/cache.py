"""Trainings that go on where a shorter one of the same kind ended."""

from dataclasses import dataclass
from pathlib import Path

from skbp._engine.checkpoint import TrainingState, read_state, write_state
from skbp._warnings import warn
from skbp.callbacks.base import Callback
from skbp.callbacks.checkpoint import PathLike, state_of


class TrainingCache(Callback):
    """Goes on where an earlier, shorter training of the same network on the same data ended.

    For searches whose resource is `max_iter`, such as scikit-learn's ``HalvingGridSearchCV``, which
    trains the best candidates again and again, each time for longer: with a cache each epoch is
    trained once, and the result is that of a training from zero, bit by bit. When a fit ends, the
    state of its training goes to a file, whose name is a hash of all that decides the result:
    parameters, data, seed and first weights, but not `max_iter`.

    Where the learning rate, or another number, follows a schedule that depends on when training
    ends ("cosine", "one_cycle", those of the estimators for tables), an epoch of a longer training
    is another one: then `max_iter` is part of the name, and each training begins at zero.

    Parameters
    ----------
    folder : str or path-like
        Made if it is missing. It can be removed when the search has ended.

    Raises
    ------
    ValueError
        In fit, if a parameter is not allowed, or if the solver is "lbfgs", which cannot go on.
    OSError
        In fit, if the folder cannot be made or a file cannot be written.

    Warns
    -----
    UserWarning
        If the estimator's `random_state` is None: then no two trainings are the same, and each
        begins at zero. If a file is damaged.

    See Also
    --------
    Checkpoint : Saves a training as it goes on, lest it be lost.

    References
    ----------
    K. Jamieson, A. Talwalkar (2016), "Non-stochastic best arm identification and hyperparameter
    optimization": successive halving, of trainings that go on.

    Examples
    --------
    >>> from sklearn.experimental import enable_halving_search_cv
    >>> from sklearn.model_selection import HalvingGridSearchCV
    >>> from skbp import BackpropClassifier
    >>> from skbp.callbacks import TrainingCache
    >>> net = BackpropClassifier(random_state=0).set_callbacks(TrainingCache("cache"))
    >>> search = HalvingGridSearchCV(net, {"alpha": [0.0, 0.1, 1.0]}, resource="max_iter",
    ...                              min_resources=10, max_resources=90)
    """

    allowed = {"folder": PathLike()}

    def __init__(self, folder):
        self.folder = folder

    def start(self, estimator, context):
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        return _Kept()

    def state_to_resume(self, estimator, context, identity):
        if identity.random_state is None:
            warn(
                "TrainingCache finds no training to go on from where each begins with other "
                "weights. Set random_state to an int."
            )
        memory = self._memory_of(estimator, context)
        memory.path = Path(self.folder) / f"{identity.key()}.npz"
        if not memory.path.is_file():
            return None
        try:
            state = read_state(memory.path)
        except ValueError as error:
            warn(f"{error} This training begins at zero.")
            return None
        if state.history["n_iter"] > identity.max_iter:
            memory.path = None  # a longer training is kept already
            return None
        return state

    def on_epoch_end(self, epoch, memory, context):
        memory.state = state_of(context.training)
        return False

    def finish(self, memory):
        if memory.path is not None and memory.state is not None:
            write_state(memory.path, memory.state)


@dataclass
class _Kept:
    """Where the state of a training goes, and that of its last epoch."""

    path: Path | None = None
    state: TrainingState | None = None
