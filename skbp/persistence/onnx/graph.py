"""A graph in the making: nodes, the constants they take, and names for all of them."""

from copy import copy
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from skbp._optional import library

#: Constants of up to so many values are kept once, however often they are used.
SMALL = 64
LOWEST_INT = int(np.iinfo(np.int64).min)


class Value(NamedTuple):
    """What is between two layers of a graph.

    Attributes
    ----------
    name : str
        Of the tensor, shape (n, *shape).
    shape : tuple of int
        Of a row, as the network was made for.
    absent : str or None
        Name of a tensor of bool, shape (n, time): which steps are absent. None where none can be.
    """

    name: str
    shape: tuple[int, ...]
    absent: str | None = None


class Graph:
    """Nodes of an ONNX graph in the order in which they compute.

    Methods add nodes and return the name of their output. Inputs are names or constants: a float or
    an array of floats becomes one of the graph's dtype, whole numbers become int64.

    Parameters
    ----------
    opset : int
        Version of the standard operators, at least 13.
    dtype : numpy dtype
        That of the computation, float32 or float64.
    may_be_absent : bool, default=False
        Whether rows may have absent steps, NaN in all their features.
    any_length : bool, default=False
        Whether sequences may be shorter than those the network was made for.
    prefix : str, default=""
        With which the names of tensors begin.
    """

    def __init__(self, opset, dtype, *, may_be_absent=False, any_length=False, prefix=""):
        self.opset, self.dtype, self.prefix = opset, np.dtype(dtype), prefix
        self.may_be_absent, self.any_length = may_be_absent, any_length
        self._helper = library("onnx.helper", "onnx")
        self._numpy_helper = library("onnx.numpy_helper", "onnx")
        self._numbers = count()
        self._nodes: list[Any] = []
        self._arrays: list[Any] = []
        self._known: dict[Any, str] = {}
        self._refused: list[str] = []

    def inner(self):
        """Return an empty graph for the body of a loop, whose names differ from those of this."""
        inner = Graph(self.opset, self.dtype, prefix=self.prefix)
        inner._numbers = self._numbers
        return inner

    def in_dtype(self, dtype):
        """Return a view that adds to this graph, with floats of another dtype."""
        view = copy(self)
        view.dtype = np.dtype(dtype)
        return view

    @property
    def domains(self):
        """Domains of the operators: "" for the standard ones."""
        return {node.domain for node in self._nodes}

    def move_to(self, nodes, arrays):
        """Append nodes and constants to the lists of a larger graph."""
        nodes += self._nodes
        arrays += self._arrays

    # ------------------------------------------------------------ nodes and constants

    def new_name(self, hint):
        """Return a name that is not in use."""
        return f"{self.prefix}{hint}_{next(self._numbers)}"

    def constant(self, value):
        """Return the name of a constant; see the class."""
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(self.dtype)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        elif array.dtype.kind in "UT":
            array = array.astype(object)
        key = None
        if array.size <= SMALL and array.dtype != object:
            key = (array.dtype.str, array.shape, array.tobytes())
        if key in self._known:
            return self._known[key]
        name = self.new_name("constant")
        self._arrays.append(self._numpy_helper.from_array(np.asarray(array, order="C"), name))
        if key is not None:
            self._known[key] = name
        return name

    def add(self, op, *inputs, n_outputs=1, name=None, **attributes):
        """Add a node.

        Parameters
        ----------
        op : str
            A standard operator.
        *inputs : str, number or ndarray
            Names of tensors, or constants.
        n_outputs : int, default=1
        name : str, optional
            That of the output.
        **attributes
            Of the operator.

        Returns
        -------
        str, or a list of str if n_outputs > 1
        """
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        outputs = [name or self.new_name(op.lower()) for _ in range(n_outputs)]
        node = self._helper.make_node(op, names, outputs, name=f"{op}:{outputs[0]}", **attributes)
        self._nodes.append(node)
        return outputs[0] if n_outputs == 1 else outputs

    def proto(self, name, inputs, outputs):
        """Return an onnx.GraphProto.

        Parameters
        ----------
        name : str
        inputs, outputs : list of (str, dtype, shape)
            A shape is a list, for an axis an int, or a str where any length will do.
        """
        infos = [[self._info(*one) for one in side] for side in (inputs, outputs)]
        return self._helper.make_graph(self._nodes, name, *infos, initializer=self._arrays)

    def _info(self, name, dtype, shape):
        kind = self._kind(dtype)
        return self._helper.make_tensor_value_info(name, kind, shape)

    def _kind(self, dtype):
        if np.dtype(dtype) == object:
            return library("onnx", "onnx").TensorProto.STRING
        return self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    # ------------------------------------------------------------ operators by what they do

    def cast(self, x, dtype=None):
        """Convert to a dtype, by default the graph's own."""
        return self.add("Cast", x, to=self._kind(self.dtype if dtype is None else dtype))

    def sum(self, x, *axes, keep=False):
        """Sum along axes."""
        return self.add("ReduceSum", x, list(axes), keepdims=int(keep))

    def reduce(self, op, x, *axes, keep=False):
        """Reduce axes by ReduceMax, ReduceMin or ReduceMean."""
        if self.opset < 18:
            return self.add(op, x, axes=list(axes), keepdims=int(keep))
        return self.add(op, x, list(axes), keepdims=int(keep))

    def reshape(self, x, shape):
        """Give another shape: 0 keeps an axis as it is, one may be -1."""
        return self.add("Reshape", x, list(shape))

    def transpose(self, x, *order):
        """Change the order of axes."""
        return x if order == tuple(range(len(order))) else self.add("Transpose", x, perm=order)

    def unsqueeze(self, x, *axes):
        """Add axes of length 1."""
        return self.add("Unsqueeze", x, list(axes))

    def squeeze(self, x, *axes):
        """Take axes of length 1 away."""
        return self.add("Squeeze", x, list(axes))

    def slice(self, x, axis, start, stop, step=1):
        """Take a part along an axis."""
        return self.add("Slice", x, [start], [stop], [axis], [step])

    def reversed(self, x, axis):
        """Turn an axis round."""
        return self.slice(x, axis, -1, LOWEST_INT, -1)

    def gather(self, x, indices, axis=0):
        """Take items along an axis, by constant numbers or a tensor of these."""
        return self.add("Gather", x, indices, axis=axis)

    def concat(self, parts, axis):
        """Put tensors one after the other."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=axis)

    def where(self, condition, yes, no):
        """Choose value by value."""
        return self.add("Where", condition, yes, no)

    def length(self, x, axis):
        """Return the length of an axis, a tensor of shape (1,), int64."""
        return self.gather(self.add("Shape", x), [axis])

    def repeated(self, value, *lengths):
        """Repeat a value along axes; each length is a number or the name of a tensor (1,)."""
        sizes = [one if isinstance(one, str) else self.constant([one]) for one in lengths]
        return self.add("Expand", value, self.concat(sizes, 0))

    def choose(self, condition, yes, no):
        """Compute one of two things.

        Parameters
        ----------
        condition : str
            Tensor of shape (), bool.
        yes, no : callable
            From the graph of a branch, which may take names of this one, to a name in it.
        """
        bodies = []
        for build in (yes, no):
            body = self.inner()
            found = body.add("Identity", build(body))
            bodies.append(body.proto("branch", [], [(found, self.dtype, None)]))
        return self.add("If", condition, then_branch=bodies[0], else_branch=bodies[1])

    def refuse(self, wrong, n_axes):
        """Note which rows a layer would refuse with an error.

        Parameters
        ----------
        wrong : str
            Tensor of bool, shape (n, ...): any that is true refuses its row.
        n_axes : int
            How many axes it has.
        """
        flags = self.cast(wrong)
        if n_axes > 1:
            flags = self.reduce("ReduceMax", flags, *range(1, n_axes))
        self._refused.append(flags)

    def checked(self, value):
        """Make all of a row NaN that is refused: runtimes may drop the NaN of a single input."""
        if not self._refused:
            return value
        flags = self._refused[0] if len(self._refused) == 1 else self.add("Max", *self._refused)
        rows = self.unsqueeze(self.less(0.5, flags), *range(1, len(value.shape) + 1))
        return value._replace(name=self.where(rows, np.nan, value.name))

    def less(self, x, y):
        """Whether x < y."""
        return self.add("Less", x, y)

    def step_mask(self, absent):
        """Return which steps are absent as shape (n, time, 1)."""
        return self.unsqueeze(absent, 2)
