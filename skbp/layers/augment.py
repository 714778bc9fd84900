"""Images changed at random, in training alone."""

from abc import ABC, abstractmethod
from math import sqrt

import numpy as np

from skbp._component import OneOf, Range
from skbp.layers._windows import Sizes, pair
from skbp.layers.base import Layer
from skbp.layers.compose import laid_out_like
from skbp.schedules.scheduled import or_scheduled, value_at

#: What a probability may be.
PROBABILITY = or_scheduled(Range(0, 1))


class _Shares:
    """Two numbers, the smaller first, above 0 and not above 1."""

    def __contains__(self, value):
        if not isinstance(value, tuple | list) or len(value) != 2:
            return False
        share = Range(0, 1, low_open=True)
        return value[0] in share and value[1] in share and value[0] <= value[1]

    def __str__(self):
        return "a pair of numbers in (0, 1], the smaller first"


class _Augmentation(Layer, ABC):
    """Base class of layers that change images, each by random numbers of its own.

    A subclass says how many of those an image takes (`n_numbers`) and what they mean (`_changes`),
    changes images (`_change`), and takes a gradient the same way back (`_change_back`).
    """

    stochastic = True
    n_numbers = 1

    def output_shape(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(
                f"{type(self).__name__} got rows of shape {tuple(input_shape)} and needs images, "
                "(channels, height, width): give the shape by an Input layer before it."
            )
        return input_shape

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, *input_shape)} if training else {}

    def forward(self, x, p, w, ctx):
        ctx.cache[self] = None
        if not ctx.training:
            return x
        numbers = ctx.rng.random((len(x), self.n_numbers))
        changes = ctx.cache[self] = self._changes(numbers, x.shape[2:], ctx.progress)
        if changes is None:
            return x
        y = laid_out_like(w["y"], x)
        self._change(x, y, changes)
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        changes = ctx.cache[self]
        if changes is None or not need_dx:
            return dy
        dx = laid_out_like(w["y"], dy)  # y is needed no more
        self._change_back(dy, dx, changes)
        return dx

    @abstractmethod
    def _changes(self, numbers, size, progress):
        """Return what is to be done to each image; None if nothing ever.

        Parameters
        ----------
        numbers : ndarray of shape (n, n_numbers)
            In [0, 1).
        size : tuple of (int, int)
            Height and width.
        progress : Progress or None
        """

    @abstractmethod
    def _change(self, x, y, changes):
        """Write the changed images of x to y; both of shape (n, channels, height, width)."""

    @abstractmethod
    def _change_back(self, dy, dx, changes):
        """Write the gradient of what went into `_change` to dx, given that of what came out."""


class RandomFlip(_Augmentation):
    """Mirrors a random share of the images in training; in inference images pass as they are.

    Parameters
    ----------
    axis : {"horizontal", "vertical", "both"}, default="horizontal"
        "horizontal" exchanges left and right, "vertical" top and bottom, "both" does each by a
        draw of its own. Leave out what changes an image's class, as with digits.
    rate : float or Scheduled, default=0.5
        In [0, 1]: the probability that an image is mirrored.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    RandomShift, RandomErasing
    GaussianNoise : Noise on any numbers, images too.

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. E. Hinton (2012), "ImageNet classification with deep
    convolutional neural networks", section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import Flatten, RandomFlip
    >>> X = np.random.default_rng(0).normal(size=(200, 1, 1, 2))  # images of two pixels
    >>> net = BackpropRegressor(layers=[RandomFlip(), Flatten()], batch_size=20, max_iter=15,
    ...                         learning_rate="one_cycle", learning_rate_init=0.05,
    ...                         n_iter_no_change=15, random_state=0)
    >>> net.fit(X, X[:, 0, 0, 0]).coefs_[-1].ravel().round(1)  # the left one may be on the right
    array([0.5, 0.5])
    """

    n_numbers = 2
    allowed = {"axis": OneOf(("horizontal", "vertical", "both")), "rate": PROBABILITY}

    def __init__(self, axis="horizontal", rate=0.5, name=None):
        self.axis = axis
        self.rate = rate
        self.name = name

    def _changes(self, numbers, size, progress):
        rate = value_at(self.rate, progress)
        if rate == 0:
            return None
        flipped = numbers < rate
        flipped[:, 0] &= self.axis != "horizontal"
        flipped[:, 1] &= self.axis != "vertical"
        return flipped

    def _change(self, x, y, flipped):
        along = slice(None), slice(None, None, -1)
        for i, (vertical, horizontal) in enumerate(flipped.tolist()):
            y[i] = x[i, :, along[vertical], along[horizontal]]

    def _change_back(self, dy, dx, flipped):
        self._change(dy, dx, flipped)


