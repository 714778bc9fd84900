"""Hypothesis draws components: by what each says that its hyperparameters may be."""

from itertools import chain

from hypothesis import strategies as st

from skbp import _component as allowed
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers import LAYERS
from skbp.losses import LOSSES
from skbp.optimizers import OPTIMIZERS, Group
from skbp.optimizers.group import _Pattern
from skbp.schedules import SCHEDULES, Scheduled

#: Numbers that are tried wherever they are allowed.
NUMBERS = [0.0, 1.0, 0.5, 0.1, 2.0, 1e-3, 0.9, 0.999, 5.0, 1e-8, 1e-300, 100.0, 1e6, -1.0, 1e300]
#: Patterns for the names of parameters.
PATTERNS = ["dense_0", "output", "*.bias", "*", "dense_*", "*.weight", "nothing_of_this_name"]


def values(container):
    """Return a strategy for what a container allows, or None if it is not known how."""
    if isinstance(container, allowed.Range):
        found = [one for one in NUMBERS if one in container]
        return st.sampled_from(found)
    if isinstance(container, allowed.Whole):
        return st.integers(container.low, container.low + 4)
    if isinstance(container, allowed.Flag):
        return st.booleans()
    if isinstance(container, allowed.OneOf):
        return st.sampled_from(list(container))
    if isinstance(container, allowed.Maybe):
        inner = values(container.allowed)
        return None if inner is None else st.none() | inner
    if isinstance(container, allowed.Increasing):
        one = values(container.each)
        return one | st.lists(one, min_size=1, max_size=3, unique=True).map(sorted)
    if isinstance(container, allowed.Named):
        return st.sampled_from(list(container.registry)) if container.registry else None
    if isinstance(container, _Pattern):
        return st.sampled_from(PATTERNS)
    if isinstance(container, tuple):  # AnyOf
        parts = [values(one) for one in container]
        parts = [one for one in parts if one is not None]
        return st.one_of(parts) if parts else None
    return None


@st.composite
def component(draw, cls, most=2, **given):
    """Draw an object of a class: `given` hyperparameters, and at most so many others."""
    fixed = {
        name: draw(one) if isinstance(one, st.SearchStrategy) else one
        for name, one in given.items()
    }
    free = {
        name: strategy
        for name, one in cls.allowed.items()
        if name not in given and (strategy := values(one)) is not None
    }
    if not free:
        return cls(**fixed)
    names = draw(st.lists(st.sampled_from(sorted(free)), unique=True, max_size=most))
    return cls(**fixed, **{name: draw(free[name]) for name in names})


def of(registry, **given):
    """Return a strategy for a name of a registry, or an object of one of its classes."""
    names = st.sampled_from(list(registry))
    objects = names.flatmap(lambda name: component(registry[name], **given.get(name, {})))
    return names | objects


ACTIVATION = of(ACTIVATIONS)
INITIALIZER = of(INITIALIZERS)
SCHEDULE = of(SCHEDULES)
LOSS = of(LOSSES)
SHARE = st.sampled_from([0.0, 0.2, 0.5, 0.99]) | st.builds(
    Scheduled, st.sampled_from(["cosine", "step", "warm_up"]), st.sampled_from([0.3, 0.5])
)
GROUPS = st.lists(component(Group, pattern=st.sampled_from(PATTERNS)), min_size=1, max_size=2)
SOLVER = of(
    OPTIMIZERS,
    **{name: {"groups": st.none() | GROUPS} for name in OPTIMIZERS},
)

UNITS = st.integers(1, 5)


def layer(name, **given):
    """Return a strategy for a layer, by its name in the registry."""
    return component(LAYERS[name], **given)


def parts(strategy):
    """Return a strategy for lists of one or two layers."""
    return st.lists(strategy, min_size=1, max_size=2)


