"""A sample weight is a number of copies: 2 is the row twice, 0 is the row absent.

Exact in full batch in float64. With mini-batches it holds in expectation, which is tested on the
distribution of predictions over many seeds.
"""

import numpy as np
import pytest
from _common import pairs
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from scipy.stats import ks_2samp

from skbp import BackpropClassifier, BackpropRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS = 48
N_SEEDS = 100


def data(kind):
    """Make rows, targets, and weights 0 to 3 that depend on the target, so that they matter."""
    rng = np.random.RandomState(1)
    X = rng.normal(size=(N_ROWS, 2))
    signal = X[:, 0] + 0.5 * X[:, 1] ** 2 + 0.5 * rng.normal(size=N_ROWS)
    rank = signal.argsort().argsort()
    weight = (rank * 4) // N_ROWS
    y = {
        "regression": signal,
        "poisson": np.exp(signal).round(),
        "multi-output": np.column_stack([signal, X[:, 1]]),
        "binary": np.array(["a", "b"])[(signal > 0.3).astype(int)],
        "multiclass": (3 * rng.permutation(N_ROWS)) // N_ROWS,
        "multilabel": np.column_stack([signal > 0.3, X[:, 1] > 0, X[:, 0] > 1]).astype(int),
    }[kind]
    return X, y, weight


def estimator_for(kind, **parameters):
    if kind in ("binary", "multiclass", "multilabel"):
        return BackpropClassifier(**parameters)
    return BackpropRegressor(loss="poisson" if kind == "poisson" else "squared_error", **parameters)


def predictions(estimator, X):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


KINDS = ["regression", "poisson", "multi-output", "binary", "multiclass", "multilabel"]


# ---------------------------------------------------------------- exact


@pairs(kind=KINDS, solver=("adam", "sgd", "lbfgs"), sparse=(False, True))
def test_full_batch_weight_is_a_number_of_copies(kind, solver, sparse):
    X, y, weight = data(kind)
    convert = csr_matrix if sparse else np.asarray
    parameters = {
        "solver": solver, "hidden_layer_sizes": (5,), "activation": "tanh", "alpha": 0.1,
        "learning_rate_init": 0.02, "max_iter": 12, "dtype": np.float64, "random_state": 0,
    }  # fmt: skip
    weighted = estimator_for(kind, **parameters).fit(convert(X), y, sample_weight=weight)
    repeated = estimator_for(kind, **parameters).fit(
        convert(X.repeat(weight, axis=0)), y.repeat(weight, axis=0)
    )

    assert_allclose(predictions(weighted, X), predictions(repeated, X), rtol=1e-7)
    assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-7)
    unweighted = estimator_for(kind, **parameters).fit(convert(X), y)
    assert not np.allclose(predictions(unweighted, X), predictions(repeated, X), rtol=1e-3)


@pytest.mark.parametrize("class_weight", ["balanced", {"a": 2, "b": 5}])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_full_batch_class_weight_counts_the_copies(solver, class_weight):
    X, y, weight = data("binary")
    parameters = {
        "solver": solver, "hidden_layer_sizes": (5,), "class_weight": class_weight,
        "max_iter": 12, "random_state": 0, "learning_rate_init": 0.02,
    }  # fmt: skip
    weighted = BackpropClassifier(**parameters).fit(X, y, sample_weight=weight)
    repeated = BackpropClassifier(**parameters).fit(X.repeat(weight, axis=0), y.repeat(weight))
    assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-7)

    if isinstance(class_weight, dict):
        times = np.array([class_weight[label] for label in y])
        parameters["class_weight"] = None
        by_hand = BackpropClassifier(**parameters).fit(X, y, sample_weight=weight * times)
        assert_allclose(weighted.predict_proba(X), by_hand.predict_proba(X), rtol=1e-7)


WAYS = [
    {},
    {"solver": "sgd", "batch_size": 4},
    {"batch_size": 4, "dropout": 0.3},
    {"batch_size": 4, "early_stopping": True, "validation_fraction": 0.3},
    {"batch_size": 4, "dtype": "float32"},
    {"solver": "lbfgs"},
]


