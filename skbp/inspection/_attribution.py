"""What outputs rest on: gradients with respect to the inputs, and what is made of them."""

import numpy as np
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

from skbp._component import Whole
from skbp._engine.objective import input_gradient, predict_raw
from skbp._numbers import finite_array, plain_labels
from skbp._quiet import quiet
from skbp._warnings import warn
from skbp.inspection._common import fitted_network, on_same_rows
from skbp.layers.compose import codes_of_chain

#: Share of the outputs' change that integrated gradients may miss without a warning.
TOLERANCE = 0.05


@quiet
def input_gradients(estimator, X, target=None):
    """Compute the gradient of an output with respect to each input, row by row.

    ``dF(x) / dx_i``, F the raw output (what `decision_function` returns; for a regression the
    network's output before the link), in inference: without dropout, and with running averages.

    Parameters
    ----------
    estimator : BackpropClassifier or BackpropRegressor
        Fitted; or a search or TransformedTargetRegressor that holds one: outputs are then of the
        transformed target. Not a pipeline: see Raises.
    X : array-like of shape (n_samples, n_features), or (n_samples, ...) as in `fit`
        Dense rows.
    target : label, int, or array-like of those of shape (n_samples,), default=None
        Whose output: a label of `classes_`, or the number of a regression's output; an array has
        one for each row. None is the predicted class, for multilabel the label of the highest
        score, for a regression output 0. Two classes share one score: it is that of the second
        class, also for None, and its negative is that of the first.

    Returns
    -------
    gradient : ndarray of the shape of X, float32 or float64 as X
        Zero for steps of a sequence that are absent.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is none of skbp, or a pipeline: transform X by its first steps, and give the last one.
    ValueError
        If the network has an embedding, along whose codes there is no gradient (`gradient_x_input`
        has attributions of codes); if X is sparse, or `target` is no class or output.

    See Also
    --------
    integrated_gradients : Attributions that sum up to the output's change.

    References
    ----------
    K. Simonyan, A. Vedaldi, A. Zisserman (2013), "Deep inside convolutional networks: visualising
    image classification models and saliency maps", section 3; here with the sign, and channels
    apart.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.inspection import input_gradients
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> net = BackpropRegressor((), solver="lbfgs", alpha=0).fit(X, X @ [3.0, -1.0])
    >>> input_gradients(net, X[:1]).round(3)
    array([[ 3., -1.]])
    """
    rows = Rows(estimator, X, target)
    if rows.codes.any():
        raise ValueError(
            "the network has an embedding: codes are looked up, and outputs have no gradient along "
            "them. gradient_x_input and integrated_gradients say what each code accounts for."
        )
    return rows.shaped(rows.gradient(rows.network, rows.x))


@quiet
def gradient_x_input(estimator, X, target=None):
    """Compute gradient times input: ``x_i * dF(x) / dx_i``.

    The part of each input in the output, if the network were as linear everywhere as it is at x.
    For a code it is that of the row e that an embedding has for it, ``sum over d of e_d dF/de_d``.

    Parameters
    ----------
    estimator, X, target
        As in `input_gradients`.

    Returns
    -------
    attribution : ndarray of the shape of X, float32 or float64 as X

    Raises
    ------
    NotFittedError, TypeError, ValueError
        As `input_gradients`, which takes no codes.

    See Also
    --------
    integrated_gradients : The same with the mean gradient on the way from a baseline.

    References
    ----------
    A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje (2016), "Not just a black box: learning
    important features through propagating activation differences", where it is compared with.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.inspection import gradient_x_input
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> net = BackpropRegressor((), solver="lbfgs", alpha=0).fit(X, X @ [3.0, -1.0])
    >>> gradient_x_input(net, [[2.0, 2.0]]).round(3)
    array([[ 6., -2.]])
    """
    rows = Rows(estimator, X, target)
    gradient = rows.gradient(rows.network, rows.x).reshape(rows.x.shape)
    return rows.shaped(gradient * np.where(rows.codes, 1, np.nan_to_num(rows.x)))