#: For rows of shape (features,).
FLAT = st.one_of(
    layer("dense", units=UNITS, activation=ACTIVATION, initializer=INITIALIZER),
    layer("dropout", rate=SHARE), layer("batch_norm"), layer("layer_norm"),
    layer("gaussian_noise", std=SHARE), layer("glu"), layer("unit_length"), layer("scale"),
    layer("learned_activation"), layer("periodic_embedding", n_frequencies=2, units=2),
    layer("piecewise_linear_embedding", bins=[-1.0, 0.0, 1.0], units=2),
    layer("lora", layer=layer("dense", units=UNITS)),
)  # fmt: skip
#: Layers around others, for rows of shape (features,).
AROUND = st.one_of(
    layer("residual", layers=parts(FLAT)), layer("sequential", layers=parts(FLAT)),
    layer("parallel", branches=st.lists(parts(FLAT), min_size=1, max_size=2)),
    layer("column_branch",
          branches=st.tuples(st.sampled_from([[0], [0, 1], slice(0, 1)]), parts(FLAT)).map(
              lambda pair: [pair])),
)  # fmt: skip
#: For rows of shape (steps, channels).
STEPS = st.one_of(
    layer("conv_1d", filters=UNITS, kernel_size=st.integers(1, 3)),
    layer("rnn", units=UNITS), layer("lstm", units=UNITS), layer("gru", units=UNITS),
    layer("max_pool_1d", size=st.integers(1, 3)), layer("avg_pool_1d", size=st.integers(1, 3)),
    layer("multi_head_attention", n_heads=st.integers(1, 2), dropout=SHARE),
    layer("transformer_encoder", n_heads=st.integers(1, 2), n_hidden=UNITS, dropout=SHARE),
    layer("positional_encoding"), layer("dense", units=UNITS), layer("dropout", rate=SHARE),
    layer("layer_norm"), layer("batch_norm"), layer("gaussian_noise", std=SHARE),
)  # fmt: skip
#: From (steps, channels) to (features,).
TO_FLAT = st.one_of(
    layer("sequence_pool"), layer("flatten"), layer("global_max_pool"),
    layer("global_average_pool"), layer("gru", units=UNITS), layer("lstm", units=UNITS),
)  # fmt: skip
#: For rows of shape (channels, height, width).
IMAGES = st.one_of(
    layer("conv_2d", filters=UNITS, kernel_size=st.integers(1, 3)),
    layer("max_pool_2d", size=st.integers(1, 2)), layer("avg_pool_2d", size=st.integers(1, 2)),
    layer("batch_norm"), layer("dropout", rate=SHARE), layer("random_flip"),
    layer("random_shift", size=st.integers(0, 2)), layer("random_erasing"),
)  # fmt: skip
#: For rows of codes.
CODES = st.one_of(
    layer("embedding", n_codes=7, dim=UNITS), layer("token_embedding", n_codes=7, dim=UNITS),
    layer("embedding_bag", n_codes=7, dim=UNITS),
)  # fmt: skip


def layers_for(kind):
    """Return a strategy for the layers of a network, for rows of that kind."""
    flat = st.lists(st.one_of(FLAT, FLAT, AROUND), max_size=2)
    to_flat = TO_FLAT.map(lambda one: [one])
    steps = st.lists(STEPS, min_size=1, max_size=2)
    first = {
        "table": st.lists(st.one_of(FLAT, FLAT, AROUND), min_size=1, max_size=2),
        "steps": joined(steps, to_flat),
        "absent": joined(steps, to_flat),
        "images": joined(st.lists(IMAGES, min_size=1, max_size=3), to_flat),
        "codes": joined(CODES.map(lambda one: [one]), st.lists(STEPS, max_size=1), to_flat),
    }[kind]
    members = layer("feature_tokenizer", dim=UNITS).map(lambda one: [one])
    if kind == "table":
        first |= joined(members, st.lists(STEPS, max_size=1), to_flat)
    return joined(first, flat)


def joined(*lists):
    """Return a strategy for the lists put together."""
    return st.tuples(*lists).map(lambda found: list(chain.from_iterable(found)))
