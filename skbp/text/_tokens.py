"""The `tokenizers` library: texts to codes."""

import re
from functools import lru_cache

import numpy as np

from skbp._optional import library

#: Texts that the library gets at a time: what it returns is many times as large as the codes.
CHUNK = 4096
#: Characters of these together, unless a single text has more.
CHARACTERS = 2**17
#: Characters of a text that it gets at a time, or a few more, for the same reason.
PIECE = 2**16
#: White space that stands alone: tokens may begin with it, and none reaches across its beginning.
SPACE = re.compile(r"(?<=\S)\s(?=\S)")


@lru_cache(maxsize=8)
def tokenizer_of(text, max_length=None, plain=False):
    """Return the library's tokenizer that a JSON text describes, which nobody changes further.

    Parameters
    ----------
    text : str
        As in tokenizer.json.
    max_length : int or None
        The most codes of a text, or of a pair; None leaves them as long as they are.
    plain : bool, default=False
        Whether the name of a special token, as part of a text, is text like any other.

    Raises
    ------
    ValueError
        If the text describes none, or the length leaves no room for a token.
    """
    try:
        tokenizer = library("tokenizers", "text").Tokenizer.from_str(text)
    except ImportError:
        raise
    except Exception as error:  # the library knows no other
        raise ValueError(
            f"tokenizer.json describes no tokenizer that the installed `tokenizers` reads: {error}."
        ) from error
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = plain
    if max_length is None:
        tokenizer.no_truncation()
        return tokenizer
    added = tokenizer.num_special_tokens_to_add(False)
    if max_length <= added:
        raise ValueError(
            f"max_length={max_length} leaves no room for a text: {added} codes stand at its "
            f"beginning and end. Give at least {added + 1}."
        )
    tokenizer.enable_truncation(max_length)
    return tokenizer


def codes_of(texts, text, max_length, n_codes, plain=False):
    """Return the codes of each text; those of the second one in a pair have ``n_codes`` added.

    Parameters
    ----------
    texts : list of str, or of pairs
        As `as_texts` returns them.
    text : str
        As in tokenizer.json.
    max_length : int or None
    n_codes : int
    plain : bool, default=False
        Whether there are codes of the texts alone, none of special tokens.

    Returns
    -------
    codes : list of ndarray of shape (length,), int32
    """
    tokenizer, codes = tokenizer_of(text, max_length, plain), []
    for some in _chunks(texts):
        try:
            found = tokenizer.encode_batch_fast(some, add_special_tokens=not plain)
        except (TypeError, UnicodeError):
            refuse_surrogates(texts)
            raise
        except Exception as error:  # the library knows no other
            raise ValueError(
                f"tokenizer.json does not fit the texts: {error}. Without a token for what is "
                "unknown, it takes texts of its own vocabulary only."
            ) from error
        for one in found:
            types = np.array(one.type_ids, np.int32)
            codes.append(np.array(one.ids, np.int32) + n_codes * types)
    return codes


def _chunks(texts):
    """Yield a few texts, or pairs, at a time."""
    start, n = 0, 0
    for i, text in enumerate(texts):
        n += len(text) if isinstance(text, str) else sum(map(len, text))
        if n >= CHARACTERS or i + 1 - start == CHUNK:
            yield texts[start : i + 1]
            start, n = i + 1, 0
    if start < len(texts):
        yield texts[start:]


def refuse_surrogates(texts):
    """Raise a ValueError for the first text that is no Unicode: half a surrogate pair is in it."""
    for i, item in enumerate(texts):
        for part in [item] if isinstance(item, str) else item:
            try:
                part.encode()
            except UnicodeEncodeError as error:
                raise ValueError(
                    f"X[{i}] holds {part[error.start]!r} at position {error.start}, which is no "
                    "character of its own. Read the file with errors='replace'."
                ) from None


def padded(rows, n_steps, padding):
    """Return rows of codes as a matrix: the end of shorter ones is padding, of longer ones cut.

    Parameters
    ----------
    rows : list of ndarray of shape (length,), int32
    n_steps : int
    padding : int

    Returns
    -------
    codes : ndarray of shape (n, n_steps), int32
    """
    codes = np.full((len(rows), n_steps), padding, np.int32)
    for i, row in enumerate(rows):
        codes[i, : len(row)] = row[:n_steps]
    return codes


def in_pieces(text):
    """Yield a long text in pieces that have, one after another, the tokens of the whole."""
    start = 0
    while len(text) - start > PIECE and (space := SPACE.search(text, start + PIECE)):
        yield text[start : space.start()]
        start = space.start()
    yield text[start:] if start else text
