"""The plain recurrent layer."""

from skbp import _kernels as kernels
from skbp._component import resolve
from skbp.activations import ACTIVATIONS
from skbp.layers.base import AN_ACTIVATION
from skbp.layers.recurrent._cell import Cell
from skbp.layers.recurrent.base import Recurrent


class RNNCell(Cell):
    """The cell of `RNN`. The one gate is what the activation is applied to."""

    def __init__(self, units, activation):
        super().__init__(units)
        self.activation = activation

    def work_shapes(self, n, steps, training):
        shapes = super().work_shapes(n, steps, training)
        if self.activation.needs_input:
            shapes["activated"] = shapes["gates"]
        return shapes | ({"dbias": (self.units,)} if training else {})

    def _z_and_y(self, place, w):
        z = w["gates"][place]
        return z, (w["activated"][place] if "activated" in w else z)

    def step(self, n, place, pieces, p, w):
        hidden, h = w["product"][:n], w["h"][:n]
        kernels.product(h, pieces, hidden)
        z, y = self._z_and_y(place, w)
        z += hidden
        self.activation.forward(z, p["bias"], y)
        h[...] = y

    def step_backward(self, n, place, pieces, p, w):
        dh = w["dh"][:n]
        z, y = self._z_and_y(place, w)
        self.activation.backward(dh, y, z, w["dbias"])
        z[...] = dh
        kernels.product(z, pieces, dh)


class RNN(Recurrent):
    """The plain recurrent layer (Elman's), ``h = f(x W + h U + b)``.

    Here x is the input at a step, and the h on the right the output of the step before, 0 at first.
    Over many steps gradients grow or fade like powers of U; `LSTM` and `GRU` were made against
    that.

    Parameters
    ----------
    units : int
        Size of h, at least 1.
    activation : str or Activation, default="tanh"
        The activation f.
    return_sequences : bool, default=False
        Whether the output is h after every step, shape (time, units), or h after the last step,
        shape (units,).
    bidirectional : bool, default=False
        Whether a second cell, with weights of its own, reads each sequence from its end. The
        outputs of the two stand side by side, so there are twice as many.
    num_layers : int, default=1
        Number of levels; each reads the outputs of the one below.
    dropout : float or Scheduled, default=0.0
        In [0, 1): rate of `Dropout` between levels.
    initializer : str or Initializer, default="glorot_uniform"
        Draws W and b.
    recurrent_initializer : str or Initializer, default="orthogonal"
        Draws U.
    max_norm : float or None, default=None
        Limit, > 0, of the norm of each unit's incoming weights, as in `Dense`; those of the input
        and of the state for themselves.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    LSTM, GRU : Recurrent layers with gates.

    Notes
    -----
    The state goes over an absent step unchanged, and no time is spent on it. Where the output is a
    sequence, absent steps are absent in it too. A sequence without any step has the output 0.

    References
    ----------
    J. L. Elman (1990), "Finding structure in time", the section on networks with memory.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import RNN
    >>> X = np.random.default_rng(0).normal(size=(50, 3, 1))  # sequences of three steps
    >>> net = BackpropRegressor(layers=[RNN(1, "identity")], solver="lbfgs", random_state=0)
    >>> net.fit(X, X.sum(axis=(1, 2))).predict([[[1.0], [2.0], [4.0]]]).round(1)
    array([7.])
    """

    allowed = {**Recurrent.allowed, "activation": AN_ACTIVATION}

    def __init__(self, units, activation="tanh", return_sequences=False, bidirectional=False,
                 num_layers=1, dropout=0.0, initializer="glorot_uniform",
                 recurrent_initializer="orthogonal", max_norm=None, name=None):  # fmt: skip
        super().__init__(
            units, return_sequences, bidirectional, num_layers, dropout, initializer,
            recurrent_initializer, max_norm, name,
        )  # fmt: skip
        self.activation = activation

    def _cell(self):
        return RNNCell(self.units, resolve(self.activation, ACTIVATIONS, "activation"))
