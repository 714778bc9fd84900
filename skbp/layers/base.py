"""What every layer promises."""

import re
from copy import copy
from numbers import Integral

import numpy as np

from skbp._component import Component, Named
from skbp.activations import ACTIVATIONS, Activation
from skbp.initializers import INITIALIZERS, Initializer

NAME = re.compile(r"[A-Za-z](?!\w*__)\w*\Z")
#: What a parameter `activation` or `initializer` may be.
AN_ACTIVATION = Named(ACTIVATIONS, Activation)
AN_INITIALIZER = Named(INITIALIZERS, Initializer)
#: What a layer does with absent steps of its input: see `Layer.absent`.
REFUSE, KEEP, LEAVE_OUT = "refuse", "keep", "leave out"
#: Characters of the dtypes that a network computes in.
FLOATS = "fd"
#: How far a layer goes on step by step, the least first: see `Layer.stepping`.
NO_STEPS, CONTEXT, ENDLESS = STEPPING = ("none", "context", "endless")


def memory_order(x):
    """Return the order of axes in which `x` is C-contiguous, or the one it has if there is none.

    Layers may hand on transposed views. What works element by element goes through memory as it
    lies, with ``x.transpose(memory_order(x))``, and returns a view of the order that came in.
    """
    order = tuple(np.argsort([-stride for stride in x.strides], kind="stable"))
    return order if x.transpose(order).flags.c_contiguous else tuple(range(x.ndim))


