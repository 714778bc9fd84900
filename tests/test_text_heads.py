"""TextClassifier and TextRegressor: their heads, and what training, weights and callbacks do."""

import pickle
import warnings

import numpy as np
import pytest
from _text import CONFIG, WORDS, write_encoder
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix, issparse
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier

import skbp.text._progress as progress
from skbp.callbacks import Call, EarlyStopping
from skbp.text import TextClassifier, TextEncoder, TextRegressor, load_encoder
from skbp.text._fine_tuning import MAX_ITER, MIN_ITER, groups_of, n_passes

pytest.importorskip("tokenizers", reason="needs skbp[text]")

RNG = np.random.default_rng(0)
TEXTS = [" ".join(RNG.choice(WORDS[4:], RNG.integers(1, 9))) for _ in range(50)]
OTHERS = [" ".join(RNG.choice(WORDS[4:], RNG.integers(1, 9))) for _ in range(12)]
COUNTS = np.array([[text.count(letter) for letter in "abcd"] for text in TEXTS])
LABELS = np.where(COUNTS[:, :2].sum(axis=1) > 0, "yes", "no")
SEVERAL = (COUNTS[:, :3] > 0).astype(int)
NUMBERS = 100 + 20 * COUNTS[:, 0] - COUNTS[:, 1] + RNG.normal(size=50)
TWO = np.column_stack([NUMBERS, COUNTS[:, 2]])
WEIGHT = RNG.integers(0, 4, 50)
TARGETS = {
    "two": (TextClassifier, LABELS), "three": (TextClassifier, COUNTS[:, 0].clip(max=2)),
    "labels": (TextClassifier, SEVERAL), "number": (TextRegressor, NUMBERS),
    "numbers": (TextRegressor, TWO),
}  # fmt: skip
KINDS = pytest.mark.parametrize("kind", TARGETS)
TUNED = pytest.mark.parametrize("train", ["last", "lora", "all"])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = write_encoder(tmp_path_factory.mktemp("text") / "small")
    return load_encoder(folder, dtype="float64")


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """The same encoder without dropout."""
    rates = dict.fromkeys(["hidden_dropout_prob", "attention_probs_dropout_prob"], 0.0)
    folder = write_encoder(tmp_path_factory.mktemp("text") / "steady", config=CONFIG | rates)
    return load_encoder(folder, dtype="float64")


@pytest.fixture(scope="module")
def vectors(encoder):
    return TextEncoder(encoder).transform(TEXTS)


def raw(model, X=TEXTS):
    """Return what the head makes of texts, for either estimator."""
    return getattr(model, "decision_function", model.predict)(X)


# ------------------------------------------------------------ heads


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
@pytest.mark.parametrize("y", [NUMBERS, TWO, NUMBERS[:, None]], ids=["one", "two", "column"])
def test_the_head_is_ridge_regression(encoder, vectors, y, weight):
    if y.shape == (50, 1):
        with pytest.warns(match="column-vector"):
            model = TextRegressor(encoder, alpha=0.3).fit(TEXTS, y, sample_weight=weight)
        y = y.ravel()
    else:
        model = TextRegressor(encoder, alpha=0.3).fit(TEXTS, y, sample_weight=weight)
    ridge = Ridge(0.3).fit(vectors, y, sample_weight=weight)
    assert_allclose(model.predict(TEXTS), ridge.predict(vectors), rtol=1e-9)
    assert_allclose(model.coef_, np.atleast_2d(ridge.coef_), rtol=1e-7)
    assert model.intercept_.shape == (model.coef_.shape[0],)
    assert model.score(TEXTS, y, WEIGHT) == pytest.approx(
        r2_score(y, ridge.predict(vectors), sample_weight=WEIGHT)
    )


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["even", "weighted"])
def test_several_labels_have_a_logistic_regression_each(encoder, vectors, weight):
    model = TextClassifier(encoder, C=3.0).fit(TEXTS, SEVERAL, sample_weight=weight)
    each = MultiOutputClassifier(LogisticRegression(C=3.0, max_iter=1000))
    each.fit(vectors, SEVERAL, sample_weight=weight)
    expected = np.stack([p[:, 1] for p in each.predict_proba(vectors)], axis=1)
    assert_allclose(model.predict_proba(TEXTS), expected, rtol=1e-6)
    assert_array_equal(model.predict(TEXTS), each.predict(vectors))
    assert_array_equal(model.decision_function(TEXTS) > 0, model.predict(TEXTS))
    assert_array_equal(model.classes_, [0, 1, 2])
    share = accuracy_score(SEVERAL, each.predict(vectors), sample_weight=WEIGHT)
    assert model.score(TEXTS, SEVERAL, WEIGHT) == pytest.approx(share)


