"""Components with parameters that are none: an error that is a ValueError, or a network."""

import inspect
from fractions import Fraction

from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers import LAYERS
from skbp.losses import LOSSES
from skbp.optimizers import OPTIMIZERS
from skbp.schedules import SCHEDULES

from ..expect import either
from ..oracles import finite
from ..registry import NotMeant, case

VALUES = [
    None,
    "a",
    float("nan"),
    float("inf"),
    -1,
    0,
    1.5,
    True,
    [],
    {},
    object(),
    1e300,
    Fraction(1, 3),
]
REGISTRIES = {
    "activation": (ACTIVATIONS, {}), "initializer": (INITIALIZERS, {}), "solver": (OPTIMIZERS, {}),
    "learning_rate": (SCHEDULES, {}), "loss": (LOSSES, {}), "layers": (LAYERS, {}),
}  # fmt: skip


def parameters(cls):
    """Return the names of a class's parameters."""
    return [one for one in inspect.signature(cls.__init__).parameters if one != "self"]


def build(cls, name, value):
    """Make an object with one parameter given; others that it needs are whatever is usual."""
    needed = {
        one.name: {"layer": None, "layers": []}.get(one.name, 2)
        for one in inspect.signature(cls.__init__).parameters.values()
        if one.default is one.empty and one.name not in ("self", name)
        and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    }  # fmt: skip
    return cls(**needed, **{name: value})


def _add(parameter, name, cls, one):
    @case("components", f"{parameter}: {name}({one}=...)", either("", oracle=finite),
          on="table adam skbp")  # fmt: skip
    def each(net):
        outputs, refused = [], []
        for value in VALUES:
            component = build(cls, one, value)
            params = {parameter: component}
            if parameter == "layers":
                params |= {"layers": [component], "hidden_layer_sizes": (100,)}
            try:
                outputs.append(net.use(net.fit(net.make(**params))))
            except (ValueError, MemoryError) as error:
                assert str(error), f"{value!r}: an empty message"
                refused.append(value)
            except Exception as error:
                raise AssertionError(f"{value!r}: raw {type(error).__name__}: {error}") from error
        for output in outputs:
            finite(output)
        if not outputs and not refused:
            raise NotMeant
        return 0.0


for _parameter, (_registry, _) in REGISTRIES.items():
    for _name, _cls in _registry.items():
        for _one in parameters(_cls):
            if _one not in ("args", "kwargs"):
                _add(_parameter, _name, _cls, _one)
