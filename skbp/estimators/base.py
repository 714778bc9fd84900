"""What the two estimators share: from validated data through training to raw predictions."""

import warnings
from abc import ABC, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from skbp._component import resolve
from skbp._engine.batches import CSR, Batches, Data
from skbp._engine.lbfgs import train_lbfgs
from skbp._engine.network import Network
from skbp._engine.objective import CHUNK, Objective, predict_raw
from skbp._engine.trainer import History, Outcome, Trainer
from skbp.estimators._parameters import (
    CONSTRAINTS,
    Components,
    check_parameters,
    hidden_layer_sizes,
    own_copy,
)
from skbp.estimators._validation import (
    all_finite,
    check_dtype,
    check_sparse_format,
    check_weights,
    drop_rows_without_weight,
    is_clean,
    validation_split,
)
from skbp.layers import Dense, Dropout
from skbp.losses import LOSSES

FLOATS = (np.float64, np.float32)


class _Weights(list):
    """A list of weight arrays; assigning an item changes the network's weights."""

    def __init__(self, views, dtype):
        self._views = views
        super().__init__(self._shown(view, dtype) for view in views)

    @staticmethod
    def _shown(view, dtype):
        if view.dtype == dtype:
            return view
        copy = view.astype(dtype)
        copy.flags.writeable = False  # an edit in place would be lost: better an error
        return copy

    def __setitem__(self, index, value):
        one = not isinstance(index, slice)
        targets = [self._views[index]] if one else self._views[index]
        for view, array in zip(targets, [value] if one else value, strict=True):
            view[...] = array
        super().__setitem__(index, value)