class Layer(Component):
    """One step of a network: forward, and the gradient backward.

    A layer holds hyperparameters only. Everything else is handed to it: ``p``, ``g`` and ``w`` are
    dicts of arrays (parameters and state, gradients, workspace), made from what `param_shapes`,
    `state_shapes` and `work_shapes` ask for, and ``ctx`` is the `Pass`. It writes to its own
    workspace, gradients and state only; its input is read-only, and ``dy`` is scratch.

    Attributes
    ----------
    name : str or None
        What the layer is called, where parameters are named: "head" makes "head.weight". None means
        its class and place: "dense_0". Each layer takes it as its last hyperparameter.
    penalized : tuple of str
        Names of the parameters that weight penalties (alpha) apply to.
    matrices : dict of str to (str, int, int)
        Matrices by which the layer multiplies, for `LoRA`: name of the parameter, whose last axis
        is the matrix's columns, which part of these it is, and of how many parts.
    products : tuple of str
        Those of its parameters, matrices, whose gradients `backward` hands to `product_gradient`,
        so that who needs less than the whole gradient gets by with less.
    absent : {"refuse", "keep", "leave out"}
        What the layer does with absent steps (``ctx.absent``): it takes none; it works step by
        step, so that they stay absent; or it mixes steps, and leaves those out. At absent steps
        inputs and outputs are finite numbers without a meaning. A layer that leaves them out makes
        the gradient of its input zero there.
    ties : dict of str to str
        Parameters that are another layer's: own name, and the other one's, such as "tokens.weight".
    norm_limits : dict of str to float
        Largest norms of units' incoming weights, by name of the parameter: see `max_norm` of Dense.
    takes_codes : bool
        Whether the layer, or one in it, looks up whole numbers, along which there is no gradient.
    tables : tuple of str
        Names of the parameters whose rows are looked up.
    stochastic : bool
        Whether training differs from inference: ``ctx.rng``, a `Draws`, is then given in training.
    couples_rows : bool
        Whether a row's output in training depends on the other rows of the batch. Else threads may
        share a batch, each with a part of the rows.
    gathers : bool
        Whether a layer that couples rows asks ``ctx.gather`` for what it needs to know of the
        others, so that threads may share a batch all the same.
    row_by_row : bool
        Whether much of the work is in products too small for the threads of BLAS, so that threads
        had better share the batch.
    in_large_arrays : bool
        Whether it works on arrays so large that threads get on beside each other even where kernels
        are not compiled.
    by_whole_time : bool
        Whether what it makes of a sequence may differ with the number of absent steps behind it.
    """

    name: str | None = None
    _of_this_house = True

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls._of_this_house = cls.__module__.startswith("skbp.")

    # Properties, so that a layer may have a value or compute one.

    @property
    def penalized(self) -> tuple[str, ...]:
        """See the class."""
        return ()

    @property
    def matrices(self) -> dict[str, tuple[str, int, int]]:
        """See the class."""
        return {}

    @property
    def products(self) -> tuple[str, ...]:
        """See the class."""
        return ()

    @property
    def ties(self) -> dict[str, str]:
        """See the class."""
        return {}

    @property
    def absent(self) -> str:
        """See the class."""
        return REFUSE

    @property
    def stochastic(self) -> bool:
        """See the class."""
        return False

    @property
    def takes_codes(self) -> bool:
        """See the class."""
        return False

    @property
    def tables(self) -> tuple[str, ...]:
        """See the class."""
        return ()

    @property
    def couples_rows(self) -> bool:
        """See the class."""
        return False

    @property
    def gathers(self) -> bool:
        """See the class."""
        return False

    @property
    def row_by_row(self) -> bool:
        """See the class."""
        return False

    @property
    def in_large_arrays(self) -> bool:
        """See the class."""
        return False

    @property
    def by_whole_time(self) -> bool:
        """See the class."""
        return False

    @property
    def paddings(self) -> set[int]:
        """The codes that stand for what is absent, of this layer and of those in it."""
        own = getattr(self, "padding_index", None)
        return set() if own is None else {own}

    def of_member(self, number):
        """Return the layer that does for one member's rows alone what this one does for all.

        Parameters
        ----------
        number : int
            Of the member, from 0.
        """
        return self

    def bind(self, input_shape):
        """Return a copy for rows of a shape, which keeps what follows from that shape alone.

        A network does so once; its passes find the copy's attributes ready. Whoever overrides it
        sets attributes of what ``super().bind(input_shape)`` returns, never of the layer itself.
        """
        return copy(self)

    @property
    def norm_limits(self) -> dict[str, float]:
        """See the class; by default `max_norm`, if the layer has it, for what is penalised."""
        limit = getattr(self, "max_norm", None)
        return {} if limit is None else dict.fromkeys(self.penalized, limit)

    def check(self):
        """Check the hyperparameters; see `Component.check`. The error tells the whole layer."""
        try:
            super().check()
        except ValueError as error:
            raise ValueError(f"{self!r}: {error}") from error
        if self.name is not None and not (isinstance(self.name, str) and NAME.match(self.name)):
            raise ValueError(
                f"The 'name' parameter of {type(self).__name__} must be None, or letters, digits "
                f"and single underscores, a letter first. Got {self.name!r} instead."
            )

    def output_shape(self, input_shape):
        """Shape of one output row, given that of one input row (without the batch axis)."""
        return input_shape

    def param_shapes(self, input_shape):
        """Name and shape of each parameter, in the order in which `init` draws them."""
        return {}

    def state_shapes(self, input_shape):
        """Name and shape of each array that is kept but not trained, such as a running mean.

        The network keeps them beside the parameters, and hands them over among those.
        """
        return {}

    def tied_shapes(self, input_shape):
        """Name and shape of each parameter in `ties`, as this layer needs it."""
        return {}

    def work_shapes(self, input_shape, n, training=True):
        """Name and shape of each buffer for a batch of n rows; without `training`, of inference.

        A shape means the network's dtype; a pair (shape, dtype) another one. Buffers for fewer
        rows are views into those for the most.
        """
        return {}

    def code_inputs(self, input_shape):
        """Where a row holds codes to look up: ndarray of shape input_shape, bool."""
        return np.zeros(input_shape, bool)

    def absent_inputs(self, input_shape):
        """Where a row may hold NaN, for a step that is absent.

        Returns
        -------
        steps : ndarray of shape input_shape, int
            For each value the number of its step, whose values are NaN all or none; -1 where NaN
            is none of a step.
        """
        steps = np.full(input_shape, -1)
        if self.absent == LEAVE_OUT and len(input_shape) == 2:
            steps[...] = np.arange(input_shape[0])[:, None]
        return steps

    @property
    def needs_batch(self):
        """Whether `init` wants to see rows."""
        return False

    def init(self, p, input_shape, rng, x=None):
        """Fill parameters and state with their first values.

        Parameters
        ----------
        p : dict of str to ndarray
        input_shape : tuple of int
        rng : numpy.random.RandomState
        x : ndarray of shape (n, *input_shape), optional
            Rows of training data as they come to the layer; given if some layer `needs_batch`.
        """

    def merged(self, p):
        """Return the layer that computes the same without `LoRA`, and its arrays by name."""
        return self, p

    def forward(self, x, p, w, ctx):
        """Compute the layer's output.

        Parameters
        ----------
        x : ndarray of shape (n, *input_shape), or a CSR matrix for the first layer
            Read-only.
        p, w : dict of str to ndarray
            Parameters with the state, which training may change, and workspace for n rows.
        ctx : Pass
            `backward` finds in ``ctx.cache[self]`` what is left there.

        Returns
        -------
        y : ndarray of shape (n, *output_shape)
            Lives in the workspace until the next `forward`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(...)")

    def stepping(self, input_shape):
        """Return how far the layer goes on step by step; see `step`.

        Parameters
        ----------
        input_shape : tuple of int
            Of a row, the steps on its first axis.

        Returns
        -------
        stepping : {"none", "context", "endless"}
            "none": it has no `step`. "context": for as many steps as its input has. "endless":
            beyond those too. A class that overrides `forward` says it anew: see `stepping_of`.
        """
        return NO_STEPS

    def step(self, x, p, past):
        """Compute the outputs of the next steps in inference, from them and what came before.

        By default `forward` does, for layers that work on each step by itself.

        Parameters
        ----------
        x : ndarray of shape (n, t, ...)
            The next t steps of each sequence. None is absent. Read-only.
        p : dict of str to ndarray
            Parameters with the state.
        past : Past
            Keeps from call to call what the layer wants to know of earlier steps.

        Returns
        -------
        y : ndarray of shape (n, t, ...)
            What `forward` has at these steps, given the whole sequence. May be overwritten by the
            layer's next `step`.
        """
        return self.forward(x, p, past.work(self, x), past.ctx)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        """Compute gradients from that of the output.

        Parameters
        ----------
        dy : ndarray of shape (n, *output_shape)
            Gradient of the loss with respect to the output; may be overwritten.
        x, p, g, w, ctx
            As in `forward`, which came right before; `g`, a dict like `p`, is overwritten with the
            gradients of the parameters.
        need_dx : bool, default=True
            Whether the gradient with respect to `x` is wanted. In training it is not in the first
            layer that is trained, where nothing reads what comes back: None spares the work.
            Attributions want it in every layer, the first too.

        Returns
        -------
        dx : ndarray of shape (n, *input_shape) or None
            None, or anything, only without `need_dx`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define backward(...)")


