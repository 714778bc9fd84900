"""The regressor for tables."""

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.callback import with_callbacks
from sklearn.utils.validation import check_array

from skbp._compat import InvalidParameterError
from skbp._numbers import check_numbers
from skbp.estimators._fit import Given
from skbp.estimators._scores import score_predictions
from skbp.estimators._transaction import transaction
from skbp.losses import AbsoluteError, Huber, LogCosh, Loss, Quantile, SquaredError
from skbp.tabular._networks import TableRegressor
from skbp.tabular.base import BaseTabular
from skbp.tabular.presets import PRESETS
from skbp.uncertainty._calibration import quantile

#: Losses of targets that may be shifted and scaled: predictions are, in the same way.
LOSSES_OF_TABLES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "log_cosh": LogCosh,
    "quantile": Quantile,
}


class TabularRegressor(RegressorMixin, BaseTabular):
    """Predicts numbers from rows of a table as it comes: numbers, categories, dates, holes.

    A `skbp.preprocessing.TableEncoder` makes numbers of the table; several networks are trained
    side by side on targets of mean 0 and standard deviation 1; the epoch at which their mean is
    best on rows that were set aside stands. Predictions stay within the range of the targets.

    Parameters
    ----------
    preset : str or preset, default="best"
        Of "best", "fast", "realmlp-td", "tabm", "tabm-mini", "resnet", "ft-transformer".
        How networks are built and trained: "best" and "fast" are a `RealMLP`, the others a
        `RealMLPTD`, a `TabM`, a `ResNet` and an `FTTransformer`. An object holds the numbers, which
        are reached as ``preset__max_iter`` and the like.
    loss : str or Loss, default="squared_error"
        Of "squared_error", "absolute_error", "huber", "log_cosh", "quantile"; or an object, such as
        ``skbp.losses.Quantile([0.05, 0.5, 0.95])``, whose quantiles never cross. The delta of
        `Huber` is in standard deviations of the targets.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Which columns are categories: see `skbp.preprocessing.TableEncoder`.
    max_time : float or None, default=None
        Seconds after which training ends; the best epoch so far stands.
    random_state : int, RandomState or None, default=None
        Source of all randomness.
    verbose : bool or int, default=False
        Whether to print a line an epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the encoder, the standardisation of targets and the weights of
        the last call: the table has to have the same columns. With an int as `random_state` and the
        same rows the same ones are set aside again; of other rows some that validate may have been
        trained on.

    Attributes
    ----------
    encoder_ : TableEncoder
        What makes numbers of tables.
    network_ : BackpropRegressor
        The networks, which take what ``encoder_.transform`` returns, and predict standardised
        targets.
    loss_curve_ : list of float
        Loss of each epoch, for standardised targets.
    validation_scores_ : list of float or None
        `score` on rows that were set aside, by which the epoch was chosen. None where the table is
        too small for that.
    best_epoch_ : int or None
        The epoch of the best score, from 1, in the last call of fit.
    history_ : dict of str to list
        All curves by name; ``history_.as_frame()`` makes a pandas DataFrame of them.
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and standard deviation of the targets.
    target_range_ : tuple of (ndarray, ndarray), each of shape (n_outputs,)
        Least and largest target, of all calls that went on from another.
    calibration_scores_ : ndarray of shape (n_rows, n_outputs), float64, or None
        Absolute errors, each column sorted, on the rows that were set aside: what
        `predict_interval` compares with. Of several quantiles, how far the target lies outside of
        the first and the last one; below 0 inside. None if all rows were trained on.
    n_features_in_, feature_names_in_, n_iter_
        As in scikit-learn.

    See Also
    --------
    TabularClassifier : The same for classes.
    skbp.BackpropRegressor : For rows of numbers, with layers and losses of one's own.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data".

    Examples
    --------
    >>> import numpy as np
    >>> from skbp.tabular import TabularRegressor
    >>> rng = np.random.RandomState(0)
    >>> X = rng.rand(500, 3)
    >>> y = 100 + np.sin(6 * X[:, 0]) + X[:, 1]
    >>> TabularRegressor("fast", random_state=0).fit(X, y).score(X, y)
    0.9...
    """

    _stands_for = {"preset": PRESETS, "loss": LOSSES_OF_TABLES}
    target_mean_: Any
    target_scale_: Any
    target_range_: Any

    def __init__(
        self,
        preset="best",
        *,
        loss="squared_error",
        categorical_features="from_dtype",
        max_time=None,
        random_state=None,
        verbose=False,
        warm_start=False,
    ):
        self.preset = preset
        self.loss = loss
        self.categorical_features = categorical_features
        self.max_time = max_time
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    @transaction
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Train on a table X with targets y.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
            Numbers, categories, dates; values may be missing.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, >= 0; rows of weight 0 are left out.

        Returns
        -------
        self : TabularRegressor

        Raises
        ------
        ValueError
            If a parameter or the data are not as described; it names the column. The estimator then
            is as it was before the call.
        """
        return self._learn(X, y, sample_weight, self._fit_network, incremental=False)

    @transaction
    def partial_fit(self, X, y, sample_weight=None):
        """Go once over the rows of a table, from the encoder and the weights so far.

        The first call, unless `fit` came before, fits the encoder, and the mean and the scale of
        the targets: what columns hold, quantiles and categories are those of its rows. So it should
        have rows of all kinds, some hundreds. Nothing is validated or stopped early, and `max_time`
        does not matter. Predictions stay within the range of the targets of all calls.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        self : TabularRegressor

        Raises
        ------
        ValueError
            As in `fit`; if X has other columns, or `y` other outputs, than in the first call. The
            estimator then is as it was before the call.

        Warns
        -----
        UserWarning
            If callbacks are set: none is called.
        """
        return self._learn(X, y, sample_weight, self._pass_over, incremental=True)

    def _learn(self, X, y, sample_weight, train, incremental):
        """Train on standardised targets."""
        X, y, weight, _ = self._counted(X, y, sample_weight)
        given = Given(X, y, weight)
        check_numbers(y, "y")
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        columns = y.reshape(len(y), -1)
        low, high = columns.min(axis=0), columns.max(axis=0)
        if self._goes_on(incremental):
            n_outputs = len(self.target_mean_)
            if columns.shape[1] != n_outputs:
                raise ValueError(
                    f"y has {columns.shape[1]} outputs, but {type(self).__name__} was fitted to "
                    f"{n_outputs}. Give targets of the same shape, or fit anew."
                )
            least, largest = self.target_range_
            low, high = np.minimum(low, least), np.maximum(high, largest)
        else:
            self.target_mean_ = np.average(columns, axis=0, weights=weight)
            self.target_scale_ = _deviations(columns - self.target_mean_, weight)
        self.target_range_ = low, high
        train(given, ((columns - self.target_mean_) / self.target_scale_).reshape(y.shape))
        return self

    def _publish(self):
        super()._publish()
        if unseen := self.network_.unseen_predictions():
            rows, found = unseen
            y = check_array(self._under_way.given.y, ensure_2d=False, dtype=np.float64)
            low, high = self._ends(self._in_range(found))
            targets = y.reshape(len(y), -1)[rows]
            self.calibration_scores_ = np.sort(np.maximum(low - targets, targets - high), axis=0)

    def _check_parameters(self):
        super()._check_parameters()
        named = isinstance(self.loss, str) and self.loss in LOSSES_OF_TABLES
        if not (named or isinstance(self.loss, tuple(LOSSES_OF_TABLES.values()))):
            raise InvalidParameterError(
                f"The 'loss' parameter of {type(self).__name__} must be one of "
                f"{sorted(LOSSES_OF_TABLES)} or such a loss. Got {self.loss!r} instead. For other "
                "losses use BackpropRegressor behind a TableEncoder."
            )

    def _new_network(self, parameters):
        return TableRegressor(loss=self.loss, **parameters)

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
            Columns as in `fit`; categories that were not there count as unseen.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
            For several quantiles with a further axis, in the order of their levels, along which
            they never fall.
        """
        network, rows = self._prepared(X)
        return self._in_range(network.predict(rows))

    def score(self, X, y, sample_weight=None):
        """Return the share of the targets' spread that the predictions explain, 1 at best.

        R2 of `sklearn.metrics.r2_score`; for a quantile loss its counterpart
        `sklearn.metrics.d2_pinball_score`, averaged over the levels.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            Mean over outputs.
        """
        prediction = self.predict(X)
        if self.network_._loss.levels:
            prediction = prediction.reshape(len(prediction), len(self.target_mean_), -1)
        return score_predictions(self.network_._loss, y, prediction, sample_weight)

    def predict_members(self, X):
        """Predict targets by each of the networks on its own.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)

        Returns
        -------
        y : ndarray of shape (n_members, n_samples) or (n_members, n_samples, n_outputs), float64
            Each within the range of the targets; with a further axis as `predict`.
        """
        network, rows = self._prepared(X)
        return self._in_range(network.predict_members(rows))

    def predict_interval(self, X, confidence=0.9):
        """Predict intervals that hold the target with a given probability.

        All are equally wide: the error that the share `confidence` of the rows that were set aside
        did not exceed, split conformal prediction. Of several quantiles, the first and the last are
        moved apart, or together, by so much: such intervals have widths of their own. Rows count
        once, whatever their weight, and each with its error in the epoch that the others would
        choose: it has no say in what it judges.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
        confidence : float, default=0.9
            In (0, 1): the share of intervals that hold the target of new rows like those of `fit`.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2), float64
            Lower and upper end; of several outputs each has the probability `confidence`.

        Raises
        ------
        ValueError
            If the confidence is none, or if no rows were set aside in `fit`.

        See Also
        --------
        skbp.uncertainty.ConformalRegressor : Calibrated on other rows, by groups, in other ways.

        References
        ----------
        V. Vovk, A. Gammerman, G. Shafer (2005), "Algorithmic learning in a random world".
        Y. Romano, E. Patterson, E. J. Candès (2019), "Conformalized quantile regression".
        """
        width = quantile(self._calibrated(), confidence)
        low, high = self._ends(self.predict(X))
        interval = np.stack([low - width, high + width], axis=-1)
        # Where quantiles are moved past each other, the point in their middle is left.
        crossed = interval[..., 0] > interval[..., 1]
        interval[crossed] = interval[crossed].mean(axis=-1, keepdims=True)
        return interval[:, 0] if len(self.target_mean_) == 1 else interval

    def _in_range(self, prediction):
        """Return targets of standardised ones; the last axes are of outputs, and of quantiles."""
        columns = self._by_output(prediction.astype(np.float64))
        scaled = columns * self.target_scale_[:, None] + self.target_mean_[:, None]
        least, largest = self.target_range_
        return np.clip(scaled, least[:, None], largest[:, None]).reshape(prediction.shape)

    def _ends(self, prediction):
        """Return the first and the last quantile, each of shape (n, n_outputs)."""
        columns = self._by_output(prediction)
        return columns[..., 0], columns[..., -1]

    def _by_output(self, prediction):
        """View predictions as an array of shape (n, n_outputs, n_levels)."""
        return prediction.reshape(-1, len(self.target_mean_), self.network_._loss.n_outputs(1))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _deviations(errors, weight):
    """Return the root of the mean square of each column, without overflow.

    Where next to all weight is on rows without an error, it is the largest error, or else 1.
    """
    largest = np.abs(errors).max(axis=0)
    largest[largest == 0] = 1.0
    root = np.sqrt(np.average((errors / largest) ** 2, axis=0, weights=weight))
    return largest * np.where(root > 1e-8, root, 1.0)
