"""The network: layers over one flat vector of parameters, and the workspace of a batch."""

from copy import deepcopy
from fnmatch import fnmatchcase
from math import prod

import numpy as np


def _size_and_dtype(spec, dtype):
    """Read a `work_shapes` entry: a shape, or a pair of shape and dtype."""
    if len(spec) == 2 and isinstance(spec[0], tuple):
        return spec
    return spec, dtype


def _placed(arrays):
    """Line up (index of layer, name, shape) in a vector: insert starts, return the size too."""
    places, start = [], 0
    for index, name, shape in arrays:
        places.append((index, name, start, shape))
        start += prod(shape)
    return places, start


class Network:
    """Layers, and their parameters in one flat vector.

    The vector holds first all parameters that weight penalties apply to, then the others, so that
    a penalty is one operation on one range.

    Parameters
    ----------
    layers : list of Layer
        The layers, in forward order.
    input_shape : tuple of int
        Shape of one input row.
    dtype : numpy dtype
        float32 or float64.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        All parameters.
    state : ndarray of shape (n_state,)
        What layers keep but no optimizer trains: running means and the like.
    n_penalized : int
        ``params[:n_penalized]`` are the penalised ones.
    views : list of dict of str to ndarray
        For each layer its parameters and its state by name, as views into `params` and `state`.
    frozen : frozenset of int
        Numbers of the layers that training leaves as they are; see `freeze`.
    """

    def __init__(self, layers, input_shape, dtype):
        self.layers = layers
        self.input_shape = tuple(input_shape)
        n_params, n_state = self._lay_out()
        self.params, self.state = np.zeros(n_params, dtype), np.zeros(n_state, dtype)
        self._make_views()
        self.freeze(())

    def _lay_out(self):
        """Find each layer's shapes and the place of each array; return the sizes of the vectors."""
        shape, places, state = self.input_shape, [], []
        self.input_shapes = []
        for index, layer in enumerate(self.layers):
            self.input_shapes.append(shape)
            for name, param_shape in layer.param_shapes(shape).items():
                places.append((name not in layer.penalized, index, name, param_shape))
            state += [(index, *item) for item in layer.state_shapes(shape).items()]
            shape = layer.output_shape(shape)
        self.output_shape = shape
        self.n_penalized = sum(prod(place[3]) for place in places if not place[0])
        self._places, n_params = _placed(place[1:] for place in sorted(places, key=lambda p: p[0]))
        self._state_places, n_state = _placed(state)
        return n_params, n_state

    def _make_views(self):
        self.views = self.views_of(self.params)
        for p, state in zip(self.views, self._views(self.state, self._state_places), strict=True):
            p.update(state)

    def _views(self, flat, places):
        views: list[dict[str, np.ndarray]] = [{} for _ in self.layers]
        for index, name, start, shape in places:
            views[index][name] = flat[start : start + prod(shape)].reshape(shape)
        return views

    def views_of(self, flat):
        """Return, for each layer, a dict of named views into a vector shaped like `params`."""
        return self._views(flat, self._places)

    def same_shapes(self, other):
        """Whether another network has the same parameters and state in the same places."""
        return self._signature() == other._signature()

    def _signature(self):
        # Without the index: a layer that has no arrays, such as dropout, may come or go.
        arrays = [place[1:] for place in (*self._places, *self._state_places)]
        return self.input_shape, arrays

    def snapshot(self):
        """Return copies of `params` and `state`, for `restore`."""
        return self.params.copy(), self.state.copy()

    def restore(self, snapshot):
        """Set `params` and `state` to those of a snapshot of a network of the same shapes."""
        self.params[...], self.state[...] = snapshot

    @property
    def finite(self):
        """Whether all parameters and all state are finite."""
        return bool(np.isfinite(self.params).all() and np.isfinite(self.state).all())

    def rows_of(self, x):
        """Return flat rows in the shape in which they enter: a view, unless x is not contiguous."""
        if len(self.input_shape) < 2 or not isinstance(x, np.ndarray):
            return x
        return x.reshape(len(x), *self.input_shape)

    def first_weight_size(self):
        """Return the size of the first layer's weight, with which `params` begins."""
        return self.views[0]["weight"].size

    def ranges(self):
        """Yield (number of the layer, begin, end) of each parameter's place in `params`."""
        for index, _, start, shape in self._places:
            yield index, start, start + prod(shape)

    def init(self, rng):
        """Draw all first values from a numpy.random.RandomState, layer by layer."""
        for layer, p, shape in zip(self.layers, self.views, self.input_shapes, strict=True):
            layer.init(p, shape, rng)

    @property
    def names(self):
        """Names of the layers: ``conv2d_0``, ``flatten_1`` ... and ``output``."""
        names = [f"{type(layer).__name__.lower()}_{i}" for i, layer in enumerate(self.layers)]
        return [*names[:-1], "output"]

    def by_name(self):
        """Return all parameters and state by name, such as ``conv2d_0.weight``, as views."""
        return {
            f"{name}.{key}": array
            for name, p in zip(self.names, self.views, strict=True)
            for key, array in p.items()
        }

    def named(self, pattern):
        """Return the numbers of the layers whose name is `pattern`, or fits it as "conv2d_*" does.

        Raises
        ------
        ValueError
            If there are none.
        """
        numbers = [i for i, name in enumerate(self.names) if fnmatchcase(name, pattern)]
        if not numbers:
            raise ValueError(f"no layer is named {pattern!r}. The layers are {self.names}.")
        return numbers

    def freeze(self, numbers):
        """Tell which layers, by number, training leaves as they are; all others it changes.

        What they keep beside parameters, such as running means, stays too: they work as in
        inference. `backward` ends at the first layer that is trained.
        """
        self.frozen = frozenset(numbers)
        self._still = self.frozen & {place[0] for place in self._state_places}
        trained = {place[0] for place in self._places} - self.frozen
        self._first_trained = min(trained, default=len(self.layers))

    @property
    def stochastic(self):
        """Whether training draws random numbers in forward passes."""
        return any(layer.stochastic for layer in self.layers)

    @property
    def threads_may_share(self):
        """Whether threads may share a batch, and had better do so: see `Layer.row_by_row`."""
        coupled = any(layer.couples_rows for layer in self.layers)
        return not coupled and any(layer.row_by_row for layer in self.layers)

    def shape_after(self, depth):
        """Return the shape of a row after so many layers; None means all."""
        all_of_them = depth is None or depth == len(self.layers)
        return self.output_shape if all_of_them else self.input_shapes[depth]

    @property
    def takes_codes(self):
        """Whether some layer looks up whole numbers: such inputs have no gradient."""
        return any(layer.takes_codes for layer in self.layers)

    def with_tables_times(self, factor):
        """Return a copy in which all rows that are looked up are multiplied by a factor."""
        copy = deepcopy(self)
        for layer, p in zip(copy.layers, copy.views, strict=True):
            for name in layer.tables:
                p[name] *= factor
        return copy

    def bytes_per_row(self, training=False):
        """Return how much workspace a row takes, roughly, at least 1."""
        sizes = (
            prod(_size_and_dtype(spec, None)[0])
            for layer, shape in zip(self.layers, self.input_shapes, strict=True)
            for spec in layer.work_shapes(shape, 32, training).values()
        )
        return max(1, sum(sizes) * self.params.itemsize // 32)

    def forward(self, x, workspace, rng=None, depth=None):
        """Run a batch through all layers; keep each layer's input for `backward`.

        Parameters
        ----------
        x : ndarray of shape (n, *input_shape), or CSR matrix of shape (n, n_features)
        workspace : Workspace
            For at least n rows.
        rng : numpy.random.Generator, optional
            Given in training, None in inference.
        depth : int, optional
            Only so many layers, from the first on.

        Returns
        -------
        raw : ndarray of shape (n, *output_shape)
            Lives in the workspace.
        """
        work = workspace.rows(x.shape[0])
        for index, layer in enumerate(self.layers[:depth]):
            workspace.inputs[index] = x
            noise = None if index in self._still else rng
            x = layer.forward(x, self.views[index], work[index], noise)
        return x

    def backward(self, dy, workspace, need_dx=False):
        """Propagate the gradient of the raw outputs; fills ``workspace.grads``.

        Where a frozen layer has its gradient, there may be anything.

        Parameters
        ----------
        dy : ndarray of shape (n, *output_shape)
            Overwritten.
        workspace : Workspace
            Of the `forward` that came right before.
        need_dx : bool, default=False
            Whether the gradient with respect to the input is wanted.

        Returns
        -------
        dx : ndarray of shape (n, *input_shape)
            Lives in the workspace; without `need_dx` it means nothing.
        """
        work = workspace.rows(len(dy))
        first = 0 if need_dx else self._first_trained
        for index in range(len(self.layers) - 1, first - 1, -1):
            dy = self.layers[index].backward(
                dy, workspace.inputs[index], self.views[index], workspace.views[index],
                work[index], need_dx=need_dx or index > first,
            )  # fmt: skip
        return dy

    def __getstate__(self):
        # Views do not survive pickling as views: they would come back as copies, and training
        # would go on in `params` while `forward` reads the copies.
        return {key: value for key, value in vars(self).items() if key != "views"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._make_views()


class Workspace:
    """The gradient vector and every buffer a batch needs, allocated once.

    Parameters
    ----------
    network : Network
        Whose buffers these are.
    max_rows : int
        The most rows a batch will have.
    training : bool, default=True
        Whether `backward` will be called; without, there is no gradient vector.

    Attributes
    ----------
    grads : ndarray of shape (n_params,) or None
        Gradient of the loss with respect to the network's parameters.
    views : list of dict of str to ndarray
        Named views into `grads`, as `Network.views`.
    inputs : list
        The input of each layer in the last forward pass.
    """

    def __init__(self, network, max_rows, training=True):
        self._network = network
        self._training = training
        self.grads = np.zeros_like(network.params) if training else None
        self.views = network.views_of(self.grads) if training else []
        self.inputs = [None] * len(network.layers)
        self._most = [
            {name: np.empty(shape, dtype) for name, shape, dtype in layer_specs}
            for layer_specs in self._specs(max_rows)
        ]
        self._by_rows = {max_rows: self._most}

    def _specs(self, n):
        network = self._network
        dtype = network.params.dtype
        for layer, input_shape in zip(network.layers, network.input_shapes, strict=True):
            yield [
                (name, *_size_and_dtype(spec, dtype))
                for name, spec in layer.work_shapes(input_shape, n, self._training).items()
            ]

    def rows(self, n):
        """Return, for each layer, its buffers by name for a batch of n rows."""
        if n not in self._by_rows:
            self._by_rows[n] = [
                {
                    name: most[name].reshape(-1)[: prod(shape)].reshape(shape)
                    for name, shape, _ in layer_specs
                }
                for most, layer_specs in zip(self._most, self._specs(n), strict=True)
            ]
        return self._by_rows[n]
