"""How users rate items: factors of both, and what is known of them."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skbp._component import AnyOf, Flag, Range, Whole, check_allowed
from skbp._forms import REAL, Array, Each, Is, fits_form, require
from skbp._numbers import check_numbers
from skbp._plain_state import PlainState
from skbp.estimators._transaction import transaction
from skbp.estimators.regressor import BackpropRegressor
from skbp.initializers import Normal
from skbp.layers import ColumnBranch, Dense, Dropout, EmbeddingBag, Parallel
from skbp.optimizers import AdamW
from skbp.recommendation._features import Features
from skbp.recommendation._ids import Ids, read_pairs, union

#: Spread of the first values of factors, and of what an id adds by itself.
STD_FACTORS, STD_BIAS = 0.1, 0.05


class _Rating(BackpropRegressor):
    """Rows of numbers of user and item, then their features, to ratings."""

    _diagnoses = False  # its parameters are not the caller's


class RatingRegressor(PlainState, RegressorMixin, BaseEstimator):
    """Predicts ratings by two towers whose vectors are multiplied value by value.

    A user's vector p is learned for its id, plus a linear map of its features; so is an item's, q.
    The rating is ``c + b_user + b_item + sum_k w_k p_k q_k``, with b made likewise. In training
    dropout leaves out a large share of the products: without it factors of so few ratings would
    only remember them. Several networks are trained, and the mean of their predictions counts.

    Parameters
    ----------
    dim : int, default=64
        Length of the vectors.
    dropout : float, default=0.7
        Share of the products, in [0, 1), that each row of a batch leaves out.
    weight_decay : float, default=0.3
        Of `skbp.optimizers.AdamW`, >= 0.
    n_members : int, default=4
        How many networks.
    n_components : int, default=64
        The most principal components of the features of users, and of items, that are used.
    learning_rate_init : float, default=0.005
        The largest rate, > 0, of the schedule "one_cycle".
    max_iter : int, default=30
        Passes over the ratings.
    batch_size : int, default=500
        Ratings per update.
    random_state : int, RandomState or None, default=None
        Source of first weights, order of ratings and dropout.
    verbose : bool or int, default=False
        Whether to print a line an epoch.

    Attributes
    ----------
    users_, items_ : ndarray of shape (n_users,) and (n_items,)
        Ids that ratings or features were given for, sorted.
    estimators_ : list of BackpropRegressor
        The networks, which take numbers of ids and the features.
    range_ : tuple of float
        The least and the largest rating: predictions are clipped to this range.
    n_features_in_ : int
        2.
    feature_names_in_ : ndarray of shape (2,)
        Names of the columns, where X is a frame.

    See Also
    --------
    TwoTowerRecommender : Which item a user wants next.

    References
    ----------
    Y. Koren, R. Bell, C. Volinsky (2009), "Matrix factorization techniques for recommender
    systems", equations 4 and 6.
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov (2014), "Dropout: a
    simple way to prevent neural networks from overfitting", section 4.

    Examples
    --------
    >>> from skbp.recommendation import RatingRegressor
    >>> X = [(user, item) for user in "abcdefgh" for item in ("tea", "milk", "rum", "gin")]
    >>> y = [5, 4, 1, 2] * 4 + [1, 1, 5, 5] * 4
    >>> model = RatingRegressor(dim=4, dropout=0.0, max_iter=200, random_state=0)
    >>> model.fit(X[:-1], y[:-1]).predict([("h", "gin"), ("a", "gin")]).round()
    array([5., 2.])
    """

    def __init__(
        self, dim=64, dropout=0.7, weight_decay=0.3, n_members=4, n_components=64,
        learning_rate_init=0.005, max_iter=30, batch_size=500, random_state=None, verbose=False,
    ):  # fmt: skip
        self.dim = dim
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.n_members = n_members
        self.n_components = n_components
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def _check(self):
        check_allowed(self, {
            "dim": Whole(1), "dropout": Range(0, 1, high_open=True), "weight_decay": Range(0),
            "n_members": Whole(1), "n_components": Whole(1),
            "learning_rate_init": Range(0, low_open=True), "max_iter": Whole(1),
            "batch_size": Whole(1), "verbose": AnyOf(Flag(), Whole()),
        })  # fmt: skip

    @transaction
    def fit(self, X, y, item_features=None, user_features=None):
        """Train on ratings.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n, 2)
            Ids of user and item. Numbers, strings or what can be hashed.
        y : array-like of shape (n,)
            Ratings.
        item_features, user_features : DataFrame or (ids, matrix), optional
            A row of numbers for each item or user. The frame's index, or `ids`, says of which.
            Those without a row have the mean.

        Returns
        -------
        self : RatingRegressor

        Raises
        ------
        ValueError
            If a parameter or the data are not as described. The estimator then is as it was before
            the call.
        """
        self._check()
        if y is None:
            raise ValueError("RatingRegressor requires y to be passed, but the target y is None.")
        factors = read_pairs(self, X, reset=True)
        check_numbers(y, "y")
        y = column_or_1d(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"))
        check_consistent_length(factors[0].codes, y)
        ids, tables = [], []
        for factor, given, what in zip(
            factors, (user_features, item_features), ("user_features", "item_features"), strict=True
        ):
            known = None if given is None else Features(given, what)
            if known is not None:
                known.warn_unless_of(factor)
            ids.append(Ids(union(factor) if known is None else union(factor, known.ids)))
            table = np.zeros((len(ids[-1]), 0), np.float32)
            tables.append(table if known is None else known.table(ids[-1], self.n_components))
        mean, scale = _mean_and_deviation(y)
        rows = _rows(ids, tables, factors)
        rng, networks = check_random_state(self.random_state), []
        for _ in range(self.n_members):
            net = self._network(ids, tables, len(y), rng.randint(2**31 - 1))
            networks.append(net.fit(rows, (y - mean) / scale))
        self.users_, self.items_ = (one.array() for one in ids)
        self.estimators_, self.range_ = networks, (float(y.min()), float(y.max()))
        self._ids, self._tables, self._mean, self._scale = ids, tables, mean, scale
        return self

    def _network(self, ids, tables, n_rows, seed):
        n_user, n_item = (table.shape[1] for table in tables)
        known = slice(2, 2 + n_user), slice(2 + n_user, 2 + n_user + n_item)

        def towers(dim, std, join):
            return Parallel(
                [
                    _tower(number, len(one), columns, dim, std)
                    for number, (one, columns) in enumerate(zip(ids, known, strict=True))
                ],
                join=join,
            )

        products = [towers(self.dim, STD_FACTORS, "product"), Dropout(self.dropout)]
        return _Rating(
            layers=[Parallel([products, towers(1, STD_BIAS, "concat")])],
            solver=AdamW(self.weight_decay), alpha=0.0, learning_rate="one_cycle",
            learning_rate_init=self.learning_rate_init, max_iter=self.max_iter,
            batch_size=min(self.batch_size, n_rows), dtype="float32", tol=0.0,
            n_iter_no_change=np.inf, random_state=seed, verbose=self.verbose,
        )  # fmt: skip

    def _check_parts(self):
        form = {
            "estimators_": Each(Is(BackpropRegressor)), "_ids": Each(Is(Ids), 2),
            "_tables": Each(Array("f", 2), 2), "_mean": REAL, "_scale": REAL,
        }  # fmt: skip
        if fits_form(self, form):
            n_rows = [len(table) for table in self._tables]
            require(n_rows == [len(ids) for ids in self._ids], self, "features of other ids")
            n_columns = 2 + sum(table.shape[1] for table in self._tables)
            fits = all(vars(one).get("n_features_in_") == n_columns for one in self.estimators_)
            require(fits and self.estimators_, self, "networks for other pairs")

    def predict(self, X):
        """Predict ratings.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n, 2)
            Ids of user and item. What is not known adds nothing: for a new user, and an item
            without features that is new too, the constant c comes out, which is near the mean.

        Returns
        -------
        y : ndarray of shape (n,), float64
        """
        check_is_fitted(self)
        rows = _rows(self._ids, self._tables, read_pairs(self, X))
        mean = np.mean([net.predict(rows) for net in self.estimators_], axis=0, dtype=np.float64)
        low, high = ((end - self._mean) / self._scale for end in self.range_)
        return np.clip(self._mean + self._scale * np.clip(mean, low, high), *self.range_)


def _mean_and_deviation(y):
    """Return mean and standard deviation, which is 1 where it would be 0, without overflow."""
    largest = np.abs(y).max() or 1.0
    y = y / largest
    return float(largest * y.mean()), float(largest * y.std()) or 1.0


def _tower(column, n_ids, known, dim, std):
    """Return the layer that makes vectors of the ids in a column, and of features.

    The code 0 is that of an unknown id, whose own vector is zero: `EmbeddingBag` leaves it out.
    """
    own = EmbeddingBag(n_ids + 1, dim, padding_index=0, initializer=Normal(std))
    branches = [([column], own)]
    if known.stop > known.start:
        branches.append((known, Dense(dim, "identity")))
    return ColumnBranch(branches, join="sum")


def _rows(ids, tables, factors):
    """Return rows of the network: codes of user and item, then the features of both."""
    numbers = [one.codes(factor) for one, factor in zip(ids, factors, strict=True)]
    codes = np.column_stack([number + 1 for number in numbers]).astype(np.float32)
    known = [
        np.concatenate([table, np.zeros((1, table.shape[1]), table.dtype)])[number]
        for table, number in zip(tables, numbers, strict=True)
    ]
    return np.hstack([codes, *known])
