"""What recurrent layers share: directions, levels, and sequences in and out."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Flag, Maybe, Range, Whole, resolve
from skbp._warnings import warn
from skbp.initializers import INITIALIZERS
from skbp.layers.base import AN_INITIALIZER, ENDLESS, LEAVE_OUT, NO_STEPS, Layer
from skbp.layers.dropout import RATES, may_drop
from skbp.layers.recurrent._cell import Cell
from skbp.layers.recurrent._steps import Steps
from skbp.schedules.scheduled import value_at


class Recurrent(Layer):
    """Base class of recurrent layers: cells that read sequences, rows of shape (time, features).

    Names of parameters begin with the level and, for the cell that reads from the end, "_reverse":
    "0.weight_input", "0_reverse.weight_input".

    Parameters
    ----------
    units : int
        Size of the state, at least 1.
    return_sequences : bool, default=False
        Whether the output is the state after every step, shape (time, units), or the state after
        the last, shape (units,).
    bidirectional : bool, default=False
        Whether a second cell, with weights of its own, reads each sequence from its end. The
        outputs of the two stand side by side, so there are twice as many.
    num_layers : int, default=1
        Number of levels; each reads the outputs of the one below.
    dropout : float or Scheduled, default=0.0
        In [0, 1): rate of `Dropout` between levels.
    initializer : str or Initializer, default="glorot_uniform"
        Draws the weights of the input, and the biases, gate by gate.
    recurrent_initializer : str or Initializer, default="orthogonal"
        Draws the weights of the state, gate by gate.
    max_norm : float or None, default=None
        Limit, > 0, of the norm of each gate's incoming weights, as in `Dense`; those of the input
        and of the state for themselves.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Notes
    -----
    The state goes over an absent step unchanged, and no time is spent on it. Where the output is a
    sequence, absent steps are absent in it too. A sequence without any step has the output 0.
    """

    absent = LEAVE_OUT
    row_by_row = True
    #: Class of the cell.
    cell: type[Cell] = Cell
    allowed = {
        "units": Whole(1),
        "return_sequences": Flag(),
        "bidirectional": Flag(),
        "num_layers": Whole(1),
        "dropout": RATES,
        "initializer": AN_INITIALIZER,
        "recurrent_initializer": AN_INITIALIZER,
        "max_norm": Maybe(Range(0, low_open=True)),
    }

    def __init__(self, units, return_sequences=False, bidirectional=False, num_layers=1,
                 dropout=0.0, initializer="glorot_uniform",
                 recurrent_initializer="orthogonal", max_norm=None, name=None):  # fmt: skip
        self.units = units
        self.return_sequences = return_sequences
        self.bidirectional = bidirectional
        self.num_layers = num_layers
        self.dropout = dropout
        self.initializer = initializer
        self.recurrent_initializer = recurrent_initializer
        self.max_norm = max_norm
        self.name = name

    def check(self):
        """Check the hyperparameters; see `Component.check`. Warns of a dropout without effect."""
        super().check()
        if may_drop(self.dropout) and self.num_layers == 1:
            warn(
                f"{self!r}: dropout is between one recurrent layer and the next, and with "
                "num_layers=1 it has no effect. Put a Dropout layer before or after it."
            )

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._bound_cell = self._cell()
        return layer

    @property
    def penalized(self):
        return tuple(f"{prefix}.{name}" for level in range(self.num_layers)
                     for prefix, _, _ in self._directions(level)
                     for name in ("weight_input", "weight_hidden"))  # fmt: skip

    @property
    def stochastic(self):
        return may_drop(self.dropout) and self.num_layers > 1

    # ------------------------------------------------------------ parts

    def _cell(self):
        return self.cell(self.units)

    @property
    def _width(self):
        """Number of outputs of a step."""
        return self.units * (2 if self.bidirectional else 1)

    def _directions(self, level):
        """Return, for each cell of a level: prefix of its names, reverse or not, its outputs."""
        forward = (f"{level}", False, slice(0, self.units))
        backward = (f"{level}_reverse", True, slice(self.units, 2 * self.units))
        return [forward, backward] if self.bidirectional else [forward]

    def _cells(self, input_shape):
        """Yield prefix and number of inputs of each cell."""
        if len(input_shape) != 2:
            raise ValueError(
                f"{type(self).__name__} got rows of shape {tuple(input_shape)} and needs "
                "sequences, of shape (time, features). Put Input((time, features)) before it, or "
                "give X that shape."
            )
        for level in range(self.num_layers):
            for prefix, _, _ in self._directions(level):
                yield prefix, self._width if level else input_shape[1]

    def _keeps(self, level):
        """Whether the outputs of all steps of a level are wanted."""
        return self.return_sequences or level < self.num_layers - 1

    # ------------------------------------------------------------ shapes

    def output_shape(self, input_shape):
        """Shape of one output row.

        Raises
        ------
        ValueError
            If an input row has not two axes.
        """
        list(self._cells(input_shape))
        return (input_shape[0], self._width) if self.return_sequences else (self._width,)

    def param_shapes(self, input_shape):
        cell = self._cell()
        return {
            f"{prefix}.{name}": shape
            for prefix, n_features in self._cells(input_shape)
            for name, shape in cell.param_shapes(n_features).items()
        }

    def work_shapes(self, input_shape, n, training=True):
        (time, n_features), cell, width = input_shape, self._cell(), self._width
        steps = n * time
        shapes = Steps.work_shapes(n, time) | {"x": (steps, n_features)}
        shapes["y"] = (time, n, width) if self.return_sequences else (n, width)
        if training:
            shapes |= {"dx": (time, n, n_features), "dy": (steps, width)}
        for prefix, _ in self._cells(input_shape):
            buffers = cell.work_shapes(n, steps if training else n, training)
            shapes |= {f"{prefix}.{name}": shape for name, shape in buffers.items()}
        for level in range(self.num_layers):
            if self._keeps(level):
                shapes[f"y.{level}"] = (steps, width)
            if training:
                shape = (steps, width if level else n_features)
                shapes |= {f"dx.{level}": shape}
                if self.bidirectional:
                    shapes[f"dx_reverse.{level}"] = shape
        if training and self.stochastic:
            for level in range(1, self.num_layers):
                shapes[f"dropped.{level}"] = (steps, width)
                shapes[f"mask.{level}"] = ((time, n, width), np.uint8)
        return shapes

    def init(self, p, input_shape, rng, x=None):
        cell = self._cell()
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        recurrent = resolve(self.recurrent_initializer, INITIALIZERS, "recurrent_initializer")
        for prefix, _ in self._cells(input_shape):
            cell.init(p.part(prefix), initializer, recurrent, rng)

    # ------------------------------------------------------------ passes

    def _drop(self, z, level, steps, w, ctx):
        """Return the inputs of a level after dropout, the mask of its steps, and what is kept."""
        rate = value_at(self.dropout, ctx.progress) if level and ctx.training else 0.0
        if rate == 0:
            return z, None, 1.0
        mask, out = w[f"mask.{level}"], w[f"dropped.{level}"][: len(z)]
        # By sequence and time: which sequences are lined up with others must not matter.
        kept = ctx.rng.mask(rate, mask.swapaxes(0, 1))
        if not steps.whole:
            mask = mask[steps.times, steps.rows]
        kernels.masked_scale(z, mask, 1 / kept, out)
        return out, mask, kept

    def forward(self, x, p, w, ctx):
        steps, cell = Steps.find(x, ctx.absent, w), self._bound_cell
        inputs, masks = [], []
        z = steps.take(x, w["x"])
        for level in range(self.num_layers):
            z, *mask = self._drop(z, level, steps, w, ctx)
            inputs.append(z)
            masks.append(mask)
            y = w[f"y.{level}"][: len(z)] if self._keeps(level) else None
            for prefix, reverse, part in self._directions(level):
                own = w.part(prefix)
                cell.forward(steps, z, y, part.start, p.part(prefix), own, reverse)
                if y is None:
                    w["y"][steps.order, part] = own["h"]
            z = y
        ctx.cache[self] = steps, inputs, masks
        if self.return_sequences:
            return steps.put(z, w["y"], 0)
        ctx.absent = None
        return w["y"]

    def stepping(self, input_shape):
        return ENDLESS if self.return_sequences and not self.bidirectional else NO_STEPS

    def step(self, x, p, past):
        w, cell = past.work(self, x), self._bound_cell
        steps = Steps.find(x, None, w)
        z = steps.take(x, w["x"])
        for level in range(self.num_layers):
            own, y, prefix = w.part(f"{level}"), w[f"y.{level}"][: len(z)], f"{level}"
            kept = {
                name: past.kept(self, f"{level}.{name}", (self.units,), x.dtype)
                for name in cell.state
            }
            for name, array in kept.items():
                own[name][...] = array
            cell.forward(steps, z, y, 0, p.part(prefix), own, reverse=False, begin=False)
            for name, array in kept.items():
                array[...] = own[name]
            z = y
        return steps.put(z, w["y"], 0)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        (steps, inputs, masks), last = ctx.cache[self], None
        if self.return_sequences:
            dz = steps.take(dy, w["dy"])
        else:
            dz, last = None, dy
        for level in range(self.num_layers - 1, -1, -1):
            dz = self._level_backward(level, steps, dz, last, inputs[level], p, g, w,
                                      level or need_dx)  # fmt: skip
            last = None
            mask, kept = masks[level]
            if mask is not None:
                kernels.masked_scale(dz, mask, 1 / kept, dz)
        return steps.put(dz, w["dx"], 0) if need_dx else None

    def _level_backward(self, level, steps, dy, last, z, p, g, w, need_dx):
        """Go back through a level: from `dy`, or `last` for the last states, to its inputs z."""
        n_steps, cell = len(steps.rows), self._bound_cell
        dz = w[f"dx.{level}"][:n_steps]
        for prefix, reverse, part in self._directions(level):
            own, own_p = w.part(prefix), p.part(prefix)
            own["dh"][...] = 0 if last is None else last[steps.order, part]
            cell.backward(steps, dy, part.start, z, own_p, g.part(prefix), own, reverse)
            if need_dx:
                out = w[f"dx_reverse.{level}"][:n_steps] if reverse else dz
                kernels.matmul_by_transposed(own["gates"][:n_steps], own_p["weight_input"], out)
                if reverse:
                    dz += out
        return dz