def test_sparse_labels(encoder):
    model = TextClassifier(encoder).fit(TEXTS, SEVERAL)
    other = TextClassifier(encoder).fit(TEXTS, csr_matrix(SEVERAL))
    predicted = other.predict(TEXTS)
    assert issparse(predicted)
    assert_array_equal(predicted.toarray(), model.predict(TEXTS))
    kept = TextClassifier(encoder).fit(TEXTS, csr_matrix(SEVERAL), WEIGHT)
    assert_allclose(raw(kept), raw(TextClassifier(encoder).fit(TEXTS, SEVERAL, WEIGHT)))


@TUNED
def test_a_label_that_all_texts_have_or_none(encoder, train):
    y = np.column_stack([SEVERAL, np.ones(50, int), np.zeros(50, int)])
    proba = TextClassifier(encoder).fit(TEXTS, y).predict_proba(OTHERS)
    assert_allclose(proba[:, 3:], [[50.5 / 51, 0.5 / 51]] * 12, rtol=1e-12)
    assert_allclose(proba[:, :3],
                    TextClassifier(encoder).fit(TEXTS, SEVERAL).predict_proba(OTHERS))  # fmt: skip
    tuned = TextClassifier(encoder, train, max_iter=1, random_state=0).fit(TEXTS, y)
    assert_array_equal(tuned.predict(OTHERS)[:, 3:], [[1, 0]] * 12)


def test_class_weights_are_weights(encoder):
    factors = {"no": 3.0, "yes": 0.5}
    weight = np.array([factors[label] for label in LABELS])
    one = TextClassifier(encoder, class_weight=factors).fit(TEXTS, LABELS, WEIGHT)
    other = TextClassifier(encoder).fit(TEXTS, LABELS, WEIGHT * weight)
    assert_allclose(raw(one), raw(other), rtol=1e-6)
    per_label = [{0: 1.0, 1: 2.0}, {0: 1.0}, {1: 3.0}]
    weight = (1 + SEVERAL[:, 0]) * (1 + 2 * SEVERAL[:, 2])
    one = TextClassifier(encoder, class_weight=per_label).fit(TEXTS, SEVERAL)
    other = TextClassifier(encoder).fit(TEXTS, SEVERAL, weight)
    assert_allclose(raw(one), raw(other), rtol=1e-5, atol=1e-6)
    balanced = TextClassifier(encoder, class_weight="balanced").fit(TEXTS, LABELS)
    weight = 50 / 2 / np.array([np.sum(label == LABELS) for label in LABELS])
    assert_allclose(
        raw(balanced), raw(TextClassifier(encoder).fit(TEXTS, LABELS, weight)), rtol=1e-6
    )
    for wrong in ({"maybe": 1.0}, {"no": -1.0}, [{"no": 1.0}]):
        with pytest.raises(ValueError, match="class_weight"):
            TextClassifier(encoder, class_weight=wrong).fit(TEXTS, LABELS)


@KINDS
def test_a_weight_is_a_number_of_copies(encoder, kind):
    cls, y = TARGETS[kind]
    rows = np.repeat(np.arange(50), WEIGHT)
    once = cls(encoder).fit(TEXTS, y, sample_weight=WEIGHT)
    copies = cls(encoder).fit([TEXTS[i] for i in rows], y[rows])
    assert_allclose(raw(once, OTHERS), raw(copies, OTHERS), rtol=1e-4, atol=1e-6)
    ones = cls(encoder).fit(TEXTS, y, sample_weight=np.ones(50))
    assert_allclose(raw(ones), raw(cls(encoder).fit(TEXTS, y)))


