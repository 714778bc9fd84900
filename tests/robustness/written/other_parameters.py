"""Parameters of the other estimators: out of range, of a wrong type, at the edge."""

import numpy as np

from ..expect import either, raises
from ..oracles import anything
from ..registry import NotMeant, case

NAN, INF = float("nan"), float("inf")
#: No parameter of any of them may be such: classes, infinite numbers of either sign, objects.
NEVER = {"a class": int, "an object": object(), "-infinity": -INF, "NaN": NAN, "-1": -1,
         "a set": {1}, "complex": 1j, "a function": len}  # fmt: skip
FREE = {"estimator", "classifier", "vectorizer", "preset", "layers", "loss", "solver", "init_from",
        "criterion", "templates", "outside", "scoring"}  # fmt: skip
NAMES = [
    "dim", "dropout", "weight_decay", "n_members", "n_components", "learning_rate_init",
    "max_iter", "batch_size", "random_state", "verbose", "decays", "max_history", "n_symbols",
    "padding_index", "separator_index", "crops", "alpha", "learning_rate", "power_t", "shuffle",
    "tol", "warm_start", "momentum", "early_stopping", "validation_fraction", "beta_1", "epsilon",
    "n_iter_no_change", "dtype", "l1_ratio", "freeze", "categorical_features", "class_weight",
    "calibrate", "max_time", "method", "held_out", "unseen_groups", "layer", "keep", "cv",
    "run_length", "odds_ratio", "numeric", "one_hot_max", "min_frequency", "max_categories",
    "missing_indicator", "n_quantiles", "clip", "parts", "n_codes", "max_length", "tokenizer",
    "context", "n_blocks", "n_heads", "width", "n_hidden", "train", "rank", "epoch_size",
    "warm_up", "clip_norm", "n_neighbors",
]  # fmt: skip


def _add(name, told, value):
    expected = raises(name if name not in ("random_state",) else "random_state|seed",
                      error=(ValueError, TypeError))  # fmt: skip
    sometimes = (name, told) in MAY
    if sometimes:
        expected = either(name, error=(ValueError, TypeError), oracle=anything)

    @case("parameters of the others", f"{name}={told}", expected, on=f"other has:{name}")
    def bad(net):
        return net.fit(net.make().set_params(**{name: value}))


#: What some of them may be all the same.
MAY = {
    ("layer", "-1"), ("validation_fraction", "a function"), ("parts", "a set"),
    ("categorical_features", "a set"), ("n_components", "-1"), ("max_time", "infinity"),
    ("verbose", "-1"), ("dtype", "a class"),
}  # fmt: skip
for _name in NAMES:
    for _told, _value in NEVER.items():
        _add(_name, _told, _value)

PRESETS = {"dropout": [-1, 1.0, NAN, "a", None], "max_iter": [0, -1, 1.5, "a"],
           "hidden_layer_sizes": [(0,), -1, "a", None], "batch_size": [0, -1, 1.5, "a"],
           "learning_rate": [0, -1, NAN, "a"], "n_members": [0, -1, 1.5, "a", None],
           "weight_decay": [-1, NAN, "a", None], "n_folds": [0, 1, -1, 1.5, "a"],
           "label_smoothing": [-1, 1.5, NAN, "a"], "beta_2": [-1, 1, NAN, "a"],
           "embedding_units": [-1, 1.5, "a"], "one_hot_max": [-2, 1.5, "a"],
           "n_blocks": [-1, 1.5, "a"], "units": [0, -1, 1.5, "a"], "patience": [0, -1, "a"],
           "validation_fraction": [0, 1.5, -1, NAN, "a"]}  # fmt: skip


def _add_preset(name, value):
    @case("parameters of presets", f"{name}={value!r}", either(name, error=(ValueError, TypeError),
          oracle=anything) if (name, value) in (("validation_fraction", 0), ("one_hot_max", -2))
          else raises(name, error=(ValueError, TypeError)), on="tabular")  # fmt: skip
    def bad(net):
        model = net.make()
        preset = type(model.preset)(**model.preset.get_params())
        if name not in preset.get_params():
            raise NotMeant
        return net.fit(model.set_params(preset=preset.set_params(**{name: value})))


for _name, _values in PRESETS.items():
    for _value in _values:
        _add_preset(_name, _value)

NO_PRESETS = {"a text": "worst", "None": None, "a number": 3, "a class": np.ndarray, "a list": []}
for _told, _value in NO_PRESETS.items():

    @case("parameters of presets", f"preset={_told}", raises("preset", error=(ValueError,
          TypeError)), on="tabular")  # fmt: skip
    def no_preset(net, value=_value):
        return net.fit(net.make(preset=value))


INSIDE = {"a class": dict, "None": None, "a number": 3, "a text": "abc"}
for _told, _value in INSIDE.items():

    @case("estimators inside that are none", _told, raises("", error=(ValueError, TypeError)),
          on="meta")  # fmt: skip
    def inside(net, value=_value):
        name = "classifier" if "reject" in net.roles else "estimator"
        return net.fit(net.make(**{name: value}))
