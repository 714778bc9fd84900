"""Several networks trained side by side: the rows of each, and what it predicts of the others."""

import numpy as np

from skbp._compat import InvalidParameterError
from skbp._component import Component, Flag, OneOf, Whole
from skbp._engine.batches import take_rows
from skbp._engine.objective import PREDICT_BYTES
from skbp._engine.workspace import Workspace
from skbp.layers import (
    CategoryEmbedding,
    Dense,
    Dropout,
    Layer,
    LearnedActivation,
    MemberDense,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    Scale,
)

#: Layers that do the same for members as for a network of its own.
FOR_MEMBERS = (
    CategoryEmbedding, Dropout, LearnedActivation, PeriodicEmbedding, PiecewiseLinearEmbedding,
    Scale,
)  # fmt: skip


class Ensemble(Component):
    """How many networks are trained side by side, and which rows each of them sees.

    For `n_members` of the estimators. Members have weights of their own, and are trained in the
    same batches; the products of all of them are one call. The estimator predicts the mean of their
    predictions. What looks at all parameters at once, such as `clip_norm` of an optimizer, looks at
    those of all members together.

    Parameters
    ----------
    n_members : int, default=8
        At least 1.
    rows : {"all", "bootstrap", "folds"}, default="all"
        What a member is trained on: all rows; as many, drawn with replacement; or all but those of
        a fold of its own. With "folds" each row is predicted by the member that has not seen it:
        `oof_decision_function_` of a classifier or regressor, shape (n_samples, n_outputs), raw
        outputs, NaN for rows that all members see. With early stopping no rows are set aside then.
    n_folds : int or None, default=None
        With "folds" into how many the rows are divided, at least `n_members`, which is the default.
        The rows of folds beyond that are seen by all members.
    shared_batches : bool, default=True
        Whether members see the same rows in a step; those that are not among a member's own count
        nothing for it. False: each goes through its rows in an order of its own. With "folds" that
        saves the work on rows that count nothing; where members share weights, as in
        `BatchEnsemble`, their steps become steadier. For layers that begin with such as
        `MemberDense`, `BatchEnsemble`, `MemberColumns` or `MemberScale`. Where members have
        different numbers of rows, some see a few twice in an epoch; one that has drawn none of the
        rows to train on sees all.

    References
    ----------
    B. Lakshminarayanan, A. Pritzel, C. Blundell (2017), "Simple and scalable predictive uncertainty
    estimation using deep ensembles", section 2.4.
    L. Breiman (1996), "Bagging predictors".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbp import BackpropClassifier, Ensemble
    >>> X, y = load_iris(return_X_y=True)
    >>> net = BackpropClassifier((16,), n_members=Ensemble(4, rows="bootstrap"), random_state=0,
    ...                          max_iter=60, learning_rate="one_cycle", learning_rate_init=0.05)
    >>> net.fit(X, y).score(X, y)
    0.9...
    """

    allowed = {
        "n_members": Whole(1),
        "rows": OneOf(("all", "bootstrap", "folds")),
        "shared_batches": Flag(),
    }

    def __init__(self, n_members=8, rows="all", n_folds=None, shared_batches=True):
        self.n_members = n_members
        self.rows = rows
        self.n_folds = n_folds
        self.shared_batches = shared_batches

    def check(self):
        """Check the hyperparameters; see `Component.check`."""
        super().check()
        least = max(2, self.n_members)
        if self.n_folds is not None and self.n_folds not in Whole(least):
            raise ValueError(
                f"The 'n_folds' parameter of Ensemble must be None or a whole number >= {least}: a "
                f"fold for each of n_members={self.n_members}. Got {self.n_folds!r} instead."
            )

    def folds(self, n_rows, stratify, rng):
        """Return the fold of each row, shape (n_rows,), int, or None without folds.

        Parameters
        ----------
        n_rows : int
        stratify : ndarray of shape (n_rows,) or None
            Classes, of which each fold gets its share.
        rng : numpy.random.RandomState
        """
        if self.rows != "folds":
            return None
        n_folds = self.n_folds or max(2, self.n_members)
        if n_rows < 2 * n_folds:
            raise ValueError(f"{n_rows} rows are too few for {n_folds} folds of two or more.")
        order = rng.permutation(n_rows)
        if stratify is not None:  # rows of a class lie together, and are dealt out in turns
            order = order[np.argsort(stratify.reshape(-1)[order], kind="stable")]
        folds = np.empty(n_rows, np.intp)
        folds[order] = np.arange(n_rows) % n_folds
        return folds

    def shares(self, n_rows, folds, rng, dtype):
        """Return how much each row counts for each member, (n_rows, n_members), or None: equally.

        Parameters
        ----------
        n_rows : int
        folds : ndarray or None
            As `folds` returns it.
        rng : numpy.random.RandomState
        dtype : numpy dtype
            Of the result.
        """
        if self.rows == "all":
            return None
        if folds is not None:
            return (folds[:, None] != np.arange(self.n_members)).astype(dtype)
        drawn = [rng.randint(n_rows, size=n_rows) for _ in range(self.n_members)]
        counts = [np.bincount(rows, minlength=n_rows) for rows in drawn]
        return np.column_stack(counts).astype(dtype)


