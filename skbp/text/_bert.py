"""Encoders like BERT: what their configuration means, and where their weights belong."""

import numpy as np

from skbp._component import Range, Whole
from skbp.layers import Dropout, LayerNorm, PositionalEncoding, TokenEmbedding, TransformerEncoder

#: Activations by the names that configurations give them.
ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "silu": "silu", "swish": "silu"}
RATE = Range(0, 1, high_open=True)
#: What is read of a configuration, and what it may be.
READ = {
    "vocab_size": Whole(1), "hidden_size": Whole(1), "num_hidden_layers": Whole(1),
    "num_attention_heads": Whole(1), "intermediate_size": Whole(1),
    "max_position_embeddings": Whole(1),
}  # fmt: skip
#: The same, with what it is where it is not said.
OPTIONAL = {
    "type_vocab_size": (Whole(1), 2), "pad_token_id": (Whole(), 0),
    "layer_norm_eps": (Range(0, 1, low_open=True), 1e-12), "hidden_dropout_prob": (RATE, 0.1),
    "attention_probs_dropout_prob": (RATE, 0.1), "hidden_act": (ACTIVATIONS, "gelu"),
}  # fmt: skip
#: What must be as here, where it is said: other values mean another network.
MUST_BE = {
    "position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False,
}  # fmt: skip
#: Kinds of networks, and the code of what is absent where it is not said. All but the first count
#: positions from the one after that code.
KINDS = {"bert": 0, "roberta": 1, "xlm-roberta": 1}
SUPPORTED = (
    f"Supported are encoders like BERT: model_type {', '.join(map(repr, KINDS))} with absolute "
    "positions, such as all-MiniLM-L6-v2."
)
#: Tensors of a file that an encoder does not need: heads for pretraining, and numbers 0, 1, 2 ...
NOT_NEEDED = ("pooler.", "cls.", "lm_head.", "embeddings.position_ids")
#: What names in a file may begin with.
PREFIXES = ("bert.", "roberta.")


