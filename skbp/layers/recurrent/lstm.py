"""The LSTM."""

from skbp import _kernels as kernels
from skbp.layers.recurrent._cell import Cell
from skbp.layers.recurrent.base import Recurrent


class LSTMCell(Cell):
    """The cell of `LSTM`. Gates in the order i, f, g, o."""

    gates = 4
    state = ("h", "c")
    dstate = ("dc",)

    def work_shapes(self, n, steps, training):
        shapes = super().work_shapes(n, steps, training)
        shapes |= {"c": (n, self.units), "c_before": (steps, self.units),
                   "tanh_c": (steps, self.units)}  # fmt: skip
        return shapes | ({"dc": (n, self.units)} if training else {})

    def init(self, p, initializer, recurrent_initializer, rng):
        super().init(p, initializer, recurrent_initializer, rng)
        p["bias"][self.units : 2 * self.units] += 1

    def run(self, steps, pieces, x, y, column, p, w, reverse):
        kernels.lstm_run(
            steps.bounds, reverse, "h_before" in w, x, p["weight_input"],
            w["gates"], pieces, w["scratch"], p["bias"], w["product"], w["h"], w["c"],
            w.get("h_before", w["h"]), w["c_before"], w["tanh_c"], y, column,
        )  # fmt: skip

    def run_backward(self, steps, pieces, dy, column, p, w, reverse):
        kernels.lstm_run_backward(
            steps.bounds, reverse, w["gates"], pieces, w["scratch"], w["c_before"],
            w["tanh_c"], w["dh"], w["dc"], dy, column,
        )  # fmt: skip


class LSTM(Recurrent):
    """Long short-term memory: a recurrent layer with gates and a state that is added to.

    With x the input at a step, h the output and c the inner state after the step before, both 0 at
    first, and s the logistic sigmoid: ``i = s(x W_i + h U_i + b_i)``, likewise f and o, ``g =
    tanh(x W_g + h U_g + b_g)``; then ``c = f c + i g`` and ``h = o tanh(c)``.

    Parameters
    ----------
    units : int
        Size of h and of c, at least 1.
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
        Draws W and b, gate by gate; 1 is added to b_f, so that c is kept at first.
    recurrent_initializer : str or Initializer, default="orthogonal"
        Draws U, gate by gate.
    max_norm : float or None, default=None
        Limit, > 0, of the norm of each gate's incoming weights, as in `Dense`; those of the input
        and of the state for themselves.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    GRU : Fewer gates, and one state.
    RNN : No gates.

    Notes
    -----
    The state goes over an absent step unchanged, and no time is spent on it. Where the output is a
    sequence, absent steps are absent in it too. A sequence without any step has the output 0.

    The gates' columns in weights and bias are in torch's order, i, f, g, o; torch's two biases
    are one here, their sum.

    References
    ----------
    S. Hochreiter, J. Schmidhuber (1997), "Long short-term memory", section 4; the gate f is that of
    F. A. Gers, J. Schmidhuber, F. Cummins (2000), "Learning to forget", section 3.
    R. Jozefowicz, W. Zaremba, I. Sutskever (2015), "An empirical exploration of recurrent network
    architectures", section 2.2, for the bias of f.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropClassifier
    >>> from skbp.layers import LSTM
    >>> X = np.random.default_rng(0).normal(size=(100, 4, 1))
    >>> X[50:, 3] = np.nan  # half of the sequences are shorter: their last step is absent
    >>> net = BackpropClassifier(layers=[LSTM(8)], batch_size=20, learning_rate="one_cycle",
    ...                          learning_rate_init=0.1, max_iter=10, random_state=0)
    >>> net = net.fit(X, np.where(X[:, 0, 0] > 0, "high", "low"))  # where does a sequence begin?
    >>> net.predict([[[1.0], [-2.0], [0.3], [np.nan]], [[-1.0], [2.0], [0.3], [0.5]]])
    array(['high', 'low'], dtype='<U4')
    """

    cell = LSTMCell
