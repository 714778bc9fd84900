"""A cell: what one time step does, and its way through the steps of a batch."""

import numpy as np

from skbp import _kernels as kernels

#: Up to this many products OpenBLAS multiplies matrices as they are: beyond, it copies them into
#: another order first, and wakes its threads, which for the work of one step takes too long.
SMALL = 1_000_000


def pieces_of(weight, n, buffer):
    """Cut a matrix into blocks of columns, whose products with n rows are `SMALL` if need be.

    Parameters
    ----------
    weight : ndarray of shape (rows, width)
    n : int
    buffer : ndarray of the size of the weight
        Where they are copied to, unless the weight is one piece and contiguous.

    Returns
    -------
    pieces : ndarray of shape (p, rows, width / p), C-contiguous
    """
    rows, width = weight.shape
    p = 1
    while n * rows * width > SMALL * p:
        p *= 2
    if width % p or width < 32 * p:  # narrower ones do not pay
        p = 1
    if p == 1 and weight.flags.c_contiguous:
        return weight[None]
    pieces = buffer.reshape(p, rows, width // p)
    np.copyto(pieces, weight.reshape(rows, p, -1).transpose(1, 0, 2))
    return pieces


class Cell:
    """Base class of cells: a state, and how it goes from one time step to the next.

    A cell is handed the parts of its layer's dicts p, g and w that are its own. It multiplies the
    inputs of all steps with their weight at once; what is left for the single step is the product
    of the state with its weight, and the gates. So a subclass says, in `step` and `step_backward`;
    or, where a kernel goes through all steps, in `run` and `run_backward`.

    Parameters
    ----------
    units : int
        Size of the state.

    Attributes
    ----------
    gates : int
        Number of blocks of `units` columns in weights and bias.
    state, dstate : tuple of str
        Buffers that are zero before the first step, forward and backward.
    hidden : str
        The buffer in which backward leaves the gradient of the state's product with its weight.
    """

    gates = 1
    state: tuple[str, ...] = ("h",)
    dstate: tuple[str, ...] = ()
    hidden = "gates"

    def __init__(self, units):
        self.units = units

    def param_shapes(self, n_features):
        """Name and shape of each parameter."""
        width = self.gates * self.units
        return {"weight_input": (n_features, width), "weight_hidden": (self.units, width),
                "bias": (width,)}  # fmt: skip

    def work_shapes(self, n, steps, training):
        """Name and shape of each buffer; `steps` is the number of rows of those kept for all steps.

        Inference keeps nothing: there it is the number of sequences, n, and a step overwrites what
        the last one wrote.
        """
        width = self.gates * self.units
        shapes = {"h": (n, self.units), "gates": (steps, width), "product": (n, width),
                  "pieces": (width, self.units), "scratch": (n * width,)}  # fmt: skip
        if training:
            shapes |= {"h_before": (steps, self.units), "dh": (n, self.units)}
        return shapes

    def init(self, p, initializer, recurrent_initializer, rng):
        """Draw the parameters, gate by gate."""
        fan_in = len(p["weight_input"])
        for name in self.param_shapes(fan_in):
            for gate in np.split(p[name], p[name].shape[-1] // self.units, axis=-1):
                if name == "weight_input":
                    initializer.fill("weight", gate, fan_in, self.units, rng)
                elif name == "weight_hidden":
                    recurrent_initializer.fill("weight", gate, self.units, self.units, rng)
                else:
                    initializer.fill("bias", gate, fan_in, self.units, rng)

    def step(self, n, place, pieces, p, w):
        """Go one time step on.

        Parameters
        ----------
        n : int
            How many sequences have the step; the first n rows of ``w["h"]`` become the new state.
        place : slice
            The step's rows in buffers of `steps` rows. ``w["gates"][place]`` is the product of the
            input with its weight.
        pieces : ndarray
            Those of the state's weight, for `kernels.product`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(...)")

    def step_backward(self, n, place, pieces, p, w):
        """Go one time step back.

        Turns the first n rows of ``w["dh"]`` from the gradient of the new state into that of the
        old one, and ``w["gates"][place]`` into that of the product of the input with its weight;
        `pieces` are those of the transposed weight of the state.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step_backward(...)")

    def run(self, steps, pieces, x, y, column, p, w, reverse):
        """Go through all steps; what `forward` hands over is ready for the first."""
        h, before = w["h"], w.get("h_before")
        for block in reversed(steps.blocks) if reverse else steps.blocks:
            n = block.stop - block.start
            place = slice(n) if before is None else block
            if before is None:
                kernels.matmul(x[block], p["weight_input"], w["gates"][:n])
            else:
                before[block] = h[:n]
            self.step(n, place, pieces, p, w)
            if len(y):
                y[block, column : column + self.units] = h[:n]

    def run_backward(self, steps, pieces, dy, column, p, w, reverse):
        """Go back through all steps."""
        dh = w["dh"]
        for block in steps.blocks if reverse else reversed(steps.blocks):
            n = block.stop - block.start
            if len(dy):
                dh[:n] += dy[block, column : column + self.units]
            self.step_backward(n, block, pieces, p, w)

    def forward(self, steps, x, y, column, p, w, reverse, begin=True):
        """Go through all steps.

        Parameters
        ----------
        steps : Steps
        x : ndarray of shape (n_steps, n_features)
        y : ndarray of shape (n_steps, width) or None
            Its columns from `column` on are filled with the state after each step. The last state
            is left in ``w["h"]``.
        column : int
        p, w : dict of str to ndarray
        reverse : bool
            Whether to begin with the last step.
        begin : bool, default=True
            Whether the state is zero at first; else it is what stands in its buffers.
        """
        for name in self.state if begin else ():
            w[name].fill(0)
        if "h_before" in w:
            kernels.matmul(x, p["weight_input"], w["gates"][: len(x)])
        pieces = pieces_of(p["weight_hidden"], len(w["h"]), w["pieces"])
        y = w["h"][:0] if y is None else y
        self.run(steps, pieces, x, y, column, p, w, reverse)

    def backward(self, steps, dy, column, x, p, g, w, reverse):
        """Go back through all steps; fills g.

        ``w["dh"]`` must hold the gradient of the last state, and `dy` that of y. Afterwards the
        gradient of x is ``w["gates"][:n_steps] @ p["weight_input"].T``.
        """
        gates = w["gates"][: len(x)]
        for name in self.dstate:
            w[name].fill(0)
        # OpenBLAS multiplies small matrices several times faster if neither is transposed.
        pieces = pieces_of(p["weight_hidden"].T, len(w["h"]), w["pieces"])
        dy = w["dh"][:0] if dy is None else dy
        self.run_backward(steps, pieces, dy, column, p, w, reverse)
        kernels.matmul_transposed(x, gates, g["weight_input"])
        kernels.matmul_transposed(
            w["h_before"][: len(x)], w[self.hidden][: len(x)], g["weight_hidden"]
        )
        kernels.column_sums(gates, g["bias"])
