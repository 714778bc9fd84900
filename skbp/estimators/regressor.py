"""The regressor."""

from numbers import Integral

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.callback import with_callbacks
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skbp._compat import StrOptions
from skbp._forms import Is
from skbp._quiet import quiet
from skbp.estimators._entry import targets_to_score
from skbp.estimators._fit import Given
from skbp.estimators._input_checks import check_weights
from skbp.estimators._mlp import ToMLP
from skbp.estimators._parameters import CONSTRAINTS, MEMBERS
from skbp.estimators._predictor import Predictor
from skbp.estimators._scores import score_predictions
from skbp.estimators._transaction import transaction
from skbp.estimators.base import BaseBackprop
from skbp.losses import LOSSES, Gamma, Loss, Poisson, Tweedie


class BackpropRegressor(ToMLP, RegressorMixin, BaseBackprop):
    """Neural network regressor trained by backpropagation.

    Takes the place of `sklearn.neural_network.MLPRegressor`: same parameters, same fitted
    attributes, the same network. One or several outputs; dense and sparse input.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer, each at least 1; ``()`` for none (linear regression).
    activation : str, Activation, or list of them, default="relu"
        Activation of the hidden layers, a name or an object of `skbp.activations`; a list has one
        for each.
    loss : str or Loss, default="squared_error"
        What training minimises; a component of `skbp.losses` has parameters of its own.

        - "squared_error": half the squared error, for the mean.
        - "absolute_error": for the median.
        - "huber", "log_cosh": between these two; outliers count less.
        - "quantile": `skbp.losses.Quantile`, for one or several quantiles.
        - "poisson", "gamma", "tweedie": half the deviance with a log link, for y >= 0, y > 0 and
          y >= 0.
        - "gaussian_nll": `skbp.losses.GaussianNLL`, for the mean and the spread.
        - "binary_log_loss": cross-entropy, for shares in [0, 1].

    solver : {"adam", "sgd", "lbfgs", "lazy_adam", ...} or Optimizer, default="adam"
        How the weights are trained.

        - "adam": `skbp.optimizers.Adam` with `beta_1`, `beta_2` and `epsilon`; the choice for
          thousands of rows and more.
        - "sgd": `skbp.optimizers.SGD` with `momentum` and `nesterovs_momentum`.
        - "lbfgs": a quasi-Newton method on all rows at once; often best on a few hundred rows.
        - "lazy_adam": `skbp.optimizers.LazyAdam`, for sparse input with very many features.
        - "adamw", "nadam", "amsgrad", "radam": relatives of Adam, which take `beta_1`, `beta_2`
          and `epsilon` too.
        - "muon": `skbp.optimizers.Muon`, which makes the steps of hidden weights orthogonal.
        - "rmsprop", "adagrad", "adadelta", "lion": with their own defaults, and learning rates
          of their own: see `skbp.optimizers`.
        - an optimizer of `skbp.optimizers`, with its own parameters: also weight decay, limits of
          the gradient, an average of the weights, and groups of parameters.

    alpha : float, default=1e-4
        Strength of the L2 penalty ``alpha / 2 * sum(W**2)`` on the weights, not the biases; finite,
        >= 0. Like the loss it is divided by the number of rows of a batch (the sum of their
        weights).
    batch_size : int or "auto", default="auto"
        Rows per update, at least 1; "auto" means ``min(200, n_samples)``. Not used by "lbfgs".
    learning_rate : str or Schedule, default="constant"
        How the rate changes. The first three names apply to ``solver="sgd"`` only, as in
        scikit-learn; the others, and a schedule of `skbp.schedules` with its own parameters, to any
        stochastic solver.

        - "constant": `learning_rate_init` throughout.
        - "invscaling": ``learning_rate_init / (t_ + 1)**power_t``.
        - "adaptive": divided by 5 each time training stands still; ends below 1e-6.
        - "step", "exponential": falls after some epochs, or each epoch.
        - "polynomial", "cosine", "cosine_restarts": falls along a curve, from update to update.
        - "one_cycle": rises to `learning_rate_init`, then falls to almost zero.
        - "warm_up": rises to `learning_rate_init` and stays there.
        - "reduce_on_plateau": divided by 10 each time training stands still; ends at 1e-6.

    learning_rate_init : float or "auto", default="auto"
        The first learning rate, > 0. "auto" means 0.001 for "adam", its relatives and "sgd", and
        what is usual for the others: 0.01 for "adagrad", 1 for "adadelta", 0.0001 for "lion".
    power_t : float, default=0.5
        Exponent for "invscaling", >= 0.
    max_iter : int, default=200
        The most epochs (passes over the rows); for "lbfgs" the most iterations.
    shuffle : bool or "by_length", default=True
        Whether each epoch takes the rows in a new order. "by_length", for sequences with absent
        steps at their ends: batches are of rows of like length, and take no time for steps that
        none of their rows has.
    random_state : int, RandomState or None, default=None
        Source of the first weights, the validation split, the batches and dropout. Pass an int for
        the same result at each call.
    tol : float, default=1e-4
        An epoch has to better the best loss (with `early_stopping` the best score) by this much to
        count as progress; >= 0. For "lbfgs" the largest component of the gradient at which to stop.
    verbose : bool or int, default=False
        Whether to print a line an epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last call.
    momentum : float, default=0.9
        Momentum of "sgd", in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    early_stopping : bool or "refit", default=False
        Whether to set rows aside, to stop when their score stands still, and to restore the weights
        of the best epoch. "refit" then trains anew on all rows, for as many epochs as were best.
        Not used by "lbfgs"; `partial_fit` does one pass regardless.
    validation_fraction : float or splitter, default=0.1
        Share of rows set aside for `early_stopping`, in [0, 1); at least two rows.
        Or whatever scikit-learn takes as ``cv``: its first split is used. It is given all rows,
        also those of weight 0, which then are left out of both sets.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of "adam" and its relatives, in [0, 1).
    epsilon : float, default=1e-8
        Stabiliser of "adam" and its relatives, > 0.
    n_iter_no_change : int or inf, default=10
        Training stands still after more epochs than this without progress.
    max_fun : int, default=15000
        The most evaluations of the loss by "lbfgs".
    dropout : float or Scheduled, default=0.0
        Share of hidden units that each training batch leaves out, in [0, 1); needs a stochastic
        solver.
    normalization : {"batch", "layer"}, Norm or None, default=None
        What stands between the weighted sums of each hidden layer and its activation: "batch" for
        `skbp.layers.BatchNorm` (needs a stochastic solver), "layer" for `skbp.layers.LayerNorm`, or
        one of these with parameters of its own, except `activation`, which is the estimator's.
    initializer : str or Initializer, default="auto"
        Draws the first weights: "auto" as scikit-learn's MLP does, or "glorot_uniform",
        "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "orthogonal",
        "zeros", or a component of `skbp.initializers`.
    dtype : {"auto", "float32", "float64"} or numpy dtype, default="auto"
        Precision of all computations. "auto" takes float32 if the input is float32 or there are
        more rows than `batch_size` (the noise of mini-batches dwarfs rounding), float64 otherwise
        and for "lbfgs".
    layers : list of Layer, Layer or None, default=None
        The hidden layers, objects of `skbp.layers`, in place of `hidden_layer_sizes`,
        `activation`, `dropout` and `normalization`; the output layer is added to them.
    l1_ratio : float, default=0.0
        In [0, 1]: the penalty is ``alpha * ((1 - l1_ratio) / 2 * sum(W**2) + l1_ratio *
        sum(|W|))``, as in `sklearn.linear_model.ElasticNet`.
    scoring : str, callable or None, default=None
        What `early_stopping` looks at: a scorer of scikit-learn, or "loss" for the loss itself;
        None for R2. Scorers also report the score on training rows (at most 10,000).
    init_from : FrozenEstimator, path, dict of str to ndarray or None, default=None
        Another fitted estimator of skbp (or a Pipeline that ends with one) in scikit-learn's
        `FrozenEstimator`, a file of `skbp.save`, or `weights_`: training starts from its
        weights, layer by layer where shapes fit; the output layer gets new ones if classes differ.
    freeze : str, list of str or None, default=None
        Names of parameters, or patterns for them or for a beginning up to a dot, that are kept as
        they are: ``"dense_0"``, ``"conv2d_*"``, ``"*.bias"``; see the names in `weights_`. Running
        statistics stay as they are if all of a layer's parameters do.
    n_members : int or Ensemble, default=1
        How many networks are trained side by side, whose mean prediction counts; an `Ensemble` says
        too which rows each of them sees. For hidden layers that are `Dense` or `Dropout`.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (n_inputs, n_units)
        Weights of each layer, in the dtype of the training input.
    intercepts_ : list of ndarray of shape (n_units,)
        Biases of each layer.
    weights_ : dict of str to ndarray
        Copies of all parameters and running statistics, by names such as "conv2d_0.weight".
    loss_ : float
        Loss of the last epoch: mean over rows, penalty included.
    loss_curve_ : list of float
        Loss of each epoch. Not for "lbfgs".
    best_loss_ : float or None
        The lowest loss; None with `early_stopping`. Not for "lbfgs".
    validation_scores_ : list of float or None
        `score` on the rows set aside, epoch by epoch; None without `early_stopping`.
    best_validation_score_ : float or None
        The best of them.
    best_epoch_ : int or None
        The epoch of the best score, from 1; None without `early_stopping`.
    validation_loss_curve_, train_score_ : list of float or None
        Loss on the validation rows, and score on training rows, epoch by epoch, where there are.
    learning_rate_curve_, epoch_seconds_ : list of float
        Learning rate and duration of each epoch.
    history_ : dict of str to list
        All curves by name; ``history_.as_frame()`` makes a pandas DataFrame of them.
    copied_layers_ : dict of str to bool, or None
        For each layer whether `init_from` gave it its weights.
    n_iter_ : int
        Epochs (iterations of "lbfgs") of the last call of fit.
    t_ : int
        Training rows seen, repeats counted.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where all are strings.
    n_layers_ : int
        Number of layers, input and output included.
    n_outputs_ : int
        Number of the network's outputs: that of the targets, times two for "gaussian_nll", times
        the number of levels for "quantile".
    out_activation_ : str
        "identity"; "exp" for "poisson", "gamma" and "tweedie"; "logistic" for "binary_log_loss".
    dtype_ : numpy dtype
        The precision that was used.

    See Also
    --------
    BackpropClassifier : The same network for labels.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams (1986), "Learning representations by
    back-propagating errors".

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skbp import BackpropRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> net = BackpropRegressor((8,), solver="lbfgs", alpha=10, max_iter=2000, random_state=0)
    >>> model = make_pipeline(StandardScaler(), net).fit(X, y)
    >>> model.predict(X[:3]).shape
    (3,)
    >>> model.score(X, y)
    0.6...
    """

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        **MEMBERS,
        "loss": [
            StrOptions({name for name, loss in LOSSES.items() if "numbers" in loss.targets}),
            Loss,
        ],
    }
    _numeric_targets = True

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="squared_error",
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init="auto",
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dropout=0.0,
        normalization=None,
        initializer="auto",
        dtype="auto",
        layers=None,
        l1_ratio=0.0,
        scoring=None,
        init_from=None,
        freeze=None,
        n_members=1,
    ):
        self._assign(locals())

    @transaction
    @with_callbacks
    def fit(
        self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None, groups=None
    ):
        """Train on rows X with targets y.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Training rows; finite numbers. Sparse input is never made dense.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers, of the range that the loss is made for.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, >= 0; rows of weight 0 are left out.
        X_val, y_val, sample_weight_val : default=None
            A validation set, like `X`, `y` and `sample_weight`. Its loss and score are recorded
            each epoch; with `early_stopping` they decide, and no rows are set aside.
        groups : array-like of shape (n_samples,), default=None
            For a splitter in `validation_fraction`.

        Returns
        -------
        self : BackpropRegressor

        Raises
        ------
        ValueError
            If a parameter or the data are not as described, or training diverges; the estimator
            then is as it was before the call.
        """
        return self._train(Given(X, y, sample_weight, X_val, y_val, sample_weight_val, groups))

    @available_if(lambda self: self._check_solver())
    @transaction
    def partial_fit(self, X, y, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None):
        """Go once over the rows X, from the weights so far.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val, sample_weight_val
            As in `fit`.

        Returns
        -------
        self : BackpropRegressor

        Raises
        ------
        ValueError
            As in `fit`.
        """
        given = Given(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self._train(given, incremental=True)

    @quiet
    def predict(self, X, return_std=False):
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return standard deviations too; needs a loss that learns them.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets), float32 or float64 as X
            For several quantiles with a further axis, in the order of their levels.
        std : ndarray of shape (n_samples,) or (n_samples, n_targets), float32 or float64 as X
            Standard deviation of a target around its prediction; only with `return_std`.

        Raises
        ------
        ValueError
            If the loss has no standard deviations.
        """
        check_is_fitted(self)
        if not return_std:
            return self._values(self._predict_raw(X))
        if not self._loss.has_std:
            raise ValueError(
                f"return_std=True needs a loss that learns the spread; this network was fitted "
                f"with {self._loss!r}. Use loss='gaussian_nll'."
            )
        raw = self._predict_raw(X)
        std = self._loss.predict_std(raw)
        return self._values(raw), _flat(std)

    @available_if(lambda self: self._check_members())
    @quiet
    def predict_members(self, X):
        """Predict targets by each member on its own; only with `n_members`.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_members, n_samples) or (n_members, n_samples, n_targets), float
            As `predict` for each member; their mean is what `predict` returns.
        """
        check_is_fitted(self)
        raw = self._predict_raw(X, len(self._network.layers))  # (n, members, k)
        return np.stack([self._values(raw[:, member].copy()) for member in range(raw.shape[1])])

    def _check_members(self):
        fitted = self.__sklearn_is_fitted__()
        if not (self._network.of_members if fitted else self.n_members != 1):
            raise AttributeError("predict_members needs several networks. Set n_members.")
        return True

    def _values(self, raw):
        return _flat(self._loss.predict(raw))

    @quiet
    def score(self, X, y, sample_weight=None):
        """Return the share of the targets' spread that the predictions explain, 1 at best.

        R2 of `sklearn.metrics.r2_score`; for a quantile loss its counterpart
        `sklearn.metrics.d2_pinball_score`, averaged over the levels.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            Mean over targets.
        """
        raw = self._predict_raw(X)
        y = targets_to_score(self, y, raw)
        weight = check_weights(sample_weight, raw)
        return score_predictions(self._loss, y, self._loss.predict(raw), weight)

    def predictor(self, max_rows=1):
        """Return a function that predicts a few rows, with little around it.

        What is not a plain array of finite numbers goes through the checks of `predict`, at its
        pace. Later fits do not change it. It pickles, and several threads may call it.

        Parameters
        ----------
        max_rows : int, default=1
            The most rows of a call, at least 1. Buffers are made for so many.

        Returns
        -------
        predictor : callable
            From rows, an array of shape (n, n_features), float, to what `predict` returns, in the
            dtype of the network (`dtype_`).

        Raises
        ------
        NotFittedError
            If there is no network yet.
        ValueError
            If `max_rows` is no whole number of at least 1.
        """
        check_is_fitted(self)
        return Predictor(self, "_values", max_rows)

    _kept_too = {"_n_columns": Is(Integral)}

    def _encode_targets(self, y, fresh, incremental, classes):
        y = y.reshape(len(y), -1)
        if fresh:
            self._n_columns = y.shape[1]
        elif y.shape[1] != self._n_columns:
            raise ValueError(
                f"y has {y.shape[1]} outputs, but the fitted network has {self._n_columns}. Give "
                "targets of the same shape, or fit anew."
            )
        return y

    def _encode_more_targets(self, y):
        y = y.reshape(len(y), -1)
        if y.shape[1] != self._n_columns:
            raise ValueError(
                f"y has {y.shape[1]} columns; expected {self._n_columns}, as in training."
            )
        return y

    def _target_kind(self):
        return "numbers"

    @property
    def _score_name(self):
        return "d2_pinball" if self._resolve_loss().levels else "r2"

    def _score_raw(self, y, raw, weight):
        loss = self._resolve_loss()
        return score_predictions(loss, y, loss.predict(raw), weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        loss = type(self.loss) if isinstance(self.loss, Loss) else LOSSES.get(str(self.loss), Loss)
        tags.target_tags.positive_only = issubclass(loss, Poisson | Gamma | Tweedie)
        return tags


def _flat(prediction):
    """Drop the axis of the targets if there is but one."""
    return prediction[:, 0] if prediction.shape[1] == 1 else prediction
