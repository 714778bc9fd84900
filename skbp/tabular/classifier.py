"""The classifier for tables."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.callback import with_callbacks

from skbp._compat import InvalidParameterError, count_rows
from skbp._component import Flag
from skbp.estimators._fit import Given
from skbp.estimators._transaction import transaction
from skbp.tabular._networks import TableClassifier
from skbp.tabular.base import BaseTabular
from skbp.uncertainty._calibration import quantile


class TabularClassifier(ClassifierMixin, BaseTabular):
    """Classifies rows of a table as it comes: numbers, categories, dates, holes.

    A `skbp.preprocessing.TableEncoder` makes numbers of the table; several networks, each of which
    leaves out some rows, are trained side by side; the epoch at which they are best on the rows
    that each has left out stands; a temperature on the same rows makes probabilities honest.

    Parameters
    ----------
    preset : str or preset, default="best"
        Of "best", "fast", "realmlp-td", "tabm", "tabm-mini", "resnet", "ft-transformer".
        How networks are built and trained: "best" and "fast" are a `RealMLP`, the others a
        `RealMLPTD`, a `TabM`, a `ResNet` and an `FTTransformer`. An object holds the numbers, which
        are reached as ``preset__max_iter`` and the like.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Which columns are categories: see `skbp.preprocessing.TableEncoder`.
    class_weight : dict, "balanced", list of dict or None, default=None
        Factors of the rows' weights by class, as in `BackpropClassifier`.
    calibrate : bool, default=True
        Whether probabilities are calibrated on the rows that were left out.
    max_time : float or None, default=None
        Seconds after which training ends; the best epoch so far stands.
    random_state : int, RandomState or None, default=None
        Source of all randomness.
    verbose : bool or int, default=False
        Whether to print a line an epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the encoder and the weights of the last call: the table has to
        have the same columns, and `y` the same labels. With an int as `random_state` and the same
        rows the same ones are left out again; of other rows some that validate may have been
        trained on.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; for multilabel targets the column numbers.
    encoder_ : TableEncoder
        What makes numbers of tables.
    network_ : BackpropClassifier
        The networks, which take what ``encoder_.transform`` returns.
    loss_curve_ : list of float
        Loss of each epoch, penalty and label smoothing included.
    validation_scores_ : list of float or None
        By which the epoch was chosen, the higher the better, on rows that were left out; for a
        `RealMLP` minus the log loss times the share of errors + 0.01. None where the table is too
        small for that.
    best_epoch_ : int or None
        The epoch of the best score, from 1, in the last call of fit.
    history_ : dict of str to list
        All curves by name; ``history_.as_frame()`` makes a pandas DataFrame of them.
    temperature_ : float
        What raw outputs were divided by; 1 without `calibrate`.
    oof_decision_function_ : ndarray of shape (n_samples, n_outputs)
        Raw outputs for the training rows, each by a member that has not seen it; NaN where all
        have, and for rows of weight zero. Only with folds.
    calibration_scores_ : ndarray of shape (n_rows,), float64, or None
        1 minus the probability of the label, sorted, of training rows by a member that has not seen
        them, or of rows that were set aside: what `predict_set` compares with. None if all rows
        were trained on, and for multilabel.
    n_features_in_, feature_names_in_, n_iter_
        As in scikit-learn.

    See Also
    --------
    TabularRegressor : The same for numbers.
    skbp.BackpropClassifier : For rows of numbers, with layers of one's own.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data".

    Examples
    --------
    >>> import numpy as np
    >>> from skbp.tabular import TabularClassifier
    >>> rng = np.random.RandomState(0)
    >>> colors = np.array(["red", "green", None])[rng.randint(3, size=300)]
    >>> sizes = np.where(rng.rand(300) < 0.1, np.nan, rng.rand(300))
    >>> table, y = np.column_stack([colors, sizes]).astype(object), colors == "red"
    >>> model = TabularClassifier("fast", random_state=0).fit(table, y)
    >>> model.score(table, y)
    1.0
    """

    def __init__(
        self,
        preset="best",
        *,
        categorical_features="from_dtype",
        class_weight=None,
        calibrate=True,
        max_time=None,
        random_state=None,
        verbose=False,
        warm_start=False,
    ):
        self.preset = preset
        self.categorical_features = categorical_features
        self.class_weight = class_weight
        self.calibrate = calibrate
        self.max_time = max_time
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    @transaction
    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Train on a table X with labels y.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
            Numbers, categories, dates; values may be missing.
        y : array-like of shape (n_samples,), or (n_samples, n_labels) of 0/1
            Labels of any type; two-dimensional for multilabel.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, >= 0; rows of weight 0 are left out.

        Returns
        -------
        self : TabularClassifier

        Raises
        ------
        ValueError
            If a parameter or the data are not as described; it names the column. The estimator then
            is as it was before the call.
        """
        n_rows = 0 if y is None else count_rows(y)
        X, y, weight, kept = self._counted(X, y, sample_weight)
        self._fit_network(Given(X, y, weight), y)
        if hasattr(self.network_, "oof_decision_function_"):
            own = self.network_.oof_decision_function_
            self.oof_decision_function_ = np.full((n_rows, own.shape[1]), np.nan, own.dtype)
            self.oof_decision_function_[kept] = own
        return self

    @transaction
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Go once over the rows of a table, from the encoder and the weights so far.

        The first call, unless `fit` came before, fits the encoder: what columns hold, quantiles and
        categories are those of its rows. So it should have rows of all kinds, some hundreds. All
        members are trained on all rows; nothing is validated, calibrated anew or stopped early, and
        `max_time` does not matter.

        Parameters
        ----------
        X, y
            As in `fit`; `y` need not have all labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed in the first call.
        sample_weight
            As in `fit`.

        Returns
        -------
        self : TabularClassifier

        Raises
        ------
        ValueError
            As in `fit`; if X has other columns than in the first call, or `y` a label that is not
            among the classes. The estimator then is as it was before the call.

        Warns
        -----
        UserWarning
            If callbacks are set: none is called.
        """
        X, y, weight, _ = self._counted(X, y, sample_weight)
        self._pass_over(Given(X, y, weight), y, classes=classes)
        self.__dict__.pop("oof_decision_function_", None)
        return self

    def _attributes_of(self, network):
        temperature = getattr(self, "temperature_", 1.0)
        own = {"classes_": network.classes_, "temperature_": temperature}
        return super()._attributes_of(network) | own

    def _publish(self):
        super()._publish()
        given = self._under_way.given
        if self.calibrate and hasattr(self.network_, "oof_decision_function_"):
            self.temperature_ = self.network_.calibrate(given.y, given.sample_weight)
        self.calibration_scores_ = self.network_.set_scores(given.y)

    def _check_parameters(self):
        super()._check_parameters()
        if self.calibrate not in Flag():
            raise InvalidParameterError(
                f"The 'calibrate' parameter of {type(self).__name__} must be {Flag()}. Got "
                f"{self.calibrate!r} instead."
            )

    def _new_network(self, parameters):
        return TableClassifier(**parameters, class_weight=self.class_weight)

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
            Columns as in `fit`; categories that were not there count as unseen.

        Returns
        -------
        y : ndarray of shape (n_samples,) or, for multilabel, (n_samples, n_labels) of 0/1
        """
        network, rows = self._prepared(X)
        return network.predict(rows)

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes), float32
            Columns in the order of `classes_`. Rows sum to one, except for multilabel.
        """
        network, rows = self._prepared(X)
        return network.predict_proba(rows)

    def predict_set(self, X, confidence=0.9):
        """Predict sets of labels that hold the right one with a given probability.

        A label is in the set unless its probability is smaller than most labels' of rows that
        training did not see: split conformal prediction. A set may be empty. Rows of these and of
        new tables count once, whatever their weight.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
        confidence : float, default=0.9
            In (0, 1): the share of sets that hold the label of new rows like those of `fit`.

        Returns
        -------
        sets : ndarray of shape (n_samples, n_classes), bool
            Columns in the order of `classes_`.

        Raises
        ------
        ValueError
            If the confidence is none, if no rows were left out in `fit`, or for multilabel.

        See Also
        --------
        skbp.uncertainty.ConformalClassifier : Calibrated on other rows, by groups, in other ways.

        References
        ----------
        M. Sadinle, J. Lei, L. Wasserman (2019), "Least ambiguous set-valued classifiers with
        bounded error levels".
        """
        largest = quantile(self._calibrated(), confidence)
        return 1 - self.predict_proba(X).astype(np.float64) <= largest

    def decision_function(self, X):
        """Return raw outputs: scores, larger for what is more likely.

        Parameters
        ----------
        X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)

        Returns
        -------
        score : ndarray of shape (n_samples,) or (n_samples, n_classes), float32
            As `BackpropClassifier.decision_function`.
        """
        network, rows = self._prepared(X)
        return network.decision_function(rows)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
