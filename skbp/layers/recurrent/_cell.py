"""A cell: what one time step does, and its way through the steps of a batch."""

import numpy as np

from skbp._engine import kernels

#: Up to this many products OpenBLAS multiplies matrices as they are: beyond, it copies them into
#: another order first, and wakes its threads, which for the work of one step takes too long.
SMALL = 1_000_000


def product(h, weight, out):
    """``out = h @ weight``, all C-contiguous, by blocks of columns that are `SMALL` if need be."""
    units, width = weight.shape
    pieces = 1
    while h.size * width > SMALL * pieces:
        pieces *= 2
    if pieces == 1 or width % pieces or width < 32 * pieces:  # narrower ones do not pay
        kernels.matmul(h, weight, out)
    else:
        np.matmul(
            h, weight.reshape(units, pieces, -1).transpose(1, 0, 2),
            out=out.reshape(len(h), pieces, -1).transpose(1, 0, 2),
        )  # fmt: skip


class Cell:
    """Base class of cells: a state, and how it goes from one time step to the next.

    A cell is handed the parts of its layer's dicts p, g and w that are its own. It multiplies the
    inputs of all steps with their weight at once; what is left for the single step is the product
    of the state with its weight, and the gates. So a subclass says, in `step` and `step_backward`.

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
        shapes = {"h": (n, self.units), "gates": (steps, width), "product": (n, width)}
        if training:
            shapes |= {"h_before": (steps, self.units), "dh": (n, self.units),
                       "weight_hidden_t": (width, self.units)}  # fmt: skip
        return shapes

    def init(self, p, initializer, recurrent_initializer, rng):
        """Draw the parameters, gate by gate."""
        fan_in = len(p["weight_input"])
        for name in self.param_shapes(fan_in):
            for gate in np.split(p[name], p[name].shape[-1] // self.units, axis=-1):
                if name == "weight_input":
                    gate[...] = initializer.weight(gate.shape, fan_in, self.units, rng)
                elif name == "weight_hidden":
                    gate[...] = recurrent_initializer.weight(
                        gate.shape, self.units, self.units, rng
                    )
                else:
                    gate[...] = initializer.bias(gate.shape, fan_in, self.units, rng)

    def step(self, n, place, p, w):
        """Go one time step on.

        Parameters
        ----------
        n : int
            How many sequences have the step; the first n rows of ``w["h"]`` become the new state.
        place : slice
            The step's rows in buffers of `steps` rows. ``w["gates"][place]`` is the product of the
            input with its weight.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(...)")

    def step_backward(self, n, place, p, w):
        """Go one time step back.

        Turns the first n rows of ``w["dh"]`` from the gradient of the new state into that of the
        old one, and ``w["gates"][place]`` into that of the product of the input with its weight.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step_backward(...)")

    def forward(self, steps, x, y, p, w, reverse):
        """Go through all steps.

        Parameters
        ----------
        steps : Steps
        x : ndarray of shape (n_steps, n_features)
        y : ndarray of shape (n_steps, units) or None
            Filled with the state after each step. The last state is left in ``w["h"]``.
        p, w : dict of str to ndarray
        reverse : bool
            Whether to begin with the last step.
        """
        h, gates, before = w["h"], w["gates"], w.get("h_before")
        for name in self.state:
            w[name].fill(0)
        if before is not None:
            kernels.matmul(x, p["weight_input"], gates[: len(x)])
        for block in reversed(steps.blocks) if reverse else steps.blocks:
            n = block.stop - block.start
            place = slice(n) if before is None else block
            if before is None:
                kernels.matmul(x[block], p["weight_input"], gates[:n])
            else:
                before[block] = h[:n]
            self.step(n, place, p, w)
            if y is not None:
                y[block] = h[:n]

    def backward(self, steps, dy, x, p, g, w, reverse):
        """Go back through all steps; fills g.

        ``w["dh"]`` must hold the gradient of the last state, and `dy` that of y. Afterwards the
        gradient of x is ``w["gates"][:n_steps] @ p["weight_input"].T``.
        """
        dh, gates = w["dh"], w["gates"][: len(x)]
        for name in self.dstate:
            w[name].fill(0)
        # OpenBLAS multiplies small matrices several times faster if neither is transposed.
        np.copyto(w["weight_hidden_t"], p["weight_hidden"].T)
        for block in steps.blocks if reverse else reversed(steps.blocks):
            n = block.stop - block.start
            if dy is not None:
                dh[:n] += dy[block]
            self.step_backward(n, block, p, w)
        kernels.matmul_transposed(x, gates, g["weight_input"])
        kernels.matmul_transposed(
            w["h_before"][: len(x)], w[self.hidden][: len(x)], g["weight_hidden"]
        )
        kernels.column_sums(gates, g["bias"])
