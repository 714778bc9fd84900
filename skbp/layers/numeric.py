"""Embeddings of numbers: each number of a row becomes several."""

from copy import copy
from math import prod
from numbers import Real
from typing import Any

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Maybe, OneOf, Range, Whole
from skbp.layers.base import Layer

POSITIVE = Range(0, low_open=True)


class _NumberEmbedding(Layer):
    """Base class of layers that make several values of each number at the beginning of a row.

    A subclass says how many, as `_width`. Inside, numbers come first, with one axis for all of a
    row.
    """

    n_numeric: int | None
    _width: Any
    _shape: tuple[int, ...]  # of the numbers of a row, once bound

    def _numbers(self, input_shape):
        """Return the shape of the numbers that are embedded."""
        last = input_shape[-1] if self.n_numeric is None else self.n_numeric
        if last > input_shape[-1]:
            raise ValueError(
                f"{type(self).__name__} has n_numeric={last}, but rows have {input_shape[-1]} "
                "values."
            )
        return *input_shape[:-1], last

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._shape = self._numbers(input_shape)
        layer._split = layer._shape[-1] * self._width
        return layer

    def output_shape(self, input_shape):
        numbers = self._numbers(input_shape)[-1]
        return *input_shape[:-1], input_shape[-1] + numbers * (self._width - 1)

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, *self.output_shape(input_shape))}
        if training:
            shapes["dx"] = (n, *input_shape)
        return shapes

    def _flat(self, arrays, name):
        """Return an array with one axis for all numbers of a row."""
        array = arrays[name]
        return array.reshape(prod(self._shape), *array.shape[len(self._shape) :])

    def _by_number(self, x):
        """Return a copy of the numbers of rows, shape (numbers, n)."""
        return x[..., : self._shape[-1]].reshape(len(x), -1).T.copy()


class _Deviations:
    """A number > 0, or an array of such."""

    def __contains__(self, value):
        if isinstance(value, Real):
            return value in POSITIVE
        if not isinstance(value, list | tuple | np.ndarray):
            return False
        try:
            values = np.asarray(value)
        except ValueError:  # ragged
            return False
        real = values.dtype.kind in "iuf" and values.size > 0
        return real and bool((np.isfinite(values) & (values > 0)).all())

    def __str__(self):
        return f"{POSITIVE}, or an array of such numbers"


class PeriodicEmbedding(_NumberEmbedding):
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
    std : float, or list, tuple or ndarray of float, default=0.1
        Standard deviation, > 0, of the first frequencies, in waves per unit of x. Numbers should
        have a scale of about one. An array has one for each number, or a shape that broadcasts to
        that of the numbers of a row, such as (members, 1).
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
        "std": _Deviations(),
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
        shape = super()._numbers(input_shape)
        given = np.shape(self.std)
        try:
            fits = np.broadcast_shapes(given, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"PeriodicEmbedding has a std of shape {given}, but the numbers of a row have the "
                f"shape {shape}. Give one number, or a shape that broadcasts to that."
            )
        return shape

    def of_member(self, number):
        if np.ndim(self.std) < 2:
            return self
        std = np.asarray(self.std)
        layer = copy(self)
        layer.std = std[number % len(std)]
        return layer

    @property
    def _width(self):
        """How many values a number becomes."""
        return self.units + (self.kind == "pbld")

    @property
    def _waves(self):
        return self.n_frequencies * (1 if self.kind == "pbld" else 2)

    def param_shapes(self, input_shape):
        shape = self._numbers(input_shape)
        shapes = {"frequency": (*shape, self.n_frequencies)}
        if self.kind == "pbld":
            shapes["phase"] = (*shape, self.n_frequencies)
        return shapes | {"weight": (*shape, self._waves, self.units), "bias": (*shape, self.units)}

    def init(self, p, input_shape, rng, x=None):
        bound = self._waves**-0.5
        std = np.asarray(self.std, float)[..., None]
        p["frequency"][...] = rng.normal(0.0, std, p["frequency"].shape)
        if self.kind == "pbld":
            p["phase"][...] = rng.uniform(-np.pi, np.pi, p["phase"].shape)
        p["weight"][...] = rng.uniform(-bound, bound, p["weight"].shape)
        p["bias"][...] = rng.uniform(-bound, bound, p["bias"].shape)

    # Inside, numbers come first, and rows last: x of shape (numbers, n), what is made of them of
    # shape (numbers, units, n). "plr" is waves of two phases: sin(z) = cos(z - pi / 2).

    def _waves_of(self, p):
        """Return frequencies and phases, each of shape (numbers, waves)."""
        frequency = self._flat(p, "frequency")
        if self.kind == "pbld":
            return frequency, self._flat(p, "phase")
        phase = np.zeros((len(frequency), self._waves), frequency.dtype)
        phase[:, self.n_frequencies :] = -np.pi / 2
        return np.concatenate([frequency, frequency], axis=1), phase

    def _embedded(self, y):
        """Return a view of the embeddings in y, shape (*numbers of a row, width, n)."""
        of_numbers = y[..., : self._split].reshape(len(y), *self._shape, self._width)
        return np.moveaxis(of_numbers, 0, -1)

    def forward(self, x, p, w, ctx):
        y, pbld = w["y"], self.kind == "pbld"
        y[..., self._split :] = x[..., self._shape[-1] :]
        if self._split == 0:
            return y
        numbers = self._by_number(x)
        made = np.empty((len(numbers), self.units, len(x)), y.dtype)
        kernels.waves(numbers, *self._waves_of(p), self._flat(p, "weight"), made)
        made += self._flat(p, "bias")[:, :, None]
        if not pbld:
            np.maximum(made, 0, out=made)
        ctx.cache[self] = numbers, made
        embedded = self._embedded(y)
        embedded[..., int(pbld) :, :] = made.reshape(*self._shape, self.units, len(x))
        if pbld:
            embedded[..., 0, :] = numbers.reshape(*self._shape, len(x))
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if self._split == 0:
            return dy
        dy = ctx.contiguous(self, "dy", dy)
        pbld, n, dx = self.kind == "pbld", len(dy), w["dx"]
        numbers, made = ctx.cache[self]
        embedded = self._embedded(dy)
        dmade = embedded[..., int(pbld) :, :].reshape(made.shape)
        if not pbld:
            dmade = dmade * (made > 0)
        np.sum(dmade, axis=2, out=self._flat(g, "bias"))
        dnumbers = np.empty((len(numbers) if need_dx else 0, n), dy.dtype)
        frequency, phase = self._waves_of(p)
        dfrequency, dphase = np.empty_like(frequency), np.empty_like(phase)
        kernels.waves_backward(
            np.ascontiguousarray(dmade), numbers, frequency, phase, self._flat(p, "weight"),
            dfrequency, dphase, self._flat(g, "weight"), dnumbers,
        )  # fmt: skip
        if pbld:
            self._flat(g, "phase")[...] = dphase
        else:  # each frequency has two waves
            dfrequency = dfrequency[:, : self.n_frequencies] + dfrequency[:, self.n_frequencies :]
        self._flat(g, "frequency")[...] = dfrequency
        if not need_dx:
            return None
        of_numbers = dnumbers.reshape(*self._shape, n)
        if pbld:
            of_numbers = of_numbers + embedded[..., 0, :]
        dx[..., : self._shape[-1]] = np.moveaxis(of_numbers, -1, 0)
        dx[..., self._shape[-1] :] = dy[..., self._split :]
        return dx