@TUNED
@KINDS
def test_texts_of_weight_zero_are_left_out(encoder, kind, train):
    cls, y = TARGETS[kind]
    there = np.flatnonzero(WEIGHT)
    settings = {"train": train, "max_iter": 2, "random_state": 0}
    one = cls(encoder, **settings).fit(TEXTS, y, sample_weight=WEIGHT)
    left = [TEXTS[i] for i in there]
    other = cls(encoder, **settings).fit(left, y[there], sample_weight=WEIGHT[there])
    assert_array_equal(raw(one, OTHERS), raw(other, OTHERS))
    with pytest.raises(ValueError, match="Sample weights must contain"):
        cls(encoder).fit(TEXTS, y, sample_weight=np.zeros(50))


@pytest.mark.parametrize(
    "labels", [["b", "a"], [7, -1], [True, False], [1.0, 3.0], np.array(["x", "y"], object)],
    ids=["str", "int", "bool", "float", "object"],
)  # fmt: skip
@pytest.mark.parametrize("train", ["head", "last"])
def test_types_of_labels(encoder, labels, train):
    y = np.asarray(labels)[(LABELS == "yes").astype(int)]
    more = {} if train == "head" else {"max_iter": 1, "random_state": 0}
    for given in (y, y.tolist()):
        model = TextClassifier(encoder, train, **more).fit(TEXTS, given)
        assert_array_equal(model.classes_, np.unique(y))
        assert set(model.predict(TEXTS).tolist()) <= set(y.tolist())
        assert model.score(TEXTS, given) > 0.6
        assert model.predict(TEXTS).dtype == model.classes_.dtype


# ------------------------------------------------------------ training


@TUNED
@KINDS
def test_training_begins_where_the_head_ends(encoder, kind, train):
    cls, y = TARGETS[kind]
    head = cls(encoder).fit(TEXTS, y)
    still = cls(encoder, train, learning_rate_init=1e-12, max_iter=1, random_state=0).fit(TEXTS, y)
    assert_allclose(raw(still, OTHERS), raw(head, OTHERS), rtol=1e-7)
    assert still.encoder_ is not encoder


@TUNED
@KINDS
def test_training_fits_better_than_the_head(steady, kind, train):
    cls, y = TARGETS[kind]
    settings = {"learning_rate_init": 0.03, "max_iter": 60, "random_state": 0}
    name = "alpha" if cls is TextRegressor else "C"
    head = cls(steady, **{name: 1.0}).fit(TEXTS, y)
    model = cls(steady, train, **{name: 1.0}, **settings).fit(TEXTS, y)
    assert loss_of(model, y) < loss_of(head, y) - 0.005
    assert model.n_iter_ == 60


def loss_of(head, y):
    """Return the loss, summed over outputs, on the texts."""
    if isinstance(head, TextRegressor):
        spread = y.std(axis=0)
        return (((head.predict(TEXTS) - y) / spread) ** 2).mean(axis=0).sum() / 2
    proba = head.predict_proba(TEXTS)
    if y.ndim == 2:
        return -np.log(np.where(y == 1, proba, 1 - proba)).sum(axis=1).mean()
    return -np.log(proba[np.arange(50), np.searchsorted(head.classes_, y)]).mean()


def test_targets_of_any_scale(encoder):
    settings = {"train": "last", "learning_rate_init": 0.01, "max_iter": 3, "random_state": 0}
    model = TextRegressor(encoder, **settings).fit(TEXTS, NUMBERS)
    other = TextRegressor(encoder, **settings).fit(TEXTS, 1e6 * NUMBERS - 3)
    assert_allclose(other.predict(OTHERS), 1e6 * model.predict(OTHERS) - 3, rtol=1e-6)
    same = TextRegressor(encoder, **settings).fit(TEXTS, np.full(50, 7.0))
    assert_allclose(same.predict(OTHERS), 7.0, atol=1e-6)


def test_rates_of_blocks(encoder):
    rates = {group.pattern: group.rate for group in groups_of(encoder, 0.5)}
    assert rates == {"tokens": 0.25, "positions": 0.25, "norm": 0.25, "block_0": 0.5, "block_1": 1}


