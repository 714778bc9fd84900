"""Which items come next: ranking by two towers."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skbp._component import AnyOf, Flag, Range, Whole, check_allowed
from skbp._forms import LABELS, Array, Is, fits_form, require
from skbp._plain_state import PlainState
from skbp._warnings import warn
from skbp.estimators._targets import ClassTargets
from skbp.estimators._transaction import transaction
from skbp.estimators.classifier import BackpropClassifier
from skbp.layers import Dense, Parallel, Sequential
from skbp.optimizers import AdamW
from skbp.recommendation._features import Features
from skbp.recommendation._histories import Histories, bags
from skbp.recommendation._ids import Factor, Ids, read_ids, read_pairs, union

#: The most bytes of scores that are computed at a time.
MOST_BYTES = 2**26


class _Decays:
    """Decays of bags."""

    each = Range(0, 1, low_open=True)

    def __contains__(self, value):
        return isinstance(value, list | tuple) and len(value) > 0 and all(
            one in self.each for one in value
        )  # fmt: skip

    def __str__(self):
        return f"a tuple, each item {self.each}"


class _NextItem(BackpropClassifier):
    """Histories to next items; the output layer's weights are the items' tower."""

    _diagnoses = False  # its parameters are not the caller's
    _n_components = 0

    def _encode_targets(self, y, fresh, incremental, classes):
        # Of two items too each has a column of its own: its vector.
        self._targets = ClassTargets(np.unique(y), "multiclass")
        self.classes_ = self._targets.classes
        return self._targets.encode(y)

    def _output_layers(self, shape, n_outputs):
        ids = Dense(n_outputs, "identity", name="ids")
        if not self._n_components:
            return [Parallel([ids], name="items")]
        known = Sequential(
            [
                Dense(self._n_components, "identity", name="map"),
                Dense(n_outputs, "identity", name="features"),
            ],
            name="known",
        )
        return [Parallel([ids, known], join="sum", name="items")]


class TwoTowerRecommender(PlainState, BaseEstimator):
    """Recommends items by two towers: users from their behaviour, items from ids and features.

    A user's vector is ``u = tanh(b + sum_k B_k' h_k)``, with h_k bags of the items of the user's
    history: one for each of `decays`, in which later items count more. An item's vector is ``v = e
    + M f``, with e its own and f its features. Its score is ``u . v`` plus a bias made likewise.
    Training predicts each item of each history from those before it, by the log loss of the softmax
    over all items. Weight decay keeps e small, so that features explain what they can: an item that
    nobody has had yet, e = 0, is ranked by its features alone. A user is nothing but a history, so
    a new one needs no training.

    Parameters
    ----------
    dim : int, default=64
        Length of the vectors.
    decays : tuple of float, default=(1.0, 0.9, 0.5)
        For each bag by what factor, in (0, 1], an item counts less than the one after it. With
        ``(1.0,)`` order does not matter.
    max_history : int, default=200
        Only so many last items of a history are looked at.
    n_components : int, default=64
        The most principal components of the item features that are used.
    weight_decay : float, default=0.3
        Of `skbp.optimizers.AdamW`, >= 0.
    learning_rate_init : float, default=0.005
        The largest rate, > 0, of the schedule "one_cycle".
    max_iter : int, default=6
        Passes over the interactions.
    batch_size : int, default=500
        Interactions per update.
    random_state : int, RandomState or None, default=None
        Source of the first weights and of the order of interactions.
    verbose : bool or int, default=False
        Whether to print a line an epoch.

    Attributes
    ----------
    items_ : ndarray of shape (n_items,)
        Ids of the items: of interactions and of `item_features`, sorted.
    item_vectors_ : ndarray of shape (n_items, dim), float32
        In the order of `items_`; so is the next.
    item_bias_ : ndarray of shape (n_items,), float32
    users_ : ndarray of shape (n_users,)
        Ids of the users with a history; new ones of `partial_fit` are at the end.
    loss_curve_ : list of float
        Loss of each epoch: mean over interactions.
    n_features_in_ : int
        2.
    feature_names_in_ : ndarray of shape (2,)
        Names of the columns, where X is a frame.

    See Also
    --------
    RatingRegressor : How users rate items.

    References
    ----------
    P. Covington, J. Adams, E. Sargin (2016), "Deep neural networks for YouTube recommendations",
    section 3: the next item as a class, the user as a bag of items.
    M. Volkovs, G. Yu, T. Poutanen (2017), "DropoutNet: addressing cold start in recommender
    systems", section 3: one model for items with and without behaviour; it drops e at random, where
    here weight decay makes it small.

    Examples
    --------
    >>> from skbp.recommendation import TwoTowerRecommender
    >>> songs = [(user, song) for user in range(40) for song in ("intro", "theme", "finale")]
    >>> model = TwoTowerRecommender(dim=8, max_iter=100, random_state=0).fit(songs)
    >>> model = model.partial_fit([("Ann", "intro"), ("Bob", "intro"), ("Bob", "theme")])
    >>> model.recommend(["Ann", "Bob"], n=1)[0]
    array([['theme'],
           ['finale']], dtype='<U6')
    """

    def __init__(
        self, dim=64, decays=(1.0, 0.9, 0.5), max_history=200, n_components=64, weight_decay=0.3,
        learning_rate_init=0.005, max_iter=6, batch_size=500, random_state=None, verbose=False,
    ):  # fmt: skip
        self.dim = dim
        self.decays = decays
        self.max_history = max_history
        self.n_components = n_components
        self.weight_decay = weight_decay
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def _check(self):
        positive = Range(0, low_open=True)
        check_allowed(self, {
            "dim": Whole(1), "decays": _Decays(), "max_history": Whole(1),
            "n_components": Whole(1), "weight_decay": Range(0), "learning_rate_init": positive,
            "max_iter": Whole(1), "batch_size": Whole(1), "verbose": AnyOf(Flag(), Whole()),
        })  # fmt: skip

    @transaction
    def fit(self, X, y=None, item_features=None):
        """Train on interactions.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n, 2)
            Ids of user and item, earlier interactions first. Numbers, strings or what can be
            hashed.
        y : object
            Not used.
        item_features : DataFrame or (ids, matrix), optional
            A row of numbers for each item: vectors of its text, categories as zeros and ones. The
            frame's index, or `ids`, says of which. Items without a row have the mean; those
            without interactions can be recommended all the same.

        Returns
        -------
        self : TwoTowerRecommender

        Raises
        ------
        ValueError
            If a parameter or the data are not as described, or there are interactions with one item
            only. The estimator then is as it was before the call.
        """
        self._check()
        users, items = read_pairs(self, X, reset=True)
        if len(items.values) < 2:
            raise ValueError("X has interactions with a single item, expected at least two items.")
        given = None if item_features is None else Features(item_features, "item_features")
        if given is not None:
            given.warn_unless_of(items)
        ids_of_users = Ids(union(users))
        ids = Ids(union(items) if given is None else union(items, given.ids))
        features = None if given is None else given.table(ids, self.n_components)
        histories = Histories(ids_of_users.codes(users), ids.codes(items), len(ids_of_users))
        begins, ends = histories.before()
        rows = bags(histories.items, begins, ends, len(ids), self.decays, self.max_history)
        net = self._network(features, np.unique(histories.items), len(histories.items))
        net.fit(rows, histories.items)
        self._publish(net, features, ids, ids_of_users, histories)
        return self

    def _network(self, features, trained, n_rows):
        """Return the network; `trained` are the numbers of items with interactions, sorted."""
        start = frozen = None
        if features is not None:
            start = {
                "items.known.features.weight": features[trained].T,
                "items.known.features.bias": np.zeros(len(trained)),
            }
            frozen = "items.known.features"
        net = _NextItem(
            layers=[Dense(self.dim, "tanh", name="user")], solver=AdamW(self.weight_decay),
            alpha=0.0, learning_rate="one_cycle", learning_rate_init=self.learning_rate_init,
            max_iter=self.max_iter, batch_size=min(self.batch_size, n_rows), dtype="float32",
            tol=0.0, n_iter_no_change=np.inf, init_from=start, freeze=frozen,
            random_state=self.random_state, verbose=self.verbose,
        )  # fmt: skip
        net._n_components = 0 if features is None else features.shape[1]
        return net

    def _publish(self, net, features, ids, ids_of_users, histories):
        weights, trained = net.weights_, net.classes_
        vectors = np.zeros((len(ids), self.dim), np.float32)
        bias = np.zeros(len(ids), np.float32)
        if features is not None:
            vectors += features @ weights["items.known.map.weight"].T
            bias += features @ weights["items.known.map.bias"]
        vectors[trained] += weights["items.ids.weight"].T
        bias[trained] += weights["items.ids.bias"]
        self.items_, self.users_ = ids.array(), ids_of_users.array()
        self.item_vectors_, self.item_bias_ = vectors, bias
        self.loss_curve_ = net.loss_curve_
        self._items, self._users, self._histories = ids, ids_of_users, histories
        self._user_weight, self._user_bias = weights["user.weight"], weights["user.bias"]

    def partial_fit(self, X, y=None):
        """Take in more interactions: histories grow, the towers stay as they are.

        Users may be new. Interactions with items that `fit` did not know are left out, with a
        warning.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n, 2)
            Ids of user and item, earlier interactions first; all later than those before.
        y : object
            Not used.

        Returns
        -------
        self : TwoTowerRecommender

        Raises
        ------
        ValueError
            If X is not as described.
        """
        check_is_fitted(self)
        users, items = read_pairs(self, X)
        known = self.users_.tolist()
        seen = set(known)
        ids = Ids(known + [one for one in union(users) if one not in seen])
        numbers, codes = self._items.codes(items), ids.codes(users)
        there = numbers >= 0
        if not there.all():
            missing = items.values[items.codes[int((~there).argmax())]]
            warn(
                f"{np.count_nonzero(~there)} interactions are with items that fit did not know, "
                f"such as {missing!r}, and are left out; give fit their features, or fit anew."
            )
        earlier_users, earlier_items = self._histories.pairs()
        self._histories = Histories(
            np.concatenate([earlier_users, codes[there]]),
            np.concatenate([earlier_items, numbers[there]]),
            len(ids),
        )
        self._users, self.users_ = ids, ids.array()
        return self

    def _check_parts(self):
        form = {
            "items_": Array(LABELS), "users_": Array(LABELS), "_items": Is(Ids), "_users": Is(Ids),
            "_histories": Is(Histories), "item_vectors_": Array("f", 2), "item_bias_": Array("f"),
            "_user_weight": Array("f", 2), "_user_bias": Array("f"),
        }  # fmt: skip
        if not fits_form(self, form):
            return
        n, dim = len(self._items), self.item_vectors_.shape[1]
        shapes = self.items_.shape, self.item_vectors_.shape, self.item_bias_.shape
        fits = shapes == ((n,), (n, dim), (n,)) and self._user_bias.shape == (dim,)
        fits = fits and self._user_weight.shape == (len(self.decays) * n, dim)
        history, n_users = self._histories, len(self._users)
        fits = fits and len(self.users_) == n_users == len(history.starts) - 1
        require(fits and history.items.max(initial=-1) < n, self, "parts of other ids")

    def user_vectors(self, users):
        """Return the vectors of users, given all their history.

        Parameters
        ----------
        users : array-like of shape (n_users,)
            Ids. One that is not known has an empty history.

        Returns
        -------
        vectors : ndarray of shape (n_users, dim), float32
        """
        check_is_fitted(self)
        return self._vectors(self._users.codes(read_ids(users, "users")))

    def _vectors(self, users):
        begins, ends = self._histories.whole(users)
        rows = bags(
            self._histories.items, begins, ends, len(self.items_), self.decays, self.max_history
        )
        return np.tanh(rows @ self._user_weight + self._user_bias)

    def decision_function(self, X):
        """Return the scores of pairs: the larger, the sooner the user is expected to want the item.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n, 2)
            Ids of user and item.

        Returns
        -------
        scores : ndarray of shape (n,), float32
            -inf for items that are not known. Only scores of one user can be compared.
        """
        check_is_fitted(self)
        users, items = read_pairs(self, X)
        each = Factor(np.arange(len(users.values)), users.values)
        vectors = self._vectors(self._users.codes(each))
        numbers = self._items.codes(items)
        scores = np.vecdot(vectors[users.codes], self.item_vectors_[numbers])
        scores += self.item_bias_[numbers]
        return np.where(numbers >= 0, scores, np.float32(-np.inf))

    def recommend(self, users, n=10, exclude_seen=True, candidates=None):
        """Return the items with the largest scores.

        Parameters
        ----------
        users : array-like of shape (n_users,)
            Ids. One that is not known has an empty history, and gets what users have first.
        n : int, default=10
            How many items; at most as many as there are candidates.
        exclude_seen : bool, default=True
            Whether items of the user's history are left out; where too few others are left, these
            come last, with a score of -inf.
        candidates : array-like of shape (n_candidates,), optional
            Ids of the items to choose from; by default all of `items_`.

        Returns
        -------
        items : ndarray of shape (n_users, n)
            Ids, the best first.
        scores : ndarray of shape (n_users, n), float32

        Raises
        ------
        ValueError
            If `n` is no whole number of at least 1, or a candidate is not known.
        """
        check_is_fitted(self)
        if n not in Whole(1):
            raise ValueError(f"n must be {Whole(1)}. Got {n!r} instead.")
        numbers, places = self._candidates(candidates)
        n = min(n, len(numbers))
        codes = self._users.codes(read_ids(users, "users"))
        best, scores = np.empty((len(codes), n), np.intp), np.empty((len(codes), n), np.float32)
        for rows, some in self._scores(codes, numbers, places if exclude_seen else None):
            order = np.argsort(-some, axis=1, kind="stable")[:, :n]
            best[rows], scores[rows] = numbers[order], np.take_along_axis(some, order, axis=1)
        return self.items_[best], scores

    def rank(self, X, candidates=None):
        """Return the rank of each pair's item among the items that its user has not had.

        Of ranks of items that users had next, ``np.mean(ranks <= 10)`` is the hit rate at 10, and
        ``np.mean((ranks <= 10) / np.log2(ranks + 1))`` the NDCG at 10.

        Parameters
        ----------
        X : {dataframe, array-like} of shape (n, 2)
            Ids of user and item; others of X are not left out.
        candidates : array-like of shape (n_candidates,), optional
            Ids of the items to choose from, those of X among them; by default all of `items_`.

        Returns
        -------
        ranks : ndarray of shape (n,), float64
            From 1, the best. Of items with the same score each has the mean of their ranks.

        Raises
        ------
        ValueError
            If an item of X, or a candidate, is not known.
        """
        check_is_fitted(self)
        users, items = read_pairs(self, X)
        numbers, places = self._candidates(candidates)
        place = places[self._items.codes(items)]
        if (place < 0).any():
            unknown = items.values[items.codes[int((place < 0).argmax())]]
            raise ValueError(f"The item {unknown!r} of X is none of those to choose from.")
        ranks = np.empty(len(place))
        for rows, some in self._scores(self._users.codes(users), numbers, places, place):
            own = np.take_along_axis(some, place[rows, None], axis=1)
            ranks[rows] = (some > own).sum(axis=1) + ((some == own).sum(axis=1) + 1) / 2
        return ranks

    def _candidates(self, candidates):
        """Return the numbers of items to choose from, and each item's place among these or -1."""
        numbers = np.arange(len(self.items_))
        if candidates is not None:
            factor = read_ids(candidates, "candidates")
            numbers = self._items.codes(factor)
            if not len(numbers) or (numbers < 0).any():
                unknown = [factor.values[factor.codes[i]] for i in np.flatnonzero(numbers < 0)[:3]]
                raise ValueError(f"candidates must be some of items_. Not known: {unknown}.")
            numbers = np.unique(numbers)
        places = np.full(len(self.items_) + 1, -1)  # the last one is that of an unknown item
        places[numbers] = np.arange(len(numbers))
        return numbers, places

    def _scores(self, users, numbers, places, wanted=None):
        """Yield slices of users, and scores of candidates; -inf for those they had.

        With `places` None nothing is left out; nor is what is `wanted`, a place for each user.
        """
        vectors, bias = self.item_vectors_[numbers].T, self.item_bias_[numbers]
        size = max(1, MOST_BYTES // (4 * len(numbers)))
        for start in range(0, len(users), size):
            rows = slice(start, start + size)
            scores = self._vectors(users[rows]) @ vectors + bias
            if places is not None:
                begins, ends = self._histories.whole(users[rows])
                counts = ends - begins
                row = np.repeat(np.arange(len(counts)), counts)
                first = np.repeat(begins - np.cumsum(counts) + counts, counts)
                had = places[self._histories.items[first + np.arange(len(row))]]
                there = had >= 0
                if wanted is not None:
                    there &= had != wanted[rows][row]
                scores[row[there], had[there]] = -np.inf
            yield rows, scores
