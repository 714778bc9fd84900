"""A text model's fit: its parameters, what it starts from, and the data of its network."""

from math import ceil
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

from skbp._component import Flag, Maybe, OneOf, Range, Whole, check_allowed
from skbp._warnings import warn
from skbp.estimators._input_checks import check_weights
from skbp.layers.dropout import RATES
from skbp.optimizers import AdamW
from skbp.schedules import Cosine, WarmUp
from skbp.text._network import TextNetwork, layers_of
from skbp.text._texts import as_texts
from skbp.text._vocabulary import Vocabulary, answered, packed
from skbp.text.tokenizer import Tokenizer
from skbp.text.trained_tokenizers import BytePairTokenizer, CharacterTokenizer

#: What parameters may be.
ALLOWED: dict[str, Any] = {
    "n_codes": Whole(259), "context": Maybe(Whole(2)), "n_blocks": Whole(1), "n_heads": Whole(1),
    "width": Whole(1), "n_hidden": Maybe(Whole(1)), "dropout": RATES,
    "train": OneOf(("all", "lora")), "rank": Whole(1), "batch_size": Whole(1),
    "epoch_size": Maybe(Whole(1)), "max_iter": Maybe(Whole(1)),
    "learning_rate_init": Maybe(Range(0, low_open=True)), "warm_up": Range(0, 1),
    "weight_decay": Range(0), "clip_norm": Maybe(Range(0, low_open=True)),
    "early_stopping": Flag(), "validation_fraction": Range(0, 1, low_open=True, high_open=True),
}  # fmt: skip
#: Epochs if their number is not given; of pairs more, up to a limit, to have so many updates.
EPOCHS, MOST_EPOCHS, MIN_UPDATES = 10, 200, 1000
#: The largest rates where none is given: from zero, and from a trained model by `train`.
FROM_ZERO, TUNING = 1e-3, {"all": 1e-3, "lora": 1e-2}
#: Of parameters that a model to start from decides.
DECIDED = ("tokenizer", "n_codes", "n_blocks", "n_heads", "width", "n_hidden")
#: How many steps a network looks back, if nobody says.
CONTEXT = 64
#: The second moment's decay: batches have few tokens. The last rate, as a share of the largest.
BETA_2, LAST_RATE = 0.99, 0.1


class TextData(NamedTuple):
    """Texts as they are trained on.

    texts : list of str, or prompts; answers : list of str or None; weight : ndarray or None
    """

    texts: list
    answers: list | None
    weight: np.ndarray | None

    def take(self, rows):
        """Return some of them."""
        answers = self.answers and [self.answers[row] for row in rows]
        weight = None if self.weight is None else self.weight[rows]
        return TextData([self.texts[row] for row in rows], answers, weight)

    def rows(self, vocabulary, n_columns):
        """Return rows of codes, and their weights."""
        codes = vocabulary.codes(self.texts)
        if self.answers is None:
            return packed(codes, self.weight, vocabulary, n_columns)
        answers = vocabulary.codes(self.answers)
        rows, is_cut = answered(codes, answers, vocabulary, n_columns)
        if is_cut.any():
            warn(
                f"{is_cut.sum()} of {len(rows)} prompts with their answers have more than context "
                f"+ 1 = {n_columns} tokens: the beginnings of these prompts are left out. Give a "
                "larger context, or shorter texts."
            )
        return rows, self.weight


def text_data(X, y, sample_weight):
    """Return texts, or prompts and answers, checked; those of weight zero are left out."""
    texts = as_texts([X] if isinstance(X, str) else X)
    answers = None if y is None else as_answers(y, len(texts))
    weight = check_weights(sample_weight, texts)
    data = TextData(texts, answers, weight)
    if weight is not None and not weight.all():
        data = data.take(np.flatnonzero(weight))
    if not any(data.texts if answers is None else data.answers or ()):
        raise ValueError(
            f"{'X' if answers is None else 'y'} holds empty texts only, or of weight 0. Give at "
            "least one text with characters."
        )
    return data


def as_answers(y, n):
    """Return answers to n prompts, checked."""
    try:
        answers = as_texts([y] if isinstance(y, str) else y)
    except (TypeError, ValueError) as error:
        raise type(error)(f"y, the answers: {error}") from None
    if len(answers) != n:
        raise ValueError(
            f"X has {n} prompts, and y {len(answers)} answers. Give one answer for each prompt."
        )
    return answers


def held_out(data, model):
    """Split data into those to train and those to validate on.

    Parameters
    ----------
    data : TextData
        A single text is cut: its end is held out.
    model : TextModel
    """
    share = model.validation_fraction
    if len(data.texts) > 1:
        rng = check_random_state(model.random_state)
        train, rest = train_test_split(
            np.arange(len(data.texts)), test_size=share, random_state=rng
        )
        return data.take(train), data.take(rest)
    if data.answers is not None:
        raise ValueError(
            "early_stopping=True holds pairs out, and there is one only. Give more, or X_val."
        )
    text = data.texts[0]
    cut = len(text) - max(1, round(share * len(text)))
    return data._replace(texts=[text[:cut]]), data._replace(texts=[text[cut:]])