@pytest.mark.parametrize("train", ["lora", "all"])
def test_lower_blocks_move_less(encoder, train):
    """The first step of Adam moves each weight by its rate, whatever the gradient."""
    moved = {}
    for decay in (1.0, 0.1):
        model = TextClassifier(
            encoder, train, layer_decay=decay, max_iter=1, batch_size=50, random_state=0,
            learning_rate_init=1e-3,
        ).fit(TEXTS, LABELS)  # fmt: skip
        before, after = encoder.weights(), model.encoder_.weights()
        moved[decay] = {
            layer: max(abs(after[name] - before[name]).max()
                       for name in before if name.startswith(layer))
            for layer in ("block_0", "block_1", "tokens")
        }  # fmt: skip
    ratio = {
        layer: moved[0.1][layer] / moved[1.0][layer] for layer in moved[1.0] if moved[1.0][layer]
    }
    assert ratio["block_1"] == pytest.approx(1, rel=1e-6)
    assert ratio["block_0"] == pytest.approx(0.1, rel=0.1)
    assert ("tokens" in ratio) == (train == "all")
    if train == "all":
        assert ratio["tokens"] == pytest.approx(0.01, rel=0.1)


def test_few_texts_have_more_passes():
    assert [n_passes(n, 32, None) for n in (1, 320, 100_000)] == [MAX_ITER, 6, MIN_ITER]
    assert n_passes(10, 32, 2) == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["number", "numbers"])
def test_the_best_pass_stands(steady, kind):
    cls, y = TARGETS[kind]
    parts = {"X_val": TEXTS[35:], "y_val": y[35:]}
    fell = 0
    for seed in range(4):
        settings = {"learning_rate_init": 0.1, "max_iter": 6, "random_state": seed}
        model = cls(steady, "all", early_stopping=True, **settings).fit(TEXTS[:35], y[:35], **parts)
        scores = model.history_["validation_score"]
        assert len(scores) == model.n_iter_ == 6
        assert max(scores) == pytest.approx(model.score(TEXTS[35:], y[35:]))
        told = cls(steady, "all", **settings).fit(TEXTS[:35], y[:35], **parts)
        assert told.score(TEXTS[35:], y[35:]) == pytest.approx(scores[-1])
        fell += scores[-1] < max(scores)
    assert fell


def test_the_head_knows_nothing_of_the_texts_that_are_set_aside(encoder, monkeypatch):
    seen = []
    fit_head = TextClassifier._fit_head

    def noted(self, vectors, targets, weight):
        seen.append(len(vectors))
        return fit_head(self, vectors, targets, weight)

    monkeypatch.setattr(TextClassifier, "_fit_head", noted)
    model = TextClassifier(encoder, "last", early_stopping=True, validation_fraction=0.3,
                           max_iter=2, random_state=0).fit(TEXTS, LABELS)  # fmt: skip
    assert seen == [35]
    assert len(model.history_["validation_score"]) == 2


@KINDS
def test_texts_to_validate_on_that_do_not_fit(encoder, kind):
    cls, y = TARGETS[kind]
    model = cls(encoder, "last", max_iter=1, random_state=0)
    with pytest.raises(ValueError, match="X_val without y_val"):
        model.fit(TEXTS, y, X_val=OTHERS)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        model.fit(TEXTS, y, X_val=OTHERS, y_val=y)
    wrong = {"two": ["maybe"] * 12, "three": ["a"] * 12, "labels": SEVERAL[:12, :2],
             "number": TWO[:12], "numbers": NUMBERS[:12]}[kind]  # fmt: skip
    with pytest.raises(ValueError, match=r"`?y"):
        model.fit(TEXTS, y, X_val=OTHERS, y_val=wrong)
    assert not hasattr(model, "coef_")


# ------------------------------------------------------------ transactions, pickles


@pytest.mark.parametrize("train", ["head", "last"])
@KINDS
def test_a_fit_that_fails_changes_nothing(encoder, kind, train):
    cls, y = TARGETS[kind]
    rng = np.random.RandomState(0)
    more = {} if train == "head" else {"max_iter": 2, "random_state": rng}
    model = cls(encoder, train, **more).fit(TEXTS, y)
    before, predicted = dict(vars(model)), raw(model)
    state = rng.get_state()[1].copy()

    class Fails:
        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            raise RuntimeError("a callback fails")

        def teardown(self, estimator, context):
            pass

    model.set_callbacks(Fails())
    with pytest.raises(RuntimeError, match="a callback fails"):
        model.fit(OTHERS, y[:12] if kind != "two" else ["a", "b"] * 6)
    model.set_callbacks()
    assert set(vars(model)) == set(before)
    assert all(vars(model)[name] is value for name, value in before.items())
    assert_array_equal(raw(model), predicted)
    assert_array_equal(rng.get_state()[1], state)


