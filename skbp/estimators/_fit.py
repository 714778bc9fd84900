"""One call of fit or partial_fit, from what the caller gave to a trained network."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skbp._compat import InvalidParameterError
from skbp._engine.batches import CSR, Data
from skbp._engine.history import History
from skbp._engine.lbfgs import train_lbfgs
from skbp._engine.lines import say
from skbp._engine.network import Network
from skbp._engine.objective import CHUNK, Objective
from skbp._engine.range_test import losses_at
from skbp._engine.training import DivergenceError, Outcome, Replay, Training
from skbp._warnings import warn
from skbp.estimators._architecture import (
    check_absent,
    check_row_shape,
    check_takes_sparse,
    flat_rows,
    output_shape,
    warn_of_channels,
)
from skbp.estimators._diagnosis import findings, unscaled_feature
from skbp.estimators._doubts import doubt
from skbp.estimators._ending import warn_interrupted, warn_of, warn_of_large_batch
from skbp.estimators._entry import checked_groups, rows_and_targets
from skbp.estimators._finished import Finished, spread
from skbp.estimators._held_out import (
    AsGiven,
    Encoded,
    OutOfFoldValidation,
    Validation,
    some_rows,
    split,
)
from skbp.estimators._hooks import BetweenUpdates
from skbp.estimators._identity import Identity
from skbp.estimators._input_checks import (
    check_cast,
    check_weights,
    drop_rows_without_weight,
    engine_rows,
)
from skbp.estimators._members import OutOfFold, ensemble_of, n_orders
from skbp.estimators._parameters import check_parameters
from skbp.estimators._plan import Plan
from skbp.estimators._start import copy_first_weights, rows_to_start_from, start_from_targets
from skbp.estimators._trained_rows import TrainedRows, lengths_of


class Given(NamedTuple):
    """What a caller hands to fit or partial_fit."""

    X: Any
    y: Any
    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None
    groups: Any = None


class Fit:
    """Trains a network aside; changes nothing of the estimator but what it knows of targets.

    Parameters
    ----------
    estimator : estimator
        Its parameters say how; after `run`, its attributes about features and targets are set.
    given : Given
        The data.
    incremental : bool
        Whether to go just once over the rows, from the weights so far.
    classes : array-like or None
        As in partial_fit.
    hooks : Hooks or None
        Callbacks.

    Attributes
    ----------
    network, loss, history
        What comes out.
    input_dtype : numpy dtype
        Of the validated rows.
    """

    _as_given: AsGiven
    _learns = True  # whether some parameter is not frozen

    def __init__(self, estimator, given, incremental, classes=None, hooks=None):
        self._estimator = estimator
        self._given = given
        self._incremental = incremental
        self._classes = classes
        self._hooks = hooks
        self._rest = None
        if hooks is not None:
            hooks.fit = self

    def run(self):
        """Check everything, and train."""
        self._prepare()
        if self._plan.optimization.optimizer is None:
            self._run_lbfgs()
            return
        training, train, first = self._first_training()
        try:
            outcome = training.run()
        except DivergenceError as error:
            if scale := unscaled_feature(self._rows.x):
                raise DivergenceError(error.where, f" Here, {scale}.") from None
            raise
        ended = outcome not in (Outcome.INTERRUPTED, Outcome.DIVERGED)
        if self._plan.held_out.refit and ended and self.history.best.epoch is not None:
            outcome = self._train_again(first, outcome)
        warn_of(outcome, self.history, self._plan, self._incremental)
        looks = self._estimator._diagnoses and self._learns
        if looks and not self._incremental and self.history.n_iter > 1:
            self._diagnose(outcome, train)

    def losses_at(self, rates):
        """Train a new network with one update at each rate; return a generator of the losses."""
        self._prepare()
        optimizer = self._plan.optimization.optimizer
        if optimizer is None:
            raise ValueError(
                "solver='lbfgs' finds its own step sizes: there is no learning rate to look for. "
                "Use a stochastic solver, such as 'adam'."
            )
        objective, batches = self._trained.objective_and_batches(self._rng)
        return losses_at(rates, objective, batches, optimizer, self._noise())

    def _prepare(self):
        """Check parameters and data, and build the network."""
        estimator = self._estimator
        check_parameters(estimator)
        plan = Plan.of(estimator)
        self._plan = plan.one_pass() if self._incremental else plan
        self._fresh = not estimator.__sklearn_is_fitted__() or not self._plan.start.warm
        X, y, weight, kept = self._check_rows()
        targets = estimator._encode_targets(y, self._fresh, self._incremental, self._classes)
        self.loss = estimator._checked_loss(targets, self._fresh)
        class_weight = estimator._class_weights(targets, weight, self._as_given.y)
        y, targets, weight, class_weight, kept = drop_rows_without_weight(
            class_weight, y, targets, weight, class_weight, kept
        )
        self._as_given = self._as_given._replace(kept=kept)
        kept = None if len(kept) == X.shape[0] else kept
        self._rng = check_random_state(self._plan.start.random_state)
        # First of all, so that a warm start with the same seed draws the same folds.
        self._rng_of_folds = self._generator_of_folds()
        self.network = self._make_network(X, targets)
        if self._fresh:
            warn_of_channels(self.network)
            start_from_targets(estimator, self.network, self.loss, targets, (weight, class_weight))
        frozen = self._check_freeze()
        check_absent(self.network, X, kept)
        self.input_dtype = X.dtype
        x, targets = self._cast(X, targets, kept)
        self._data = Data(
            x, targets, weight, class_weight, self._shares(targets), n_orders(estimator),
            self._lengths(x), estimator._targets_by_step,
        )  # fmt: skip
        self._rows = Encoded(X, y, x, targets, self._data.row_weights(), kept)
        # What a piece of the data weighs on average says nothing of the others.
        self._trained = TrainedRows(
            self.network, self.loss, self._data, self._plan.optimization,
            frozen if self._plan.stopping.max_iter > 1 and estimator._rows_stay else None,
            1.0 if self._incremental else None, estimator._make_batches,
        )  # fmt: skip
        self.history = History() if self._fresh else estimator._history.copy()
        self._held_out = self._given_validation()

    def _shares(self, targets):
        """Return by how much each row counts for each member, or None; see `Ensemble`."""
        ensemble, self._out_of_fold = ensemble_of(self._estimator), None
        if ensemble is None or self._incremental:
            return None
        n, groups = len(targets), self._estimator._split_groups(targets)
        folds = ensemble.folds(n, groups, self._rng_of_folds)
        if folds is not None:
            self._out_of_fold = OutOfFold(self.network, folds)
        return ensemble.shares(n, folds, self._rng, self.network.params.dtype)

    def _generator_of_folds(self):
        ensemble = ensemble_of(self._estimator)
        if self._incremental or ensemble is None or ensemble.rows != "folds":
            return None
        return np.random.RandomState(self._rng.randint(2**31))

    def _lengths(self, x):
        """Return how many steps of each row there are, if batches are to be of like length."""
        if self._plan.optimization.shuffle != "by_length":
            return None
        return lengths_of(self.network, x, self._estimator._targets_by_step)

    @property
    def out_of_fold(self):
        """Raw outputs, row by row, of the member that has not seen it; else NaN. Or None."""
        if self._out_of_fold is None:
            return None
        shape = self._as_given.X.shape[0], self.network.output_shape[-1]
        raw = np.full(shape, np.nan, self.network.params.dtype)
        raw[self._as_given.kept[self._out_of_fold.rows]] = self._out_of_fold(self._data.x)
        return raw

    @property
    def set_aside(self):
        """Numbers of rows that were set aside to validate on, and raw outputs. Or None.

        Those of each row are of the epoch that the others choose; see `ChosenByOthers`.
        """
        if self._rest is None or self._plan.held_out.refit:
            return None
        raw = self._validation.unseen.raw
        sound = np.isfinite(raw).all(axis=1)
        return self._as_given.kept[self._rest][sound], raw[sound]

    def _check_freeze(self):
        frozen, n_parameters = set(), len(self.network.parameters)
        try:
            for pattern in self._plan.optimization.frozen:
                frozen.update(self.network.matching(pattern))
        except ValueError as error:
            raise InvalidParameterError(f"freeze: {error}") from None
        self._learns = len(frozen) < n_parameters
        if not self._learns and self._fresh and self._plan.start.init_from is None:
            warn(
                f"freeze={self._estimator.freeze!r} fits every parameter of the network: nothing "
                "is trained. Leave some out, such as those of the output layer."
            )
        return frozen

    @property
    def rows(self):
        """The training rows, those set aside included."""
        return self._rows

    @property
    def adds(self):
        """Whether it goes on from what the estimator has learned, with more rows."""
        return self._incremental and not self._fresh

    # ------------------------------------------------------------ data

    def _check_rows(self):
        given = self._given
        X, self._shape = flat_rows(self._estimator, given.X)
        X, y = rows_and_targets(self._estimator, X, given.y, reset=self._fresh)
        if issparse(X):
            check_takes_sparse(self._estimator._hidden_layers())
        weight = check_weights(given.sample_weight, X)
        groups = checked_groups(given.groups, X)
        if given.X_val is None and (given.y_val is not None or given.sample_weight_val is not None):
            raise ValueError("y_val or sample_weight_val is given without X_val; give all of them.")
        if given.X_val is not None and given.y_val is None:
            raise ValueError("X_val is given without y_val; give both.")
        if given.X_val is not None and self._plan.optimization.optimizer is None:
            raise ValueError(
                "X_val is for stochastic solvers; solver='lbfgs' does not validate. Use "
                "solver='adam', or score the validation set after fit."
            )
        self._as_given = AsGiven(X, y, groups, np.arange(X.shape[0]))
        return X, *drop_rows_without_weight(weight, y, weight, self._as_given.kept)

    def _given_validation(self):
        """Return the caller's own validation rows, or None."""
        given = self._given
        if given.X_val is None:
            return None
        try:
            X, shape = flat_rows(self._estimator, given.X_val)
            X, y = rows_and_targets(self._estimator, X, given.y_val, reset=False)
            check_row_shape(self.network, shape)
            check_absent(self.network, X)
            targets = self._estimator._encode_more_targets(y)
            weight = check_weights(given.sample_weight_val, X)
            kept = None if weight is None or weight.all() else np.flatnonzero(weight)
            y, targets, weight = drop_rows_without_weight(weight, y, targets, weight)
            self.loss.check_targets(targets)
            x, targets = self._cast(X, targets, kept)
        except (ValueError, TypeError) as error:
            raise ValueError(f"X_val, y_val (the validation set): {error}") from error
        if self._scores_as_given and kept is not None:
            X, kept = X[kept], None
        return Encoded(X, y, x, targets, weight, kept)

    @property
    def _scores_as_given(self):
        """Whether a scorer wants to see rows as they were given."""
        return self._plan.held_out.scoring not in (None, "loss")

    def _cast(self, X, y, kept):
        """Convert X and y to the dtype of the computation; a value too large is an error."""
        dtype = self.network.params.dtype
        x = engine_rows(self.network.rows_of(CSR.of(X)), dtype, kept)
        if y.ndim > 1:
            with np.errstate(over="ignore"):
                y = np.ascontiguousarray(y, dtype)
            check_cast(y, "y")
        return x, y

    # ------------------------------------------------------------ network

    def _make_network(self, X, targets):
        """Build a network: with new weights, or with a copy of the weights so far."""
        estimator, start = self._estimator, self._plan.start
        dtype = estimator.__dict__.get("dtype_")
        if self._fresh:
            dtype = start.computes_in(X.dtype, self._plan.optimization, len(targets))
        shape = self._shape or (X.shape[1],)
        hidden = estimator._hidden_layers()
        outputs = estimator._output_layers(
            output_shape(hidden, shape), estimator._n_outputs(targets)
        )
        network = Network([*hidden, *outputs], shape, dtype)
        if self._fresh:
            network.init(self._rng, rows_to_start_from(network, X, self._as_given.kept))
            copy_first_weights(estimator, network, start.init_from, self._plan.stopping.verbose)
            estimator._check_network(network)
            return network
        if not network.same_shapes(estimator._network):
            units = [len(b) for b in estimator.intercepts_]
            raise ValueError(
                "hidden_layer_sizes, normalization or layers do not match the fitted network, "
                f"whose layers have {units} units. Set them back, or fit anew with "
                "warm_start=False."
            )
        if estimator._redraws and not self._incremental:
            network.init(self._rng, rows_to_start_from(network, X, self._as_given.kept))
        network.restore(estimator._network.snapshot())
        training_params = estimator._history.optimizer.training_params
        if training_params is not None:
            network.params[...] = training_params
        return network

    # ------------------------------------------------------------ training

    def _run_lbfgs(self):
        history, data, stopping = self.history, self._data, self._plan.stopping
        alpha = self._plan.optimization.alpha
        objective = Objective(self.network, self.loss, alpha, min(len(data.y), CHUNK))
        result = train_lbfgs(
            objective, data, history, stopping.max_iter, stopping.max_fun, stopping.tol,
            stopping.verbose, self._hooks,
        )  # fmt: skip
        if result.interrupted:
            warn_interrupted(history)
        elif not result.converged and not result.stopped:
            warn(
                f"lbfgs failed to converge after {history.n_iter} iteration(s): {result.message}. "
                "Increase max_iter or max_fun, or scale the data.",
                ConvergenceWarning,
            )

    def _first_training(self):
        """Return the training, its rows (None for all), and where it begins."""
        history, plan = self.history, self._plan
        if not self._incremental:
            history.start_over()
        identity = Identity(
            self._estimator, plan, self.network, self.loss, self._data, self._held_out
        )
        resume = self._state_to_resume(identity)
        train, held_out, rest = None, self._held_out, None
        if plan.held_out.early_stopping and held_out is None and self._out_of_fold is None:
            train, rest = self._split(resume)
            held_out = self._held_out = self._rows.take(rest, self._scores_as_given)
            self._rest = rest
        if not self._incremental:
            n_rows = len(self._data.y) if train is None else len(train)
            warn_of_large_batch(plan.optimization.batch_size, n_rows)
        objective, batches = self._trained.objective_and_batches(self._rng, train, rest)
        first = self.network.snapshot(), history.samples
        self._validation: Any = self._make_validation(held_out, train)
        training = Training(
            plan.optimization, plan.stopping, objective, batches, history,
            self._validation, self._noise(), self._hooks, resume,
            identity=identity,
        )  # fmt: skip
        return training, train, first

    def _state_to_resume(self, identity):
        """Return the state that a callback has to go on from, checked; or None."""
        state = None if self._hooks is None else self._hooks.state_to_resume(identity)
        if state is not None and self._plan.start.random_state is None:
            self._rng = np.random.RandomState()  # the state goes into it, not into NumPy's own
        if state is not None:
            identity.check(state, self._rng)
        return state

    def _split(self, resume):
        if resume is not None and resume.split is not None:
            return resume.split
        stratify = self._estimator._split_groups(self._rows.targets)
        fraction = self._plan.held_out.fraction
        return split(self._estimator, fraction, self._as_given, self._rng, stratify)

    def _make_validation(self, held_out, train):
        if held_out is None and not self._plan.held_out.early_stopping:
            return None
        view = self._estimator._view(self)
        if held_out is None:
            return OutOfFoldValidation(
                view, self.network, self.loss, self._rows, self._out_of_fold,
                self._plan.held_out.scoring,
            )  # fmt: skip
        rows = np.arange(len(self._rows.targets)) if train is None else train
        scoring, training_rows = self._plan.held_out.scoring, None
        if self._scores_as_given:
            training_rows = self._rows.take(some_rows(rows), as_given=True)
        return Validation(view, self.network, self.loss, held_out, scoring, training_rows)

    def _training_again(self, first, samples):
        """Return a training on all rows, for as many epochs as were best, at the rates of these.

        What callbacks froze is frozen again, epoch by epoch. A schedule that is asked before each
        update is asked again: it looks at nothing but the share of updates that are done.
        """
        history, plan = self.history, self._plan
        epochs = history.records[len(history.records) - history.n_iter :][: history.best.epoch]
        if plan.stopping.verbose:
            say(f"Training on all rows for {len(epochs)} epochs.")
        self.network.restore(first)
        how = plan.optimization
        if not how.schedule.per_update:
            how = replace(how, schedule=Replay([epoch["learning_rate"] for epoch in epochs]))
        stopping = replace(
            plan.stopping, max_iter=len(epochs), patience=np.inf, keep_best=False, verbose=False
        )
        objective, batches = self._trained.objective_and_batches(self._rng)
        hooks = None if self._hooks is None else BetweenUpdates(self._hooks)
        return Training(
            how, stopping, objective, batches, History(samples=samples), rng=self._noise(),
            hooks=hooks, frozen=history.call.frozen[: len(epochs)],
        )  # fmt: skip

    def _train_again(self, first, outcome):
        """Train on all rows, from `first`, and let that stand; return why training ended.

        If a callback ends it half way, the best epoch of the first training stands.
        """
        history, best = self.history, self.network.snapshot()
        again = self._training_again(*first)
        ended, new = again.run(), again.history
        if ended is Outcome.STOPPED:
            self.network.restore(best)
            warn(
                'early_stopping="refit": a callback ended the training on all rows after '
                f"{new.n_iter - 1} of {history.best.epoch} epochs; the weights of the best epoch "
                "before are kept. Give it more time, or use early_stopping=True."
            )
            return outcome
        history.loss, history.n_iter, history.samples = new.loss, new.n_iter, new.samples
        history.optimizer = new.optimizer
        return ended if ended is Outcome.INTERRUPTED else outcome

    def _noise(self):
        """Return the source of randomness inside layers, apart from the one of the batches.

        It depends on the rows seen so far: partial_fit with an int seed must not draw the same
        masks at each call.
        """
        if not self.network.stochastic:
            return None
        return np.random.default_rng([self._rng.randint(2**31), self.history.samples])

    def _diagnose(self, outcome, train):
        if outcome is Outcome.INTERRUPTED:
            return
        rows = self._rows if train is None else self._rows.take(train[spread(len(train))])
        own = self._given.X_val is not None
        finished = Finished.of(
            self, self._estimator, self._plan, outcome, rows, self._held_out, own
        )
        found = findings(finished)
        if not found and (doubtful := doubt(finished)):
            found = [doubtful]
        for one in found:
            warn(f"Training went badly: {one}.", ConvergenceWarning)