class RandomShift(_Augmentation):
    """Moves each image by some pixels in training; in inference images pass as they are.

    Known as random crop: the image is padded by `size` on all sides, and a part of its own size cut
    out. Down and right are drawn apart, each from all whole numbers of pixels from -size to size.

    Parameters
    ----------
    size : int or tuple of int
        The most pixels, at least 0 and less than the image has: (vertical, horizontal), or one
        number for both.
    fill : float, default=0.0
        What comes in at the edges, in the units of the input: the value of the background.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    RandomFlip, RandomErasing

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun (2016), "Deep residual learning for image recognition",
    section 4.2: 4 pixels for images of 32 x 32.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import Flatten, RandomShift
    >>> X = np.random.default_rng(0).normal(size=(200, 1, 1, 1)) * [0, 1, 0]  # light in the middle
    >>> net = BackpropRegressor(layers=[RandomShift((0, 1)), Flatten()], batch_size=20, max_iter=15,
    ...                         learning_rate="one_cycle", learning_rate_init=0.05,
    ...                         n_iter_no_change=15, random_state=0)
    >>> net.fit(X, X[:, 0, 0, 1]).coefs_[-1].ravel().round(1)  # it counts wherever it comes to be
    array([1., 1., 1.])
    """

    n_numbers = 2
    allowed = {"size": Sizes(0, 2), "fill": Range()}

    def __init__(self, size, fill=0.0, name=None):
        self.size = size
        self.fill = fill
        self.name = name

    def output_shape(self, input_shape):
        shape = super().output_shape(input_shape)
        if any(most >= n for most, n in zip(pair(self.size), shape[1:], strict=True)):
            raise ValueError(
                f"RandomShift(size={self.size!r}) would move images of {shape[1]} x {shape[2]} "
                "pixels out of sight: the size must be less than their height and width. Give "
                "(vertical, horizontal) where these differ."
            )
        return shape

    def _changes(self, numbers, size, progress):
        most = np.array(pair(self.size))
        if not most.any():
            return None
        return np.floor(numbers * (2 * most + 1)).astype(int) - most

    def _change(self, x, y, shifts):
        self._move(x, y, shifts, self.fill)

    def _change_back(self, dy, dx, shifts):
        self._move(dy, dx, -shifts, 0)

    @staticmethod
    def _move(x, y, shifts, fill):
        height, width = x.shape[2:]
        y.fill(fill)
        for i, (down, right) in enumerate(shifts.tolist()):
            to_rows, rows = _overlap(down, height)
            to_columns, columns = _overlap(right, width)
            y[i, :, to_rows, to_columns] = x[i, :, rows, columns]


def _overlap(shift, n):
    """Return where along an axis of length n what stays in sight comes to be, and where it was."""
    return (
        slice(max(shift, 0), n + min(shift, 0)),
        slice(max(-shift, 0), n + min(-shift, 0)),
    )


class RandomErasing(_Augmentation):
    """Covers a random rectangle of some images in training; in inference images pass as they are.

    Known as cutout, too. The rectangle's share of the image is uniform in `area`, the logarithm of
    height by width uniform between those of `ratio` and 1 / ratio, and its place uniform among all
    at which it lies within the image. All channels are covered.

    Parameters
    ----------
    rate : float or Scheduled, default=0.5
        In [0, 1]: the probability that a part of an image is covered.
    area : tuple of (float, float), default=(0.02, 0.33)
        The smallest and the largest share of the image, in (0, 1].
    ratio : float, default=0.3
        In (0, 1]: the smallest ratio of the rectangle's shorter side to the longer one.
    fill : float, default=0.0
        The value of what is covered, in the units of the input: best the mean of all pixels.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    RandomFlip, RandomShift
    Dropout : Covers single values.

    References
    ----------
    Z. Zhong, L. Zheng, G. Kang, S. Li, Y. Yang (2020), "Random erasing data augmentation", section
    3.2. There a rectangle that does not fit into the image is drawn again; here it is cut to the
    image's height or width.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import Flatten, RandomErasing
    >>> X = np.random.default_rng(0).normal(size=(200, 1, 1, 1)) * [1, 1]  # two pixels, alike
    >>> layers = [RandomErasing(1.0, area=(0.5, 0.5)), Flatten()]
    >>> net = BackpropRegressor(layers=layers, batch_size=20, max_iter=15, n_iter_no_change=15,
    ...                         learning_rate="one_cycle", learning_rate_init=0.05, random_state=0)
    >>> net.fit(X, X[:, 0, 0, 0]).coefs_[-1].ravel().round(1)  # each must do without the other
    array([1., 1.])
    """

    n_numbers = 5
    allowed = {
        "rate": PROBABILITY,
        "area": _Shares(),
        "ratio": Range(0, 1, low_open=True),
        "fill": Range(),
    }

    def __init__(self, rate=0.5, area=(0.02, 0.33), ratio=0.3, fill=0.0, name=None):
        self.rate = rate
        self.area = area
        self.ratio = ratio
        self.fill = fill
        self.name = name

    def _changes(self, numbers, size, progress):
        rate = value_at(self.rate, progress)
        if rate == 0:
            return None
        (height, width), (low, high) = size, self.area
        rectangles = []
        for i in np.flatnonzero(numbers[:, 0] < rate).tolist():
            _, share, ratio, down, right = numbers[i].tolist()
            pixels = (low + share * (high - low)) * height * width
            ratio = float(self.ratio) ** (2 * ratio - 1)
            h = min(height, max(1, round(sqrt(pixels * ratio))))
            w = min(width, max(1, round(sqrt(pixels / ratio))))
            top, left = int(down * (height - h + 1)), int(right * (width - w + 1))
            rectangles.append((i, slice(None), slice(top, top + h), slice(left, left + w)))
        return rectangles

    def _change(self, x, y, rectangles):
        self._cover(x, y, rectangles, self.fill)

    def _change_back(self, dy, dx, rectangles):
        self._cover(dy, dx, rectangles, 0)

    @staticmethod
    def _cover(x, y, rectangles, fill):
        np.copyto(y, x)
        for rectangle in rectangles:
            y[rectangle] = fill
