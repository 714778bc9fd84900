"""scikit-learn's MLP with the weights of a network that an MLP could be."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit, softmax
from sklearn.base import clone, is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from skbp._compat import make_constraint
from skbp._component import resolve
from skbp.activations import ACTIVATIONS, Identity, Logistic, ReLU, Tanh
from skbp.estimators._transfer import merged
from skbp.layers import (
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    Input,
    RandomErasing,
    RandomFlip,
    RandomShift,
    Reshape,
    Scale,
    Sequential,
)

#: The activations of MLP's hidden layers, by MLP's names.
HIDDEN = {Identity: "identity", Logistic: "logistic", ReLU: "relu", Tanh: "tanh"}
#: What MLP makes of raw outputs, by its names, and which estimator does.
OUTPUTS = {
    "identity": (MLPRegressor, lambda raw: raw),
    "exp": (MLPRegressor, np.exp),
    "logistic": (MLPClassifier, expit),
    "softmax": (MLPClassifier, lambda raw: softmax(raw, axis=1)),
}
#: Layers that leave the values of a row as they are in inference.
NOTHING = {Dropout, Flatten, GaussianNoise, Input, RandomErasing, RandomFlip, RandomShift, Reshape}
#: Fitted attributes that MLP has of the training.
TRAINING = (
    "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "best_validation_score_",
)  # fmt: skip


class ToMLP:
    """What gives an estimator the method `to_mlp`."""

    def to_mlp(self):
        """Return scikit-learn's MLP with the weights of this network.

        For what knows `sklearn.neural_network`, and not skbp: emlearn, skl2onnx and other
        compilers. A network that MLP could be has fully connected layers, the same activation in
        all hidden ones ("identity", "logistic", "tanh" or "relu"), and a loss whose predictions
        MLP makes too: any loss of classification with probabilities; of regression those for the
        mean or the median of numbers, or with a log link. Dropout, noise and other layers that do
        nothing in inference may be there; `LoRA`, `BatchNorm`, `Scale` and dense layers without
        activation become a part of the dense layers beside them.

        Returns
        -------
        mlp : MLPClassifier or MLPRegressor
            Fitted, with weights in the dtype of the training input. It has those parameters of the
            training that are MLP's too, and MLP's defaults for the others. Trained on
            (`partial_fit`), it minimises its own loss, with a new optimizer.

        Raises
        ------
        ValueError
            If the network is none that MLP could be; the error names the layer or loss.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skbp import BackpropClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> net = BackpropClassifier((5,), "tanh", solver="lbfgs", alpha=1.0, max_iter=1000,
        ...                          random_state=0)
        >>> mlp = net.fit(X, y).to_mlp()
        >>> type(mlp).__name__, [weight.shape for weight in mlp.coefs_]
        ('MLPClassifier', [(4, 5), (5, 3)])
        >>> bool(abs(mlp.predict_proba(X) - net.predict_proba(X)).max() < 1e-12)
        True
        """
        check_is_fitted(self)
        return mlp_of(self)


class Step(NamedTuple):
    """A layer in inference, ``y = f(x W + b)``.

    weight : of shape (n_inputs, units), or (units,) for the diagonal of such a matrix, float64;
    bias : of shape (units,), float64; activation : f.
    """

    weight: np.ndarray
    bias: np.ndarray
    activation: Any

    @property
    def matrix(self):
        """The weights as a matrix."""
        return np.diag(self.weight) if self.weight.ndim == 1 else self.weight

    def then(self, later):
        """Return the step that does this one, which has no activation, and a later one."""
        w, v = self.weight, later.weight
        if v.ndim == 1:
            return Step(w * v, self.bias * v + later.bias, later.activation)
        weight = w[:, None] * v if w.ndim == 1 else w @ v
        return Step(weight, self.bias @ v + later.bias, later.activation)


def _of_dense(layer, p):
    weight = p["weight"].astype(np.float64)
    if layer.ntk:
        weight *= float(len(weight)) ** -0.5
    return Step(weight, p["bias"].astype(np.float64), _activation(layer))


def _of_batch_norm(layer, p):
    gamma, beta, mean, var = (
        p[name].astype(np.float64) for name in ("gamma", "beta", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(var + float(layer.epsilon))
    return Step(scale, beta - mean * scale, _activation(layer))


def _of_scale(layer, p):
    scale = p["scale"].astype(np.float64)
    return Step(scale, np.zeros_like(scale), Identity())


def _activation(layer):
    return resolve(layer.activation, ACTIVATIONS, "activation")


#: What layers are in inference, from themselves and their arrays.
STEPS = {Dense: _of_dense, BatchNorm: _of_batch_norm, Scale: _of_scale}


def mlp_of(estimator):
    """Return MLP with the weights of a fitted estimator; see `ToMLP.to_mlp`."""
    network = estimator._network
    if network.of_members:
        raise _no_mlp(f"it is the mean of the {network.output_shape[0]} networks of `n_members`")
    if is_classifier(estimator) and len(estimator.classes_) == 1:
        raise _no_mlp("it knows but one class, of which MLP makes two columns of probabilities")
    output = _output(estimator)
    network, _ = merged(network)
    layers = zip(network.layers, network.input_shapes, network.views, strict=True)
    *hidden, last = _gathered(list(_steps(layers)))
    mlp = _with_parameters(estimator, OUTPUTS[output][0])
    mlp.set_params(hidden_layer_sizes=tuple(len(step.bias) for step in hidden))
    if hidden:
        mlp.set_params(activation=HIDDEN[type(hidden[0].activation)])
    if not is_classifier(estimator):
        mlp.set_params(loss="poisson" if output == "exp" else "squared_error")
    dtype, steps = estimator._input_dtype, [*hidden, last]
    mlp.coefs_ = [step.matrix.astype(dtype) for step in steps]
    mlp.intercepts_ = [step.bias.astype(dtype) for step in steps]
    mlp.n_layers_, mlp.n_outputs_ = len(steps) + 1, len(last.bias)
    mlp.out_activation_ = output
    _describe(mlp, estimator)
    return mlp


def _no_mlp(reason):
    return ValueError(
        f"scikit-learn's MLP cannot be this network: {reason}. Use skbp.to_onnx(estimator), which "
        "takes all networks."
    )


def _output(estimator):
    """Return MLP's name for what the loss makes of raw outputs, or raise a ValueError."""
    loss, k = estimator._loss, estimator.n_outputs_
    if is_classifier(estimator):
        name = "softmax" if estimator._targets.kind == "multiclass" else "logistic"
    else:
        name = loss.output_activation
    kind, function = OUTPUTS.get(name, (None, None))
    raw = np.linspace(-2, 3, 5 * k).reshape(5, k)
    fits = kind is (MLPClassifier if is_classifier(estimator) else MLPRegressor)
    if fits:  # what a loss says of itself may be left over from another one: see what it does
        found = loss.predict(raw.copy())
        fits = found.shape == raw.shape and np.allclose(found, function(raw), 1e-6, 1e-9)
    if not fits:
        raise _no_mlp(f"MLP makes other predictions of raw outputs than loss={estimator.loss!r}")
    return name


