"""What every layer promises."""

import numpy as np

from skbp._component import Component


def memory_order(x):
    """Return the order of axes in which `x` is C-contiguous, or the one it has if there is none.

    Layers may hand on transposed views. What works element by element goes through memory as it
    lies, with ``x.transpose(memory_order(x))``, and returns a view of the order that came in.
    """
    order = tuple(np.argsort([-stride for stride in x.strides], kind="stable"))
    return order if x.transpose(order).flags.c_contiguous else tuple(range(x.ndim))


class Layer(Component):
    """One step of a network: forward, and the gradient backward.

    A layer holds hyperparameters only. Everything else is handed to it: ``p``, ``g`` and ``w`` are
    dicts of arrays (parameters and state, gradients, workspace), made from what `param_shapes`,
    `state_shapes` and `work_shapes` ask for. It writes to its own workspace, gradients and state
    only; its input is read-only, and ``dy`` is scratch.

    Attributes
    ----------
    penalized : tuple of str
        Names of the parameters that weight penalties (alpha) apply to.
    matrices : dict of str to (str, int, int)
        Matrices by which the layer multiplies, for `LoRA`: name of the parameter, whose last axis
        is the matrix's columns, which part of these it is, and of how many parts.
    missing : bool
        Whether the layer takes steps of a sequence that are all NaN as absent.
    takes_codes : bool
        Whether the layer, or one in it, looks up whole numbers, along which there is no gradient.
    tables : tuple of str
        Names of the parameters whose rows are looked up.
    stochastic : bool
        Whether training differs from inference: `forward` is then given an `rng` in training.
    couples_rows : bool
        Whether a row's output in training depends on the other rows of the batch. Else threads may
        share a batch, each with a part of the rows.
    row_by_row : bool
        Whether much of the work is in products too small for the threads of BLAS, so that threads
        had better share the batch.
    """

    penalized: tuple[str, ...] = ()
    matrices: dict[str, tuple[str, int, int]] = {}
    stochastic = False
    missing = False
    takes_codes = False
    tables: tuple[str, ...] = ()
    couples_rows = False
    row_by_row = False

    def output_shape(self, input_shape):
        """Shape of one output row, given that of one input row (without the batch axis)."""
        return input_shape

    def param_shapes(self, input_shape):
        """Name and shape of each parameter, in the order in which `init` draws them."""
        return {}

    def state_shapes(self, input_shape):
        """Name and shape of each array that is kept but not trained, such as a running mean.

        The network keeps them beside the parameters, and hands them over among those.
        """
        return {}

    def work_shapes(self, input_shape, n, training=True):
        """Name and shape of each buffer for a batch of n rows; without `training`, of inference.

        A shape means the network's dtype; a pair (shape, dtype) another one. Buffers for fewer
        rows are views into those for the most.
        """
        return {}

    def code_inputs(self, input_shape):
        """Where a row holds codes to look up: ndarray of shape input_shape, bool."""
        return np.zeros(input_shape, bool)

    def init(self, p, input_shape, rng):
        """Fill parameters and state with their first values."""

    def forward(self, x, p, w, rng=None):
        """Compute the layer's output.

        Parameters
        ----------
        x : ndarray of shape (n, *input_shape), or a CSR matrix for the first layer
            Read-only.
        p, w : dict of str to ndarray
            Parameters with the state, which training may change, and workspace for n rows.
        rng : numpy.random.Generator, optional
            Source of randomness in training; None means inference.

        Returns
        -------
        y : ndarray of shape (n, *output_shape)
            Lives in the workspace until the next `forward`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(...)")

    def backward(self, dy, x, p, g, w, need_dx=True):
        """Compute gradients from that of the output.

        Parameters
        ----------
        dy : ndarray of shape (n, *output_shape)
            Gradient of the loss with respect to the output; may be overwritten.
        x, p, g, w
            As in `forward`, which came right before; `g`, a dict like `p`, is overwritten with the
            gradients of the parameters.
        need_dx : bool, default=True
            Whether the gradient with respect to `x` is wanted.

        Returns
        -------
        dx : ndarray of shape (n, *input_shape) or None
        """
        raise NotImplementedError(f"{type(self).__name__} must define backward(...)")