class BaseBackprop(BaseEstimator, ABC):
    """Base class of the estimators; use `BackpropClassifier` or `BackpropRegressor`."""

    _parameter_constraints: dict = CONSTRAINTS
    _numeric_targets = False

    @abstractmethod
    def __init__(
        self, hidden_layer_sizes, activation, *, loss, solver, alpha, batch_size, learning_rate,
        learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose, warm_start,
        momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon,
        n_iter_no_change, max_fun, dropout, initializer, dtype,
    ):  # fmt: skip
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.initializer = initializer
        self.dtype = dtype

    # ------------------------------------------------------------ what a subclass defines

    @abstractmethod
    def _encode_targets(self, y, fresh, incremental, classes):
        """Return y as the loss wants it; with `fresh` also learn what the targets are."""

    @abstractmethod
    def _score_raw(self, y, raw, weight):
        """Return the validation score of raw outputs against encoded targets."""

    def _class_weights(self, y, weight):
        """Return the class weight of each row, or None."""
        return None

    def _split_groups(self, y):
        """Return what the validation split is stratified by, or None."""
        return None

    @abstractmethod
    def _target_kind(self):
        """Return what the loss has to be made for: see `Loss.targets`."""

    def _n_targets(self, y):
        """Return the number of columns, or of classes, that encoded targets stand for."""
        return y.shape[1]

    # ------------------------------------------------------------ training

    def _train(self, X, y, sample_weight, incremental, classes=None):
        """Train as a transaction: whatever is raised, the estimator is as it was before."""
        before = self.__dict__.copy()
        try:
            self._train_aside(X, y, sample_weight, incremental, classes)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    def _train_aside(self, X, y, sample_weight, incremental, classes):
        check_parameters(self)
        fresh = not self.__sklearn_is_fitted__() or not (self.warm_start or incremental)
        X, y, weight = self._check_training_input(X, y, sample_weight, fresh)
        y = self._encode_targets(y, fresh, incremental, classes)
        loss = self._checked_loss(y, fresh)
        factor = self._class_weights(y, weight)
        X, y, weight, factor = drop_rows_without_weight(factor, X, y, weight, factor)
        rng = check_random_state(self.random_state)
        components = Components.of(self)
        network = self._make_network(X, y, components, fresh, rng)
        x, y = self._cast(X, y, network.params.dtype)
        data = Data(x, y, weight, factor)
        history = History() if fresh else self._history.copy()
        if components.optimizer is None:
            self._run_lbfgs(network, loss, data, history)
        else:
            self._run_stochastic(network, loss, data, history, components, rng, incremental)
        self._publish(network, loss, history, X.dtype)

    def _check_training_input(self, X, y, sample_weight, fresh):
        for array, name in ((X, "X"), (y, "y")):
            check_sparse_format(array, name)
        check_dtype(X, "X")
        if self._numeric_targets:
            check_dtype(y, "y")
        X, y = validate_data(
            self, X, y, reset=fresh, accept_sparse="csr", dtype=FLOATS, order="C",
            multi_output=True, y_numeric=self._numeric_targets,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        weight = check_weights(sample_weight, X)
        return drop_rows_without_weight(weight, X, y, weight)

    def _make_network(self, X, y, components, fresh, rng):
        """Build a network: with new weights, or with a copy of the weights so far."""
        dtype = self._compute_dtype(X.dtype, len(y)) if fresh else self._network.params.dtype
        network = Network(self._layers(y, components), X.shape[1:], dtype)
        if fresh:
            network.init(rng)
            return network
        if not network.same_shapes(self._network):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} do not match the fitted network, "
                f"whose layers have {[len(b) for b in self.intercepts_]} units. Set them back, or "
                "fit anew with warm_start=False."
            )
        network.params[...] = self._network.params
        return network

    def _layers(self, y, components):
        layers: list = []
        for size in hidden_layer_sizes(self.hidden_layer_sizes):
            layers.append(Dense(size, components.activation, components.initializer))
            if self.dropout:
                layers.append(Dropout(self.dropout))
        return [*layers, Dense(self._n_outputs(y), "identity", components.initializer)]

    def _n_outputs(self, y):
        return self._resolve_loss().n_outputs(self._n_targets(y))

    def _resolve_loss(self):
        """Return the loss for the targets at hand; it is not the caller's own object."""
        face = own_copy(resolve(self.loss, LOSSES, "loss"), self.loss)
        return face.for_targets(self._target_kind())

    def _checked_loss(self, y, fresh):
        loss, kind = self._resolve_loss(), self._target_kind()
        if kind not in loss.targets:
            raise ValueError(
                f"loss={self.loss!r} is for targets of kind {' or '.join(loss.targets)}; these are "
                f"{kind}. Use a loss that is made for them, or its name."
            )
        loss.check_targets(y)
        n_outputs = loss.n_outputs(self._n_targets(y))
        if not fresh and n_outputs != self.n_outputs_:
            raise ValueError(
                f"loss={self.loss!r} needs {n_outputs} raw outputs for these targets, but the "
                f"fitted network has {self.n_outputs_}. Set the loss back, or fit anew with "
                "warm_start=False."
            )
        return loss

    def _compute_dtype(self, input_dtype, n_rows):
        """Choose the precision: see the parameter `dtype`."""
        if self.dtype != "auto":
            return np.dtype(self.dtype)
        if self.solver == "lbfgs":
            return np.dtype(np.float64)
        mini_batches = self._batch_size(n_rows) < n_rows
        return np.dtype(np.float32 if mini_batches or input_dtype == np.float32 else np.float64)

    def _batch_size(self, n_rows):
        return min(200 if self.batch_size == "auto" else self.batch_size, n_rows)

    def _cast(self, X, y, dtype):
        """Convert X and y to the dtype of the computation; a value too large is an error."""
        x = CSR.of(X)
        if X.dtype != dtype:
            with np.errstate(over="ignore"):
                x = x.astype(dtype)
            self._check_cast(x.data if isinstance(x, CSR) else x, "X")
        if y.ndim > 1:
            with np.errstate(over="ignore"):
                y = np.ascontiguousarray(y, dtype)
            self._check_cast(y, "y")
        return x, y

    @staticmethod
    def _check_cast(array, name):
        if not all_finite(array):
            raise ValueError(
                f"{name} has values too large for {array.dtype.name}, in which the network "
                "computes here. Scale the data (StandardScaler), or use dtype=np.float64."
            )

    def _run_lbfgs(self, network, loss, data, history):
        objective = Objective(network, loss, self.alpha, min(len(data.y), CHUNK))
        result = train_lbfgs(objective, data, self.max_iter, self.max_fun, self.tol, self.verbose)
        history.loss, history.n_iter = result.loss, result.n_iter
        if result.interrupted:
            self._warn_interrupted(history)
        elif not result.converged:
            warnings.warn(
                f"lbfgs failed to converge after {result.n_iter} iteration(s): {result.message}. "
                "Increase max_iter or max_fun, or scale the data.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _run_stochastic(self, network, loss, data, history, components, rng, incremental):
        if not incremental:
            history.start_over()
        rows, score = None, None
        if self.early_stopping and not incremental:
            rows, held_out = validation_split(
                len(data.y), self.validation_fraction, rng, self._split_groups(data.y)
            )
            score = self._validation_score(network, data, held_out)
        n_rows = len(data.y) if rows is None else len(rows)
        batch_size = self._batch_size(n_rows)
        if self.batch_size != "auto" and self.batch_size > n_rows and not incremental:
            warnings.warn(
                f"Got batch_size={self.batch_size}, larger than the sample size {n_rows}. It is "
                "going to be clipped.",
                stacklevel=5,
            )
        trainer = Trainer(
            components.optimizer, components.schedule, self.learning_rate_init,
            1 if incremental else self.max_iter, self.tol, self.n_iter_no_change, self.verbose,
        )  # fmt: skip
        outcome = trainer.train(
            Objective(network, loss, self.alpha, batch_size),
            Batches(data, rows, batch_size, self.shuffle, rng, components.optimizer.lazy),
            history, score, self._noise(network, history, rng),
        )  # fmt: skip
        self._warn_of(outcome, history, incremental)

    def _validation_score(self, network, data, held_out):
        x = data.x.take(held_out) if isinstance(data.x, CSR) else data.x[held_out]
        y = data.y[held_out]
        weight = data.row_weights()
        weight = None if weight is None else weight[held_out]

        def score():
            raw = predict_raw(network, x)
            return float(self._score_raw(y, raw, weight)) if np.isfinite(raw).all() else np.nan

        return score

    def _noise(self, network, history, rng):
        """Return the source of randomness inside layers, apart from the one of the batches.

        It depends on the rows seen so far: partial_fit with an int seed must not draw the same
        masks at each call.
        """
        if not network.stochastic:
            return None
        return np.random.default_rng([rng.randint(2**31), history.samples])

    def _warn_of(self, outcome, history, incremental):
        if outcome is Outcome.INTERRUPTED:
            self._warn_interrupted(history)
        elif outcome is Outcome.DIVERGED:
            warnings.warn(
                f"Training diverged in epoch {history.n_iter}; the weights of the epoch with the "
                "best validation score are kept. Scale the features, or lower learning_rate_init.",
                ConvergenceWarning,
                stacklevel=6,
            )
        elif outcome is Outcome.MAX_ITER and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )

    @staticmethod
    def _warn_interrupted(history):
        warnings.warn(
            f"Training interrupted by user after {history.n_iter} finished epochs; the weights of "
            "the last finished update are kept (with early_stopping those of the best epoch).",
            stacklevel=7,
        )

    def _publish(self, network, loss, history, input_dtype):
        """Assign everything that was built aside."""
        self._network, self._history, self._loss = network, history, loss
        self._input_dtype = input_dtype
        self.dtype_ = network.params.dtype
        self.n_outputs_ = network.output_shape[0]
        self.n_layers_ = 1 + len(self.intercepts_)
        self.out_activation_ = loss.output_activation
        self.loss_ = history.loss
        self.n_iter_ = history.n_iter
        self.t_ = history.samples
        for name in ("best_loss", "loss_curve", "validation_scores", "best_validation_score"):
            if self.solver != "lbfgs":
                setattr(self, f"{name}_", getattr(history, name))
            else:  # of an earlier fit with another solver
                self.__dict__.pop(f"{name}_", None)

    # ------------------------------------------------------------ the fitted network

    def __sklearn_is_fitted__(self):
        """Whether there is a trained network."""
        return hasattr(self, "_network")

    def _predict_raw(self, X):
        """Return raw outputs of shape (n, n_outputs), in the dtype of X."""
        check_is_fitted(self)
        if hasattr(self, "feature_names_in_") or not is_clean(X, self.n_features_in_):
            check_sparse_format(X)
            check_dtype(X, "X")
            X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=FLOATS, order="C")
        with np.errstate(over="ignore", invalid="ignore"):
            raw = predict_raw(self._network, CSR.of(X))
        if not np.isfinite(raw).all():
            self._cast(X, np.zeros(1), self.dtype_)  # tells of values that only X's dtype can hold
        return raw.astype(X.dtype, copy=False)

    def _named_views(self, name):
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return [p[name] for p in self._network.views if name in p]

    @property
    def coefs_(self):
        """Weight matrices, one per layer, each of shape (n_inputs, n_units).

        Assigning an item changes the network. The arrays have the dtype of the training input;
        where the network computes in another one (``dtype_``), they are read-only copies.
        """
        return _Weights(self._named_views("weight"), self._input_dtype)

    @coefs_.setter
    def coefs_(self, weights):
        self.coefs_[:] = weights

    @property
    def intercepts_(self):
        """Bias vectors, one per layer, each of shape (n_units,); as for ``coefs_``."""
        return _Weights(self._named_views("bias"), self._input_dtype)

    @intercepts_.setter
    def intercepts_(self, biases):
        self.intercepts_[:] = biases

    def _check_solver(self):
        if isinstance(self.solver, str) and self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
            )
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