@pytest.mark.parametrize("train", ["head", "last"])
@KINDS
def test_pickles_and_clones(encoder, kind, train):
    cls, y = TARGETS[kind]
    more = {} if train == "head" else {"max_iter": 1, "random_state": 0}
    model = cls(encoder, train, **more).fit(TEXTS, y)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(raw(again), raw(model))
    assert set(vars(again)) == set(vars(model))
    twin = clone(model)
    assert twin.model is encoder
    assert not hasattr(twin, "coef_")
    assert not hasattr(model, "n_features_in_")  # as for CountVectorizer: texts have no columns


def test_searches(encoder):
    grid = {"alpha": [0.01, 100.0], "pooling": ["mean", "max"]}
    search = GridSearchCV(TextRegressor(encoder), grid, cv=3, n_jobs=2).fit(TEXTS, NUMBERS)
    scores = cross_val_score(TextRegressor(encoder, **search.best_params_), TEXTS, NUMBERS, cv=3)
    assert search.best_score_ == pytest.approx(scores.mean())
    assert len(set(search.cv_results_["mean_test_score"])) == 4
    search = GridSearchCV(
        TextClassifier(encoder, random_state=0), {"train": ["head", "last"]}, cv=2
    )
    assert len(search.fit(TEXTS, LABELS).cv_results_["params"]) == 2
    scores = cross_val_score(TextClassifier(encoder), TEXTS, SEVERAL, cv=3, scoring="f1_macro")
    assert scores.shape == (3,)


# ------------------------------------------------------------ callbacks


class Notes:
    """Keeps what the hooks are told."""

    def __init__(self, stop_after=None):
        self.stop_after, self.calls, self.scores = stop_after, [], []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.calls.append(("begin", context.task_name))
        self.given = X, y, metadata
        self.estimator = estimator

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.calls.append(("end", context.task_name))
        X, y, _ = self.given
        self.scores.append(fitted_estimator.score(X, y))
        return len(self.scores) == self.stop_after

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))


@KINDS
@pytest.mark.parametrize("train", ["head", "last", "lora"])
def test_callbacks_are_told_of_the_texts(encoder, kind, train):
    cls, y = TARGETS[kind]
    more = {} if train == "head" else {"max_iter": 2, "random_state": 0}
    notes = Notes()
    model = cls(encoder, train, **more).set_callbacks(notes)
    model.fit(TEXTS, y, sample_weight=WEIGHT)
    epochs = [] if train == "head" else [("begin", "epoch"), ("end", "epoch")] * 2
    whole = [("setup", "fit"), ("begin", "fit"), *epochs, ("end", "fit"), ("teardown", "fit")]
    assert notes.calls == whole
    assert notes.estimator is model
    assert notes.given[0] is TEXTS
    assert notes.given[1] is y
    assert notes.given[2] == {"sample_weight": WEIGHT}
    assert notes.scores[-1] == model.score(TEXTS, y)
    plain = cls(encoder, train, **more).fit(TEXTS, y, sample_weight=WEIGHT)
    assert_array_equal(raw(model), raw(plain))
    assert model._skl_callbacks == [notes]
    again = pickle.loads(pickle.dumps(model.set_callbacks()))
    assert set(vars(again)) == set(vars(plain)) | {"_callback_fit_ctx"} - {"_callback_fit_ctx"}


def test_callbacks_end_the_training(encoder):
    settings = {"train": "all", "learning_rate_init": 0.01, "random_state": 0}
    notes = Notes(stop_after=2)
    model = TextRegressor(encoder, max_iter=9, **settings).set_callbacks(notes).fit(TEXTS, NUMBERS)
    assert model.n_iter_ == 2
    losses = []
    model = TextClassifier(encoder, max_iter=9, **settings)
    model.set_callbacks(Call(lambda epoch: losses.append(epoch["loss"]) or len(losses) == 3))
    assert model.fit(TEXTS, LABELS).n_iter_ == 3
    assert model.history_["loss"] == losses
    model.set_callbacks(EarlyStopping("validation_loss", patience=1))
    model.fit(TEXTS[:35], LABELS[:35], X_val=TEXTS[35:], y_val=LABELS[35:])
    assert model.n_iter_ < 9


