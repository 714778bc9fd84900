"""Memory for inference: two buffers, which layers use in turn."""

from math import prod

import numpy as np

from skbp.layers._pass import Arrays, shape_and_dtype

#: Arrays begin at multiples of so many bytes.
ALIGNMENT = 64


class Turns:
    """Two buffers of bytes, in which the layers of a network keep their arrays by turns.

    A layer reads what the one before it wrote, and nothing older: what that one had read may be
    written over. A deep network so needs the memory of its two largest neighbours, not of all its
    layers. The buffers grow as they have to, and serve one pass after the other.

    It is for chains of layers that write their output to arrays of their own, or hand on their
    input and have no arrays in inference, as `Dropout` does.
    """

    def __init__(self):
        self._buffers = [np.empty(0, np.uint8) for _ in range(2)]

    @property
    def nbytes(self):
        """Size of both buffers."""
        return sum(buffer.size for buffer in self._buffers)

    def allocate(self, network, n):
        """Return, for each layer of a network, its arrays by name for a batch of n rows."""
        for i, size in enumerate(sizes_of(network, n)):
            if self._buffers[i].size < size:
                self._buffers[i] = np.empty(0, np.uint8)  # first let go of the old one
                self._buffers[i] = np.empty(size, np.uint8)
        result = []
        for turn, specs in _turns(network, n):
            views, start = Arrays(), 0
            for name, shape, dtype in specs:
                size = prod(shape) * dtype.itemsize
                part = self._buffers[turn][start : start + size]
                views[name] = part.view(dtype).reshape(shape)
                start += _aligned(size)
            result.append(views)
        return result


def sizes_of(network, n):
    """Return how many bytes each of the two buffers needs for a batch of n rows."""
    sizes = [0, 0]
    for turn, specs in _turns(network, n):
        size = sum(_aligned(prod(shape) * dtype.itemsize) for _, shape, dtype in specs)
        sizes[turn] = max(sizes[turn], size)
    return sizes


def _turns(network, n):
    """Yield, for each layer, which buffer it uses, and name, shape and dtype of its arrays."""
    turn = 0
    for layer, input_shape in zip(network.layers, network.input_shapes, strict=True):
        asked = layer.work_shapes(input_shape, n, training=False)
        specs = []
        for name, spec in asked.items():
            shape, dtype = shape_and_dtype(spec, network.params.dtype)
            specs.append((name, shape, np.dtype(dtype)))
        yield turn, specs
        if specs:  # else it hands on what it reads, which is not to be written over
            turn = 1 - turn


def _aligned(size):
    return -(-size // ALIGNMENT) * ALIGNMENT