@pairs(kind=KINDS, sparse=(False, True), parameters=WAYS)
def test_weight_zero_is_the_row_absent_to_the_last_bit(kind, sparse, parameters):
    X, y, weight = data(kind)
    convert = csr_matrix if sparse else np.asarray
    parameters = {"hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 0, **parameters}
    used = weight > 0
    with_zeros = estimator_for(kind, **parameters).fit(convert(X), y, sample_weight=weight)
    without = estimator_for(kind, **parameters).fit(
        convert(X[used]), y[used], sample_weight=weight[used]
    )
    assert_array_equal(predictions(with_zeros, X), predictions(without, X))
    if with_zeros.solver != "lbfgs":
        assert with_zeros.loss_curve_ == without.loss_curve_
        assert with_zeros.validation_scores_ == without.validation_scores_
        assert with_zeros.t_ == without.t_


PIECES = {
    "row by row": lambda y: np.arange(len(y)).reshape(-1, 1),
    "class by class": lambda y: [np.flatnonzero(y == 0), np.flatnonzero(y == 1)],
    "five rows": lambda y: np.array_split(np.arange(len(y)), len(y) // 5),
    "all": lambda y: [np.arange(len(y))],
}


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("pieces", PIECES)
def test_class_weights_in_pieces(pieces, solver):
    X, y, _ = data("regression")
    y = (y > np.median(y)).astype(int)
    parts = PIECES[pieces](y)

    def share(class_weight):
        net = BackpropClassifier((6,), solver=solver, alpha=0.0, random_state=0, momentum=0.0,
                                 learning_rate_init=0.01, class_weight=class_weight)  # fmt: skip
        for _ in range(max(3, 10 // len(parts))):
            for rows in parts:
                net.partial_fit(X[rows], y[rows], classes=[0, 1])
        return net.predict_proba(X)[:, 1].mean()

    unweighted = share(None)
    assert share({0: 1.0, 1: 30.0}) > unweighted + 0.05
    assert share({0: 30.0}) < unweighted - 0.05


def test_class_weights_in_pieces_by_hand():
    # Steps of plain descent are proportional to the factor of the class.
    x, y = np.array([[1.0, -2.0]]), [1]

    def step(**params):
        net = BackpropClassifier((), solver="sgd", momentum=0.0, alpha=0.0, learning_rate_init=0.1,
                                 random_state=0, **params)  # fmt: skip
        net.partial_fit(x, [0], classes=[0, 1])
        before = net.coefs_[0].copy()
        return net.partial_fit(x, y).coefs_[0] - before

    np.testing.assert_allclose(step(class_weight={0: 0.0001, 1: 7}), 7 * step(
        class_weight={0: 0.0001}
    ), rtol=1e-9)  # fmt: skip


def test_class_weights_of_classes_that_are_not_there():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 2)), np.array(["a", "b"] * 6)
    net = BackpropClassifier((3,), class_weight={"c": 5.0}, random_state=0)
    net.partial_fit(X, y, classes=["a", "b", "c"])  # none of its rows in this piece
    plain = BackpropClassifier((3,), random_state=0).partial_fit(X, y, classes=["a", "b", "c"])
    np.testing.assert_array_equal(net.predict_proba(X), plain.predict_proba(X))
    never = BackpropClassifier((3,), class_weight=[{1: 5.0}, {0: 2.0}], random_state=0, max_iter=2)
    never.fit(X, np.tile([[0, 1]], (12, 1)))  # a label that is never 1, one that always is
    light = BackpropClassifier((3,), class_weight={"a": 1.0, "c": 2.0}, max_iter=2)
    light.fit(X, np.where(np.arange(12) == 3, "c", y), sample_weight=np.arange(12) != 3)
    assert light.classes_.tolist() == ["a", "b"]
    for wrong in ({"d": 2.0}, {"a": 1.0, 7: 2.0}):
        with pytest.raises(ValueError, match=r"none of the classes.*The classes are"):
            BackpropClassifier((3,), class_weight=wrong).fit(X, y)


def test_class_weights_are_relative_to_all_rows_not_to_a_batch():
    # Two batches, each of one class, and of a feature that the other has not.
    X, y = np.repeat(np.eye(2), 10, axis=0), np.repeat(["a", "b"], 10)

    def weights(class_weight, rate=1e-3):
        net = BackpropClassifier(
            (), solver="sgd", momentum=0.0, alpha=0.0, learning_rate_init=rate, max_iter=1,
            batch_size=10, shuffle=False, dtype="float64", class_weight=class_weight,
            random_state=0,
        )  # fmt: skip
        return net.fit(X, y).coefs_[0].copy()

    first = weights(None, rate=1e-300)
    moved = weights({"a": 1, "b": 3}) - first
    assert_allclose(moved / (weights(None) - first), [[0.5], [1.5]], rtol=1e-2)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_class_of_weight_zero_only_is_no_class(solver):
    X, y, _ = data("multiclass")
    weight = (y != 1).astype(float)
    parameters = {"solver": solver, "hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 0}
    weighted = BackpropClassifier(**parameters).fit(X, y, sample_weight=weight)
    removed = BackpropClassifier(**parameters).fit(X[y != 1], y[y != 1])
    assert_array_equal(weighted.classes_, [0, 2])
    assert weighted.n_outputs_ == 1
    assert_allclose(weighted.predict_proba(X), removed.predict_proba(X), rtol=1e-7)


def test_partial_fit_leaves_rows_of_weight_zero_out():
    X, y, weight = data("multiclass")
    used = weight > 0
    with_zeros, without = (BackpropClassifier((5,), random_state=0, batch_size=4) for _ in "ab")
    for _ in range(3):
        with_zeros.partial_fit(X, y, sample_weight=weight, classes=[0, 1, 2])
        without.partial_fit(X[used], y[used], sample_weight=weight[used], classes=[0, 1, 2])
    assert_array_equal(with_zeros.predict_proba(X), without.predict_proba(X))
    assert with_zeros.t_ == 3 * used.sum()


# ---------------------------------------------------------------- in expectation

POINTS = np.array([[-1.0, 0.5], [0.0, 0.0], [1.0, -1.0], [0.5, 1.5]])


def over_seeds(kind, X, y, seeds, weight=None, **parameters):
    """Predict at a few points with one net per seed; shape (n_seeds, n_points)."""
    parameters = {
        "hidden_layer_sizes": (3,), "activation": "tanh", "learning_rate_init": 0.02,
        "max_iter": 15, "alpha": 0.1, **parameters,
    }  # fmt: skip
    return np.array(
        [
            predictions(
                estimator_for(kind, random_state=seed, **parameters).fit(X, y, weight), POINTS
            ).reshape(len(POINTS), -1)[:, -1]
            for seed in seeds
        ]
    )


def p_values(one, other):
    return np.array([ks_2samp(a, b).pvalue for a, b in zip(one.T, other.T, strict=True)])


@pytest.mark.parametrize(
    "kind, parameters",
    [
        ("regression", {}),
        pytest.param("regression", {"dropout": 0.2}, marks=pytest.mark.slow),
        pytest.param("binary", {}, marks=pytest.mark.slow),
        ("binary", {"solver": "sgd", "learning_rate_init": 0.1}),
    ],
    ids=str,
)
def test_mini_batch_weights_equal_copies_in_expectation(kind, parameters):
    X, y, weight = data(kind)
    copies_X, copies_y = X.repeat(weight, axis=0), y.repeat(weight)
    # 36 rows with weights 1, 2, 3 are 72 copies: batches of 12 and of 24 make the same number of
    # updates, and hold the same weight on average.
    assert (weight > 0).sum() == 36
    assert len(copies_X) == 72
    seeds = range(N_SEEDS)  # the same first weights on both sides: fewer differences by chance
    repeated = over_seeds(kind, copies_X, copies_y, seeds, batch_size=24, **parameters)

    def distance(weight):
        weighted = over_seeds(kind, X, y, seeds, weight, batch_size=12, **parameters)
        return p_values(weighted, repeated).min()

    assert distance(weight) > 0.01
    # The test has power: it tells other weights from the right ones.
    assert distance((weight > 0).astype(float)) < 1e-6
    assert distance(np.sqrt(weight)) < 1e-3
