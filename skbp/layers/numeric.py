"""Embeddings of numbers: each number of a row becomes several."""

from math import prod

import numpy as np

from skbp._component import Maybe, OneOf, Range, Whole
from skbp.layers.base import Layer

#: Values that are worked on at a time: they stay in cache, and do not grow with the table.
BLOCK = 2**16
TURN = 2 * np.pi


class PeriodicEmbedding(Layer):
    """Makes several values of each number, from waves whose frequencies are learned.

    With frequencies w and phases b of its own for each number x,
    "pbld": ``h = cos(2 pi w x + b)``, and x becomes ``[x, h V + c]``, 1 + units values;
    "plr": ``h = [cos(2 pi w x), sin(2 pi w x)]``, and x becomes ``relu(h V + c)``, `units` values.

    Parameters
    ----------
    n_frequencies : int, default=16
        Number of waves for each number, at least 1.
    units : int, default=3
        Number of values that are made of them, at least 1.
    std : float, default=0.1
        Standard deviation, > 0, of the first frequencies, in waves per unit of x. Numbers should
        have a scale of about one.
    kind : {"pbld", "plr"}, default="pbld"
        See above.
    n_numeric : int or None, default=None
        How many values of the last axis are embedded, from the first on; the others follow as they
        are. None means all.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Notes
    -----
    In rows of several axes, such as (members, features), each value has parameters of its own.

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko (2022), "On embeddings for numerical features in tabular
    deep learning", section 3.3: "plr".
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", section 3: "pbld".

    Examples
    --------
    >>> from skbp.layers import PeriodicEmbedding
    >>> PeriodicEmbedding(units=3, n_numeric=2).output_shape((5,))  # two numbers, three others
    (11,)
    """

    penalized = ("weight",)
    allowed = {
        "n_frequencies": Whole(1),
        "units": Whole(1),
        "std": Range(0, low_open=True),
        "kind": OneOf(("pbld", "plr")),
        "n_numeric": Maybe(Whole(0)),
    }

    def __init__(self, n_frequencies=16, units=3, std=0.1, kind="pbld", n_numeric=None, name=None):
        self.n_frequencies = n_frequencies
        self.units = units
        self.std = std
        self.kind = kind
        self.n_numeric = n_numeric
        self.name = name

    def _numbers(self, input_shape):
        """Return the shape of the numbers that are embedded."""
        last = input_shape[-1] if self.n_numeric is None else self.n_numeric
        if last > input_shape[-1]:
            raise ValueError(
                f"PeriodicEmbedding has n_numeric={last}, but rows have {input_shape[-1]} values."
            )
        return *input_shape[:-1], last

    @property
    def _width(self):
        """How many values a number becomes."""
        return self.units + (self.kind == "pbld")

    @property
    def _waves(self):
        return self.n_frequencies * (1 if self.kind == "pbld" else 2)

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._shape = self._numbers(input_shape)
        layer._split = layer._shape[-1] * self._width
        return layer

    def output_shape(self, input_shape):
        numbers = self._numbers(input_shape)[-1]
        return *input_shape[:-1], input_shape[-1] - numbers + numbers * self._width

    def param_shapes(self, input_shape):
        shape = self._numbers(input_shape)
        shapes = {"frequency": (*shape, self.n_frequencies)}
        if self.kind == "pbld":
            shapes["phase"] = (*shape, self.n_frequencies)
        return shapes | {"weight": (*shape, self._waves, self.units), "bias": (*shape, self.units)}

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, *self.output_shape(input_shape))}
        if training:
            shapes["dx"] = (n, *input_shape)
        return shapes

    def init(self, p, input_shape, rng, x=None):
        bound = self._waves**-0.5
        p["frequency"][...] = rng.normal(0.0, self.std, p["frequency"].shape)
        if self.kind == "pbld":
            p["phase"][...] = rng.uniform(-np.pi, np.pi, p["phase"].shape)
        p["weight"][...] = rng.uniform(-bound, bound, p["weight"].shape)
        p["bias"][...] = rng.uniform(-bound, bound, p["bias"].shape)

    # Inside, numbers come first: x of shape (numbers, n), waves (numbers, n, waves), embeddings
    # (numbers, n, units); `_blocks` takes some numbers at a time.

    def _blocks(self, n):
        """Yield slices of the numbers of a row."""
        count = prod(self._shape)
        step = max(1, BLOCK // max(1, n * self._waves))
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))

    def _flat(self, arrays, names):
        """Return arrays with one axis for all numbers of a row."""
        count, axes = prod(self._shape), len(self._shape)
        return {name: arrays[name].reshape(count, *arrays[name].shape[axes:]) for name in names}

    def _by_number(self, x):
        """Return a copy of the numbers of rows, shape (numbers, n)."""
        return x[..., : self._shape[-1]].reshape(len(x), -1).T.copy()

    def _angles(self, x, p, numbers):
        """Return what the waves are taken of, shape (numbers, n, n_frequencies)."""
        turns = p["frequency"][numbers] * p["frequency"].dtype.type(TURN)
        angles = x[numbers, :, None] * turns[:, None]
        if self.kind == "pbld":
            angles += p["phase"][numbers, None]
        return angles

    def forward(self, x, p, w, ctx):
        y, pbld = w["y"], self.kind == "pbld"
        y[..., self._split :] = x[..., self._shape[-1] :]
        if self._split == 0:
            return y
        flat, numbers_first = self._flat(p, self._names()), self._by_number(x)
        made = np.empty((prod(self._shape), len(x), self.units), y.dtype)
        for numbers in self._blocks(len(x)):
            waves = self._waves_of(self._angles(numbers_first, flat, numbers))
            np.matmul(waves, flat["weight"][numbers], out=made[numbers])
        made += flat["bias"][:, None]
        if not pbld:
            np.maximum(made, 0, out=made)
        ctx.cache[self] = made if not pbld else None
        shaped = made.reshape(*self._shape, len(x), self.units)
        self._write(y, x, np.moveaxis(shaped, -2, 0))
        return y

    def _write(self, y, x, made):
        """Put embeddings, shape (n, *numbers of a row, units), where they belong in y."""
        out = y[..., : self._split].reshape(*y.shape[:-1], self._shape[-1], self._width)
        # A reshape of a part of the last axis stays a view: only that axis is split.
        if self.kind == "pbld":
            out[..., 0] = x[..., : self._shape[-1]]
            out[..., 1:] = made
        else:
            out[...] = made

    def _names(self):
        return ["frequency", "weight", "bias"] + ["phase"] * (self.kind == "pbld")

    def _waves_of(self, angles):
        if self.kind == "pbld":
            return np.cos(angles, out=angles)
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=2)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        pbld, n, dx = self.kind == "pbld", len(dy), w["dx"]
        if self._split == 0:
            return dy
        flat, grads = self._flat(p, self._names()), self._flat(g, self._names())
        shaped = dy[..., : self._split].reshape(n, *self._shape, self._width)
        dmade = np.moveaxis(shaped[..., pbld:], 0, -2).reshape(-1, n, self.units)
        dmade = dmade * (ctx.cache[self] > 0) if not pbld else np.ascontiguousarray(dmade)
        np.sum(dmade, axis=1, out=grads["bias"])
        numbers_first, dx_first = self._by_number(x), np.zeros((len(dmade), n), dy.dtype)
        for numbers in self._blocks(n):
            angles = self._angles(numbers_first, flat, numbers)
            dangles = self._through_waves(angles, dmade[numbers], flat, grads, numbers)
            if pbld:
                np.sum(dangles, axis=1, out=grads["phase"][numbers])
            turned = np.matmul(numbers_first[numbers, None], dangles)[:, 0]
            np.multiply(turned, TURN, out=grads["frequency"][numbers])
            if need_dx:
                turns = flat["frequency"][numbers, :, None] * dy.dtype.type(TURN)
                dx_first[numbers] = np.matmul(dangles, turns)[..., 0]
        if not need_dx:
            return None
        of_numbers = dx_first.reshape(*self._shape, n)
        dx[..., : self._shape[-1]] = np.moveaxis(of_numbers, -1, 0)
        if pbld:
            dx[..., : self._shape[-1]] += shaped[..., 0]
        dx[..., self._shape[-1] :] = dy[..., self._split :]
        return dx

    def _through_waves(self, angles, dmade, p, g, numbers):
        """Fill the gradient of the weight; return that of the angles."""
        dwaves = np.matmul(dmade, p["weight"][numbers].swapaxes(1, 2))
        if self.kind == "pbld":
            waves = np.cos(angles)
            np.matmul(waves.swapaxes(1, 2), dmade, out=g["weight"][numbers])
            dwaves *= np.sin(angles, out=angles)
            return np.negative(dwaves, out=dwaves)
        k = self.n_frequencies
        waves = self._waves_of(angles)
        np.matmul(waves.swapaxes(1, 2), dmade, out=g["weight"][numbers])
        return dwaves[..., k:] * waves[..., :k] - dwaves[..., :k] * waves[..., k:]