def _steps(layers):
    """Yield what layers are in inference; `layers` has each with its input's shape and arrays."""
    for layer, shape, p in layers:
        kind = type(layer)
        if kind in NOTHING:
            continue
        if kind is Sequential:
            shapes = layer._child_shapes(shape)
            yield from _steps((c, shapes[n], p.part(n)) for n, c in layer._children().items())
        elif kind not in STEPS:
            raise _no_mlp(f"it has the layer {layer!r}, and MLP has fully connected ones")
        elif len(shape) > 1:
            raise _no_mlp(f"its layer {layer!r} takes rows of shape {tuple(shape)}, not flat ones")
        else:
            step = STEPS[kind](layer, p)
            if type(step.activation) not in HIDDEN:
                raise _no_mlp(
                    f"its layer {layer!r} has an activation that is none of {[*HIDDEN.values()]}"
                )
            yield step


def _gathered(steps):
    """Make one of steps that have no activation between them, so that all hidden ones have one.

    In a network without activations only what is diagonal is taken in: its layers stay.
    """
    kinds = {type(step.activation) for step in steps[:-1]}
    linear = kinds <= {Identity}
    gathered: list[Step] = []
    for step in steps:
        before = gathered[-1] if gathered else None
        if before is not None and type(before.activation) is Identity:
            keep = linear and before.weight.ndim == step.weight.ndim == 2
            step = step if keep else gathered.pop().then(step)
        gathered.append(step)
    found = [HIDDEN[type(step.activation)] for step in gathered[:-1]]
    if len(set(found)) > 1:
        raise _no_mlp(f"its hidden layers have the activations {found}, and MLP has one for all")
    return gathered


def _with_parameters(estimator, kind):
    """Return a new MLP with the parameters that it shares with an estimator of skbp."""
    params = {}
    for name, constraints in kind._parameter_constraints.items():
        value = getattr(estimator, name, None)
        if any(make_constraint(one).is_satisfied_by(value) for one in constraints):
            params[name] = clone(value, safe=False)
    return kind(**params)


def _describe(mlp, estimator):
    """Set what MLP knows of features, classes and training."""
    mlp.n_features_in_ = estimator.n_features_in_
    if hasattr(estimator, "feature_names_in_"):
        mlp.feature_names_in_ = estimator.feature_names_in_.copy()
    if is_classifier(estimator):
        targets = estimator._targets
        labels = targets.classes
        if targets.kind == "multilabel":
            labels = np.eye(targets.n_outputs, dtype=int)
        mlp._label_binarizer = LabelBinarizer().fit(
            csr_matrix(labels) if targets.sparse else labels
        )
        mlp.classes_ = mlp._label_binarizer.classes_
    for name in TRAINING:
        if hasattr(estimator, name):
            setattr(mlp, name, clone(getattr(estimator, name), safe=False))
    if hasattr(mlp, "loss_curve_"):
        # What MLP compares with and may go back to where it trains on.
        if mlp.best_loss_ is None:
            mlp.best_loss_ = min(mlp.loss_curve_)
        mlp._no_improvement_count = 0
        mlp._best_coefs = [weight.copy() for weight in mlp.coefs_]
        mlp._best_intercepts = [bias.copy() for bias in mlp.intercepts_]
