"""What a pass hands to layers: arrays by name, and the `Pass`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skbp.layers._draws import Draws
from skbp.schedules import Progress


class Arrays(dict):
    """Arrays by name; those of a layer inside a layer have its name and a dot before their own."""

    def __init__(self, *args):
        super().__init__(*args)
        self._parts = {}

    def part(self, name):
        """Return the arrays of an inner layer by their own names: each time the same object."""
        found = self._parts.get(name)
        if found is None:
            start = f"{name}."
            found = self._parts[name] = Arrays(
                (key.removeprefix(start), a) for key, a in self.items() if key.startswith(start)
            )
        return found


@dataclass
class Pass:
    """What a pass through a network needs besides arrays.

    Attributes
    ----------
    rng : Draws or None
        Source of randomness in training, row by row; None in inference.
    absent : ndarray of shape (n, time), bool, or None
        The steps of the current layer's input that are absent; None if there are none. A layer that
        changes the time axis sets it to what is absent in its output.
    progress : Progress or None
        How far training has come, for hyperparameters that change as it goes.
    cache : dict
        What a layer's `forward` leaves for its `backward`, with the layer as key.
    exchange : callable or None
        Given if threads share the batch: takes something, returns a list of what each gave.
    place : tuple of (int, int) or None
        Number of the first row in the batch, and of rows in the batch, if threads share it.
    """

    rng: Draws | None = None
    absent: np.ndarray | None = None
    progress: Progress | None = None
    cache: dict = field(default_factory=dict)
    exchange: Callable[[Any], list] | None = None
    place: tuple[int, int] | None = None
    _scratch: dict = field(default_factory=dict, init=False, repr=False)

    @property
    def first(self):
        """Whether this is the pass of the first share, or the only one: it changes the state."""
        return self.place is None or self.place[0] == 0

    @property
    def training(self):
        """Whether it is a pass of training, not of inference."""
        return self.rng is not None

    def gather(self, *own):
        """Return what the passes of all shares of the batch hand in here, as a list of tuples.

        Every share calls it at the same place, and waits for the others.

        Parameters
        ----------
        *own : ndarray or number
            What this share hands in; arrays are copied.
        """
        if self.exchange is None:
            return [own]
        return self.exchange(tuple(np.copy(a) for a in own))

    def forget(self):
        """Let go of what layers have left, and of the memory for their copies."""
        self.cache.clear()
        self._scratch.clear()

    def contiguous(self, layer, name, x):
        """Return x if it is C-contiguous, else a copy that lives until the next one of that name.

        Parameters
        ----------
        layer : Layer
            Whose copy it is.
        name : str
            Tells the layer's copies apart.
        x : ndarray
        """
        return x if x.flags.c_contiguous else self.copied(layer, name, x)

    def copied(self, layer, name, x):
        """Return a C-contiguous copy of x, in memory that is allocated once."""
        memory = self._scratch.get((layer, name))
        if memory is None or memory.size < x.size or memory.dtype != x.dtype:
            memory = self._scratch[layer, name] = np.empty(x.size, x.dtype)
        copy_of_x = memory[: x.size].reshape(x.shape)
        np.copyto(copy_of_x, x)
        return copy_of_x

    def refuse(self, layer):
        """Raise a ValueError if steps are absent; for a layer that cannot leave them out."""
        if self.absent is not None:
            row, step = np.argwhere(self.absent)[0]
            raise ValueError(
                f"{layer!r} got an absent step (row {row} of its batch, step {step}), and takes "
                "only sequences that are whole. Put a layer before it that leaves absent steps "
                "out, such as SequencePool or a recurrent layer."
            )


def allocate(layer, input_shape, n, dtype, training=True):
    """Return the buffers that a layer wants for a batch of n rows."""
    shapes = layer.work_shapes(input_shape, n, training)
    return Arrays((name, np.empty(*shape_and_dtype(spec, dtype))) for name, spec in shapes.items())


def shape_and_dtype(spec, dtype):
    """Read an entry of `Layer.work_shapes`: a shape, or a pair of shape and dtype."""
    if len(spec) == 2 and isinstance(spec[0], tuple):
        return spec
    return spec, dtype