@quiet
def integrated_gradients(estimator, X, target=None, baseline=None, n_steps=50):
    """Compute integrated gradients: how much of an output's change each input accounts for.

    ``(x_i - b_i) * integral over a in [0, 1] of dF(b + a (x - b)) / dx_i``, with a baseline b that
    stands for no input. A row's attributions sum up to ``F(x) - F(b)``. The integral is by the
    Gauss-Legendre rule, in `n_steps` gradients a row. Codes stand for the rows that an embedding
    has for them: these go all the way from zeros, whatever the baseline, and the attribution of a
    code is the sum of its row's.

    Parameters
    ----------
    estimator, X, target
        As in `input_gradients`; without `target` it is the class predicted at x.
    baseline : array-like of the shape of a row, "mean" or None, default=None
        The baseline b; "mean" is the mean of X, None is zeros. Steps of a sequence that are absent
        in x are so on the whole way, and their attribution is zero.
    n_steps : int, default=50
        Points of the rule, at least 1.

    Returns
    -------
    attribution : ndarray of the shape of X, float32 or float64 as X

    Warns
    -----
    UserWarning
        If sums of attributions miss ``F(x) - F(b)`` by more than 5 %: absolute values, summed over
        the rows.

    Raises
    ------
    NotFittedError, TypeError, ValueError
        As `input_gradients`; ValueError also if `baseline` or `n_steps` is not as described.

    See Also
    --------
    AttributionDisplay : The picture.

    References
    ----------
    M. Sundararajan, A. Taly, Q. Yan (2017), "Axiomatic attribution for deep networks", section 3,
    and section 5 for the 5 %; there with a Riemann sum.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbp import BackpropClassifier
    >>> from skbp.inspection import integrated_gradients
    >>> X, y = load_iris(return_X_y=True)
    >>> net = BackpropClassifier((8,), solver="lbfgs", alpha=1, max_iter=1000, random_state=0)
    >>> parts = integrated_gradients(net.fit(X, y), X, target=2, baseline="mean")
    >>> change = net.decision_function(X) - net.decision_function([X.mean(axis=0)])
    >>> (parts.sum(axis=1) / change[:, 2])[:4].round(1)
    array([1., 1., 1., 1.])
    """
    if n_steps not in Whole(1):
        raise ValueError(f"n_steps must be a whole number of at least 1. Got {n_steps!r} instead.")
    rows = Rows(estimator, X, target)
    x, dy, codes = rows.x, rows.dy, rows.codes
    start = np.where(np.isnan(x) | codes, x, _baseline(baseline, x))
    way = x - start
    mean_gradient = np.zeros(x.shape)
    for node, weight in zip(*np.polynomial.legendre.leggauss(int(n_steps)), strict=True):
        a = 0.5 * (node + 1)  # the rule is for [-1, 1], where weights sum to 2
        gradient = rows.gradient(rows.network_at(a), start + a * way).reshape(x.shape)
        mean_gradient += 0.5 * weight * np.where(codes, gradient / a, gradient)
    attribution = mean_gradient * np.where(codes, 1, np.nan_to_num(way))
    change = (dy * (rows.raw - rows.outputs(rows.network_at(0), start))).sum(axis=1)
    _check_completeness(attribution.sum(axis=1), change, n_steps)
    return rows.shaped(attribution)


class Rows:
    """Rows, and which output of a fitted network each is looked at for.

    Attributes
    ----------
    network : Network
    x : ndarray of shape (n, n_features), float32 or float64 as X
        The rows, flat.
    raw : ndarray of shape (n, n_outputs)
        Raw outputs.
    classes : ndarray of shape (n_classes,) or None
        None for a regression.
    feature_names : ndarray of str or None
        As the estimator has seen them.
    columns : ndarray of shape (n,), int
        Number of each row's class, or of its output in a regression.
    codes : ndarray of shape (n_features,), bool
        Which features are codes that an embedding looks up.
    dy : ndarray of shape (n, n_outputs)
        ``(dy * raw).sum(axis=1)`` is the output in question.
    """

    def __init__(self, estimator, X, target):
        estimator = _bare_network(estimator)
        if issparse(X):
            raise ValueError("X is sparse, and attributions are not: give X.toarray().")
        self.network = estimator._network
        raw = estimator._predict_raw(X)  # checks X
        x = np.asarray(X, dtype=raw.dtype)
        self._shape = x.shape
        self.x = x.reshape(len(x), -1)
        self._of_members = self.network.of_members
        self.raw = self.outputs(self.network, self.x).astype(x.dtype) if self._of_members else raw
        self.codes = codes_of_chain(self.network.layers, self.network.input_shape).reshape(-1)
        self.classes = getattr(estimator, "classes_", None)
        self.feature_names = getattr(estimator, "feature_names_in_", None)
        self.columns = chosen_columns(self.classes, self.raw, target)
        self.dy = np.zeros_like(self.raw)
        if self.classes is None or estimator._targets.kind != "binary":
            self.dy[np.arange(len(x)), self.columns] = 1
        elif len(self.classes) == 2:  # with one class alone the score is always 0
            self.dy[:, 0] = 2 * self.columns - 1

    def outputs(self, network, x):
        """Return raw outputs, shape (n, n_outputs): of several members their mean."""
        raw = predict_raw(network, x)
        return raw.mean(axis=1) if self._of_members else raw

    def gradient(self, network, x):
        """Return the gradient of the outputs in question with respect to x."""
        dy = self.dy
        if self._of_members:
            dy = np.repeat(dy[:, None] / network.output_shape[0], network.output_shape[0], axis=1)
        return input_gradient(network, x, dy)

    def network_at(self, a):
        """Return the network with rows of embeddings that have gone a share `a` of their way."""
        return self.network.with_tables_times(a) if self.codes.any() else self.network

    def shaped(self, values):
        """Return values in shape and dtype of X."""
        return values.reshape(self._shape).astype(self.raw.dtype, copy=False)


