"""The regressor for tables."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from skbp._numbers import check_numbers
from skbp.tabular._networks import TableRegressor
from skbp.tabular.base import BaseTabular


class TabularRegressor(RegressorMixin, BaseTabular):
    """Predicts numbers from rows of a table as it comes: numbers, categories, dates, holes.

    A `skbp.preprocessing.TableEncoder` makes numbers of the table; several networks are trained
    side by side on targets of mean 0 and standard deviation 1; the epoch at which their mean is
    best on rows that were set aside stands. Predictions stay within the range of the targets.

    Parameters
    ----------
    preset : {"best", "fast", "realmlp-td", "resnet", "ft-transformer"} or preset, default="best"
        How networks are built and trained: "best" and "fast" are a `RealMLP`, the others a
        `RealMLPTD`, a `ResNet` and an `FTTransformer`. An object holds the numbers, which are
        reached as ``preset__max_iter`` and the like.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Which columns are categories: see `skbp.preprocessing.TableEncoder`.
    max_time : float or None, default=None
        Seconds after which training ends; the best epoch so far stands.
    random_state : int, RandomState or None, default=None
        Source of all randomness.
    verbose : bool or int, default=False
        Whether to print a line an epoch.

    Attributes
    ----------
    encoder_ : TableEncoder
        What makes numbers of tables.
    network_ : BackpropRegressor
        The networks, which take what ``encoder_.transform`` returns, and predict standardised
        targets.
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and standard deviation of the targets.
    target_range_ : tuple of (ndarray, ndarray), each of shape (n_outputs,)
        Least and largest target.
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
    >>> TabularRegressor("fast", random_state=0).fit(X, y).score(X, y) > 0.98
    True
    """

    def __init__(
        self,
        preset="best",
        *,
        categorical_features="from_dtype",
        max_time=None,
        random_state=None,
        verbose=False,
    ):
        self.preset = preset
        self.categorical_features = categorical_features
        self.max_time = max_time
        self.random_state = random_state
        self.verbose = verbose

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
        X, y, weight, _ = self._counted(X, y, sample_weight)
        check_numbers(y, "y")
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        columns = y.reshape(len(y), -1)
        mean = np.average(columns, axis=0, weights=weight)
        scale = _deviations(columns - mean, weight)
        standardised = ((columns - mean) / scale).reshape(y.shape)
        encoder, network = self._fit_network(X, standardised, weight)
        self.encoder_, self.network_ = encoder, network
        self.target_mean_, self.target_scale_ = mean, scale
        self.target_range_ = columns.min(axis=0), columns.max(axis=0)
        return self

    def _new_network(self, parameters):
        return TableRegressor(**parameters)

    def predict(self, X):
        """Predict targets.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
            Columns as in `fit`; categories that were not there count as unseen.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        """
        network, rows = self._prepared(X)
        prediction = network.predict(rows).astype(np.float64)
        shape = prediction.shape
        scaled = prediction.reshape(len(prediction), -1) * self.target_scale_ + self.target_mean_
        return np.clip(scaled, *self.target_range_).reshape(shape)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _deviations(errors, weight):
    """Return the root of the mean square of each column, 1 where it is 0, without overflow."""
    largest = np.abs(errors).max(axis=0)
    largest[largest == 0] = 1.0
    root = np.sqrt(np.average((errors / largest) ** 2, axis=0, weights=weight))
    return largest * np.where(root > 0, root, 1.0)
