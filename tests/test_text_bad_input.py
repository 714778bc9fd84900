"""Texts, folders and files that are not what they should be: clear errors, nothing half built."""

import json
import struct

import numpy as np
import pytest
from _text import CONFIG, DESCRIBED, TENSORS, write_encoder
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skbp.text import (
    NearestExamples,
    RejectOption,
    TextClassifier,
    TextEncoder,
    TextRegressor,
    Tokenizer,
    load_encoder,
)

pandas = pytest.importorskip("pandas")
pytest.importorskip("tokenizers", reason="needs skbp[text]")

GOOD = ["a b c", "d e", "x y z", "u v"]
Y = [0, 0, 1, 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("text") / "small")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(folder, dtype="float64")


@pytest.fixture
def own(tmp_path):
    """Return a folder with an encoder that a test may spoil."""
    return write_encoder(tmp_path / "model")


MAKERS = {
    "Tokenizer": Tokenizer,
    "TextEncoder": TextEncoder,
    "TextClassifier": TextClassifier,
    "TextRegressor": TextRegressor,
    "TextClassifier(last)": lambda encoder: TextClassifier(
        encoder, "last", max_iter=1, random_state=0
    ),
    "NearestExamples": lambda encoder: NearestExamples(TextEncoder(encoder)),
    "NearestExamples of words": lambda _: NearestExamples(HashingVectorizer(n_features=64)),
    "RejectOption": lambda encoder: RejectOption(TextClassifier(encoder), cv=2),
    "RejectOption of words": lambda _: RejectOption(
        make_pipeline(HashingVectorizer(n_features=64), LogisticRegression()), cv=2
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def output(model, X):
    return (model.predict if hasattr(model, "predict") else model.transform)(X)


# ------------------------------------------------------------ texts that are fine

ODD = {
    "empty": ["", "", "a", "b"],
    "blank": [" ", "\n\t", "\u3000", "\u200b"],
    "unknown": ["\u4f60\u597d", "!!!", "\U0001f600", "\x00"],
    "long": ["a" * 100_000, "a b " * 25_000, "?" * 100_000, ""],
}


@EACH
@pytest.mark.parametrize("texts", ODD.values(), ids=ODD)
def test_texts_of_which_little_is_known(encoder, make, texts):
    fitted = make(encoder).fit(GOOD, Y)
    made = output(fitted, texts)
    assert len(made) == 4
    if made.dtype.kind == "f":
        assert np.isfinite(made).all()
    assert_array_equal(output(fitted, texts), made)
    assert len(output(make(encoder).fit([*texts, *GOOD], [*Y, *Y]), GOOD)) == 4


def containers():
    polars = pytest.importorskip("polars")
    yield "array", np.array
    yield "objects", lambda texts: np.array(texts, object)
    yield "StringDType", lambda texts: np.array(texts, np.dtypes.StringDType())
    yield "tuple", tuple
    yield "series", pandas.Series
    yield "index of its own", lambda texts: pandas.Series(texts, index=[7, 7, 3, 1])
    yield "string", lambda texts: pandas.Series(texts, dtype="string")
    yield "category", lambda texts: pandas.Series(texts, dtype="category")
    yield "arrow", lambda texts: pandas.Series(texts, dtype="string[pyarrow]")
    yield "polars", polars.Series
    yield "polars category", lambda texts: polars.Series(texts, dtype=polars.Categorical)


@EACH
@pytest.mark.parametrize("container", dict(containers()).values(), ids=dict(containers()))
def test_columns_of_texts(encoder, make, container):
    expected = output(make(encoder).fit(GOOD, Y), GOOD)
    made = output(make(encoder).fit(container(GOOD), Y), container(GOOD))
    if made.dtype.kind == "f":
        assert_allclose(made, expected, rtol=0, atol=1e-12)
    else:
        assert_array_equal(made, expected)


# ------------------------------------------------------------ texts that are none


def missing():
    polars = pytest.importorskip("polars")
    yield "None", ["a", None, "b", "c"]
    yield "nan", ["a", float("nan"), "b", "c"]
    yield "NA", ["a", pandas.NA, "b", "c"]
    yield "NaT", ["a", pandas.NaT, "b", "c"]
    yield "objects", np.array(["a", None, "b", "c"], object)
    yield "masked", np.ma.array(["a", "x", "b", "c"], mask=[0, 1, 0, 0])
    yield "series", pandas.Series(["a", None, "b", "c"])
    yield "string", pandas.Series(["a", None, "b", "c"], dtype="string")
    yield "category", pandas.Series(["a", None, "b", "c"], dtype="category")
    yield "arrow", pandas.Series(["a", None, "b", "c"], dtype="string[pyarrow]")
    yield "polars", polars.Series(["a", None, "b", "c"])


@pytest.mark.parametrize(
    "make", [make for name, make in MAKERS.items() if name != "RejectOption of words"],
    ids=[name for name in MAKERS if name != "RejectOption of words"],
)  # fmt: skip
@pytest.mark.parametrize("X", dict(missing()).values(), ids=dict(missing()))
def test_missing_texts(encoder, make, X):
    """Not for RejectOption of words: its classifier alone looks, and may fill in missing texts."""
    model = make(encoder)
    with pytest.raises(TypeError, match=r"X\[1\] is .*expected a string.*Fill in missing texts"):
        model.fit(X, Y)
    assert not [name for name in vars(model) if name.endswith("_") and not name.startswith("_")]
    fitted = make(encoder).fit(GOOD, Y)
    with pytest.raises(TypeError, match=r"X\[1\] is .*Fill in missing texts"):
        output(fitted, X)


NONE = {
    "number": (["a", 3, "b", "c"], TypeError, r"X\[1\] is 3 \(int\)"),
    "bytes": ([b"a", "b", "c", "d"], TypeError, r"X\[0\] is b'a' \(bytes\).*decode"),
    "numbers": ([1, 2, 3, 4], TypeError, r"X\[0\] is 1 \(int\)"),
    "floats": (np.arange(4.0), TypeError, r"X\[0\] is 0.0 \(float\)"),
    "bools": ([True, False] * 2, TypeError, r"X\[0\] is True \(bool\)"),
    "nested": ([["a"], ["b"], ["c"], ["d"]], TypeError, r"X\[0\] is \['a'\] \(list\)"),
    "ragged": ([["a", "b", "c"], ["b"], "c", "d"], TypeError, r"X\[0\] is .*\(list\)"),
    "pair of numbers": ([(1, 2)] * 4, TypeError, r"X\[0\] is \(1, 2\) \(tuple\)"),
    "half a pair": ([("a", None)] * 4, TypeError, r"X\[0\] is \('a', None\) \(tuple\)"),
    "column": (np.array([["a"], ["b"], ["c"], ["d"]]), ValueError, r"shape \(4, 1\).*one column"),
    "frame": (pandas.DataFrame({"t": GOOD}), ValueError, r"shape \(4, 1\).*one column"),
    "cube": (np.full((4, 1, 1), "a"), ValueError, r"shape \(4, 1, 1\)"),
    "single": ("a text", ValueError, r"X is a single str.*\[text\]"),
    "single bytes": (b"text", ValueError, "X is a single bytes"),
    "array of none": (np.array("text"), ValueError, r"X has shape \(\)"),
    "nothing": ([], ValueError, "X holds no texts"),
    "dict": ({"a": 1}, ValueError, "X is a dict, expected a list"),
    "set": ({"a", "b"}, ValueError, "X is a set, expected a list"),
    "generator": ((text for text in GOOD), ValueError, "X is a generator, expected a list"),
    "None": (None, ValueError, "X is a NoneType, expected a list"),
    "half a surrogate": (["a", "b\ud800", "c", "d"], ValueError, r"X\[1\] holds '\\ud800'"),
}


@pytest.mark.parametrize("cls", [Tokenizer, TextEncoder, TextClassifier, TextRegressor])
@pytest.mark.parametrize("X, error, message", NONE.values(), ids=NONE)
def test_what_is_no_text(encoder, cls, X, error, message):
    model = cls(encoder)
    if X is not None or cls is not TextEncoder:  # which needs nothing to fit
        with pytest.raises(error, match=message):
            model.fit(X, Y).transform(X)
    fitted = cls(encoder).fit(GOOD, Y)
    with pytest.raises(error, match=message):
        output(fitted, X)


@EACH
def test_a_single_text(encoder, make):
    if isinstance(make(encoder), RejectOption):
        message = "inconsistent numbers|single"
    else:
        message = "X is a single"
    with pytest.raises((ValueError, TypeError), match=message):
        make(encoder).fit("a text", Y)


def test_a_frame_is_no_list_of_texts():
    frame = pandas.DataFrame({"text": GOOD})
    model = NearestExamples(HashingVectorizer(n_features=64))
    with pytest.raises(ValueError, match=r'made 1 vectors of 4 rows.*frame\["text"\]'):
        model.fit(frame, Y)
    with pytest.raises(ValueError, match="made 1 vectors of 4 rows"):
        model.fit(GOOD, Y).predict(frame)


# ------------------------------------------------------------ targets

TARGETS = {
    "None": (None, "requires y to be passed, but the target y is None"),
    "short": ([0, 1], "inconsistent numbers of samples"),
    "nan": ([0, 1, np.nan, 1], "NaN"),
    "none among them": ([0, 1, None, 1], "missing"),
    "NA": (pandas.Series([0, 1, None, 1], dtype="Int64"), "missing|NaN"),
    "infinite": ([0.0, 1.0, np.inf, 1.0], "infinity"),
    "cube": (np.zeros((4, 1, 1)), "dim"),
}


@pytest.mark.parametrize("train", ["head", "last"])
@pytest.mark.parametrize("cls", [TextClassifier, TextRegressor])
@pytest.mark.parametrize("y, message", TARGETS.values(), ids=TARGETS)
def test_targets_that_are_none(encoder, cls, train, y, message):
    more = {} if train == "head" else {"max_iter": 1, "random_state": 0}
    model = cls(encoder, train, **more)
    with pytest.raises(ValueError, match=message):
        model.fit(GOOD, y)
    assert not [name for name in vars(model) if name.endswith("_")]


def test_targets_of_another_kind(encoder):
    with pytest.raises(ValueError, match="one class only, 'one'; at least 2 classes"):
        TextClassifier(encoder).fit(GOOD, ["one"] * 4)
    with pytest.raises(ValueError, match="continuous"):
        TextClassifier(encoder).fit(GOOD, [0.5, 1.2, 3.1, 2.0])
    with pytest.raises(ValueError, match="several types"):
        TextClassifier(encoder).fit(GOOD, np.array([0, "a", 1, "b"], object))
    with pytest.raises(ValueError, match="Multioutput target data is not supported"):
        TextClassifier(encoder).fit(GOOD, [[1, 2], [3, 4], [5, 6], [7, 8]])
    for y in (["a", "b", "c", "d"], np.array(["2020-01-01"] * 4, "M8[D]"), [1j, 2, 3, 4]):
        with pytest.raises(ValueError, match=r"(?i)y|complex|dtype|float"):
            TextRegressor(encoder).fit(GOOD, y)
    for weight in ([1, 1, 1], [-1, 1, 1, 1], [np.nan, 1, 1, 1], [0] * 4, ["a"] * 4):
        for cls in (TextClassifier, TextRegressor):
            with pytest.raises(ValueError, match=r"(?i)weight|inconsistent|float"):
                cls(encoder).fit(GOOD, Y, sample_weight=weight)


# ------------------------------------------------------------ files

FILES = ["config.json", "model.safetensors", "tokenizer.json"]
REFUSED = (ValueError, FileNotFoundError)


def use(folder):
    """Load an encoder and use all of it."""
    return TextEncoder(load_encoder(folder)).transform(GOOD)


@pytest.mark.parametrize("name", FILES)
def test_files_cut_anywhere(own, name):
    whole = (own / name).read_bytes()
    for part in (0, 1, 7, 8, 9, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        (own / name).write_bytes(whole[:part])
        with pytest.raises(ValueError, match=rf"{name} is no whole .*Fetch or copy it again"):
            use(own)
        if name == "tokenizer.json":
            for path in (own, own / name):
                with pytest.raises(ValueError, match=r"tokenizer\.json is no whole"):
                    Tokenizer(path).fit(GOOD)


@pytest.mark.parametrize("name", FILES)
def test_foreign_files(own, name):
    rng = np.random.default_rng(0)
    foreign = [rng.bytes(n) for n in (8, 100, 5000)] + [
        b"\x00" * 100, b"PK\x03\x04" + b"\x00" * 50, b"version https://git-lfs.github.com/spec/v1\n",
        b"<!DOCTYPE html><html></html>", "\ufeff{}".encode(), json.dumps({"a": 1}).encode("utf-16"),
    ]  # fmt: skip
    for content in foreign:
        (own / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} is no whole"):
            use(own)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file(own, name):
    (own / name).unlink()
    (own / name).mkdir()
    with pytest.raises(FileNotFoundError, match=f"{name}.*folder"):
        use(own)
    if name == "tokenizer.json":
        with pytest.raises(FileNotFoundError, match=r"tokenizer\.json.* is a folder"):
            Tokenizer(own).fit(GOOD)


HOSTILE = {
    "deep": "[" * 200_000,
    "deep objects": '{"model_type":' * 100_000,
    "large number": '{"model_type": "bert", "vocab_size": ' + "9" * 6000 + "}",
    "null": "null", "number": "3", "text": '"bert"', "list": "[]", "empty": "{}",
}  # fmt: skip


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "1_Pooling/config.json"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_of_another_kind(own, name, text):
    (own / name).parent.mkdir(exist_ok=True)
    (own / name).write_text(text)
    with pytest.raises(ValueError, match=name.rpartition("/")[2].replace(".", r"\.")):
        use(own)


def test_no_paths():
    for path in (None, 3, ["folder"], {}):
        with pytest.raises(TypeError):
            load_encoder(path)
        with pytest.raises(TypeError, match="'model' parameter of Tokenizer must be"):
            Tokenizer(path).fit(GOOD)
    with pytest.raises(FileNotFoundError, match="there is no 'nowhere'"):
        Tokenizer("nowhere").fit(GOOD)


# ------------------------------------------------------------ configurations

NUMBERS = [
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size",
]  # fmt: skip


@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_wrong_by_one(tmp_path, name, off):
    config = CONFIG | {name: CONFIG[name] + off}
    folder = write_encoder(tmp_path / "model", config=config)
    if name == "num_attention_heads" and off == -1:
        load_encoder(folder)  # one head for two: a network that the weights fit, too
        return
    with pytest.raises(ValueError, match=rf"{name}|do not belong together|asks for|no place for"):
        load_encoder(folder)


@pytest.mark.parametrize(
    "name", [*NUMBERS, "pad_token_id", "layer_norm_eps", "hidden_dropout_prob"]
)
@pytest.mark.parametrize(
    "value", [10**12, 2**63, 1e308, float("inf"), float("nan"), -1, "8", True, None, [8], {}, 8.5],
    ids=repr,
)  # fmt: skip
def test_numbers_that_are_none_take_no_memory(own, name, value, monkeypatch):
    import skbp.text.encoder as module

    (own / "config.json").write_text(json.dumps(CONFIG | {name: value}))
    monkeypatch.delattr(module, "Network")  # which takes the memory
    with pytest.raises(ValueError, match=rf"{name}|has shape|lacks the tensor"):
        load_encoder(own)


def test_padding_is_the_tokenizer_s(tmp_path):
    """As in multilingual-e5-small, of BERT's kind with another tokenizer."""
    expected = use(write_encoder(tmp_path / "right"))
    wrong = CONFIG | {"pad_token_id": 1}
    folder = write_encoder(tmp_path / "wrong", config=wrong)
    assert load_encoder(folder).padding_index == 0
    assert_array_equal(use(folder), expected)
    padded = DESCRIBED | {"padding": {
        "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "[PAD]",
    }}  # fmt: skip
    folder = write_encoder(tmp_path / "told", tokenizer=padded, config=wrong)
    assert_array_equal(use(folder), expected)
    roberta = CONFIG | {"model_type": "roberta", "pad_token_id": 1}
    with pytest.raises(ValueError, match=r"pad_token_id is 1, and the tokenizer's code .* is 0"):
        load_encoder(write_encoder(tmp_path / "roberta", config=roberta))


# ------------------------------------------------------------ tensors


def write_raw(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_headers_that_lie(own):
    weights = own / "model.safetensors"
    whole, name = weights.read_bytes(), "embeddings.word_embeddings.weight"
    large = {"dtype": "F32", "shape": [10**12, 8], "data_offsets": [0, 32]}
    for spoil in (
        lambda: weights.write_bytes(struct.pack("<Q", 2**62) + whole[8:]),
        lambda: weights.write_bytes(whole + b"more"),
        lambda: write_raw(weights, b"{" * 100_000),
        lambda: write_raw(weights, {name: large}, b"0" * 32),
        lambda: write_raw(weights, {name: large | {"shape": [-1, 8]}}, b"0" * 32),
        lambda: write_raw(weights, {name: large | {"data_offsets": [0, 2**60]}}, b"0" * 32),
        lambda: write_raw(weights, {name: large | {"dtype": "F7"}}, b"0" * 32),
    ):
        spoil()
        with pytest.raises(ValueError, match=r"model\.safetensors is no whole"):
            load_encoder(own)
    write_raw(weights, {})
    with pytest.raises(ValueError, match=r"lacks the tensor .*word_embeddings"):
        load_encoder(own)


NEEDED = sorted(name for name in TENSORS if not name.startswith("pooler"))


@pytest.mark.parametrize("name", NEEDED)
def test_each_tensor_is_needed(tmp_path, name):
    left = {other: array for other, array in TENSORS.items() if other != name}
    with pytest.raises(ValueError, match=rf"lacks the tensor '{name}'"):
        load_encoder(write_encoder(tmp_path / "lacks", left))
    turned = TENSORS | {name: np.concatenate([TENSORS[name]] * 2)}
    with pytest.raises(ValueError, match=rf"tensor '{name}' has shape .*by its configuration"):
        load_encoder(write_encoder(tmp_path / "turned", turned))
    bad = TENSORS | {name: np.full_like(TENSORS[name], np.nan)}
    with pytest.raises(ValueError, match="not finite"):
        load_encoder(write_encoder(tmp_path / "nan", bad))


def test_tensors_twice_and_of_other_types(tmp_path):
    both = TENSORS | {f"bert.{name}": array for name, array in TENSORS.items()}
    with pytest.raises(ValueError, match="which the encoder of its configuration has no place for"):
        load_encoder(write_encoder(tmp_path / "both", both))
    more = TENSORS | {"classifier.weight": np.zeros((2, 8), np.float32)}
    with pytest.raises(ValueError, match=r"holds the tensor 'classifier\.weight'"):
        load_encoder(write_encoder(tmp_path / "more", more))
    name = "encoder.layer.0.output.dense.weight"
    for dtype in (np.int8, np.int64, np.bool_, np.uint8):
        spoiled = TENSORS | {name: np.zeros(TENSORS[name].shape, dtype)}
        with pytest.raises(ValueError, match=f"tensor '{name}' has type .*supported are F32"):
            load_encoder(write_encoder(tmp_path / np.dtype(dtype).name, spoiled))
    wide = {name: array.astype(np.float64) for name, array in TENSORS.items()}
    assert load_encoder(write_encoder(tmp_path / "wide", wide)).dtype == np.float32
    huge = wide | {name: np.full(TENSORS[name].shape, 1e300)}
    with pytest.raises(ValueError, match="not finite"):
        load_encoder(write_encoder(tmp_path / "huge", huge))


# ------------------------------------------------------------ tokenizers


@pytest.mark.parametrize(
    "change", [
        {"model": {}}, {"model": None}, {"model": {"type": "Nothing"}}, {"pre_tokenizer": 3},
        {"model": {"type": "WordLevel", "vocab": {"a": -1}, "unk_token": "[UNK]"}},
        {"model": {"type": "WordLevel", "vocab": ["a"], "unk_token": "[UNK]"}},
        {"added_tokens": 3}, {"padding": []}, {"truncation": "yes"}, {"post_processor": [1]},
    ], ids=str,
)  # fmt: skip
def test_a_tokenizer_that_is_none(tmp_path, change):
    folder = write_encoder(tmp_path / "model", tokenizer=DESCRIBED | change)
    with pytest.raises(ValueError, match=r"tokenizer\.json describes no tokenizer"):
        use(folder)
    with pytest.raises(ValueError, match=r"tokenizer\.json describes no tokenizer"):
        Tokenizer(folder).fit(GOOD)


def test_a_vocabulary_that_is_too_large_or_lacks_the_unknown(tmp_path):
    vocab = DESCRIBED["model"]["vocab"]
    more = DESCRIBED | {"model": DESCRIBED["model"] | {"vocab": vocab | {"far": 10**6}}}
    encoder = load_encoder(write_encoder(tmp_path / "more", tokenizer=more))
    for cls in (Tokenizer, TextEncoder, TextClassifier, TextRegressor):
        with pytest.raises(ValueError, match="tokens, and its table 30"):
            cls(encoder).fit(["far away", "a", "b", "c"], Y)
    lacks = {word: code for word, code in vocab.items() if word != "[UNK]"}
    lacks = DESCRIBED | {"model": DESCRIBED["model"] | {"vocab": lacks}, "added_tokens": []}
    folder = write_encoder(tmp_path / "lacks", tokenizer=lacks)
    with pytest.raises(ValueError, match=r"tokenizer|unknown|UNK"):
        TextEncoder(load_encoder(folder)).transform(["\u4f60"])