def read_config(given, where):
    """Return what counts of a configuration, by name.

    Parameters
    ----------
    given : dict
        As in config.json.
    where : str
        The file, for errors.

    Raises
    ------
    ValueError
        If it is of another kind of network, or does not make sense; names the entry.
    """
    if not isinstance(given, dict) or "model_type" not in given:
        raise ValueError(f"{where} names no 'model_type'. {SUPPORTED}")
    kind = given["model_type"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(
            f"{where}: model_type is {kind!r}, not one of {', '.join(map(repr, KINDS))}. "
            f"{SUPPORTED}"
        )
    for name, value in MUST_BE.items():
        if given.get(name, value) != value:
            raise ValueError(f"{where}: {name} is {given[name]!r}, not {value!r}. {SUPPORTED}")
    found = {"model_type": kind}
    given = {"pad_token_id": KINDS[kind]} | given
    for name, allowed in READ.items():
        if name not in given:
            raise ValueError(f"{where} lacks {name!r}. {SUPPORTED}")
        found[name] = _checked(given[name], name, allowed, where)
    for name, (container, default) in OPTIONAL.items():
        found[name] = _checked(given.get(name, default), name, container, where)
    if found["hidden_size"] % found["num_attention_heads"]:
        raise ValueError(
            f"{where}: hidden_size is {found['hidden_size']}, which "
            f"{found['num_attention_heads']} heads (num_attention_heads) cannot share."
        )
    if found["pad_token_id"] >= found["vocab_size"]:
        raise ValueError(
            f"{where}: pad_token_id is {found['pad_token_id']}, and there are only "
            f"{found['vocab_size']} tokens (vocab_size), numbered from 0."
        )
    if n_positions(found) < 1:
        raise ValueError(
            f"{where}: max_position_embeddings is {found['max_position_embeddings']}, which leaves "
            f"no position after pad_token_id {found['pad_token_id']}."
        )
    return found


def with_padding(config, code, where):
    """Return a configuration whose code of what is absent is that of its tokenizer.

    That of BERT's configuration only says which row of the table was not trained: there are models
    with another tokenizer's. Others count positions from it.

    Parameters
    ----------
    config : dict
        As `read_config` returns it.
    code : int or None
        The tokenizer's; None where it has none.
    where : str
        The file of the configuration, for errors.
    """
    own, n_codes = config["pad_token_id"], config["vocab_size"]
    if code in (None, own) or code not in Whole() or code >= n_codes:
        return config
    if config["model_type"] == "bert":
        return config | {"pad_token_id": code}
    raise ValueError(
        f"{where}: pad_token_id is {own}, and the tokenizer's code for padding is {code}. The two "
        "files do not belong together."
    )


def first_position(config):
    """Return the number of the first row in the table of positions that is used."""
    return 0 if config["model_type"] == "bert" else config["pad_token_id"] + 1


def n_positions(config):
    """Return the most codes that a text may have."""
    return config["max_position_embeddings"] - first_position(config)


def _checked(value, name, allowed, where):
    known = isinstance(value, str) if allowed is ACTIVATIONS else True
    if not known or value not in allowed:
        told = f"one of {sorted(ACTIVATIONS)}" if allowed is ACTIVATIONS else str(allowed)
        raise ValueError(f"{where}: {name} is {value!r}, and must be {told}. {SUPPORTED}")
    return value


def layers_of(config):
    """Return the layers of an encoder: from rows of codes to sequences of features.

    Parameters
    ----------
    config : dict
        As `read_config` returns it.
    """
    rate = config["hidden_dropout_prob"]
    block = {
        "n_heads": config["num_attention_heads"], "n_hidden": config["intermediate_size"],
        "activation": ACTIVATIONS[config["hidden_act"]], "dropout": rate, "norm": "post",
        "epsilon": config["layer_norm_eps"], "hidden_dropout": 0.0,
        "attention_dropout": config["attention_probs_dropout_prob"],
    }  # fmt: skip
    return [
        TokenEmbedding(
            config["vocab_size"], config["hidden_size"], config["type_vocab_size"],
            config["pad_token_id"], name="tokens",
        ),
        PositionalEncoding("learned", n_positions(config), name="positions"),
        LayerNorm(epsilon=config["layer_norm_eps"], name="norm"),
        Dropout(rate, name="dropout"),
        *(
            TransformerEncoder(**block, name=f"block_{i}")
            for i in range(config["num_hidden_layers"])
        ),
    ]  # fmt: skip


def check_sizes(config, tensors):
    """Compare the sizes of a configuration with the tensors of a file, before memory is taken.

    Parameters
    ----------
    config : dict
        As `read_config` returns it.
    tensors : Tensors
        Of the file.

    Raises
    ------
    ValueError
        If a number of the configuration is another one than the file's.
    """
    prefix, k, n_hidden = prefix_of(tensors), config["hidden_size"], config["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings": (config["vocab_size"], k),
        "embeddings.position_embeddings": (config["max_position_embeddings"], k),
        "embeddings.token_type_embeddings": (config["type_vocab_size"], k),
        "encoder.layer.0.intermediate.dense": (n_hidden, k),
    }
    for name, shape in shapes.items():
        tensors.check(f"{prefix}{name}.weight", shape)
    for i in range(config["num_hidden_layers"]):
        tensors.check(f"{prefix}encoder.layer.{i}.attention.output.dense.weight", (k, k))


def prefix_of(tensors):
    """Return what the names of an encoder's tensors begin with."""
    return next((p for p in PREFIXES if any(name.startswith(p) for name in tensors.names)), "")


def fill(arrays, config, tensors):
    """Copy the tensors of a file to where they belong.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Parameters of a network of `layers_of`, by name; written to.
    config : dict
        As `read_config` returns it.
    tensors : Tensors
        Of the file.

    Raises
    ------
    ValueError
        If a tensor is missing, has another shape than the configuration says, or has no place.
    """
    places = dict(_places(config))
    prefix = prefix_of(tensors)
    unused = first_position(config)
    for name, array in arrays.items():
        sources = [prefix + source for source in places[name]]
        if name == "positions.position":
            rows = tensors.read(*sources, (unused + len(array), array.shape[1]))
            np.copyto(array, rows[unused:])
            continue
        # In the file a matrix is (outputs, inputs), and what q, k and v need are three tensors.
        is_matrix = name.rpartition(".")[2].startswith("weight") and name != "tokens.weight"
        width = array.shape[-1] // len(sources)
        for i, source in enumerate(sources):
            part = array[..., i * width : (i + 1) * width]
            part = part.T if is_matrix else part
            np.copyto(part, tensors.read(source, part.shape))
    known = {prefix + source for sources in places.values() for source in sources}
    for name in tensors.names:
        if name not in known and not name.removeprefix(prefix).startswith(NOT_NEEDED):
            raise ValueError(
                f"{tensors.path} holds the tensor {name!r}, which the encoder of its configuration "
                "has no place for. The two do not belong together, or the network is of another "
                f"kind. {SUPPORTED}"
            )


def _places(config):
    """Yield names of parameters, and of the tensors in a file that each is made of."""
    yield "tokens.weight", ["embeddings.word_embeddings.weight"]
    yield "tokens.type", ["embeddings.token_type_embeddings.weight"]
    yield "positions.position", ["embeddings.position_embeddings.weight"]
    yield from _norm("norm", "embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        own, there = f"block_{i}", f"encoder.layer.{i}"
        for kind in ("weight", "bias"):
            yield (
                f"{own}.0.0.{kind}_qkv",
                [f"{there}.attention.self.{part}.{kind}" for part in ("query", "key", "value")],
            )
            yield f"{own}.0.0.{kind}_out", [f"{there}.attention.output.dense.{kind}"]
            yield f"{own}.2.0.{kind}", [f"{there}.intermediate.dense.{kind}"]
            yield f"{own}.2.1.{kind}", [f"{there}.output.dense.{kind}"]
        yield from _norm(f"{own}.1", f"{there}.attention.output.LayerNorm")
        yield from _norm(f"{own}.3", f"{there}.output.LayerNorm")


def _norm(own, there):
    yield f"{own}.gamma", [f"{there}.weight"]
    yield f"{own}.beta", [f"{there}.bias"]