def ensemble_of(estimator):
    """Return the checked `Ensemble` that an estimator's `n_members` stands for; None for one."""
    given = estimator.n_members
    if not isinstance(given, Ensemble):
        return None if given == 1 else Ensemble(given)
    given.check()
    return given


def members_of(layers, n_members):
    """Return hidden layers for members in place of those for one network.

    Raises
    ------
    InvalidParameterError
        If one of them is not for members.
    """
    return [_for_members(layer, n_members) for layer in layers]


def _for_members(layer: Layer, n_members):
    if isinstance(layer, FOR_MEMBERS) or getattr(layer, "n_members", None) == n_members:
        return layer
    if isinstance(layer, Dense) and layer.max_norm is None:
        return MemberDense(
            layer.units, n_members, layer.activation, layer.initializer, layer.ntk, layer.name
        )
    raise InvalidParameterError(
        f"n_members={n_members} trains members side by side, for which {layer!r} is not made: use "
        "Dense (without max_norm), Dropout and the layers for tables, without normalization."
    )


def sees_folds(estimator):
    """Whether each member of an estimator leaves out a fold of its own."""
    ensemble = ensemble_of(estimator)
    return ensemble is not None and ensemble.rows == "folds"


def n_orders(estimator):
    """Return how many members go through the rows in an order of their own, or None."""
    ensemble = ensemble_of(estimator)
    return None if ensemble is None or ensemble.shared_batches else ensemble.n_members


def for_own_rows(network):
    """Return a network of members, bound to rows of their own, shape (members, features).

    Its parameters and state are those of the other.

    Raises
    ------
    InvalidParameterError
        If a layer has other parameters then: rows that all share go into it first.
    """
    n_members = network.output_shape[0]
    try:
        return network.bound_to((n_members, *network.input_shape))
    except ValueError as error:
        raise InvalidParameterError(
            "members that see rows of their own (folds, or shared_batches=False) need layers that "
            "have the same parameters for these as for rows that all share: begin with Dense, "
            "MemberColumns, MemberScale or BatchEnsemble."
        ) from error


class OutOfFold:
    """What members predict of the rows that they have not seen.

    Parameters
    ----------
    network : Network
        The network in training, which begins with members; its parameters are shared.
    folds : ndarray of shape (n,), int
        Row by row the number of the member that has not seen it, or more than there are members.
    """

    def __init__(self, network, folds):
        n_members, self._network = network.output_shape[0], network
        self._twin = for_own_rows(network)
        # One column a member; where its fold has fewer rows, its first one again.
        rows = [np.flatnonzero(folds == member) for member in range(n_members)]
        most = max(map(len, rows))
        self._rows = np.column_stack([np.resize(own, most) for own in rows])
        self.rows = np.flatnonzero(folds < n_members)
        self._chunk = max(32, PREDICT_BYTES // (4 * self._twin.bytes_per_row()))
        self._workspace = Workspace(self._twin, min(self._chunk, most), training=False)

    def __call__(self, x):
        """Return raw outputs, shape (n_rows, k), of the rows that some member has not seen.

        Parameters
        ----------
        x : ndarray of shape (n, n_features), dtype of the network, or Deferred
            All rows.
        """
        members = np.arange(self._rows.shape[1])
        out = np.empty((x.shape[0], self._network.output_shape[-1]), self._network.params.dtype)
        for start in range(0, len(self._rows), self._chunk):
            rows = self._rows[start : start + self._chunk]
            own = take_rows(x, rows.reshape(-1)).reshape(*rows.shape, *x.shape[1:])
            raw = self._twin.forward(own, self._workspace)
            out[rows] = raw[:, members]
        return out[self.rows]
