"""Low-rank adaptation of a fully connected layer."""

from skbp._component import Whole, resolve
from skbp._engine import kernels
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers.base import Layer
from skbp.layers.dense import Dense


class LoRA(Layer):
    """A fully connected layer of which only a change of low rank is trained.

    ``y = f(x (W + A B) + b)``: W and b stay as they are, A of shape (n_inputs, rank) and B of shape
    (rank, units) are trained. B begins at zero, so that training starts from the layer as it is.

    With ``dz = dy * f'(z)``: ``dB = (x A)' dz``, ``dA = x' (dz B')``, ``dx = dz W' + dz B' A'``.

    Parameters
    ----------
    layer : Dense
        Says units and activation, and draws W and b where nothing else does; meant to get them by
        an estimator's `init_from`.
    rank : int, default=4
        Rank of the change, at least 1.
    initializer : str or Initializer, default="he_uniform"
        Draws A.

    See Also
    --------
    skbp.BackpropClassifier.merge_lora : Adds the change to W for good.

    References
    ----------
    E. J. Hu, Y. Shen, P. Wallis, Z. Allen-Zhu, Y. Li, S. Wang, L. Wang, W. Chen (2022), "LoRA:
    low-rank adaptation of large language models", section 4.1; here with a scale of one.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp._engine.network import Network
    >>> network = Network([LoRA(Dense(10), rank=2)], (20,), np.float64)
    >>> network.params.size, network.state.size
    (60, 210)
    """

    penalized = ("a", "b")
    allowed = {"rank": Whole(1)}

    def __init__(self, layer, rank=4, initializer="he_uniform"):
        self.layer = layer
        self.rank = rank
        self.initializer = initializer

    def check(self):
        """Check the hyperparameters, those of the layer too; see `Component.check`."""
        super().check()
        if not isinstance(self.layer, Dense):
            raise ValueError(f"LoRA is for Dense layers. Got {self.layer!r}.")
        self.layer.check()

    def output_shape(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(
                f"LoRA takes flat rows, of shape (n,); got {input_shape}. Put Flatten() before it."
            )
        return self.layer.output_shape(input_shape)

    def param_shapes(self, input_shape):
        (n_inputs,) = input_shape
        return {"a": (n_inputs, self.rank), "b": (self.rank, self.layer.units)}

    def state_shapes(self, input_shape):
        return self.layer.param_shapes(input_shape)

    def work_shapes(self, input_shape, n, training=True):
        shapes: dict[str, tuple] = {"xa": (n, self.rank), "change": (n, self.layer.units)}
        if training:
            shapes |= {"dxa": (n, self.rank), "dx_change": (n, *input_shape)}
            shapes |= {"dbias": (self.layer.units,)}
        return shapes | self.layer.work_shapes(input_shape, n, training)

    def init(self, p, input_shape, rng):
        self.layer.init(p, input_shape, rng)
        draw = resolve(self.initializer, INITIALIZERS, "initializer").weight
        p["a"][...] = draw(p["a"].shape, input_shape[0], self.rank, rng)
        p["b"][...] = 0

    def forward(self, x, p, w, rng=None):
        y = w["y"]
        z = w.get("z", y)
        kernels.matmul(x, p["weight"], z)
        kernels.matmul(x, p["a"], w["xa"])
        kernels.matmul(w["xa"], p["b"], w["change"])
        z += w["change"]
        resolve(self.layer.activation, ACTIVATIONS, "activation").forward(z, p["bias"], y)
        return y

    def backward(self, dy, x, p, g, w, need_dx=True):
        y = w["y"]
        activation = resolve(self.layer.activation, ACTIVATIONS, "activation")
        activation.backward(dy, y, w.get("z", y), w["dbias"])
        kernels.matmul_transposed(w["xa"], dy, g["b"])
        kernels.matmul_by_transposed(dy, p["b"], w["dxa"])
        kernels.matmul_transposed(x, w["dxa"], g["a"])
        if not need_dx:
            return None
        kernels.matmul_by_transposed(dy, p["weight"], w["dx"])
        kernels.matmul_by_transposed(w["dxa"], p["a"], w["dx_change"])
        w["dx"] += w["dx_change"]
        return w["dx"]

    def merge(self, p):
        """Return what the layer computes as a Dense layer, and its parameters by name.

        Parameters
        ----------
        p : dict of str to ndarray

        Returns
        -------
        layer : Dense
        params : dict of str to ndarray
        """
        return self.layer, {"weight": p["weight"] + p["a"] @ p["b"], "bias": p["bias"]}
