"""Changes of shape."""

from math import prod
from numbers import Integral

import numpy as np

from skbp.layers.base import Layer


class _Shape:
    """A tuple of whole numbers, each at least 1; one may be -1."""

    def __contains__(self, value):
        if not isinstance(value, tuple | list):
            return False
        whole = all(isinstance(v, Integral) and not isinstance(v, bool) for v in value)
        return whole and all(v >= 1 or v == -1 for v in value) and list(value).count(-1) <= 1

    def __str__(self):
        return "a tuple of whole numbers >= 1, of which one may be -1"


class Reshape(Layer):
    """Gives each row another shape; its values stay in order, the last axis running fastest.

    Parameters
    ----------
    shape : tuple of int
        The shape of an output row. One number may be -1, and is then what is left for it.

    See Also
    --------
    Flatten : To one axis.

    Examples
    --------
    >>> import numpy as np
    >>> Reshape((1, 2, 2)).forward(np.array([[1.0, 2, 3, 4]]), {}, {})
    array([[[[1., 2.],
             [3., 4.]]]])
    >>> Reshape((-1, 2)).output_shape((3, 4))
    (6, 2)
    """

    allowed = {"shape": _Shape()}

    def __init__(self, shape):
        self.shape = shape

    def output_shape(self, input_shape):
        size, known = prod(input_shape), prod(n for n in self.shape if n != -1)
        shape = tuple(size // known if n == -1 else n for n in self.shape)
        if prod(shape) != size:
            raise ValueError(
                f"{type(self).__name__} got rows of shape {tuple(input_shape)}, that is {size} "
                f"values, and needs as many as fit into shape={self.shape}."
            )
        return shape

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, *input_shape)}
        return shapes | ({"dx": (n, *self.output_shape(input_shape))} if training else {})

    def forward(self, x, p, w, rng=None):
        return _in_order(x, w, "y").reshape(len(x), *self.output_shape(x.shape[1:]))

    def backward(self, dy, x, p, g, w, need_dx=True):
        return _in_order(dy, w, "dx").reshape(x.shape) if need_dx else None


def _in_order(x, w, name):
    """Return x, or where it is not C-contiguous a copy in a buffer of the workspace."""
    if x.flags.c_contiguous:
        return x
    np.copyto(w[name], x)
    return w[name]


class Flatten(Reshape):
    """Makes each row one-dimensional; the last axis runs fastest.

    See Also
    --------
    Reshape : To any shape.

    Examples
    --------
    >>> import numpy as np
    >>> Flatten().forward(np.array([[[1.0, 2], [3, 4]]]), {}, {})
    array([[1., 2., 3., 4.]])
    """

    allowed = {}

    def __init__(self):
        pass

    def output_shape(self, input_shape):
        return (prod(input_shape),)