def _bare_network(estimator):
    """Return the fitted network; raise an error if its input is not what the caller gives."""
    inner = on_same_rows(estimator)
    if hasattr(inner, "encoder_"):
        raise TypeError(
            f"{type(inner).__name__} makes numbers of a table first: use table_attributions. Or "
            "give model.network_ and model.encoder_.transform(X)."
        )
    if isinstance(inner, Pipeline):
        raise TypeError(
            "attributions are about the network's own input, and a pipeline changes X first. "
            "Give model[-1] and model[:-1].transform(X), where model is the pipeline: of a search "
            "its best_estimator_, of a TransformedTargetRegressor its regressor_."
        )
    return fitted_network(inner)


def chosen_columns(classes, raw, target):
    """Return the number of each row's class or output."""
    n, n_outputs = raw.shape
    if target is None:
        if classes is None:
            return np.zeros(n, int)
        return raw.argmax(axis=1) if n_outputs > 1 else np.full(n, len(classes) - 1)
    known = np.arange(n_outputs) if classes is None else classes
    wanted = np.asarray(target if np.isscalar(target) else plain_labels(target, "target"))
    if wanted.shape not in ((), (n,)):
        raise ValueError(
            f"target must be one label or output, or one for each of the {n} rows. Got an array of "
            f"shape {wanted.shape}."
        )
    is_it = wanted.reshape(-1, 1) == known
    if not is_it.any(axis=1).all():
        what = "numbers of the outputs" if classes is None else "classes"
        raise ValueError(f"target={target!r} is not among the {what}: {known}.")
    return np.broadcast_to(is_it.argmax(axis=1), n)


def _baseline(baseline, x):
    """Return the baseline as a flat row."""
    n_features = x.shape[1]
    if baseline is None:
        return np.zeros(n_features, x.dtype)
    if isinstance(baseline, str) and baseline == "mean":
        present = ~np.isnan(x)
        return (np.nan_to_num(x).sum(axis=0) / present.sum(axis=0).clip(1)).astype(x.dtype)
    expected = f"baseline must be None, 'mean', or a row of {n_features} finite numbers."
    try:
        row = finite_array(baseline, "baseline").reshape(-1)
    except ValueError as error:
        raise ValueError(f"{expected} {error}") from None
    with np.errstate(over="ignore"):
        row = row.astype(x.dtype)
    if len(row) != n_features or not np.isfinite(row).all():
        raise ValueError(f"{expected} Got {baseline!r} instead.")
    return row


def _check_completeness(sums, change, n_steps):
    missed, total = abs(sums - change).sum(), abs(change).sum()
    if missed > TOLERANCE * total:
        warn(
            f"Integrated gradients miss the change of the outputs by {missed:.2g} of {total:.2g}, "
            f"more than {TOLERANCE:.0%}. Raise n_steps={n_steps}, for example to {4 * n_steps}."
        )


#: What `AttributionDisplay.from_estimator` calls them.
METHODS = {
    "input_gradients": input_gradients,
    "gradient_x_input": gradient_x_input,
    "integrated_gradients": integrated_gradients,
}
