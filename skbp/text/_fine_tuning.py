"""An encoder and the head on top of it, trained together."""

from math import ceil

import numpy as np

from skbp.estimators._inside import Inside
from skbp.estimators.classifier import BackpropClassifier
from skbp.estimators.regressor import BackpropRegressor
from skbp.layers import LoRA
from skbp.optimizers import AdamW, Group

#: What is trained beside the head, and at which largest rate if none is given.
RATES = {"last": 5e-4, "lora": 3e-3, "all": 2e-4}
#: The fewest updates and passes over the texts, if their number is not given, and the most passes.
MIN_UPDATES, MIN_ITER, MAX_ITER = 60, 3, 20


class ClassifierInside(Inside, BackpropClassifier):
    """The network of `TextClassifier`."""


class RegressorInside(Inside, BackpropRegressor):
    """The network of `TextRegressor`."""


def n_passes(n, batch_size, max_iter):
    """Return the number of passes over n texts: as given, or such that updates are not too few."""
    if max_iter is not None:
        return max_iter
    updates = ceil(n / min(batch_size, n))
    return min(MAX_ITER, max(MIN_ITER, ceil(MIN_UPDATES / updates)))


def groups_of(encoder, decay):
    """Return groups in which the rate of each block is so much of that of the block above it.

    What stands below the blocks has the smallest rate, the last block and the head the full one.
    """
    n_blocks = encoder.config["num_hidden_layers"]
    below = [Group(name, rate=decay**n_blocks) for name in ("tokens", "positions", "norm")]
    blocks = [Group(f"block_{i}", rate=decay ** (n_blocks - 1 - i)) for i in range(n_blocks)]
    return [*below, *blocks]


def layers_to_train(encoder, train, rank):
    """Return an encoder's layers, and the names of those that stay as they are.

    Parameters
    ----------
    encoder : Encoder
    train : {"last", "lora", "all"}
        The last block; changes of low rank in all blocks; or everything.
    rank : int
        Of such changes.
    """
    layers = encoder.layers()
    names = [layer.name for layer in layers if layer.name != "dropout"]
    if train == "all":
        return layers, []
    if train == "last":  # what is below never changes, so it is computed once
        *below, last = (layer for layer in layers if layer.name != "dropout")
        for layer in below:
            if layer.name.startswith("block"):
                layer.set_params(dropout=0.0, attention_dropout=0.0)
        return [*below, last], names[:-1]
    changed = [
        LoRA(layer, rank, name=layer.name) if layer.name.startswith("block") else layer
        for layer in layers
    ]
    return changed, [name for name in names if not name.startswith("block")]


def network_for(kind, encoder, head, after, n, settings):
    """Return a network that begins as an encoder and a head are, ready to be trained.

    Parameters
    ----------
    kind : type
        `ClassifierInside` or `RegressorInside`.
    encoder : Encoder
    head : (ndarray of shape (n_outputs, n_features), ndarray of shape (n_outputs,))
        Weights and biases.
    after : list of Layer
        What is between the two.
    n : int
        Number of texts to train on.
    settings : dict
        Parameters of the estimator for texts.

    Returns
    -------
    network : Inside
    """
    train, rate, decay = (settings[k] for k in ("train", "learning_rate_init", "layer_decay"))
    layers, frozen = layers_to_train(encoder, train, settings["rank"])
    start = {"output.weight": head[0].T, "output.bias": head[1]}
    groups = groups_of(encoder, decay) if train != "last" and decay != 1 else None
    return kind(
        layers=[*layers, *after], init_from=encoder.weights() | start, freeze=frozen or None,
        solver=AdamW(weight_decay=0.01, clip_norm=1.0, groups=groups), alpha=0.0,
        learning_rate="one_cycle", learning_rate_init=RATES[train] if rate is None else rate,
        tol=0.0, n_iter_no_change=np.inf, dtype=encoder.dtype.name, shuffle="by_length",
        max_iter=n_passes(n, settings["batch_size"], settings["max_iter"]),
        batch_size=min(settings["batch_size"], n),
        **{name: settings[name] for name in ("early_stopping", "random_state", "verbose")},
    )  # fmt: skip


def parts_of(network, encoder):
    """Return what a trained network is made of.

    Parameters
    ----------
    network : Inside
        As `network_for` made it.
    encoder : Encoder
        Where training began.

    Returns
    -------
    encoder : Encoder
    head : (ndarray of shape (n_outputs, n_features), ndarray of shape (n_outputs,))
    """
    has_lora = any(isinstance(layer, LoRA) for layer in network.layers)
    weights = (network.merge_lora() if has_lora else network).weights_
    head = weights.pop("output.weight").T, weights.pop("output.bias")
    return encoder._with_weights(weights), head
