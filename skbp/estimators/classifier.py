"""The classifier."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.callback import with_callbacks
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skbp._compat import StrOptions
from skbp._quiet import quiet
from skbp.estimators._fit import Given
from skbp.estimators._mlp import ToMLP
from skbp.estimators._parameters import CONSTRAINTS, MEMBERS
from skbp.estimators._predictor import Predictor
from skbp.estimators._targets import KINDS, ClassTargetsMixin
from skbp.estimators._transaction import transaction
from skbp.estimators.base import BaseBackprop
from skbp.losses import LOSSES, Loss


class BackpropClassifier(ToMLP, ClassTargetsMixin, ClassifierMixin, BaseBackprop):
    """Neural network classifier trained by backpropagation.

    Takes the place of `sklearn.neural_network.MLPClassifier`: same parameters, same fitted
    attributes, the same network. Binary, multiclass and multilabel targets; dense and sparse input.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer, each at least 1; ``()`` for none (logistic regression).
    activation : str, Activation, or list of them, default="relu"
        Activation of the hidden layers, a name or an object of `skbp.activations`; a list has one
        for each.
    loss : {"log_loss", "binary_log_loss", "focal", "hinge"} or Loss, default="log_loss"
        What training minimises; a component of `skbp.losses` has parameters of its own.

        - "log_loss": `skbp.losses.LogLoss`, cross-entropy: of the softmax for several classes, of
          the sigmoid for two classes and, summed over labels, for multilabel targets.
        - "binary_log_loss": the same, but not for several classes.
        - "focal": `skbp.losses.FocalLoss`, for rare classes among many easy rows.
        - "hinge": `skbp.losses.Hinge`, that of a support vector machine; has no `predict_proba`.

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
        The split is stratified, except for multilabel targets. Not used by "lbfgs"; `partial_fit`
        does one pass regardless.
    validation_fraction : float or splitter, default=0.1
        Share of rows set aside for `early_stopping`, in [0, 1); at least two rows, and one
        per class where the split is stratified.
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
    class_weight : dict, "balanced", list of dict or None, default=None
        Factors on the rows' losses by class, in `fit` relative to their mean over all rows: a dict
        from label to factor, one where it is silent; "balanced" for ``n_samples / (n_classes *
        weight of the class)``, in `partial_fit` over the rows of that call. For multilabel targets
        "balanced" or a list with one dict a label, whose factors multiply. Factors whose mean is
        not between 1e-9 and 1e9 are divided by it.
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
        None for accuracy. Scorers also report the score on training rows (at most 10,000).
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
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; for multilabel targets the column numbers.
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
        Accuracy on the rows set aside, epoch by epoch; None without `early_stopping`.
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
        Number of the network's outputs.
    out_activation_ : str
        "softmax" for several classes, else "logistic"; "identity" for the hinge loss.
    dtype_ : numpy dtype
        The precision that was used.

    See Also
    --------
    BackpropRegressor : The same network for numbers.

    References
    ----------
    D. E. Rumelhart, G. E. Hinton, R. J. Williams (1986), "Learning representations by
    back-propagating errors".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skbp import BackpropClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = BackpropClassifier((16,), solver="lbfgs", alpha=0.1, max_iter=1000, random_state=0)
    >>> model = make_pipeline(StandardScaler(), net).fit(X, y)
    >>> model.predict(X[:3])
    array([0, 0, 0])
    >>> model.score(X, y)
    0.9...
    """

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        **MEMBERS,
        "loss": [
            StrOptions(
                {name for name, loss in LOSSES.items() if not KINDS.isdisjoint(loss.targets)}
            ),
            Loss,
        ],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    classes_: np.ndarray

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="log_loss",
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
        class_weight=None,
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
        """Train on rows X with labels y.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)
            Training rows; finite numbers. Sparse input is never made dense.
        y : array-like of shape (n_samples,), or (n_samples, n_labels) of 0/1
            Labels of any type; two-dimensional for multilabel.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, >= 0; rows of weight 0 are left out.
        X_val, y_val, sample_weight_val : default=None
            A validation set, like `X`, `y` and `sample_weight`. Its loss and score are recorded
            each epoch; with `early_stopping` they decide, and no rows are set aside.
        groups : array-like of shape (n_samples,), default=None
            For a splitter in `validation_fraction`.

        Returns
        -------
        self : BackpropClassifier

        Raises
        ------
        ValueError
            If a parameter or the data are not as described, or training diverges; the estimator
            then is as it was before the call.
        """
        return self._train(Given(X, y, sample_weight, X_val, y_val, sample_weight_val, groups))

    @available_if(lambda self: self._check_solver())
    @transaction
    def partial_fit(
        self, X, y, sample_weight=None, classes=None, X_val=None, y_val=None, sample_weight_val=None
    ):
        """Go once over the rows X, from the weights so far.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        X_val, y_val, sample_weight_val
            As in `fit`.

        Returns
        -------
        self : BackpropClassifier

        Raises
        ------
        ValueError
            As in `fit`, and if `y` has a label that is not among the classes.
        """
        given = Given(X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self._train(given, incremental=True, classes=classes)

    @quiet
    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or, for multilabel, (n_samples, n_labels) of 0/1
        """
        raw = self._predict_raw(X)
        return self._targets.decode(raw)

    @quiet
    def decision_function(self, X):
        """Return the network's raw outputs: scores, larger for what is more likely.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)

        Returns
        -------
        score : ndarray of shape (n_samples,) or (n_samples, n_classes), float32 or float64 as X
            For two classes one score, positive for the second; 0 if there is but one class. Else
            in the order of `classes_`: the largest wins, for multilabel each that is positive.
        """
        return self._scores(self._predict_raw(X))

    def _scores(self, raw):
        if self._targets.kind != "binary":
            return raw
        return raw[:, 0] if len(self.classes_) > 1 else np.zeros_like(raw[:, 0])

    @available_if(lambda self: self._check_probabilistic())
    @quiet
    def predict_proba(self, X):
        """Predict probabilities, strictly between 0 and 1 unless there is but one class.

        Not for a loss without probabilities, such as "hinge".

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes), float32 or float64 as X
            Columns in the order of `classes_`. Rows sum to one, except for multilabel.
        """
        return self._probabilities(self._predict_raw(X))

    def _probabilities(self, raw):
        if len(self.classes_) == 1:
            return np.ones_like(raw)
        return self._loss.predict(self._one_column_per_class(raw))

    def predictor(self, max_rows=1):
        """Return a function that predicts probabilities of a few rows, with little around it.

        For a loss without probabilities it returns what `decision_function` does. What is not a
        plain array of finite numbers goes through the checks of `predict_proba`, at its pace.
        Later fits do not change it. It pickles, and several threads may call it.

        Parameters
        ----------
        max_rows : int, default=1
            The most rows of a call, at least 1. Buffers are made for so many.

        Returns
        -------
        predictor : callable
            From rows, an array of shape (n, n_features), float, to probabilities of shape
            (n, n_classes) in the dtype of the network (`dtype_`).

        Raises
        ------
        NotFittedError
            If there is no network yet.
        ValueError
            If `max_rows` is no whole number of at least 1.

        Examples
        --------
        >>> import numpy as np
        >>> from skbp import BackpropClassifier
        >>> X, y = np.eye(4, dtype=np.float32), [0, 0, 1, 1]
        >>> net = BackpropClassifier((4,), solver="lbfgs", random_state=0).fit(X, y)
        >>> bool(np.allclose(net.predictor()(X[:1]), net.predict_proba(X[:1])))
        True
        """
        check_is_fitted(self)
        return Predictor(
            self, "_probabilities" if self._loss.probabilistic else "_scores", max_rows
        )

    @available_if(lambda self: self._check_probabilistic())
    @quiet
    def predict_log_proba(self, X):
        """Predict logarithms of probabilities, exact also where those round to 1.

        Like `predict_proba` they end at the smallest normal number of the dtype: -708.4 in float64,
        -87.3 in float32.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_classes), float32 or float64 as X
        """
        raw = self._predict_raw(X)
        if len(self.classes_) == 1:
            return np.zeros_like(raw)
        if self._targets.kind == "multilabel":
            # Several labels may be sure to the last bit: tied, then, as in `predict_proba`.
            return np.log(self._loss.predict(raw))
        logs = self._loss.log_predict(self._one_column_per_class(raw))
        # Where probabilities are tied, at the least that there is, their logarithms are too.
        return np.maximum(logs, np.log(np.finfo(logs.dtype).tiny), out=logs)

    def _one_column_per_class(self, raw):
        return np.hstack([-raw, raw]) if self._targets.kind == "binary" else raw

    def _check_probabilistic(self):
        if self.__sklearn_is_fitted__():
            loss = self._loss
        else:
            loss = LOSSES.get(self.loss) if isinstance(self.loss, str) else self.loss
        if not getattr(loss, "probabilistic", True):
            raise AttributeError(
                f"loss={self.loss!r} has no probabilities. Use decision_function, or "
                "loss='log_loss'; or calibrate the scores (CalibratedClassifierCV)."
            )
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
