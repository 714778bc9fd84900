"""Layers, losses, schedules, optimizers of one's own that do not keep their contracts."""

import numpy as np

from skbp.activations import Activation
from skbp.initializers import Initializer
from skbp.layers import Dense, Layer
from skbp.losses import SquaredError
from skbp.optimizers import SGD
from skbp.schedules import Schedule

from ..expect import either, raises
from ..helpers import unchanged
from ..oracles import finite
from ..registry import case, cases

ANY = (ValueError, TypeError)
SHAPE = "shape|forward|backward|broadcast|dimension|mismatch|returned|array"


class Own(Layer):
    """Hands on what it is given, unless a test says otherwise."""

    def __init__(self, how=None, name=None):
        self.how = how
        self.name = name

    def forward(self, x, p, w, ctx):
        return self.how(x) if self.how else x

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return dy


class Backwards(Own):
    """What a test says is done to the gradient."""

    def forward(self, x, p, w, ctx):
        return x

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return self.how(dy)


class Shaped(Own):
    """Says a shape that a test gives."""

    def forward(self, x, p, w, ctx):
        return x

    def output_shape(self, input_shape):
        return self.how(input_shape)


def throw(*_):
    raise RuntimeError("planted")


SAID = "diverged|not finite|finite"
FORWARD = {
    "fewer columns": (lambda x: x[:, :1], raises(SHAPE, error=ANY)),
    "fewer rows": (lambda x: x[:1], raises(SHAPE, error=ANY)),
    "one axis": (lambda x: x.ravel(), raises(SHAPE, error=ANY)),
    "one axis more": (lambda x: x[..., None], raises(SHAPE, error=ANY)),
    "None": (lambda x: None, raises(SHAPE, error=ANY)),
    "a number": (lambda x: 1.0, raises(SHAPE, error=ANY)),
    "a list": (lambda x: x.tolist(), raises(SHAPE, error=ANY)),
    "NaN": (lambda x: x * np.nan, raises(SAID)),
    "infinity": (lambda x: x + np.inf, raises(SAID)),
    "objects": (lambda x: x.astype(object), raises("dtype|object|float", error=ANY)),
    "complex": (lambda x: x + 1j, raises("dtype|complex|float", error=ANY)),
    "another precision": (lambda x: x.astype(np.float16), either("dtype|float16", error=ANY,
                                                                 oracle=finite)),
    "Fortran order": (np.asfortranarray, either("", oracle=finite)),
    "its input overwritten": (lambda x: np.multiply(x, 0, out=x),
                              either("read-only", oracle=finite)),
    "an error": (throw, raises("planted", error=RuntimeError)),
}  # fmt: skip
PARTS = "table stochastic skbp"


def fit_unchanged(net, **params):
    """Fit; a fitted estimator has to be as before where that fails."""
    model = net.fitted()
    model.set_params(hidden_layer_sizes=(100,), **params) if "layers" in params else (
        model.set_params(**params)
    )
    with unchanged(model):
        net.fit(model)
    return net.use(model)


@cases("layers whose forward returns", FORWARD, on=PARTS, risky=True)
def forward(net, how):
    return fit_unchanged(net, layers=[Dense(4), Own(how)])


@cases("first layers whose forward returns", FORWARD, on=PARTS, risky=True)
def forward_first(net, how):
    return fit_unchanged(net, layers=[Own(how), Dense(4)])


BACKWARD = {name: FORWARD[name] for name in (
    "fewer columns", "fewer rows", "one axis", "one axis more", "None", "NaN", "infinity",
    "objects", "another precision", "an error",
)}  # fmt: skip


@cases("layers whose backward returns", BACKWARD, on=PARTS, risky=True)
def backward(net, how):
    return fit_unchanged(net, layers=[Dense(4), Backwards(how)])


SHAPES = {
    "None": (lambda shape: None, raises("shape", error=ANY)),
    "a number": (lambda shape: 4, raises("shape", error=ANY)),
    "fractions": (lambda shape: (4.5,), raises("shape", error=ANY)),
    "negative": (lambda shape: (-4,), raises("shape", error=ANY)),
    "zero": (lambda shape: (0,), raises("shape", error=ANY)),
    "another": (lambda shape: (7,), raises("shape", error=ANY)),
    "an error": (throw, raises("planted", error=RuntimeError)),
}


@cases("layers whose output_shape returns", SHAPES, on=PARTS, risky=True)
def output_shape(net, how):
    return fit_unchanged(net, layers=[Dense(4), Shaped(how)])


class OwnLoss(SquaredError):
    """The mean of squares, or what a test makes of it."""

    def __init__(self, how=None, of_grad=None):
        self.how = how
        self.of_grad = of_grad

    def value_and_grad(self, raw, y, weight, grad):
        value = super().value_and_grad(raw, y, weight, grad)
        if self.of_grad:
            self.of_grad(grad)
        return self.how(value) if self.how else value


LOSSES = {
    "NaN": ((lambda value: np.nan, None), raises(SAID)),
    "infinity": ((lambda value: np.inf, None), raises(SAID)),
    "None": ((lambda value: None, None), raises("loss|None|value", error=ANY)),
    "a text": ((lambda value: "a", None), raises("loss|str|value", error=ANY)),
    "an array": ((lambda value: np.ones(3), None), raises("loss|value|array|number", error=ANY)),
    "complex": ((lambda value: 1j, None), raises("loss|value|complex", error=ANY)),
    "an error": ((throw, None), raises("planted", error=RuntimeError)),
    "gradients of NaN": ((None, lambda grad: grad.fill(np.nan)), raises(SAID)),
    "gradients of 1e300": ((None, lambda grad: grad.fill(1e30)), either(SAID, oracle=finite)),
}