def check(model, running):
    """Check the parameters of a text model, and warn of those that are not used.

    Parameters
    ----------
    model : TextModel
    running : bool
        Whether it is for running text, not for prompts and answers.
    """
    check_allowed(model, ALLOWED)
    if model.verbose not in Flag() and model.verbose not in Whole():
        raise ValueError(f"The 'verbose' parameter must be a bool. Got {model.verbose!r}.")
    if model.n_iter_no_change not in Whole(1) and model.n_iter_no_change != np.inf:
        raise ValueError(
            "The 'n_iter_no_change' parameter must be a whole number of at least 1, or inf. Got "
            f"{model.n_iter_no_change!r}."
        )
    if model.train == "lora" and model.init_from is None:
        raise ValueError(
            'train="lora" changes a trained model by little, and init_from=None: there is none. '
            "Give init_from=FrozenEstimator(a fitted TextModel)."
        )
    why = {"rank": f"train={model.train!r}"} if model.train == "all" else {}
    if model.init_from is not None:
        why |= dict.fromkeys(DECIDED, f"init_from={model.init_from!r}")
    elif model.tokenizer != "bpe":
        why["n_codes"] = f"tokenizer={model.tokenizer!r}"
    if not model.early_stopping:
        why |= dict.fromkeys(("validation_fraction", "n_iter_no_change"), "early_stopping=False")
    if not running:
        why["epoch_size"] = "prompts and answers, of which an epoch takes each once"
    defaults = type(model)().get_params(deep=False)
    for name, with_what in why.items():
        given = getattr(model, name)
        if given is not defaults[name] and given != defaults[name]:
            warn(f"{name}={given!r} is not used with {with_what}.")


def source_of(model):
    """Return the fitted text model that `init_from` stands for, or None."""
    found = model.init_from
    if found is None:
        return None
    inner = found.estimator if isinstance(found, FrozenEstimator) else None
    if not hasattr(inner, "_vocabulary"):
        raise ValueError(
            "init_from must be FrozenEstimator(a fitted TextModel): without the wrapper, clone and "
            f"searches would drop what it has learned. Got {found!r}."
        )
    return inner


def tokenizer_for(model, data):
    """Return the fitted tokenizer that a parameter stands for; it may be trained on the data."""
    given, texts = model.tokenizer, [*data.texts, *(data.answers or ())]
    if isinstance(given, FrozenEstimator) and hasattr(given.estimator, "n_codes_"):
        found = given.estimator
    elif isinstance(given, Tokenizer):
        found = clone(given).fit(texts)
    elif given == "bpe":
        found = BytePairTokenizer(model.n_codes).fit(texts)
    elif given == "characters":
        found = CharacterTokenizer().fit(texts)
    elif isinstance(given, str | PathLike):
        if not Path(given).exists():
            raise FileNotFoundError(
                f'tokenizer={str(given)!r} is neither "bpe" nor "characters", and there is no such '
                "tokenizer.json, or folder that holds one."
            )
        found = Tokenizer(given).fit(texts)
    else:
        found = None
    if not isinstance(found, Tokenizer):
        raise ValueError(
            'tokenizer must be "bpe", "characters", the path of a tokenizer.json, a tokenizer of '
            f"skbp.text, or FrozenEstimator(a fitted one). Got {given!r}."
        )
    if found.max_length is not None:
        raise ValueError(
            f"tokenizer={given!r} cuts texts to {found.max_length} tokens, and a text model reads "
            "all of a text. Give one with max_length=None."
        )
    return found


def shape_of(model, source):
    """Return the numbers that say what a network is like: those of the model to start from."""
    if source is not None:
        return (
            source._shape if model.context is None else source._shape | {"context": model.context}
        )
    width = model.width
    if width % (2 * model.n_heads):
        raise ValueError(
            f"width={width} must be a multiple of 2 * n_heads={2 * model.n_heads}: each head takes "
            "an even share of the features, for rotary positions."
        )
    names = "n_blocks", "n_heads", "width"
    n_hidden = 4 * width if model.n_hidden is None else model.n_hidden
    context = CONTEXT if model.context is None else model.context
    return {name: getattr(model, name) for name in names} | {
        "n_hidden": n_hidden, "context": context,
    }  # fmt: skip


def network_for(model, data, vocabulary, shape, source, n_rows):
    """Return the unfitted network that a text model trains."""
    lora, tunes = model.train == "lora", source is not None
    running, rate = data.answers is None, model.learning_rate_init
    layers = layers_of(
        vocabulary.n_codes, shape, model.dropout, None if running else vocabulary.end,
        model.rank if lora else None,
    )  # fmt: skip
    # With "lora" the last normalisation is trained along: the table of tokens stays as it is, so
    # that else a model could hardly become surer than it was.
    return TextNetwork(
        layers, n_symbols=vocabulary.n_codes, padding_index=vocabulary.end,
        separator_index=vocabulary.answer, crops=(model.epoch_size or n_rows) if running else None,
        solver=AdamW(model.weight_decay, beta_2=BETA_2, clip_norm=model.clip_norm), alpha=0.0,
        batch_size=min(model.batch_size, n_rows),
        learning_rate=WarmUp(Cosine(LAST_RATE), share=model.warm_up),
        learning_rate_init=rate or (TUNING[model.train] if tunes else FROM_ZERO),
        max_iter=_n_epochs(model, running, n_rows), random_state=model.random_state, tol=0.0,
        verbose=model.verbose,
        early_stopping=model.early_stopping,
        n_iter_no_change=model.n_iter_no_change if model.early_stopping else np.inf,
        init_from=source.network_.weights_ if source is not None else None,
        freeze=["tokens", "next"] if lora else None, dtype="float32",
    )  # fmt: skip


def _n_epochs(model, running, n_rows):
    """Return the number of epochs: as given, or such that few pairs have enough updates."""
    if model.max_iter is not None or running:
        return model.max_iter or EPOCHS
    updates = ceil(n_rows / min(model.batch_size, n_rows))
    return min(MOST_EPOCHS, max(EPOCHS, ceil(MIN_UPDATES / updates)))


def vocabulary_for(model, data, source):
    """Return tokenizer and vocabulary: of the model to start from, or as a parameter says."""
    if source is not None:
        return source.tokenizer_, source._vocabulary
    tokenizer = tokenizer_for(model, data)
    return tokenizer, Vocabulary(tokenizer)
