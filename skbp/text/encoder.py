"""Pretrained encoders: read from files, never changed."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from skbp._engine.network import Network
from skbp._plain import kept
from skbp.layers._pass import Arrays
from skbp.text._bert import (
    check_sizes,
    fill,
    layers_of,
    n_positions,
    read_config,
    with_padding,
)
from skbp.text._tensors import Tensors

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
#: What tokens for padding are called.
PADDING = ("[PAD]", "<pad>", "<|padding|>", "<|end|>", "<|endoftext|>")
#: The file that says how vectors of tokens are put together, and its entries by our names.
POOLING = "1_Pooling/config.json"
MODES = {
    "mean": "pooling_mode_mean_tokens", "first": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens", "last": "pooling_mode_lasttoken",
}  # fmt: skip


@kept(name="TextEncoderWeights")
class Encoder:
    """A pretrained encoder of texts: its layers, their weights and its tokenizer.

    Made by `load_encoder`. It never changes, so that copies are the same object: ``clone`` of an
    estimator that has it as a parameter keeps it, and a pickle of several estimators holds it once.
    Two are equal if their content is, bit by bit.

    Parameters
    ----------
    config : dict
        What counts of its configuration.
    params : ndarray of shape (n_params,), float32 or float64
        All weights; no longer writeable afterwards.
    tokenizer_json : str or None
        What the `tokenizers` library makes its tokenizer of; None if it came without one.
    pooling : {"mean", "first", "max", "last"} or None
        How it was trained to put the vectors of tokens together; None if that is not said.
    reference : Path or None
        The folder or file to load it from again, for pickles that hold this instead of the weights.

    Attributes
    ----------
    config : mapping
        What counts of its configuration, by the names of config.json. Read-only.
    tokenizer_json, pooling : str or None
        As given.
    digest : str
        SHA-256 of the content: configuration, tokenizer, pooling, and names, shapes, dtypes and
        bytes of all weights.
    n_codes : int
        Number of its tokens.
    n_features : int
        Length of the vector of a token.
    max_length : int
        Most tokens of a text, those that begin and end it included.
    padding_index : int
        The code of what is absent: that of the tokenizer's token for padding, if it has one.
    n_params : int
        Number of weights.
    dtype : numpy dtype
        Of the weights.

    See Also
    --------
    TextEncoder : Texts to vectors.

    Examples
    --------
    Its layers and weights are those of any network of skbp:

    >>> from skbp.text import load_encoder
    >>> encoder = load_encoder("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> layers = [*encoder.layers(), SequencePool("mean")]  # doctest: +SKIP
    >>> net = BackpropClassifier(layers=layers, init_from=encoder.weights())  # doctest: +SKIP
    """

    config: MappingProxyType
    tokenizer_json: str | None
    pooling: str | None
    _params: np.ndarray
    _reference: Path | None

    def __init__(self, config, params, tokenizer_json=None, pooling=None, reference=None):
        params = params.view()
        params.flags.writeable = False
        self.__dict__.update(
            config=MappingProxyType(dict(config)), tokenizer_json=tokenizer_json, pooling=pooling,
            _params=params, _reference=reference,
        )  # fmt: skip

    def __setattr__(self, name, value):
        raise AttributeError(f"an Encoder never changes: {name!r} cannot be set. Load another one.")

    def __delattr__(self, name):
        raise AttributeError(f"an Encoder never changes: {name!r} cannot be deleted.")

    @property
    def n_codes(self):
        """Number of its tokens."""
        return self.config["vocab_size"]

    @property
    def n_features(self):
        """Length of the vector of a token."""
        return self.config["hidden_size"]

    @property
    def max_length(self):
        """Most tokens of a text, those that begin and end it included."""
        return n_positions(self.config)

    @property
    def padding_index(self):
        """The code of what is absent."""
        return self.config["pad_token_id"]

    @property
    def n_params(self):
        """Number of weights."""
        return self._params.size

    @property
    def dtype(self):
        """The dtype of the weights."""
        return self._params.dtype

    def layers(self):
        """Return new layers for an estimator: from rows of codes to sequences of features.

        Returns
        -------
        layers : list of Layer
            Named "tokens", "positions", "norm", "dropout", "block_0", "block_1" ...
        """
        return layers_of(self.config)

    def weights(self):
        """Return the weights by name, for an estimator's `init_from`.

        Returns
        -------
        weights : dict of str to ndarray
            Read-only views, such as "block_0.2.0.weight".
        """
        return self._network(self.max_length).by_name()

    def _network(self, n_steps, *after):
        """Return a network over these weights for rows of so many codes.

        Parameters
        ----------
        n_steps : int
        *after : Layer
            Layers without parameters, for what comes out.
        """
        layers = [*self.layers(), *after]
        return Network(layers, (n_steps,), self._params.dtype, self._params)

    def _with_weights(self, weights):
        """Return an encoder of the same kind with other weights, given by name."""
        network = Network(self.layers(), (self.max_length,), self._params.dtype)
        for name, array in network.by_name().items():
            array[...] = weights[name]
        return Encoder(self.config, network.params, self.tokenizer_json, self.pooling)

    @cached_property
    def digest(self):
        """SHA-256 of the content, as hexadecimal digits."""
        told = [dict(self.config), self.tokenizer_json, self.pooling]
        found = hashlib.sha256(json.dumps(told).encode())
        for name, array in self.weights().items():
            found.update(f"{name} {array.shape} {array.dtype.name}\n".encode())
            found.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return found.hexdigest()

    def __eq__(self, other):
        if not isinstance(other, Encoder):
            return NotImplemented
        return self is other or self.digest == other.digest

    def __hash__(self):
        return hash(self.digest)

    def __repr__(self):
        return (
            f"<Encoder: {self.config['num_hidden_layers']} blocks, {self.n_features} features, "
            f"{self.n_codes} tokens, {self.n_params:,} weights>"
        )

    def _parts(self):
        return {
            "config": dict(self.config), "params": np.asarray(self._params),
            "tokenizer_json": self.tokenizer_json, "pooling": self.pooling,
        }  # fmt: skip

    @classmethod
    def _of_trusted(cls, parts):
        return cls(**parts)

    @classmethod
    def _of_parts(cls, parts):
        """Return an encoder of what a file has of it; a ValueError if its parts do not fit."""
        made = cls(**parts)
        if not np.isfinite(made._params).all():
            raise ValueError("an encoder has weights that are not finite")
        made._network(min(made.max_length, 8))
        return made

    # What never changes needs no copies.

    def __sklearn_clone__(self):
        return self

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        if self._reference is not None:
            return _load_again, (str(self._reference), self._params.dtype.name, self.digest)
        params = np.asarray(self._params)
        return Encoder, (dict(self.config), params, self.tokenizer_json, self.pooling)


def _load_again(path, dtype, digest):
    """Load what a pickle refers to, and compare its content."""
    try:
        encoder = load_encoder(path, dtype=dtype, by_reference=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"this pickle refers to the encoder in {path}, which is not there: {error} Put the "
            "folder back, or pickle with by_reference=False, which stores the weights."
        ) from error
    if encoder.digest != digest:
        raise ValueError(
            f"this pickle refers to the encoder in {path} with the content {digest[:12]}..., and "
            f"now that folder has {encoder.digest[:12]}...: the files were changed. Restore them, "
            "or train again."
        )
    return encoder


def load_encoder(path, dtype="float32", by_reference=False):
    """Load a pretrained encoder of texts from a folder on this machine.

    The folder holds "config.json", "model.safetensors" and, for texts, "tokenizer.json": what
    models of this kind are published as. "1_Pooling/config.json", if it is there, says how vectors
    of tokens are put together. Weights of 16 bits become float32.

    Parameters
    ----------
    path : str or PathLike
        The folder, or the file with the weights in it.
    dtype : {"float32", "float64"}, default="float32"
        In which to compute.
    by_reference : bool, default=False
        What a pickle of it, or of an estimator that has it, holds: the weights, or this path and
        the digest of the content, which loading compares.

    Returns
    -------
    encoder : Encoder

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the configuration is one of another kind of network; if a file is damaged, or they do not
        belong together; if weights are not finite.
    ImportError
        If the `safetensors` package is not installed.

    Examples
    --------
    >>> from skbp.text import load_encoder
    >>> load_encoder("no-such-folder")
    Traceback (most recent call last):
        ...
    FileNotFoundError: there is no folder or file 'no-such-folder'. ...
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be 'float32' or 'float64'. Got {dtype!r} instead.")
    given = Path(path)
    folder, weights = _folder_and_weights(given)
    config = read_config(read_json(folder / CONFIG)[1], str(folder / CONFIG))
    tokenizer, text = folder / TOKENIZER, None
    if tokenizer.exists():
        text, described = read_json(tokenizer)
        config = with_padding(config, padding_of(described), str(folder / CONFIG))
    tensors, pooling = Tensors(weights), _pooling(folder / POOLING)
    check_sizes(config, tensors)
    network = Network(layers_of(config), (n_positions(config),), np.dtype(dtype))
    with np.errstate(over="ignore"):  # of what is too large for float32: not finite, then
        fill(Arrays(network.by_name()), config, tensors)
    if not network.finite:
        raise ValueError(f"{weights} holds weights that are not finite. Fetch or copy it again.")
    reference = given.resolve() if by_reference else None
    return Encoder(config, network.params, text, pooling, reference)


def _folder_and_weights(given):
    """Return the folder of an encoder and the file of its weights, both of which are there."""
    if not given.exists():
        raise FileNotFoundError(
            f"there is no folder or file {str(given)!r}. Expected is a folder with {CONFIG} and "
            f"{WEIGHTS}."
        )
    folder = given if given.is_dir() else given.parent
    weights = folder / WEIGHTS if given.is_dir() else given
    for file in (folder / CONFIG, weights):
        if not file.is_file():
            there = ", a folder in its place" if file.exists() else ""
            raise FileNotFoundError(
                f"{folder} lacks {file.name!r}{there}. It holds {_names(folder)}."
            )
    return folder, weights


def _pooling(path):
    """Return the mode of pooling that a file asks for; None if there is no such file."""
    if not path.exists():
        return None
    given = read_json(path)[1]
    if not isinstance(given, dict):
        raise ValueError(f"{path} holds a {type(given).__name__}, expected an object of modes.")
    asked = [
        key for key, value in given.items() if key.startswith("pooling_mode") and value is True
    ]
    found = [name for name, key in MODES.items() if asked == [key]]
    if not found:
        raise ValueError(
            f"{path} asks for {asked}; supported is one of {list(MODES.values())}. Without that "
            "file the pooling is what `TextEncoder` is told."
        )
    return found[0]


def read_json(path):
    """Return the text of a JSON file, and what it says.

    Raises
    ------
    FileNotFoundError
        If it is a folder.
    ValueError
        If it is no whole JSON.
    """
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder, expected a file. Fetch that file again.")
    try:
        text = path.read_text(encoding="utf-8")
        return text, json.loads(text)
    except (ValueError, RecursionError) as error:  # that of what is no UTF-8 too
        told = str(error) if len(str(error)) <= 200 else f"{str(error)[:200]} ..."
        raise ValueError(
            f"{path} is no whole JSON file ({told}). Fetch or copy it again."
        ) from error


def padding_of(described):
    """Return the code of a tokenizer's token for padding, as its file tells; None if it does not.

    Parameters
    ----------
    described : object
        What tokenizer.json says.
    """
    described = described if isinstance(described, dict) else {}
    padding, added = described.get("padding"), described.get("added_tokens")
    if isinstance(padding, dict):
        return padding.get("pad_id")
    added = [token for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    codes = {token.get("content"): token.get("id") for token in added}
    return next((codes[name] for name in PADDING if name in codes), None)


def _names(folder):
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "") if names else "nothing"