def stepping_of(layer, input_shape):
    """Return how far a layer goes on step by step.

    A class whose `forward` is newer than what it inherits of `Layer.stepping` does not step: what
    was said was said of another `forward`.
    """
    return layer.stepping(input_shape) if _said_of(layer, "stepping", "forward") else NO_STEPS


def products_of(layer):
    """Return a layer's `products`: none if its `backward` is newer than what was said of them."""
    return layer.products if _said_of(layer, "products", "backward") else ()


def _said_of(layer, statement, method):
    """Whether what a layer's class says was said of the method that it has, not of an older one."""
    classes = type(layer).__mro__
    said, computes = (next(c for c in classes if name in vars(c)) for name in (statement, method))
    return issubclass(said, computes)


def least_stepping(layers, shapes):
    """Return how far layers of a chain, with inputs of these shapes, go on together."""
    found = [stepping_of(*pair) for pair in zip(layers, shapes, strict=True)]
    return min(found, key=STEPPING.index, default=ENDLESS)


def checked_shape(shape, layer):
    """Return the shape that a layer says its output rows have, as a tuple of int.

    Raises
    ------
    ValueError
        If it is none.
    """
    given = isinstance(shape, tuple | list)
    if not given or not all(isinstance(size, Integral) and int(size) > 0 for size in shape):
        raise ValueError(
            f"{layer!r}: output_shape returned {shape!r}, expected a tuple of whole numbers of at "
            "least 1."
        )
    return tuple(int(size) for size in shape)


def checked_output(y, layer, x, shape):
    """Return what the `forward` of a layer from elsewhere returned for a batch x.

    Raises
    ------
    ValueError
        If it is no array of floats of the shape (n, *shape).
    """
    expected = (x.shape[0], *shape)
    if not isinstance(y, np.ndarray) or y.shape != expected or y.dtype.char not in FLOATS:
        given = (
            f"an array of shape {y.shape} and dtype {y.dtype}"
            if isinstance(y, np.ndarray) else f"a {type(y).__name__}"
        )  # fmt: skip
        raise ValueError(
            f"{layer!r}: forward returned {given}, expected float32 or float64 of shape "
            f"{expected}, as output_shape says."
        )
    return y


def wanted(dx, layer, x):
    """Return the gradient of a layer's input, which is wanted, if it is one.

    Raises
    ------
    TypeError
        If it is None.
    ValueError
        If it has another shape than the input x, or is of another dtype than float32 and float64.
    """
    if dx is None:
        raise TypeError(
            f"{layer!r}: backward returned None, but was called with need_dx=True and must return "
            f"the gradient of its input, an array of shape {x.shape}. None is for need_dx=False."
        )
    if dx.shape != x.shape:
        raise ValueError(
            f"{layer!r}: backward returned an array of shape {dx.shape}; the gradient of its input "
            f"has the input's shape, {x.shape}."
        )
    if dx.dtype.char not in FLOATS:
        raise ValueError(
            f"{layer!r}: backward returned an array of dtype {dx.dtype}, expected float32 or "
            "float64."
        )
    return dx
