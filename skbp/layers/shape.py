"""Changes of shape."""

from math import prod
from numbers import Integral

from skbp.layers._steps import enter
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
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Flatten : To one axis.
    Input : As the first layer.

    Notes
    -----
    Where flat rows become sequences, (time, features), steps that are all NaN become absent ones.
    Sequences in which steps are absent already keep their shape: another one is an error.

    Examples
    --------
    >>> from skbp.layers import Reshape
    >>> Reshape((1, 8, 8)).output_shape((64,))
    (1, 8, 8)
    >>> Reshape((-1, 2)).output_shape((3, 4))
    (6, 2)
    """

    allowed = {"shape": _Shape()}

    def __init__(self, shape, name=None):
        self.shape = shape
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._shape = self.output_shape(input_shape)
        layer._makes_steps = len(input_shape) == 1 and len(layer._shape) == 2
        return layer

    def output_shape(self, input_shape):
        size, known = prod(input_shape), prod(n for n in self.shape if n != -1)
        shape = tuple(size // known if n == -1 else n for n in self.shape)
        if prod(shape) != size:
            raise ValueError(
                f"{type(self).__name__} got rows of shape {tuple(input_shape)}, that is {size} "
                f"values, and needs as many as fit into shape={self.shape}."
            )
        return shape

    def forward(self, x, p, w, ctx):
        y = ctx.contiguous(self, "x", x).reshape(len(x), *self._shape)
        return enter(y, self, ctx) if self._makes_steps else y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return ctx.contiguous(self, "dy", dy).reshape(x.shape) if need_dx else None


class Input(Reshape):
    """The first layer: the shape in which a flat row enters, such as (channels, height, width).

    Parameters
    ----------
    shape : tuple of int
        Shape of a row; its values stay in order, the last axis running fastest. One number may be
        -1, and is then what is left for it.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Reshape : The same, anywhere in a network.

    Examples
    --------
    >>> from skbp.layers import Conv2D, Sequential
    >>> Sequential([Input((1, 8, 8)), Conv2D(4, 3)]).output_shape((64,))
    (4, 6, 6)
    """


class Flatten(Reshape):
    """Makes each row one-dimensional; the last axis runs fastest.

    Parameters
    ----------
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Reshape : To any shape.

    Examples
    --------
    >>> from skbp.layers import Conv2D, Flatten, Sequential
    >>> Sequential([Conv2D(4, 3), Flatten()]).output_shape((1, 8, 8))
    (144,)
    """

    allowed = {}

    def __init__(self, name=None):
        self.name = name

    def output_shape(self, input_shape):
        return (prod(input_shape),)
