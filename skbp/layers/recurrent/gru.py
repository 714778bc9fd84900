"""The GRU."""

import numpy as np

from skbp import _kernels as kernels
from skbp.layers.recurrent._cell import Cell
from skbp.layers.recurrent.base import Recurrent


class GRUCell(Cell):
    """The cell of `GRU`. Gates in the order r, u, n."""

    gates = 3
    hidden = "product"

    def param_shapes(self, n_features):
        return super().param_shapes(n_features) | {"bias_hidden": (self.units,)}

    def work_shapes(self, n, steps, training):
        shapes = super().work_shapes(n, steps, training)
        shapes["product"] = shapes["gates"]
        return shapes | ({"dh_product": (n, self.units)} if training else {})

    def run(self, steps, pieces, x, y, column, p, w, reverse):
        kernels.gru_run(
            steps.bounds, reverse, "h_before" in w, x, p["weight_input"],
            w["gates"], pieces, w["scratch"], p["bias"], p["bias_hidden"], w["product"], w["h"],
            w.get("h_before", w["h"]), y, column,
        )  # fmt: skip

    def run_backward(self, steps, pieces, dy, column, p, w, reverse):
        kernels.gru_run_backward(
            steps.bounds, reverse, w["gates"], w["product"], pieces, w["scratch"],
            w["h_before"], w["dh"], w["dh_product"], dy, column,
        )  # fmt: skip

    def backward(self, steps, dy, column, x, p, g, w, reverse):
        super().backward(steps, dy, column, x, p, g, w, reverse)
        np.sum(w["product"][: len(x), 2 * self.units :], axis=0, out=g["bias_hidden"])


class GRU(Recurrent):
    """Gated recurrent unit: a recurrent layer with gates.

    With x the input at a step, h the output of the step before, 0 at first, and s the logistic
    sigmoid: ``r = s(x W_r + h U_r + b_r)``, likewise u, ``n = tanh(x W_n + b_n + r (h U_n + a))``;
    then the output is ``(1 - u) n + u h``.

    Parameters
    ----------
    units : int
        Size of h, at least 1.
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
        Draws W, b and a, gate by gate.
    recurrent_initializer : str or Initializer, default="orthogonal"
        Draws U, gate by gate.
    max_norm : float or None, default=None
        Limit, > 0, of the norm of each gate's incoming weights, as in `Dense`; those of the input
        and of the state for themselves.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    LSTM : More gates, and two states.
    RNN : No gates.

    Notes
    -----
    The state goes over an absent step unchanged, and no time is spent on it. Where the output is a
    sequence, absent steps are absent in it too. A sequence without any step has the output 0.

    This is the form in which r acts after the product with U (torch's, and "reset after" in Keras);
    it needs the bias a, parameter "bias_hidden", and lets one product serve all gates. The gates'
    columns are in torch's order, r, u (there z), n. Where torch has two biases for r and u, here
    is one, their sum.

    References
    ----------
    K. Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation", section 2.3; there r acts on h before the product, and 1 - u stands for u.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropClassifier
    >>> from skbp.layers import GRU
    >>> X = np.random.default_rng(0).normal(size=(100, 4, 1))
    >>> X[50:, 3] = np.nan  # half of the sequences are shorter: their last step is absent
    >>> net = BackpropClassifier(layers=[GRU(8)], batch_size=20, learning_rate="one_cycle",
    ...                          learning_rate_init=0.1, max_iter=10, random_state=0)
    >>> net = net.fit(X, np.where(X[:, 0, 0] > 0, "high", "low"))  # where does a sequence begin?
    >>> net.predict([[[1.0], [-2.0], [0.3], [np.nan]], [[-1.0], [2.0], [0.3], [0.5]]])
    array(['high', 'low'], dtype='<U4')
    """

    cell = GRUCell
