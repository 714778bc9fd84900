"""The network: layers over one flat vector of parameters."""

from copy import copy, deepcopy
from fnmatch import fnmatchcase
from itertools import accumulate
from math import prod

import numpy as np

from skbp._engine.content import check_sizes
from skbp._engine.parameter import Parameter
from skbp._plain import kept
from skbp.layers._chains import absent_of_chain, init_chain
from skbp.layers._draws import Draws
from skbp.layers._pass import Arrays, Pass, shape_and_dtype
from skbp.layers._steps import enter
from skbp.layers.base import REFUSE, Layer, checked_output, checked_shape, wanted
from skbp.layers.members import MemberDense


@kept
class Network:
    """Layers, and their parameters in one flat vector.

    The vector holds first all parameters that weight penalties apply to, then the others, so that
    a penalty is one operation on one range.

    Parameters
    ----------
    layers : list of Layer
        The layers, in forward order. The network works with copies: see `Layer.bind`.
    input_shape : tuple of int
        Shape of one input row.
    dtype : numpy dtype
        float32 or float64.
    params : ndarray of shape (n_params,), dtype `dtype`, optional
        The vector to work with, as that of a network with the same parameters for sequences of
        another length; by default a new one.
    state : ndarray of shape (n_state,), dtype `dtype`, optional
        Likewise.

    Attributes
    ----------
    layers : list of Layer
        The copies; `specification` has the layers as they were given.
    params : ndarray of shape (n_params,)
        All parameters.
    state : ndarray of shape (n_state,)
        What layers keep but no optimizer trains: running means and the like.
    n_penalized : int
        ``params[:n_penalized]`` are the penalised ones.
    parameters : list of Parameter
        The parameters, in the order of the vector.
    views : list of Arrays
        For each layer its parameters and its state by name, as views into `params` and `state`.
    begin : int
        Number of the layer that rows go into: 0, but for a network `beginning_at` a later one.
    frozen : frozenset of int
        Numbers of the parameters that training leaves as they are; see `freeze`.
    first_trained : int
        Number of the first layer that has others.
    still : set of int
        Numbers of the layers that keep something beside parameters, and leave it as it is.
    """

    def __init__(self, layers, input_shape, dtype, params=None, state=None):
        self.specification = list(layers)
        self._first_shape = self.input_shape = tuple(input_shape)
        self.begin = 0
        self._bind()
        n_params, n_state = self._lay_out()
        self.params = np.zeros(n_params, dtype) if params is None else params
        if self.params.shape != (n_params,) or self.params.dtype != dtype:
            raise ValueError(
                f"params has shape {self.params.shape} and dtype {self.params.dtype}; the network "
                f"needs ({n_params},) and {np.dtype(dtype)}."
            )
        self.state = np.zeros(n_state, dtype) if state is None else state
        if self.state.shape != (n_state,) or self.state.dtype != dtype:
            raise ValueError(
                f"state has shape {self.state.shape} and dtype {self.state.dtype}; the network "
                f"needs ({n_state},) and {np.dtype(dtype)}."
            )
        self._make_views()
        self.freeze(())

    def _bind(self):
        shape, self.layers, self.input_shapes = self._first_shape, [], []
        for layer in self.specification:
            try:
                self.layers.append(layer.bind(shape))
            except ValueError as error:
                if type(layer).__name__ in str(error):
                    raise
                raise ValueError(f"{layer!r}: {error}") from error
            self.input_shapes.append(shape)
            shape = checked_shape(layer.output_shape(shape), layer)
        self.output_shape = shape

    def _lay_out(self):
        """Find the place of each array in its vector; return the sizes of the vectors."""
        names, found, state = self.names, [], []
        for index, (layer, shape) in enumerate(zip(self.layers, self.input_shapes, strict=True)):
            for key, param_shape in layer.param_shapes(shape).items():
                penalized, table = key in layer.penalized, key in layer.tables
                place = f"{names[index]}.{key}", index, key, 0, prod(param_shape), param_shape
                found.append(Parameter(*place, penalized, table))
            state += [(index, *item) for item in layer.state_shapes(shape).items()]
        found.sort(key=lambda one: not one.penalized)
        ends = [0, *accumulate(one.stop for one in found)]
        self.parameters = [
            one._replace(start=start, stop=stop)
            for one, start, stop in zip(found, ends, ends[1:], strict=False)
        ]
        self.n_penalized = sum(one.stop - one.start for one in self.parameters if one.penalized)
        ends_of_state = [0, *accumulate(prod(shape) for *_, shape in state)]
        self._state_places = [
            (*place, start) for place, start in zip(state, ends_of_state, strict=False)
        ]
        self._ties = [
            (index, key, self._tied(f"{names[index]}.{key}", name, layer.tied_shapes(shape)[key]))
            for index, (layer, shape) in enumerate(zip(self.layers, self.input_shapes, strict=True))
            for key, name in layer.ties.items()
        ]
        return ends[-1], ends_of_state[-1]

    def _tied(self, own, name, shape):
        """Return the parameter, of that shape, to which another one is tied."""
        for parameter in self.parameters:
            if parameter.name == name and parameter.shape == shape:
                return parameter
            if parameter.name == name:
                raise ValueError(
                    f"{own} is tied to {name}, of shape {parameter.shape}, and needs {shape}."
                )
        known = [parameter.name for parameter in self.parameters]
        raise ValueError(f"{own} is tied to {name!r}, which is none of the parameters {known}.")

    def _make_views(self):
        self.views = self.views_of(self.params)
        for index, key, owner in self._ties:
            self.views[index][key] = self.views[owner.layer][owner.key]
        for index, key, shape, start in self._state_places:
            self.views[index][key] = self.state[start : start + prod(shape)].reshape(shape)

    def views_of(self, flat):
        """Return, for each layer, its named views into a vector shaped like `params`."""
        views = [Arrays() for _ in self.layers]
        for _, index, key, start, stop, shape, *_ in self.parameters:
            views[index][key] = flat[start:stop].reshape(shape)
        return views

    def bound_to(self, input_shape):
        """Return this network for rows of another shape: over the same parameters and state.

        Raises
        ------
        ValueError
            If the layers do not take such rows, or have other parameters for them.
        """
        shape = tuple(input_shape)
        if self.begin:  # those are sequences all the way: see `beginning_at`
            shape = shape[0], *self._first_shape[1:]
        twin = Network(self.specification, shape, self.params.dtype, self.params, self.state)
        places = [[p[:6] for p in one.parameters] for one in (self, twin)]
        if places[0] != places[1] or self._state_places != twin._state_places:
            raise ValueError(
                f"layers have other parameters for rows of shape {tuple(input_shape)} than for "
                f"{self.input_shape}."
            )
        twin.freeze(self.frozen)
        return twin.beginning_at(self.begin) if self.begin else twin

    def beginning_at(self, number):
        """Return this network for rows that have gone through so many layers already."""
        twin = copy(self)
        twin.begin, twin.input_shape = number, self.input_shapes[number]
        return twin

    def same_shapes(self, other):
        """Whether another network has the same parameters and state in the same places."""
        return self._signature() == other._signature()

    def _signature(self):
        # Without the index: a layer that has no arrays, such as dropout, may come or go.
        arrays = [(one.key, one.start, one.shape) for one in self.parameters]
        return self.input_shape, arrays, [place[1:] for place in self._state_places]

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

    @property
    def needs_batch(self):
        """Whether `init` wants to see rows."""
        return any(layer.needs_batch for layer in self.layers)

    def init(self, rng, x=None):
        """Draw all first values, layer by layer.

        Parameters
        ----------
        rng : numpy.random.RandomState
        x : ndarray of shape (n, *input_shape), optional
            Rows of training data, for a network that `needs_batch`.

        Raises
        ------
        ValueError
            If a value is not finite in the network's dtype; names the parameter.
        """
        x, ctx = x if self.needs_batch else None, Pass()
        if x is not None and len(self.input_shape) == 2:
            x = enter(x, self, ctx)
        with np.errstate(over="ignore"):
            init_chain(self.specification, self.input_shapes, self.views, rng, x, ctx)
        if not np.isfinite(self.params).all():
            name = next(name for name, one in self.by_name().items() if not np.isfinite(one).all())
            raise ValueError(
                f"the first values of {name!r} are not finite in {self.params.dtype}. Use an "
                "initializer that draws smaller ones."
            )

    @property
    def names(self):
        """Names of the layers: their own, or ``conv2d_0``, ``flatten_1`` ...; the last, ``output``.

        Raises
        ------
        ValueError
            If two layers have the same name.
        """
        last = len(self.layers) - 1
        names = [
            layer.name or ("output" if i == last else f"{type(layer).__name__.lower()}_{i}")
            for i, layer in enumerate(self.layers)
        ]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two layers are named {name!r}; give one of them another name.")
        return names

    def by_name(self):
        """Return all parameters and state by name, such as ``conv2d_0.weight``, as views."""
        tied = {(index, key) for index, key, _ in self._ties}
        return {
            f"{name}.{key}": array
            for index, (name, p) in enumerate(zip(self.names, self.views, strict=True))
            for key, array in p.items()
            if (index, key) not in tied
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

    def matching(self, pattern):
        """Return the numbers, in `parameters`, of those whose name fits a pattern.

        Parameters
        ----------
        pattern : str
            For the whole name or a beginning up to a dot: "*.bias", "head", "head.weight".

        Raises
        ------
        ValueError
            If there are none.
        """
        numbers = [i for i, parameter in enumerate(self.parameters) if parameter.fits(pattern)]
        if not numbers:
            known = ", ".join(parameter.name for parameter in self.parameters)
            raise ValueError(f"no parameter's name fits {pattern!r}. The parameters are {known}.")
        return numbers

    def freeze(self, numbers):
        """Tell which parameters, by number, training leaves as they are; all others it changes.

        What a layer keeps beside parameters, such as running means, stays too if all its parameters
        do: it works as in inference. `backward` ends at the first layer that is trained.
        """
        self.frozen = frozenset(numbers)
        trained = {p.layer for i, p in enumerate(self.parameters) if i not in self.frozen}
        trained |= {index for index, _, owner in self._ties if owner.layer in trained}
        frozen = {p.layer for p in self.parameters} - trained
        self.still = frozen & {place[0] for place in self._state_places}
        self.first_trained = min(trained, default=len(self.layers))

    def absent_inputs(self):
        """Where a row may hold NaN: see `Layer.absent_inputs`."""
        return absent_of_chain(self.layers, self.input_shape)

    @property
    def of_members(self):
        """Whether raw outputs are those of several members: shape (n, members, k)."""
        return isinstance(self.layers[-1], MemberDense)

    @property
    def stochastic(self):
        """Whether training draws random numbers in forward passes."""
        return any(layer.stochastic for layer in self.layers)

    def threads_had_better_share(self, training, compiled):
        """Whether threads may share a batch, and had better do so: see `Layer.row_by_row`."""
        coupled = training and any(
            layer.couples_rows and not layer.gathers for layer in self.layers
        )
        sharing = [layer for layer in self.layers if layer.row_by_row]
        get_on = compiled or all(layer.in_large_arrays for layer in sharing)
        return bool(sharing) and get_on and not coupled

    @property
    def gathers(self):
        """Whether threads that share a batch wait for each other: see `Layer.gathers`."""
        return any(layer.gathers for layer in self.layers)

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
            prod(shape_and_dtype(spec, None)[0])
            for layer, shape in list(zip(self.layers, self.input_shapes, strict=True))[self.begin :]
            for spec in layer.work_shapes(shape, 32, training).values()
        )
        return max(1, sum(sizes) * self.params.itemsize // 32)

    def forward(self, x, workspace, rng=None, progress=None, depth=None):
        """Run a batch through all layers; keep each layer's input for `backward`.

        Parameters
        ----------
        x : ndarray of shape (n, *input_shape), or CSR matrix of shape (n, n_features)
        workspace : Workspace
            For at least n rows.
        rng : numpy.random.Generator, optional
            Given in training, None in inference. Where threads share the batch (``ctx.place`` of
            the workspace), each has one of its own, all in the same state.
        progress : Progress, optional
            How far training has come.
        depth : int, optional
            Only so many layers, from the first on.

        Returns
        -------
        raw : ndarray of shape (n, *output_shape)
            Lives in the workspace.
        """
        work, ctx = workspace.rows(x.shape[0]), workspace.ctx
        ctx.absent, ctx.progress = None, progress
        draws = None if rng is None else Draws(rng, ctx.place)
        if len(self.input_shape) == 2:
            x = enter(x, self, ctx)
        for index, layer in enumerate(self.layers[self.begin : depth], self.begin):
            if ctx.absent is not None and layer.absent == REFUSE:
                ctx.refuse(layer)
            workspace.inputs[index] = x
            ctx.rng = None if index in self.still else draws
            y = layer.forward(x, self.views[index], work[index], ctx)
            if not layer._of_this_house:
                y = checked_output(y, layer, x, self.shape_after(index + 1))
            x = y
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
        first = self.begin if need_dx else self.first_trained
        for index in range(len(self.layers) - 1, first - 1, -1):
            layer, x, need = self.layers[index], workspace.inputs[index], need_dx or index > first
            dy = layer.backward(
                dy, x, self.views[index], workspace.views[index], work[index], workspace.ctx,
                need_dx=need,
            )  # fmt: skip
            if need:
                wanted(dy, layer, x)
        for own, owner in workspace.tied:
            owner += own
        return dy

    def _parts(self):
        if self.begin:
            raise ValueError("a part of a network is not kept")
        return {
            "layers": self.specification, "input_shape": self._first_shape, "params": self.params,
            "state": self.state, "frozen": sorted(self.frozen),
        }  # fmt: skip

    @classmethod
    def _of_trusted(cls, parts):
        layers, shape, params = parts["layers"], parts["input_shape"], parts["params"]
        made = cls(layers, shape, params.dtype, params, parts["state"])
        made.freeze(parts["frozen"])
        return made

    @classmethod
    def _of_parts(cls, parts):
        """Return a network of the parts in a file, once they go together.

        Raises
        ------
        ValueError
            If they do not: layers are none or do not fit together, or vectors have other shapes
            or dtypes than the layers ask for, or are not finite.
        """
        layers, shape, params = parts["layers"], parts["input_shape"], parts["params"]
        if not (isinstance(layers, list) and all(isinstance(one, Layer) for one in layers)):
            raise ValueError("a network has layers that are none")
        if not (isinstance(shape, tuple) and all(type(n) is int and n > 0 for n in shape)):
            raise ValueError(f"a network takes rows of shape {shape!r:.100}")
        dtypes = {getattr(one, "dtype", None) for one in (params, parts["state"])}
        if len(dtypes) > 1 or not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
            raise ValueError("a network has parameters or state of no dtype, or of two")
        check_sizes(layers, shape, params.size)
        made = cls._of_trusted(parts)
        if not made.finite:
            raise ValueError("a network has parameters that are not finite")
        if not made.frozen <= set(range(len(made.parameters))):
            raise ValueError(f"a network has frozen parameters that it lacks: {parts['frozen']}")
        return made

    def __getstate__(self):
        # Views do not survive pickling as views: they would come back as copies, and training
        # would go on in `params` while `forward` reads the copies. Bound layers are made anew.
        return {key: value for key, value in vars(self).items() if key not in ("views", "layers")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._bind()
        self._make_views()
