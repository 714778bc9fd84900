"""An encoder and the head on top of it, trained together."""

import numpy as np

from skbp.estimators.classifier import BackpropClassifier
from skbp.layers import LoRA
from skbp.optimizers import AdamW

#: What is trained beside the head, and at which largest rate if none is given.
RATES = {"last": 1e-4, "lora": 5e-4, "all": 5e-5}


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


def fine_tuned(encoder, head, after, codes, y, sample_weight, settings):
    """Return an encoder and a head that were trained on codes and labels.

    Parameters
    ----------
    encoder : Encoder
        Where training starts.
    head : (ndarray of shape (n_outputs, n_features), ndarray of shape (n_outputs,))
        Weights and biases to start from.
    after : list of Layer
        What is between the two.
    codes : ndarray of shape (n, n_steps), int32
    y : array-like of shape (n,)
    sample_weight : array-like of shape (n,) or None
    settings : dict
        Parameters of `TextClassifier`.

    Returns
    -------
    encoder : Encoder
    head : (ndarray, ndarray)
    """
    train, rate = settings["train"], settings["learning_rate_init"]
    layers, frozen = layers_to_train(encoder, train, settings["rank"])
    start = {"output.weight": head[0].T, "output.bias": head[1]}
    net = BackpropClassifier(
        layers=[*layers, *after], init_from=encoder.weights() | start, freeze=frozen or None,
        solver=AdamW(weight_decay=0.01, clip_norm=1.0), alpha=0.0, learning_rate="one_cycle",
        learning_rate_init=RATES[train] if rate is None else rate, tol=0.0,
        n_iter_no_change=np.inf, dtype=encoder.dtype.name, shuffle="by_length",
        batch_size=min(settings["batch_size"], len(codes)),
        **{name: settings[name]
           for name in ("max_iter", "class_weight", "random_state", "verbose")},
    )  # fmt: skip
    net.fit(codes, y, sample_weight=sample_weight)
    weights = (net.merge_lora() if train == "lora" else net).weights_
    head = weights.pop("output.weight").T, weights.pop("output.bias")
    return encoder._with_weights(weights), head
