"""Hidden layers as features for other estimators."""

from numbers import Integral

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin, clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from skbp._forms import ESTIMATOR, TEXT, Each, Is, fits_form, require
from skbp._plain_state import PlainState
from skbp._quiet import quiet
from skbp._warnings import warn
from skbp.estimators.base import BaseBackprop


class HiddenFeatures(PlainState, TransformerMixin, BaseEstimator):
    """What a hidden layer of a network makes of each row, for any other estimator.

    Parameters
    ----------
    estimator : BackpropClassifier or BackpropRegressor
        Trained in `fit`, on a copy; in a `FrozenEstimator` it is taken as it is.
    layer : int or str, default=-2
        The layer whose output is wanted: its number, from the end if negative (-1 is the output
        layer), or its name as in ``layer_names_``.

    Attributes
    ----------
    estimator_ : estimator
        The fitted network.
    layer_names_ : list of str
        Names of its layers, such as "dense_0"; the last is "output".
    n_features_in_ : int
        Number of features of the input.

    See Also
    --------
    BackpropClassifier : Its parameter `init_from` carries the weights themselves on.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skbp import BackpropClassifier, HiddenFeatures
    >>> X, y = load_iris(return_X_y=True)
    >>> net = BackpropClassifier((8,), solver="lbfgs", alpha=0.1, max_iter=1000, random_state=0)
    >>> HiddenFeatures(net).fit(X, y).transform(X).shape
    (150, 8)
    >>> model = make_pipeline(HiddenFeatures(net), LogisticRegression(max_iter=1000)).fit(X, y)
    >>> model.score(X, y)
    0.9...
    """

    def __init__(self, estimator, layer=-2):
        self.estimator = estimator
        self.layer = layer

    def fit(self, X, y=None, **params):
        """Train the network, unless it is frozen.

        Parameters
        ----------
        X, y
            As the network's ``fit`` takes them; y of None means X itself, for an autoencoder;
            a classifier needs y.
        **params
            Handed to the network's ``fit``; with scikit-learn's metadata routing those that it
            requests.

        Returns
        -------
        self : HiddenFeatures

        Raises
        ------
        TypeError
            If `estimator` is none of skbp, nor a pipeline that ends in one.
        ValueError
            If there is no such `layer`, or as the network's ``fit`` does.
        """
        self._check_estimator()
        if isinstance(self.estimator, FrozenEstimator):
            check_is_fitted(self.estimator)
            if params:
                warn(f"{sorted(params)} are not used: the network is frozen, and not trained.")
            fitted = self.estimator.estimator
        else:
            if get_config()["enable_metadata_routing"]:
                params = process_routing(self, "fit", **params).estimator.fit
            itself = y is None and not is_classifier(self.estimator)
            fitted = clone(self.estimator).fit(X, X if itself else y, **params)
        self.estimator_ = fitted
        network = (fitted[-1] if isinstance(fitted, Pipeline) else fitted)._network
        self.layer_names_ = network.names
        self._index = self._find(self.layer_names_)
        self.n_features_in_ = fitted.n_features_in_
        return self

    def get_metadata_routing(self):
        """Return how metadata go on to the network's `fit`; see scikit-learn's "metadata routing".

        Returns
        -------
        routing : MetadataRouter
        """
        return MetadataRouter(owner=self).add(
            estimator=self.estimator,
            method_mapping=MethodMapping().add(caller="fit", callee="fit"),
        )

    def _check_estimator(self):
        last = self.estimator
        last = last.estimator if isinstance(last, FrozenEstimator) else last
        last = last[-1] if isinstance(last, Pipeline) else last
        if not isinstance(last, BaseBackprop):
            raise TypeError(
                "HiddenFeatures takes an estimator of skbp, or a pipeline that ends in one. Got "
                f"{self.estimator!r}."
            )

    def _find(self, names):
        if not isinstance(self.layer, str | Integral) or isinstance(self.layer, bool):
            raise ValueError(f"layer must be a number or a name. Got {self.layer!r} instead.")
        if isinstance(self.layer, str):
            if self.layer not in names:
                raise ValueError(f"layer={self.layer!r} is none of the layers {names}.")
            return names.index(self.layer)
        number = int(self.layer)
        if not -len(names) <= number < len(names):
            raise ValueError(f"layer={self.layer!r} is none of the {len(names)} layers {names}.")
        return number % len(names)

    @quiet
    def transform(self, X):
        """Return the layer's output.

        Parameters
        ----------
        X : {array-like, sparse matrix, dataframe} of shape (n_samples, n_features)

        Returns
        -------
        features : ndarray of shape (n_samples, n_units), float32 or float64 as X
            Outputs of more dimensions, as of a convolution, are flattened.
        """
        check_is_fitted(self)
        fitted, rows = self.estimator_, X
        if isinstance(fitted, Pipeline):
            fitted, rows = fitted[-1], fitted[:-1].transform(X)
        hidden = fitted._predict_raw(rows, self._index + 1)
        return np.ascontiguousarray(hidden).reshape(len(hidden), -1)

    def get_feature_names_out(self, input_features=None):
        """Return names of the features: that of the layer, and a number.

        Parameters
        ----------
        input_features : object
            Not used.

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        fitted = self.estimator_[-1] if isinstance(self.estimator_, Pipeline) else self.estimator_
        size = int(np.prod(fitted._network.shape_after(self._index + 1)))
        name = self.layer_names_[self._index]
        return np.array([f"{name}_{i}" for i in range(size)], dtype=object)

    def _check_parts(self):
        if fits_form(
            self, {"estimator_": ESTIMATOR, "layer_names_": Each(TEXT), "_index": Is(int)}
        ):
            fits = 0 <= self._index < len(self.layer_names_)
            require(fits, self, f"a layer of number {self._index}")

    def __sklearn_is_fitted__(self):
        """Whether there is a trained network."""
        return hasattr(self, "_index")
