"""What earlier steps of sequences left to the layers, for `Layer.step`."""

import numpy as np

from skbp.layers._pass import Pass, allocate


class Past:
    """What the steps so far have left to the layers of a network.

    Parameters
    ----------
    n : int
        Number of sequences.
    context : int
        How many steps a layer looks back at most, the step itself among them.

    Attributes
    ----------
    n, context : int
        As given; `n` is what is left of the sequences.
    seen : int
        Number of steps so far, the same for all sequences.
    ctx : Pass
        Of inference, for layers whose `forward` does for a step.
    """

    def __init__(self, n, context):
        self.n, self.context, self.seen = n, context, 0
        self.ctx = Pass()
        self._kept, self._work, self._fixed = {}, {}, {}

    def kept(self, layer, name, shape, dtype):
        """Return what a layer keeps from step to step: zeros before the first one.

        Parameters
        ----------
        layer : Layer
            Whose array it is; it may change it in place.
        name : str
            Tells the layer's arrays apart.
        shape : tuple of int
            Of one sequence.
        dtype : numpy dtype

        Returns
        -------
        array : ndarray of shape (n, *shape)
        """
        array = self._kept.get((layer, name))
        if array is None:
            array = self._kept[layer, name] = np.zeros((self.n, *shape), dtype)
        return array

    def work(self, layer, x):
        """Return the buffers of inference that a layer wants for steps x, shape (n, t, ...)."""
        shape, buffers = self._work.get(layer, (None, None))
        if shape != x.shape:
            buffers = allocate(layer, x.shape[1:], len(x), x.dtype, training=False)
            self._work[layer] = x.shape, buffers
        return buffers

    def once(self, layer, make):
        """Return what `make` returned when a layer first asked: what does not depend on steps."""
        if layer not in self._fixed:
            self._fixed[layer] = make()
        return self._fixed[layer]

    def keep(self, rows):
        """Go on with some of the sequences only.

        Parameters
        ----------
        rows : ndarray of int or bool
            Which.
        """
        self._kept = {key: array[rows] for key, array in self._kept.items()}
        self.n = int(np.count_nonzero(rows)) if rows.dtype == bool else len(rows)
        self._work = {}
