"""Texts to rows of codes, for any network that looks up codes."""

from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skbp._component import Maybe, Whole, check_allowed
from skbp._forms import TEXT, fits_form, require
from skbp._plain_state import PlainState
from skbp.text._texts import as_texts
from skbp.text._tokens import codes_of, padded, tokenizer_of
from skbp.text.encoder import PADDING, TOKENIZER, Encoder, padding_of, read_json


class Tokenizer(PlainState, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Splits texts into tokens, and returns their codes as a matrix.

    The `tokenizers` library does the work, as "tokenizer.json" of a model describes it. `fit`
    learns one number: how many codes the longest text has. `transform` pads shorter texts to that
    length and truncates longer ones, so that the matrix fits a network's first layer:
    ``Embedding(n_codes_, dim, padding_index_)``, or `TokenEmbedding` for pairs of texts.

    Parameters
    ----------
    model : Encoder or path
        An encoder, or a "tokenizer.json", or the folder that holds one.
    max_length : int or None, default=None
        The most codes of a text, those that mark its beginning and end included; longer texts are
        truncated. None means the encoder's own limit, or none for a file.

    Attributes
    ----------
    n_steps_ : int
        Number of columns: codes of the longest text of `fit`.
    n_codes_ : int
        Number of tokens; codes are 0 to ``n_codes_ - 1``, and those of the second text of a pair
        ``n_codes_`` more.
    padding_index_ : int
        The code at the end of texts that are shorter.

    See Also
    --------
    BytePairTokenizer, CharacterTokenizer : Tokens that are learned from texts.
    TextEncoder : Texts to vectors, of any length.
    skbp.layers.TokenEmbedding : Looks up codes of pairs.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from skbp.text import Tokenizer
    >>> words = {"[PAD]": 0, "[UNK]": 1, "good": 2, "bad": 3, "not": 4}
    >>> described = {"model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"},
    ...              "pre_tokenizer": {"type": "Whitespace"}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "tokenizer.json").write_text(json.dumps(described))
    ...     tokenizer = Tokenizer(folder).fit(["not good", "bad"])
    >>> tokenizer.transform(["not bad", "", "really not bad"])
    array([[4, 3],
           [0, 0],
           [1, 4]], dtype=int32)
    >>> tokenizer.inverse_transform([[4, 3], [2, 0]])
    ['not bad', 'good']
    """

    def __init__(self, model, max_length=None):
        self.model = model
        self.max_length = max_length

    def fit(self, X, y=None):
        """Find out how many codes the longest text has.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)
        y : object
            Not used.

        Returns
        -------
        self : Tokenizer

        Raises
        ------
        TypeError
            If a text is no string; says which one.
        ValueError
            If there are no texts, or a parameter is not allowed.
        """
        texts = as_texts(X, pairs=True)
        check_allowed(self, {"max_length": Maybe(Whole(1))})
        self._text, self.n_codes_, self.padding_index_, self._limit = self._described(texts)
        self.n_steps_ = max(1, max(map(len, self._codes(texts))))
        return self

    def _check_parts(self):
        form = {
            "_text": TEXT, "n_codes_": Whole(1), "padding_index_": Whole(),
            "_limit": Maybe(Whole(1)), "n_steps_": Whole(1),
        }  # fmt: skip
        if fits_form(self, form):
            fits = tokenizer_of(self._text).get_vocab_size() <= self.n_codes_
            require(fits and self.padding_index_ < self.n_codes_, self, "other codes")

    def _described(self, texts):
        """Return the JSON text, number of tokens, padding code, and largest length.

        Parameters
        ----------
        texts : list of str
            Of `fit`; a tokenizer that exists has nothing to learn of them.
        """
        if isinstance(self.model, Encoder):
            encoder = self.model
            text = tokenizer_text(encoder)
            return text, encoder.n_codes, encoder.padding_index, limit(encoder, self.max_length)
        if not isinstance(self.model, str | PathLike):
            raise TypeError(
                "The 'model' parameter of Tokenizer must be an Encoder, a tokenizer.json or the "
                f"folder that holds one. Got {self.model!r} instead."
            )
        path = Path(self.model)
        path = path / TOKENIZER if path.is_dir() else path
        if not path.exists():
            raise FileNotFoundError(
                f"there is no {str(self.model)!r}: give a tokenizer.json, or its folder."
            )
        text, described = read_json(path)
        tokenizer = tokenizer_of(text)
        found = [padding_of(described), *map(tokenizer.token_to_id, PADDING)]
        found = [code for code in found if code is not None]
        if not found:
            raise ValueError(
                f"{path} names no token for padding. Add one, such as '[PAD]', with the "
                "`tokenizers` package: enable_padding(pad_id=..., pad_token=...)."
            )
        return text, tokenizer.get_vocab_size(), found[0], self.max_length

    def _codes(self, texts):
        return codes_of(texts, self._text, self._limit, self.n_codes_)

    def transform(self, X):
        """Return the codes of texts.

        Parameters
        ----------
        X : list, series or array of str, shape (n,); or of pairs, shape (n, 2)

        Returns
        -------
        codes : ndarray of shape (n, n_steps_), int32
        """
        check_is_fitted(self)
        return padded(self._codes(as_texts(X, pairs=True)), self.n_steps_, self.padding_index_)

    def inverse_transform(self, X):
        """Return the texts of codes, as far as these tell: without what marks beginning and end.

        Parameters
        ----------
        X : array-like of shape (n, n_columns)
            Codes, such as `transform` returns.

        Returns
        -------
        texts : list of str
        """
        check_is_fitted(self)
        rows = [row[row != self.padding_index_] % self.n_codes_ for row in np.asarray(X, int)]
        return tokenizer_of(self._text).decode_batch([row.tolist() for row in rows])

    @property
    def _n_features_out(self):
        return self.n_steps_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def tokenizer_text(encoder):
    """Return what describes an encoder's tokenizer, or raise a ValueError."""
    if encoder.tokenizer_json is None:
        raise ValueError(
            f"the encoder came without {TOKENIZER!r}, and so takes codes only. Put that file in "
            "its folder, and load it again."
        )
    n_tokens = tokenizer_of(encoder.tokenizer_json).get_vocab_size()
    if n_tokens > encoder.n_codes:
        raise ValueError(
            f"{TOKENIZER!r} of the encoder has {n_tokens} tokens, and its table {encoder.n_codes}: "
            "the two files do not belong together."
        )
    return encoder.tokenizer_json


def limit(encoder, max_length):
    """Return the most codes of a text: the encoder's limit, or a smaller one that is given."""
    if max_length is None:
        return encoder.max_length
    if max_length > encoder.max_length:
        raise ValueError(
            f"max_length={max_length} is more than the {encoder.max_length} codes that the encoder "
            "takes. Give at most that, or None."
        )
    return max_length
