"""Tokens that are learned from texts."""

import json
from abc import abstractmethod

from skbp._component import Whole, check_allowed
from skbp._optional import library
from skbp.text._tokens import in_pieces, refuse_surrogates
from skbp.text.tokenizer import Tokenizer

#: Tokens that no text holds, with the codes 0, 1, 2: the end of a text, which also fills up shorter
#: ones; its beginning; and what stands between a prompt and its answer.
END, START, ANSWER = SPECIAL = ("<|end|>", "<|start|>", "<|answer|>")
UNKNOWN = "<|unknown|>"


class _Trained(Tokenizer):
    """Base class of tokenizers that `fit` trains."""

    @abstractmethod
    def _trained(self, texts):
        """Return the library's tokenizer, trained on texts."""

    def _described(self, texts):
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"X[{i}] is a pair; {type(self).__name__} is trained on texts.")
        try:
            described = json.loads(self._trained(texts).to_str())
        except (TypeError, UnicodeError):
            refuse_surrogates(texts)
            raise
        # They stay tokens, but what a text spells like one is text: nobody writes an end into it.
        described["added_tokens"] = []
        described["padding"] = {
            "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 0, "pad_type_id": 0, "pad_token": END,
        }  # fmt: skip
        n_codes = len(described["model"]["vocab"])
        return json.dumps(described), n_codes, 0, self.max_length


class CharacterTokenizer(_Trained):
    """Makes each character a token, and returns their codes as a matrix.

    `fit` takes down which characters there are; others are unknown, and share a code. Codes 0, 1, 2
    and 3 stand for the end of a text (and padding), its beginning, what stands between a prompt and
    an answer, and unknown characters; 1 and 2 are for `TextModel`.

    Parameters
    ----------
    max_length : int or None, default=None
        The most codes of a text; longer ones are truncated. None means no limit.

    Attributes
    ----------
    n_steps_ : int
        Number of columns: characters of the longest text of `fit`.
    n_codes_ : int
        Number of tokens; codes are 0 to ``n_codes_ - 1``.
    padding_index_ : int
        0.

    See Also
    --------
    BytePairTokenizer : Fewer, longer tokens; no character is unknown.

    Notes
    -----
    A character is a code point: accents that follow a letter are characters of their own.

    Examples
    --------
    >>> from skbp.text import CharacterTokenizer
    >>> tokenizer = CharacterTokenizer().fit(["abba", "你好"])
    >>> tokenizer.n_codes_
    8
    >>> codes = tokenizer.transform(["ab", "好的"])
    >>> tokenizer.inverse_transform(codes)
    ['ab', '好<|unknown|>']
    """

    def __init__(self, max_length=None):
        self.max_length = max_length

    def _trained(self, texts):
        lib = library("tokenizers", "text")
        tokenizer = lib.Tokenizer(lib.models.WordLevel(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = lib.pre_tokenizers.Split(lib.Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = lib.decoders.Fuse()
        # The library's trainer of words would do, but it puts equally frequent ones in any order.
        characters = sorted(set().union(*texts))
        codes = {token: i for i, token in enumerate([*SPECIAL, UNKNOWN, *characters])}
        tokenizer.model = lib.models.WordLevel(codes, unk_token=UNKNOWN)
        return tokenizer


class BytePairTokenizer(_Trained):
    """Splits texts into frequent pieces, which `fit` finds, and returns their codes as a matrix.

    Byte-level byte-pair encoding: the tokens are the 256 bytes, and pieces made by joining the most
    frequent pair again and again, within words. Any text of any language has codes, and comes back
    the same. Codes 0, 1 and 2 stand for the end of a text (and padding), its beginning, and what
    stands between a prompt and an answer; 1 and 2 are for `TextModel`.

    Parameters
    ----------
    n_codes : int, default=1000
        How many tokens there are to be, at least 259. Texts with few pairs give fewer.
    max_length : int or None, default=None
        The most codes of a text; longer ones are truncated. None means no limit.

    Attributes
    ----------
    n_steps_ : int
        Number of columns: codes of the longest text of `fit`.
    n_codes_ : int
        Number of tokens; codes are 0 to ``n_codes_ - 1``.
    padding_index_ : int
        0.

    See Also
    --------
    CharacterTokenizer : Each character is a token.

    References
    ----------
    R. Sennrich, B. Haddow, A. Birch (2016), "Neural machine translation of rare words with subword
    units", section 3.2.
    A. Radford, J. Wu, R. Child, D. Luan, D. Amodei, I. Sutskever (2019), "Language models are
    unsupervised multitask learners", section 2.2: bytes.

    Examples
    --------
    >>> from skbp.text import BytePairTokenizer
    >>> tokenizer = BytePairTokenizer(n_codes=261).fit(["banana", "ananas"])
    >>> codes = tokenizer.transform(["banana", "你"])
    >>> codes.shape
    (2, 3)
    >>> tokenizer.inverse_transform(codes)
    ['banana', '你']
    """

    def __init__(self, n_codes=1000, max_length=None):
        self.n_codes = n_codes
        self.max_length = max_length

    def _trained(self, texts):
        check_allowed(self, {"n_codes": Whole(256 + len(SPECIAL))})
        lib = library("tokenizers", "text")
        tokenizer = lib.Tokenizer(lib.models.BPE())
        tokenizer.pre_tokenizer = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = lib.decoders.ByteLevel()
        trainer = lib.trainers.BpeTrainer(
            vocab_size=self.n_codes, special_tokens=list(SPECIAL), show_progress=False,
            initial_alphabet=lib.pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
        tokenizer.train_from_iterator(
            (piece for text in texts for piece in in_pieces(text)), trainer
        )
        return tokenizer
