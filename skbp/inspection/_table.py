"""What outputs of an estimator for tables rest on: a part for each column of the raw table."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import issparse
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skbp._component import Whole
from skbp._engine.objective import input_gradient, predict_raw
from skbp._quiet import quiet
from skbp._warnings import warn
from skbp.inspection._attribution import TOLERANCE, chosen_columns
from skbp.inspection._common import on_same_rows
from skbp.layers.compose import codes_of_chain
from skbp.losses import Loss
from skbp.preprocessing._frames import is_frame, is_pandas, narwhals_frame

#: About so many points of the ways are looked at together.
POINTS = 2048


@dataclass(frozen=True)
class TableAttributions:
    """Parts of outputs, row by row and column by column, with the fields of a ``shap.Explanation``.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_columns), float64
        The part that each column of the raw table has in a row's output.
    base_values : ndarray of shape (n_samples,), float64
        Mean output over the background; with a row's values it sums up to the row's output.
    data : ndarray of shape (n_samples, n_columns)
        The raw table.
    feature_names : list of str
        Names of its columns.
    """

    values: np.ndarray
    base_values: np.ndarray
    data: np.ndarray
    feature_names: list


@quiet
def table_attributions(
    model, X, background, target=None, n_steps=50, n_background=100, random_state=0
):
    """Compute expected gradients: which part each column of a raw table has in an output.

    Let F be the output and x, b a row and a background row as the encoder gives them. Feature i has
    the part ``(x_i - b_i) * integral over a in [0, 1] of dF(b + a (x - b)) / dx_i``, averaged over
    the background; a column has the sum of its features' parts. The integrals are by the
    Gauss-Legendre rule. Codes, along which there is no gradient, jump from b's to x's at random
    points of the way; a code's part is by how much F jumps there. Such a way is gone twice, with
    the jumps in the reverse order.

    A row's values and its base value sum up to its output: what the rule misses is spread over the
    columns in proportion to the absolute values of their parts. A column that the encoder left out
    has the part 0.

    Parts are Shapley values, the mean effects of a column over all orders in which columns change
    from b's to x's, where F adds up functions of single columns or products of two of the
    encoder's numbers; of codes alone they are estimates of these, exact for two. Elsewhere columns
    that act together share their effect differently.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
        Fitted; or a search or TransformedTargetRegressor that holds one: outputs are then of the
        transformed target.
    X : {dataframe, array-like, sparse matrix} of shape (n_samples, n_columns)
        The rows to explain, as for `predict`.
    background : {dataframe, array-like, sparse matrix} of shape (n_rows, n_columns)
        What rows are compared with: training rows, or those of a group.
    target : label, int, or array-like of those of shape (n_samples,), default=None
        Whose output: as for `integrated_gradients`. Outputs are those of `decision_function`, for
        several classes log probabilities but for a constant; of a regression predictions in units
        of y, before they are brought into the range of the targets.
    n_steps : int, default=50
        Points of the rule, at least 1, for each row of the background. Networks with fast waves
        need many; where parts miss the output's change by more than 5 %, a warning says so.
    n_background : int, default=100
        At least 1. Of a larger background so many rows are used, evenly spread.
    random_state : int, RandomState or None, default=0
        Where codes jump.

    Returns
    -------
    explanation : shap.Explanation or TableAttributions
        The former if shap is installed. Both have `values` of shape (n_samples, n_columns),
        `base_values` of shape (n_samples,), `data`, the raw table, and `feature_names`.

    Warns
    -----
    UserWarning
        If more than 5 % had to be spread: absolute values, summed over the rows.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is none for tables, predicts several quantiles, or the members of its network are
        combined in a way whose gradient is not known here.
    ValueError
        If a table or another parameter is not as described.

    See Also
    --------
    integrated_gradients : For a network on rows of numbers, from one baseline.
    sklearn.inspection.permutation_importance : What a column is worth to the score.

    References
    ----------
    G. Erion, J. D. Janizek, P. Sturmfels, S. M. Lundberg, S.-I. Lee (2021), "Improving performance
    of deep learning models with axiomatic attribution priors and expected gradients", equation 1;
    there with one random point of the way for each row of the background.
    G. Owen (1972), "Multilinear extensions of games", for the jumps.
    S. M. Lundberg, S.-I. Lee (2017), "A unified approach to interpreting model predictions", for
    Shapley values of outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp.inspection import table_attributions
    >>> from skbp.tabular import TabularRegressor
    >>> X = np.random.default_rng(0).random((300, 3))
    >>> y = 10 * X[:, 0] - 2 * X[:, 1]
    >>> model = TabularRegressor("fast", random_state=0).fit(X, y)
    >>> parts = table_attributions(model, X[:5], background=X)
    >>> bool(np.allclose(parts.base_values + parts.values.sum(axis=1), model.predict(X[:5])))
    True
    >>> np.abs(parts.values).mean(axis=0).argsort()
    array([2, 1, 0])
    """
    for name, value in (("n_steps", n_steps), ("n_background", n_background)):
        if value not in Whole(1):
            raise ValueError(f"{name} must be a whole number of at least 1. Got {value!r} instead.")
    model = _fitted_model(model)
    x, rows = model.encoder_.transform(X), model.encoder_.transform(background)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), n_background)).astype(np.intp)]
    output = _Output(model, x, target)
    parts = _mean_parts(output, x, rows, n_steps, check_random_state(random_state))
    values = np.zeros((len(x), model.n_features_in_))
    np.add.at(values.T, model.encoder_.source_columns_, parts.T)
    base = output.mean_of(rows)
    _spread(values, output.of(x, np.arange(len(x))) - base, n_steps)
    names = getattr(model, "feature_names_in_", [f"x{j}" for j in range(values.shape[1])])
    return _explanation(
        values=values, base_values=base, data=_raw_values(X), feature_names=[*names]
    )


class _Output:
    """The output of a model that is looked at, which may be another one for each row.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    x : ndarray of shape (n, n_features)
        The rows to explain, encoded.
    target : object
        As in `table_attributions`.
    """

    def __init__(self, model, x, target):
        self._inside = model.network_
        self.network = self._inside._network
        self._check_mix()
        raw = self._raw(x)
        classes = getattr(model, "classes_", None)
        columns = chosen_columns(classes, raw, target)
        factor, shift = np.ones(len(x)), np.zeros(len(x))
        if classes is None:
            factor, shift = model.target_scale_[columns], model.target_mean_[columns]
        elif self._inside._targets.kind == "binary":  # with one class alone the score is always 0
            factor = 2.0 * columns - 1 if len(classes) == 2 else 0 * factor
            columns = np.zeros(len(x), int)
        self._columns, self._factor, self._shift = columns, factor, shift

    def of(self, x, rows):
        """Return outputs for points, shape (n,), float64; each as for one of the rows to explain.

        Parameters
        ----------
        x : ndarray of shape (n, n_features)
        rows : ndarray of shape (n,), int
        """
        raw = self._raw(x)[np.arange(len(x)), self._columns[rows]]
        return self._factor[rows] * raw + self._shift[rows]

    def mean_of(self, x):
        """Return the mean output over points, for each of the rows to explain."""
        return self._factor * self._raw(x).mean(axis=0)[self._columns] + self._shift

    def gradient(self, x, rows):
        """Return the gradient of `of` at each point, shape (n, n_features), float64."""
        raw = predict_raw(self.network, x).astype(np.float64)
        dy = self._slopes(raw, self._columns[rows])
        gradient = input_gradient(self.network, x, dy).reshape(x.shape)
        return gradient * self._factor[rows][:, None]

    def _raw(self, x):
        return self._inside._combined(predict_raw(self.network, x)).astype(np.float64)

    def _check_mix(self):
        loss = self._inside._loss
        if len(loss.levels) > 1:
            raise TypeError(
                f"table_attributions explains one number a row, but this model was fitted with "
                f"{loss!r}. Fit a model to the level that you want to explain."
            )
        self._is_mean = type(loss).mix is Loss.mix or len(loss.levels) == 1
        known = self._is_mean or loss.output_activation in ("softmax", "logistic")
        if self.network.of_members and not known:
            raise TypeError(f"table_attributions knows no gradient of a mixture by {loss!r}.")

    def _slopes(self, raw, columns):
        """Return the gradient of one column of what members give together, with respect to `raw`.

        With p the probabilities of the members, sums over members: of ``log(sum p)`` it is that of
        the softmax, weighted by ``p / sum p``; of ``log(sum p) - log(sum (1 - p))`` it is
        ``(1 - p) p / sum p + p (1 - p) / sum (1 - p)``.
        """
        n, dy = np.arange(len(raw)), np.zeros_like(raw)
        if not self.network.of_members:
            dy[n, columns] = 1
        elif self._is_mean:
            dy[n, :, columns] = 1 / raw.shape[1]
        elif self._inside._loss.output_activation == "softmax":
            logs = log_softmax(raw, axis=2)
            share = softmax(logs[n, :, columns], axis=1)
            dy -= share[:, :, None] * np.exp(logs)
            dy[n, :, columns] += share
        else:
            own = raw[n, :, columns]
            dy[n, :, columns] = sum(expit(-z) * softmax(log_expit(z), axis=1) for z in (own, -own))
        return dy


def _mean_parts(output, x, background, n_steps, rng):
    """Return the parts of all features, shape of x, float64: means over the background."""
    codes = codes_of_chain(output.network.layers, output.network.input_shape).reshape(-1)
    n_background, parts = len(background), np.empty(x.shape)
    at_once = max(1, POINTS // n_background)
    for first in range(0, len(x), at_once):
        part = x[first : first + at_once]
        start, end = np.tile(background, (len(part), 1)), np.repeat(part, n_background, axis=0)
        rows = first + np.repeat(np.arange(len(part)), n_background)
        jumps = rng.uniform(size=(len(rows), codes.sum()))
        found = sum(
            _parts_along(output, start, end, rows, codes, where, n_steps)
            for where in ((jumps, 1 - jumps) if codes.any() else (jumps, ))
        )  # fmt: skip
        found = found.reshape(len(part), n_background, -1).mean(axis=1)
        parts[first : first + at_once] = found / 2 if codes.any() else found
    return parts


def _parts_along(output, start, end, rows, codes, jumps, n_steps):
    """Return the parts of features along ways.

    Parameters
    ----------
    output : _Output
    start, end : ndarray of shape (n, n_features)
        Where each way begins and ends.
    rows : ndarray of shape (n,), int
        To which of the rows to explain each way belongs.
    codes : ndarray of shape (n_features,), bool
        Which features jump.
    jumps : ndarray of shape (n, n_codes)
        Where: shares of the way.
    n_steps : int
    """
    way, parts = end - start, np.zeros(start.shape)

    def points(shares):
        x = (start + shares * way).astype(start.dtype)
        x[:, codes] = np.where(jumps <= shares, end[:, codes], start[:, codes])
        return x

    for node, weight in zip(*np.polynomial.legendre.leggauss(int(n_steps)), strict=True):
        # The rule is for [-1, 1], where weights sum to 2.
        parts += 0.5 * weight * way * output.gradient(points(0.5 * (node + 1)), rows)
    for number, feature in enumerate(np.flatnonzero(codes)):
        x = points(jumps[:, number : number + 1])
        parts[:, feature] = output.of(x, rows)
        x[:, feature] = start[:, feature]
        parts[:, feature] -= output.of(x, rows)
    return parts


def _spread(values, change, n_steps):
    """Let the values of each row sum up to the change of its output."""
    missed = change - values.sum(axis=1)
    total = abs(change).sum()
    if abs(missed).sum() > TOLERANCE * total:
        warn(
            f"Parts of columns miss the change of the outputs by {abs(missed).sum():.2g} of "
            f"{total:.2g}, more than {TOLERANCE:.0%}. Raise n_steps={n_steps}, for example to "
            f"{4 * n_steps}, or n_background."
        )
    shares = abs(values)
    sums = shares.sum(axis=1, keepdims=True)
    equal = np.full_like(shares, 1 / shares.shape[1])
    values += missed[:, None] * np.divide(shares, sums, out=equal, where=sums > 0)


def _fitted_model(model):
    """Return the fitted estimator for tables, also from inside a search or the like."""
    model = on_same_rows(model)
    check_is_fitted(model)
    if not (hasattr(model, "encoder_") and hasattr(model, "network_")):
        raise TypeError(
            f"expected a TabularClassifier or TabularRegressor. Got {model!r}; for a network on "
            "rows of numbers use integrated_gradients."
        )
    return model


def _raw_values(X):
    """Return a table as an array."""
    if issparse(X):
        return X.toarray()
    if is_frame(X):
        if is_pandas(X):
            return X.to_numpy()
        frame = narwhals_frame(X)
        columns = [frame.get_column(name).to_numpy() for name in frame.columns]
        numbers = all(column.dtype.kind in "biuf" for column in columns)
        return np.column_stack([c if numbers else c.astype(object) for c in columns])
    return np.asarray(X, None if hasattr(X, "dtype") else object)


def _explanation(**fields):
    try:
        from shap import Explanation
    except ImportError:
        return TableAttributions(**fields)
    return Explanation(**fields)
