"""What a text model knows of its tokens."""

import numpy as np

from skbp._component import Whole
from skbp._forms import TEXT, require
from skbp._plain import kept
from skbp.text._tokens import codes_of, in_pieces, tokenizer_of
from skbp.text.trained_tokenizers import ANSWER, START


@kept
class Vocabulary:
    """Codes of texts and texts of codes, with codes that mark a text's beginning and end.

    Parameters
    ----------
    tokenizer : Tokenizer
        Fitted.

    Attributes
    ----------
    n_codes : int
        Those of the tokenizer, and of the marks that it lacks.
    end, start, answer : int
        Marks: the end of a text, its beginning, and what stands between a prompt and an answer.
    """

    _form = {"_described": TEXT} | dict.fromkeys(("n_codes", "end", "start", "answer"), Whole())

    def __init__(self, tokenizer):
        self._described, self.n_codes = tokenizer._text, tokenizer.n_codes_
        self.end = tokenizer.padding_index_
        self.start, self.answer = map(self._mark, (START, ANSWER))

    def _mark(self, token):
        code = tokenizer_of(self._described).token_to_id(token)
        if code is not None:
            return code
        self.n_codes += 1
        return self.n_codes - 1

    def _check_parts(self):
        fits = max(self.end, self.start, self.answer) < self.n_codes
        fits = fits and tokenizer_of(self._described).get_vocab_size() <= self.n_codes
        require(fits, self, "marks that are none of its codes")

    def codes(self, texts):
        """Return the codes of each text, without marks: a list of ndarray, int32."""
        pieces = [list(in_pieces(text)) for text in texts]
        flat = [piece for of_one in pieces for piece in of_one]
        found = iter(codes_of(flat, self._described, None, 0, plain=True))
        return [
            np.concatenate([np.empty(0, np.int32), *(next(found) for _ in of_one)])
            for of_one in pieces
        ]

    def begun(self, texts, answering):
        """Return the codes to go on from: of the beginnings of texts, or of prompts to answer."""
        mark = [self.answer] if answering else []
        return [np.r_[self.start, codes, mark].astype(np.intp) for codes in self.codes(texts)]

    def is_mark(self, code):
        """Whether a code is no part of a text."""
        return code in (self.end, self.start, self.answer)

    def text(self, codes):
        """Return the text of a list of codes."""
        return tokenizer_of(self._described).decode(codes)


# ------------------------------------------------------------ rows to train on, and to score


def packed(texts, weight, vocabulary, n_columns):
    """Return texts one after another, cut into rows: a running text without an end.

    Each text has its marks. After the last one the first begins again, until the rows are full.

    Parameters
    ----------
    texts : list of ndarray of shape (length,), int
        Codes, as `Vocabulary.codes` returns them.
    weight : ndarray of shape (n_texts,) or None
        Of the texts.
    vocabulary : Vocabulary
    n_columns : int

    Returns
    -------
    rows : ndarray of shape (n, n_columns), float32
    weight : ndarray of shape (n,), float64, or None
        The mean over a row's codes.
    """
    marked = [np.r_[vocabulary.start, codes, vocabulary.end] for codes in texts]
    joined = np.concatenate(marked).astype(np.float32)
    shape = -(-len(joined) // n_columns), n_columns
    if weight is not None:
        weight = np.resize(np.repeat(weight, [len(codes) for codes in marked]), shape).mean(axis=1)
    return np.resize(joined, shape), weight


def windows(texts, vocabulary, n_columns):
    """Return rows that have each code of the texts, and each end, as a next code just once.

    Parameters
    ----------
    texts, vocabulary, n_columns
        As for `packed`.

    Returns
    -------
    rows : ndarray of shape (n, n_columns), float32
        Pieces of the texts; a piece begins with the last code of the one before.
    """
    marked = [np.r_[vocabulary.start, codes, vocabulary.end] for codes in texts]
    step = n_columns - 1
    pieces = [
        codes[first : first + n_columns]
        for codes in marked
        for first in range(0, len(codes) - 1, step)
    ]
    return _filled(pieces, vocabulary.end, n_columns)


def answered(prompts, answers, vocabulary, n_columns):
    """Return rows of a prompt and its answer each, and which are not whole.

    What is too long loses the beginning of its prompt, as it does when an answer is drawn, and if
    that is not enough, the end of the answer.

    Parameters
    ----------
    prompts, answers : list of ndarray of shape (length,), int
    vocabulary, n_columns
        As for `packed`.

    Returns
    -------
    rows : ndarray of shape (n, n_columns), float32
    is_cut : ndarray of shape (n,), bool
    """
    rows, is_cut = [], []
    for prompt, answer in zip(prompts, answers, strict=True):
        before, after = np.r_[vocabulary.start, prompt], np.r_[answer, vocabulary.end]
        room = n_columns - 1 - len(after)
        is_cut.append(len(before) > room)
        before = before[max(len(before) - max(room, 0), 0) :]
        rows.append(np.r_[before, vocabulary.answer, after][:n_columns])
    return _filled(rows, vocabulary.end, n_columns), np.array(is_cut)


def _filled(rows, filling, n_columns):
    found = np.full((len(rows), n_columns), filling, np.float32)
    for row, codes in zip(found, rows, strict=True):
        row[: len(codes)] = codes
    return found
