"""The sequence model."""

import numpy as np
from sklearn.base import DensityMixin
from sklearn.callback import with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from skbp._component import Maybe, Whole
from skbp._engine.objective import predict_raw
from skbp._numbers import check_numbers
from skbp._quiet import quiet
from skbp.estimators._entry import FLOATS
from skbp.estimators._generation import (
    Sampling,
    check_ranges,
    raw_after,
    sampled,
    starts_of,
    streamed,
)
from skbp.estimators._next_symbol import NextSymbolBase
from skbp.estimators._sequences import check_codes, lengths
from skbp.estimators._transaction import transaction

#: The most bytes of raw outputs that are looked at at a time.
MOST_BYTES = 2**26


class BackpropSequenceModel(DensityMixin, NextSymbolBase):
    """Neural model of sequences: the distribution of each symbol given those before it.

    A density estimator of rows of codes, also known as an autoregressive or language model: it is
    trained to predict the next symbol at each step. It draws new sequences, tells how likely given
    ones are, and its weights are a start for a classifier of sequences (`init_from` there).

    A row holds the codes of a sequence, whole numbers; shorter ones are filled up with the padding
    code. The first padding code is the sequence's end, and predicted like a symbol; the others
    have no loss. A row without padding is a piece whose end is not known.

    Parameters
    ----------
    layers : list of Layer, Layer or None, default=None
        From rows of codes, shape (time,), to features of each step, (time, features), that depend
        on no later step: `Embedding`, `PositionalEncoding`, `TransformerEncoder` with
        ``causal=True``, recurrent layers with ``return_sequences=True``. The output layer, the same
        at each step, is added to them, unless a `Tied` is the last. None: an `Embedding` of 32 and
        a `GRU` of 64.
    n_symbols : int or None, default=None
        Codes are 0 to n_symbols - 1, that of padding included. None: as the first X shows.
    padding_index : int or None, default=0
        The padding code; None if there is none, and every code a symbol.
    separator_index : int or None, default=None
        A code after which the loss begins: in rows that have it, only what comes after the first
        one is predicted, in training and scores. So a row may be a question and its answer.
    crops : int or None, default=None
        None: rows are sequences of their own. Otherwise they are pieces of one running text, each
        going on where the one before ends; an epoch takes so many pieces that begin anywhere in it,
        drawn anew. The padding code then ends a sequence within the text.
    loss : {"log_loss", "focal"} or Loss, default="log_loss"
        What training minimises, the mean over next symbols; a component of `skbp.losses` for
        several classes, with probabilities.
    solver : {"adam", "sgd", "lbfgs", "lazy_adam", ...} or Optimizer, default="adam"
        How the weights are trained. This parameter and those that follow are as in
        `BackpropClassifier`.
    alpha : float, default=1e-4
        Strength of the L2 penalty on the weights; divided, like the loss, by the number of next
        symbols.
    batch_size : int or "auto", default="auto"
        Rows per update; "auto" means ``min(200, n_samples)``.
    learning_rate : str or Schedule, default="constant"
        How the rate changes.
    learning_rate_init : float or "auto", default="auto"
        The first learning rate; "auto" means the optimizer's usual one.
    power_t : float, default=0.5
        Exponent for "invscaling".
    max_iter : int, default=200
        The most epochs; for "lbfgs" the most iterations.
    shuffle : bool or "by_length", default=True
        Whether each epoch takes the rows in a new order; "by_length" as in `BackpropClassifier`.
    random_state : int, RandomState or None, default=None
        Source of the first weights, the validation split, the batches and dropout; not of `sample`.
    tol : float, default=1e-4
        By how much an epoch has to be better to count as progress.
    verbose : bool or int, default=False
        Whether to print a line an epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last call.
    momentum : float, default=0.9
        Momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    early_stopping : bool or "refit", default=False
        Whether to set rows aside, to stop when their score stands still, and to restore the weights
        of the best epoch. "refit" then trains anew on all rows, for as many epochs as were best.
    validation_fraction : float or splitter, default=0.1
        Share of rows set aside for `early_stopping`, or what scikit-learn takes as ``cv``.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of "adam" and its relatives.
    epsilon : float, default=1e-8
        Stabiliser of "adam" and its relatives.
    n_iter_no_change : int or inf, default=10
        Training stands still after more epochs than this without progress.
    max_fun : int, default=15000
        The most evaluations of the loss by "lbfgs".
    dtype : {"auto", "float32", "float64"} or numpy dtype, default="auto"
        Precision of all computations.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty.
    scoring : callable, "loss" or None, default=None
        What `early_stopping` looks at: ``scoring(estimator, X, y)``, y being X again. None for
        `score`.
    init_from : FrozenEstimator, path, dict of str to ndarray or None, default=None
        A fitted estimator whose weights training starts from, layer by layer where shapes fit.
    freeze : str, list of str or None, default=None
        Names of parameters, or patterns, that are kept as they are.

    Attributes
    ----------
    n_symbols_ : int
        Number of codes, that of padding included.
    start_proba_ : ndarray of shape (n_symbols_,), float64
        Share of each code among the first ones of the training rows.
    weights_ : dict of str to ndarray
        Copies of all parameters, by names such as "embedding_0.weight".
    loss_ : float
        Loss of the last epoch: mean over next symbols, penalty included.
    loss_curve_, learning_rate_curve_, epoch_seconds_ : list of float
        Loss, learning rate and duration of each epoch. Not for "lbfgs".
    validation_scores_, validation_loss_curve_, train_score_ : list of float or None
        `score` and loss on the validation rows, and score on training rows, epoch by epoch, where
        there are.
    best_loss_, best_validation_score_ : float or None
        The lowest loss, or with `early_stopping` the best score.
    best_epoch_ : int or None
        The epoch of the best score, from 1; None without `early_stopping`.
    history_ : dict of str to list
        All curves by name.
    copied_layers_ : dict of str to bool, or None
        For each layer whether `init_from` gave it its weights.
    coefs_, intercepts_ : list of ndarray
        Arrays named "weight" and "bias", of layers that have them: embeddings, `Dense`, the output.
    n_iter_ : int
        Epochs (iterations of "lbfgs") of the last call of fit.
    t_ : int
        Training rows seen, repeats counted.
    n_features_in_ : int
        The most codes of a sequence.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where all are strings.
    n_layers_, n_outputs_ : int
        Number of layers with a weight and one; of the network's outputs at each step.
    out_activation_ : str
        "softmax".
    dtype_ : numpy dtype
        The precision that was used.

    See Also
    --------
    BackpropClassifier : With `init_from`, learns labels of sequences from few of them.

    Notes
    -----
    The first symbol is given: its distribution is not the network's but ``start_proba_``. The
    network sees at most ``n_features_in_ - 1`` codes back; of a longer start `sample` takes the
    last ones. Each symbol that is drawn runs through the network once: a recurrent layer goes on
    from its state, attention from the keys of that many last steps. Where places are counted
    (`PositionalEncoding`) that ends with the context, and the last codes run through the network
    anew for each symbol; so they do where a layer has no `step`.

    References
    ----------
    Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin (2003), "A neural probabilistic language model",
    section 2.
    A. Graves (2013), "Generating sequences with recurrent neural networks", section 2.
    A. Holtzman, J. Buys, L. Du, M. Forbes, Y. Choi (2020), "The curious case of neural text
    degeneration", section 3.1: `top_p`.
    N. S. Keskar, B. McCann, L. R. Varshney, C. Xiong, R. Socher (2019), "CTRL: a conditional
    transformer language model for controllable generation", section 4.1: `repetition_penalty`;
    negative outputs are multiplied here, as is common, so that it always makes codes rarer.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropSequenceModel
    >>> X = np.array([[1, 2, 3, 1, 2, 3], [2, 3, 1, 2, 3, 0], [3, 1, 2, 3, 1, 2]])
    >>> model = BackpropSequenceModel(solver="lbfgs", random_state=0).fit(X)
    >>> model.sample(start=[3, 1], n_steps=3, top_k=1)
    array([[3, 1, 2, 3, 1]])
    >>> model.predict_proba([[1, 2, 0, 0, 0, 0]]).round(1)
    array([[0., 0., 0., 1.]])
    """

    def __init__(
        self,
        layers=None,
        *,
        n_symbols=None,
        padding_index=0,
        separator_index=None,
        crops=None,
        loss="log_loss",
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init="auto",
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        dtype="auto",
        l1_ratio=0.0,
        scoring=None,
        init_from=None,
        freeze=None,
    ):
        self._assign(locals())

    @transaction
    @with_callbacks
    def fit(self, X, y=None, sample_weight=None, X_val=None, sample_weight_val=None, groups=None):
        """Train on rows of codes.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
            Codes of sequences, padding at their ends; rows of fewer than one symbol are left out.
        y : object, default=None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, >= 0.
        X_val, sample_weight_val : default=None
            A validation set. Its loss and score are recorded each epoch; with `early_stopping` they
            decide, and no rows are set aside.
        groups : array-like of shape (n_samples,), default=None
            For a splitter in `validation_fraction`.

        Returns
        -------
        self : BackpropSequenceModel

        Raises
        ------
        ValueError
            If a parameter or the data are not as described, the layers look ahead, or training
            diverges; the estimator then is as it was before the call.
        """
        given = self._given(X, sample_weight, X_val, sample_weight_val, groups)
        return self._train(given)

    @available_if(lambda self: self._check_solver())
    @transaction
    def partial_fit(self, X, y=None, sample_weight=None, X_val=None, sample_weight_val=None):
        """Go once over rows of codes, from the weights so far.

        Parameters
        ----------
        X, y, sample_weight, X_val, sample_weight_val
            As in `fit`; without `n_symbols` the first X has to show the largest code.

        Returns
        -------
        self : BackpropSequenceModel

        Raises
        ------
        ValueError
            As in `fit`.
        """
        if self.__sklearn_is_fitted__():
            check_numbers(X, "X")
            validate_data(self, X, reset=False, skip_check_array=True)
        given = self._given(X, sample_weight, X_val, sample_weight_val)
        return self._train(given, incremental=True)

    @quiet
    def score_samples(self, X):
        """Return the log-likelihood of each row, given its first symbol.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float64
            In nats, sum over next symbols and the end; 0 for a row without any.
        """
        codes = self._codes(X)
        time, k = self.n_features_in_, self.n_symbols_
        step = max(1, MOST_BYTES // (8 * time * k))
        found = np.zeros(len(codes))
        for start in range(0, len(codes), step):
            some = codes[start : start + step]
            there = self._has_next(some, self.padding_index)
            raw = predict_raw(self._network, some)[:, :-1][there].astype(np.float64)
            targets = some[:, 1:][there].astype(np.intp)
            values = self._loss.log_predict(raw)[np.arange(len(raw)), targets]
            rows = start + np.nonzero(there)[0]
            found += np.bincount(rows, values, minlength=len(codes))
        return found

    def score(self, X, y=None):
        """Return the mean log-likelihood of a next symbol.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
        y : object, default=None
            Not used.

        Returns
        -------
        score : float
            In nats, at most 0; the mean over next symbols, the ends of sequences among them.
        """
        n_next = self._has_next(self._codes(X), self.padding_index).sum()
        if not n_next:
            raise ValueError("X has no symbols, only padding: there is nothing to score.")
        return float(self.score_samples(X).sum() / n_next)

    @quiet
    def perplexity(self, X):
        """Return ``exp(-score(X))``: among how many symbols, in effect, the model wavers.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)

        Returns
        -------
        perplexity : float
            At least 1; `n_symbols_` for a model that knows nothing.
        """
        return float(np.exp(-self.score(X)))

    @quiet
    def predict_proba(self, X):
        """Predict what comes next after each row.

        Parameters
        ----------
        X : {array-like, dataframe} of shape (n_samples, n_features)
            Beginnings of sequences, filled up with the padding code.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_symbols_), float64
            Column c is the probability of code c, that of the padding code the probability of the
            end. For a row without symbols it is `start_proba_`.
        """
        return self._next_proba(self._codes(X))

    @quiet
    def sample(
        self, n_samples=None, start=None, n_steps=None, temperature=1.0, top_k=None, top_p=None,
        repetition_penalty=1.0, stop=None, random_state=None,
    ):  # fmt: skip
        """Draw sequences, symbol by symbol.

        Parameters
        ----------
        n_samples : int or None, default=None
            Number of sequences; None: one for each start, or one.
        start : array-like of shape (n_start,), or list of such, default=None
            Codes to go on from: one sequence for all samples, or one for each. They may differ in
            length, and may have padding at their ends. None, or none at all: the first code is
            drawn from `start_proba_`.
        n_steps : int or None, default=None
            How many symbols are drawn at most; None: until sequences have `n_features_in_` codes.
        temperature : float, default=1.0
            What raw outputs are divided by, > 0: below 1 likely symbols become likelier.
        top_k : int or None, default=None
            Draw among so many likeliest symbols; 1 takes the likeliest.
        top_p : float or None, default=None
            In (0, 1]: draw among the fewest likeliest symbols whose probabilities add up to it.
        repetition_penalty : float, default=1.0
            Greater than 0. Raw outputs of codes that a sequence has already, its start among them,
            are divided by it where they are positive, and multiplied where they are negative:
            above 1 repetitions become rarer.
        stop : list or None, default=None
            Codes, or sequences of codes: a sequence ends once what is drawn ends with one of them.
        random_state : int, RandomState or None, default=None
            Source of the draws.

        Returns
        -------
        codes : ndarray of shape (n_samples, longest), intp
            Starts included; filled up with the padding code after a sequence's end, or with -1 if
            there is no padding code.

        Raises
        ------
        ValueError
            If `start` or `stop` holds other codes than of symbols, or a parameter is out of range.
        """
        check_is_fitted(self)
        starts = starts_of(start, n_samples, self.n_symbols_, self.padding_index)
        sampling = Sampling(temperature, top_k, top_p, repetition_penalty, stop)
        return sampled(self, starts, *self._checked(n_steps, sampling, random_state))

    def stream(
        self, start=None, n_steps=None, temperature=1.0, top_k=None, top_p=None,
        repetition_penalty=1.0, stop=None, random_state=None,
    ):  # fmt: skip
        """Draw one sequence, and hand out each symbol as soon as it is drawn.

        Parameters
        ----------
        start : array-like of shape (n_start,), default=None
            Codes to go on from.
        n_steps, temperature, top_k, top_p, repetition_penalty, stop, random_state
            As in `sample`, which draws the same symbols.

        Returns
        -------
        symbols : generator of int
            The codes that are drawn, without `start` and without the end.

        Raises
        ------
        ValueError
            As in `sample`, at once.
        """
        check_is_fitted(self)
        starts = starts_of(start, 1, self.n_symbols_, self.padding_index)
        sampling = Sampling(temperature, top_k, top_p, repetition_penalty, stop)
        return streamed(self, starts, *self._checked(n_steps, sampling, random_state))

    def _checked(self, n_steps, sampling, random_state):
        check_ranges({"n_steps": Maybe(Whole(1))}, {"n_steps": n_steps})
        sampling.check(self.n_symbols_)
        return n_steps, sampling, check_random_state(random_state)

    # ------------------------------------------------------------ codes

    def _codes(self, X):
        """Return rows of codes, checked."""
        check_is_fitted(self)
        check_numbers(X, "X")
        codes = validate_data(self, X, reset=False, dtype=FLOATS, order="C")
        check_codes(codes, self.n_symbols_, self.padding_index)
        return codes

    def _next_proba(self, codes):
        """Return probabilities of the code after each row."""
        n_codes = lengths(codes, self.padding_index)
        # The last step has no target in training, so it is never asked: the row moves up by one.
        full = n_codes == codes.shape[1]
        if full.any():
            codes = codes.copy()
            codes[full, :-1] = codes[full, 1:]
            n_codes = n_codes - full
        raw = raw_after(self._network, codes, n_codes)
        raw[n_codes == 0] = 0  # there is no step to read
        found = self._loss.predict(raw)
        found[n_codes == 0] = self.start_proba_
        return found

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.three_d_array = False
        tags.input_tags.allow_nan = False
        tags.input_tags.categorical = tags.input_tags.positive_only = True
        return tags
