"""A language model with strings in and out."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skbp._compat import InvalidParameterError
from skbp._component import Whole
from skbp._forms import ESTIMATOR, Is, fits_form, require
from skbp.estimators._fit import Given
from skbp.estimators._generation import Sampling, check_ranges
from skbp.estimators._inside import Keeping
from skbp.estimators._transaction import transaction
from skbp.text._language import (
    as_answers,
    check,
    held_out,
    network_for,
    shape_of,
    source_of,
    text_data,
    vocabulary_for,
)
from skbp.text._network import TextNetwork
from skbp.text._texts import as_texts
from skbp.text._vocabulary import Vocabulary, answered, windows
from skbp.text._writing import written


class TextModel(Keeping, BaseEstimator):
    """A GPT with its tokenizer: a language model that writes texts, and tells how likely some are.

    A `BackpropSequenceModel` with strings in and out. ``fit(texts)`` trains it on running text.
    ``fit(prompts, answers)`` trains it to answer: the loss is on the answers alone. That is for few
    pairs if the model starts from one that knows the language (`init_from`).

    Parameters
    ----------
    tokenizer : {"bpe", "characters"}, path, Tokenizer or FrozenEstimator, default="bpe"
        "bpe": a `BytePairTokenizer`, trained on the texts of `fit`; "characters": a
        `CharacterTokenizer`; a path: of a "tokenizer.json"; or a tokenizer of `skbp.text`, which is
        trained anew unless it is fitted and wrapped, ``FrozenEstimator(tokenizer)``.
    n_codes : int, default=1000
        Number of tokens of "bpe", at least 259.
    context : int or None, default=None
        How many tokens the model looks back, at least 2. None: 64, or as `init_from`.
    n_blocks : int, default=4
        Number of blocks, each of attention and a small network.
    n_heads : int, default=4
        Heads of each attention.
    width : int, default=128
        Number of features of a token; a multiple of ``2 * n_heads``.
    n_hidden : int or None, default=None
        Hidden units of each block's network. None: ``4 * width``.
    dropout : float or Scheduled, default=0.0
        In [0, 1): for texts that are small for the model .1 or .2 is usual.
    init_from : FrozenEstimator or None, default=None
        Around a fitted TextModel: training starts from its weights, with its tokenizer and shape.
    train : {"all", "lora"}, default="all"
        What is trained: all weights; or changes of low rank to the matrices of all blocks, and the
        last normalisation. "lora" needs `init_from`.
    rank : int, default=8
        Of the changes of "lora".
    batch_size : int, default=12
        Pieces of text, or pairs, per update.
    epoch_size : int or None, default=None
        Pieces of running text, of ``context + 1`` tokens, in an epoch; they begin anywhere, anew
        each time. None: as many as make up the text. Of pairs an epoch takes each once.
    max_iter : int or None, default=None
        Number of epochs. None: 10; of prompts and answers as many as make 1,000 updates, at least
        10 and at most 200.
    learning_rate_init : float or None, default=None
        The largest learning rate. None: 1e-3, and 1e-2 for "lora".
    warm_up : float, default=0.05
        Share of the updates in which the rate rises, in [0, 1]. Then it falls along a cosine to a
        tenth.
    weight_decay : float, default=0.1
        Of AdamW, >= 0; for matrices only.
    clip_norm : float or None, default=1.0
        The longest gradient, > 0: longer ones are scaled down. None: as they are.
    early_stopping : bool, default=False
        Whether to set texts aside (the end of a single one), to stop when the loss there stands
        still, and to keep the weights of the best epoch. With `X_val` that decides.
    validation_fraction : float, default=0.1
        In (0, 1): the share of texts that `early_stopping` sets aside.
    n_iter_no_change : int or inf, default=10
        Epochs without progress after which `early_stopping` stops.
    random_state : int, RandomState or None, default=None
        Source of the first weights, the pieces, dropout and the validation split.
    verbose : bool or int, default=False
        Whether to print a line an epoch.

    Attributes
    ----------
    tokenizer_ : Tokenizer
        Fitted.
    network_ : BackpropSequenceModel
        The fitted model of codes; `weights_`, `history_` and more are its.
    answers_ : bool
        Whether it was trained on prompts and answers; then `generate` answers prompts, else it
        continues them.
    n_iter_ : int
        Epochs of the training.
    loss_curve_ : list of float
        Loss of each epoch: nats a token.
    validation_scores_ : list of float or None
        Score on the validation texts after each epoch, minus the loss, where there are any.

    See Also
    --------
    skbp.BackpropSequenceModel : The same for codes, with any layers.
    TextClassifier : Labels of texts.

    Notes
    -----
    The network: a table of tokens, which is also the output layer; blocks with normalization first;
    rotary positions. A text has a mark before it and one behind it; an answer a mark before it.
    AdamW has a second decay rate of .99, since batches have few tokens.

    Running text is one text after another, cut anywhere; with `sample_weight` a piece counts as
    much as, on average, the tokens around its middle.

    References
    ----------
    A. Radford, J. Wu, R. Child, D. Luan, D. Amodei, I. Sutskever (2019), "Language models are
    unsupervised multitask learners", section 2.3.
    A. Karpathy (2022), nanoGPT, https://github.com/karpathy/nanoGPT: the recipe for a CPU.
    J. Wei et al. (2022), "Finetuned language models are zero-shot learners", section 2: training on
    instructions.
    T. Dettmers, A. Pagnoni, A. Holtzman, L. Zettlemoyer (2023), "QLoRA: efficient finetuning of
    quantized LLMs", section 4: changes to all matrices of a block.

    Examples
    --------
    >>> from skbp.text import TextModel
    >>> model = TextModel("characters", context=16, n_blocks=1, width=32, learning_rate_init=0.01,
    ...                   max_iter=60, random_state=0)
    >>> model = model.fit("she sells sea shells by the sea shore. " * 20)
    >>> model.generate("she sells", top_k=1, stop="by")
    ' sea shells by'
    """

    def __init__(
        self, tokenizer="bpe", n_codes=1000, context=None, n_blocks=4, n_heads=4, width=128,
        n_hidden=None, dropout=0.0, init_from=None, train="all", rank=8, batch_size=12,
        epoch_size=None, max_iter=None, learning_rate_init=None, warm_up=0.05, weight_decay=0.1,
        clip_norm=1.0, early_stopping=False, validation_fraction=0.1, n_iter_no_change=10,
        random_state=None, verbose=False,
    ):  # fmt: skip
        self.tokenizer = tokenizer
        self.n_codes = n_codes
        self.context = context
        self.n_blocks = n_blocks
        self.n_heads = n_heads
        self.width = width
        self.n_hidden = n_hidden
        self.dropout = dropout
        self.init_from = init_from
        self.train = train
        self.rank = rank
        self.batch_size = batch_size
        self.epoch_size = epoch_size
        self.max_iter = max_iter
        self.learning_rate_init = learning_rate_init
        self.warm_up = warm_up
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.verbose = verbose

    # ------------------------------------------------------------ training

    @transaction
    @with_callbacks
    def fit(self, X, y=None, sample_weight=None, X_val=None, y_val=None, sample_weight_val=None):
        """Train on texts, or on prompts and answers.

        Parameters
        ----------
        X : str, or list, series or array of str, shape (n,)
            Texts: a long one, or many. With `y`, prompts.
        y : list, series or array of str, shape (n,), default=None
            The answer to each prompt. What is longer than ``context + 1`` tokens in all loses the
            beginning of the prompt, with a warning.
        sample_weight : array-like of shape (n,), default=None
            How much each text counts, >= 0.
        X_val, y_val, sample_weight_val : default=None
            Texts, or prompts and answers, to validate on after each epoch.

        Returns
        -------
        self : TextModel

        Raises
        ------
        TypeError
            If a text is no string; says which one.
        ValueError
            If a parameter is not allowed, if there are no texts or empty ones only, or other
            numbers of prompts and answers; the model then is as it was before the call.
        """
        source = source_of(self)
        check(self, running=y is None)
        data = text_data(X, y, sample_weight)
        data_val = self._validation_data(X_val, y_val, sample_weight_val, y is not None)
        if data_val is None and self.early_stopping:
            data, data_val = held_out(data, self)
        tokenizer, vocabulary = vocabulary_for(self, data, source)
        shape = shape_of(self, source)
        n_columns = shape["context"] + 1
        rows, weight = data.rows(vocabulary, n_columns)
        own = {}
        if data_val is not None:
            rows_val, weight_val = data_val.rows(vocabulary, n_columns)
            own = {"X_val": rows_val, "sample_weight_val": weight_val}
        network = network_for(self, data, vocabulary, shape, source, len(rows))
        self._known = {
            "tokenizer_": tokenizer, "_vocabulary": vocabulary, "_shape": shape,
            "answers_": y is not None,
        }  # fmt: skip
        self._fit_network(network, Given(X, y, sample_weight), rows, weight, own)
        return self

    def _validation_data(self, X_val, y_val, sample_weight_val, answering):
        if X_val is None:
            if y_val is not None or sample_weight_val is not None:
                raise ValueError("y_val or sample_weight_val is given without X_val; give all.")
            return None
        if (y_val is not None) != answering:
            raise ValueError(
                "y and y_val go together: answers to X, and answers to X_val. "
                f"{'y_val' if answering else 'y'} is missing."
            )
        try:
            return text_data(X_val, y_val, sample_weight_val)
        except (TypeError, ValueError) as error:
            raise type(error)(f"X_val, y_val (the validation set): {error}") from None

    def _fit_network(self, network, given, rows, weight, validation):
        """Train, and let callbacks look on, which are told of this model and its texts."""
        self._train_inside(network, given, rows, None, sample_weight=weight, **validation)
        # What is kept is smaller: no changes of low rank beside their matrices, no optimizer state.
        self.__dict__.update(self._attributes_of(network.merge_lora()))
        del self._known

    def _attributes_of(self, network):
        return self._known | {"network_": network}

    def _parts(self):
        state = super()._parts()
        state.pop("_known", None)
        return state

    def _check_parts(self):
        form = {
            "tokenizer_": ESTIMATOR, "_vocabulary": Is(Vocabulary), "network_": Is(TextNetwork),
            "answers_": Is(bool),
        }  # fmt: skip
        if fits_form(self, form):
            n_codes = vars(self.network_).get("n_symbols_")
            require(n_codes == self._vocabulary.n_codes, self, "a network for other codes")

    def __sklearn_is_fitted__(self):
        """Whether there is a trained network."""
        return hasattr(self, "network_")

    # ------------------------------------------------------------ writing

    def generate(
        self, prompts="", n=100, temperature=1.0, top_k=None, top_p=None, repetition_penalty=1.0,
        stop=None, random_state=None,
    ):  # fmt: skip
        """Write on, or answer: the new text only, without the prompt.

        Parameters
        ----------
        prompts : str, or list, series or array of str, shape (n_prompts,), default=""
            Beginnings of texts; of a model that was trained on answers, prompts. They may differ in
            length; of one that is longer than the context the last tokens count. All are gone on
            with together. An empty one: a text from its beginning.
        n : int, default=100
            The most tokens of each new text. It ends earlier where the model ends it.
        temperature : float, default=1.0
            Greater than 0: below 1 likely tokens become likelier.
        top_k : int or None, default=None
            Draw among so many likeliest tokens; 1 takes the likeliest.
        top_p : float or None, default=None
            In (0, 1]: draw among the fewest likeliest tokens whose probabilities add up to it.
        repetition_penalty : float, default=1.0
            Greater than 0: above 1 tokens that are there already, in the prompt too, become rarer.
        stop : str, list of str or None, default=None
            Texts end with the first of these that they hold.
        random_state : int, RandomState or None, default=None
            Source of the draws: the same one gives the same texts.

        Returns
        -------
        texts : str, or list of str
            A string for a string. A last character of which some bytes are missing is left out.

        Raises
        ------
        TypeError
            If a prompt or a stop is no string.
        ValueError
            If a parameter is out of its range.
        """
        starts = self._starts(prompts)
        texts = [""] * len(starts)
        for row, piece in self._written(
            starts, n, stop, random_state, temperature, top_k, top_p, repetition_penalty
        ):
            texts[row] += piece
        return texts[0] if isinstance(prompts, str) else texts

    def stream(
        self, prompt="", n=100, temperature=1.0, top_k=None, top_p=None, repetition_penalty=1.0,
        stop=None, random_state=None,
    ):  # fmt: skip
        """Write on, or answer, and hand out each piece of the text as soon as it is drawn.

        Parameters
        ----------
        prompt : str, default=""
        n, temperature, top_k, top_p, repetition_penalty, stop, random_state
            As in `generate`, which writes the same text.

        Returns
        -------
        pieces : generator of str
            At least a character each: one of several bytes comes when it is whole.

        Raises
        ------
        TypeError, ValueError
            As in `generate`, at once.
        """
        check_is_fitted(self)
        if not isinstance(prompt, str):
            raise TypeError(f"prompt must be a string. Got {prompt!r}; for several use generate.")
        found = self._written(
            self._starts(prompt), n, stop, random_state, temperature, top_k, top_p,
            repetition_penalty,
        )  # fmt: skip
        return (piece for _, piece in found)

    def _starts(self, prompts):
        check_is_fitted(self)
        texts = as_texts([prompts] if isinstance(prompts, str) else prompts)
        return self._vocabulary.begun(texts, self.answers_)

    def _written(self, starts, n, stop, random_state, *settings):
        check_ranges({"n": Whole(1)}, {"n": n})
        sampling = Sampling(*settings)
        sampling.check(self._vocabulary.n_codes)
        rng = check_random_state(random_state)
        return written(self.network_, self._vocabulary, starts, n, sampling, _stops(stop), rng)

    # ------------------------------------------------------------ how likely texts are

    def score(self, X, y=None):
        """Return the mean log-likelihood of a token.

        Parameters
        ----------
        X : str, or list, series or array of str, shape (n,)
            Texts; with `y`, prompts.
        y : list, series or array of str, shape (n,), default=None
            Answers, which then are what is scored.

        Returns
        -------
        score : float
            In nats, at most 0; the mean over tokens, the ends of texts among them.

        Notes
        -----
        A text that is longer than the context is read in pieces: the first tokens of a piece are
        predicted from few others. An answer has to fit into it, with two marks.
        """
        rows = self._rows(X, y)
        return self.network_.score(rows)

    def perplexity(self, X, y=None):
        """Return ``exp(-score(X, y))``: among how many tokens, in effect, the model wavers.

        Parameters
        ----------
        X, y
            As in `score`.

        Returns
        -------
        perplexity : float
            At least 1.
        """
        return float(np.exp(-self.score(X, y)))

    def bits_per_character(self, X, y=None):
        """Return how many bits of information a character has: comparable among tokenizers.

        Parameters
        ----------
        X, y
            As in `score`.

        Returns
        -------
        bits : float
            At least 0: minus the binary logarithm of the likelihood of all texts, their ends
            included, divided by the number of their characters.
        """
        rows = self._rows(X, y)
        likelihood = self.network_.score_samples(rows).sum()
        scored = X if y is None else y
        n = sum(map(len, [scored] if isinstance(scored, str) else as_texts(scored)))
        if not n:
            raise ValueError("the texts are empty: there is no character to share the bits.")
        return float(-likelihood / np.log(2) / n)

    def _rows(self, X, y):
        """Return the rows that have all that is to be scored."""
        check_is_fitted(self)
        texts, n_columns = as_texts([X] if isinstance(X, str) else X), self.network_.n_features_in_
        codes, vocabulary = self._vocabulary.codes(texts), self._vocabulary
        if y is None:
            return windows(codes, vocabulary, n_columns)
        answers = vocabulary.codes(as_answers(y, len(texts)))
        longest = max(range(len(answers)), key=lambda i: len(answers[i]))
        if len(answers[longest]) + 2 > n_columns:  # with the marks before and behind it
            raise ValueError(
                f"y[{longest}] has {len(answers[longest])} tokens, and of an answer the model sees "
                f"at most {n_columns - 2}. Score shorter ones, or train with a larger context."
            )
        return answered(codes, answers, vocabulary, n_columns)[0]

    def __sklearn_tags__(self):
        tags: Any = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _stops(stop):
    """Return a list of stops, checked."""
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list | tuple) or not all(isinstance(one, str) for one in stops):
        raise InvalidParameterError(
            f"stop must be None, a string or a list of strings. Got {stop!r} instead."
        )
    if not all(stops):
        raise InvalidParameterError(f"stop={stop!r} has an empty string, which every text holds.")
    return list(stops)