@cases("losses that return", LOSSES, on="table regressor skbp", risky=True)
def losses(net, given):
    return fit_unchanged(net, loss=OwnLoss(*given))


class OwnSchedule(Schedule):
    """Returns what a test says."""

    def __init__(self, rate=None):
        self.rate = rate

    def __call__(self, progress, initial):
        return throw() if self.rate == "error" else self.rate


RATES = {
    "NaN": (float("nan"), raises("rate|diverged|finite|NaN")),
    "infinity": (float("inf"), raises("rate|diverged|finite|inf")),
    "negative": (-1.0, raises("rate|negative")),
    "zero": (0.0, either("rate", oracle=finite)),
    "None": (None, raises("rate|None", error=ANY)),
    "a text": ("a", raises("rate|str", error=ANY)),
    "complex": (1j, raises("rate|complex", error=ANY)),
    "an array": (np.ones(3), raises("rate|array", error=ANY)),
    "an error": ("error", raises("planted", error=RuntimeError)),
}


@cases("schedules that return", RATES, on=PARTS)
def schedules(net, rate):
    return fit_unchanged(net, learning_rate=OwnSchedule(rate))


class OwnOptimizer(SGD):
    """Takes the step that a test says."""

    def __init__(self, how=None):
        super().__init__()
        self.how = how

    def step(self, params, grads, state, lr, t):
        self.how(params, grads, state)

    def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
        self.how(params, grads, state)
        return 0.0


STEPS = {
    "NaN": (lambda params, grads, state: params.fill(np.nan), raises(SAID)),
    "infinity": (lambda params, grads, state: params.fill(np.inf), raises(SAID)),
    "1e300": (lambda params, grads, state: params.fill(3e38), either(SAID, oracle=finite)),
    "no step": (lambda params, grads, state: None, either("", oracle=finite)),
    "an error": (throw, raises("planted", error=RuntimeError)),
    "a state that is gone": (lambda params, grads, state: state.clear(),
                             either("", error=(ValueError, KeyError), oracle=finite)),
}  # fmt: skip


@cases("optimizers that take", STEPS, on=PARTS, risky=True)
def optimizers(net, how):
    return fit_unchanged(net, solver=OwnOptimizer(how))


class OwnInitializer(Initializer):
    """Draws what a test says."""

    def __init__(self, how=None):
        self.how = how

    def weight(self, shape, fan_in, fan_out, rng):
        return self.how(shape)


WEIGHTS = {
    "NaN": (lambda shape: np.full(shape, np.nan), raises("finite|NaN|diverged|initial")),
    "infinity": (lambda shape: np.full(shape, np.inf), raises("finite|inf|diverged|initial")),
    "another shape": (lambda shape: np.ones((2, 2)), raises("shape|broadcast")),
    "a row": (lambda shape: np.ones(shape[1]), raises("shape")),
    "a number": (lambda shape: 1.0, raises("shape|array", error=ANY)),
    "None": (lambda shape: None, raises("None|shape|array|initial", error=ANY)),
    "texts": (lambda shape: np.full(shape, "a"), raises("convert|number|str", error=ANY)),
    "1e30": (lambda shape: np.full(shape, 1e30), either(SAID, oracle=finite)),
    "an error": (throw, raises("planted", error=RuntimeError)),
}


@cases("initializers that draw", WEIGHTS, on="table skbp")
def initializers(net, how):
    return fit_unchanged(net, initializer=OwnInitializer(how))


class OwnActivation(Activation):
    """Computes what a test says."""

    def __init__(self, how=None, gradient_too=None):
        self.how = how
        self.gradient_too = gradient_too

    def apply(self, z, out):
        self.how(z, out)

    def gradient(self, dy, y, z):
        if self.gradient_too:
            self.gradient_too(dy)


ACTIVATIONS = {
    "NaN": ((lambda z, out: out.fill(np.nan), None), raises(SAID)),
    "infinity": ((lambda z, out: out.fill(np.inf), None), raises(SAID)),
    "an error": ((throw, None), raises("planted", error=RuntimeError)),
    "gradients of NaN": ((lambda z, out: np.copyto(out, z), lambda dy: dy.fill(np.nan)),
                         raises(SAID)),
    "an error going back": ((lambda z, out: np.copyto(out, z), throw),
                            raises("planted", error=RuntimeError)),
}  # fmt: skip


@cases("activations that compute", ACTIVATIONS, on="table skbp")
def activations(net, given):
    return fit_unchanged(net, activation=OwnActivation(*given))


@case("layers that lack", "forward", raises("forward", error=NotImplementedError), on=PARTS)
def no_forward(net):
    class Empty(Layer):
        """Defines nothing."""

        def __init__(self, name=None):
            self.name = name

    return fit_unchanged(net, layers=[Dense(4), Empty()])


@case("layers that lack", "a name among their parameters", either("name|attribute",
      error=(ValueError, AttributeError), oracle=finite), on=PARTS)  # fmt: skip
def no_constructor(net):
    class Bare(Layer):
        """Has no constructor."""

        def __init__(self):
            pass

        def forward(self, x, p, w, ctx):
            return x

        def backward(self, dy, x, p, g, w, ctx, need_dx=True):
            return dy

    return fit_unchanged(net, layers=[Dense(4), Bare()])


class Drawing(Own):
    """Is changed while it works: components hold no state, copies of them do not share any."""

    def forward(self, x, p, w, ctx):
        self.seen = x.copy()
        return x


@case("layers that lack", "purity: they keep what they see", either("", oracle=finite), on=PARTS)
def impure(net):
    layer = Drawing()
    value = fit_unchanged(net, layers=[Dense(4), layer])
    assert not hasattr(layer, "seen"), "the caller's own layer was changed"
    return value