def test_callbacks_of_scikit_learn(encoder, capsys):
    monitor = ScoringMonitor(scoring="accuracy")
    model = TextClassifier(encoder, "last", max_iter=3, random_state=0)
    model.set_callbacks(ProgressBar(), monitor).fit(TEXTS, LABELS)
    assert "100%" in capsys.readouterr().out
    rows = monitor.get_logs().data
    assert [row["task_name"] for row in rows].count("epoch") == 3
    assert rows[-1]["accuracy"] == model.score(TEXTS, LABELS)


def test_callbacks_that_have_no_epochs(encoder):
    model = TextClassifier(encoder).set_callbacks(EarlyStopping("loss"))
    with pytest.warns(UserWarning, match=r"EarlyStopping is told of no epoch: .*'head'"):
        model.fit(TEXTS, LABELS)


# ------------------------------------------------------------ threads, progress, what is not used


@pytest.mark.parametrize("n_jobs", [1, 2, 3, -1, -2])
def test_threads_change_nothing(encoder, n_jobs):
    expected = TextEncoder(encoder).transform(TEXTS)
    made = TextEncoder(encoder, batch_size=4, n_jobs=n_jobs).transform(TEXTS)
    assert_allclose(made, expected, rtol=0, atol=1e-13)
    head = raw(TextClassifier(encoder).fit(TEXTS, LABELS))
    assert_allclose(raw(TextClassifier(encoder, n_jobs=n_jobs).fit(TEXTS, LABELS)), head, rtol=1e-5)


def test_how_many_threads(encoder, monkeypatch):
    import skbp.text._inference as inference

    asked = []
    run = inference.threads.run
    monkeypatch.setattr(
        inference.threads, "run", lambda task, parts: asked.append(len(parts)) or run(task, parts)
    )
    for n_jobs in (1, 3):
        TextEncoder(encoder, batch_size=10, n_jobs=n_jobs).transform(TEXTS)
    TextEncoder(encoder, batch_size=50, n_jobs=3).transform(TEXTS)  # each gets a third
    TextEncoder(encoder, n_jobs=3).transform(TEXTS[:2])
    assert asked == [1, 3, 3, 2]


@pytest.mark.parametrize("n_jobs", [0, 1.5, "all", True])
def test_no_number_of_threads(encoder, n_jobs):
    with pytest.raises(ValueError, match=r"'n_jobs' parameter of TextEncoder.*other than 0"):
        TextEncoder(encoder, n_jobs=n_jobs).fit()


def test_progress(encoder, capsys, monkeypatch):
    TextEncoder(encoder, batch_size=20).transform(TEXTS)
    assert capsys.readouterr().out == ""
    TextEncoder(encoder, batch_size=20, n_jobs=2, verbose=True).transform(TEXTS)
    assert capsys.readouterr().out.startswith("[TextEncoder] 50 of 50 texts, ")
    monkeypatch.setattr(progress, "EVERY", 0)
    TextRegressor(encoder, batch_size=20, verbose=1).fit(TEXTS, NUMBERS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" texts")[0] for line in lines] == [
        "[TextRegressor] 17 of 50", "[TextRegressor] 34 of 50", "[TextRegressor] 50 of 50",
    ]  # fmt: skip


@pytest.mark.parametrize("cls", [TextClassifier, TextRegressor])
def test_what_is_given_and_not_used(encoder, cls):
    y = LABELS if cls is TextClassifier else NUMBERS
    for params in ({"early_stopping": True}, {"layer_decay": 0.9}, {"validation_fraction": 0.2}):
        (name,) = params
        with pytest.warns(UserWarning, match=f"{name}=.* is not used with train='head'"):
            cls(encoder, **params).fit(TEXTS, y)
    with pytest.warns(UserWarning, match="X_val is not used"):
        cls(encoder).fit(TEXTS, y, X_val=TEXTS, y_val=y)
    with pytest.warns(UserWarning, match="layer_decay=0.9 is not used with train='last'"):
        cls(encoder, "last", layer_decay=0.9, max_iter=1, random_state=0).fit(TEXTS, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cls(encoder, "all", layer_decay=0.9, max_iter=1, random_state=0).fit(TEXTS, y)
