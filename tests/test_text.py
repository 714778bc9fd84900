"""Encoders of texts: against the transformers library, in files, in pickles; what is refused."""

import copy
import pickle
import struct

import joblib
import numpy as np
import pytest
from _text import CONFIG, GOLDENS, TENSORS, write_encoder
from sklearn.base import clone

import skbp.text._inference as inference
from skbp._engine.network import Network
from skbp._engine.turns import Turns, sizes_of
from skbp._engine.workspace import Workspace
from skbp.layers import Dense, Dropout, SequencePool, UnitLength
from skbp.text import Encoder, TextEncoder, load_encoder
from skbp.text._bert import layers_of, read_config
from skbp.text.encoder import MODES

pytest.importorskip("safetensors", reason="needs skbp[text]")

CODES = GOLDENS["codes"] + CONFIG["vocab_size"] * GOLDENS["types"]
THERE = GOLDENS["codes"] != 0
MINILM = CONFIG | {
    "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "max_position_embeddings": 512,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("text") / "small")


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder(folder)


def hidden(encoder, codes=CODES):
    network = encoder._network(codes.shape[1])
    return network.forward(codes, Workspace(network, len(codes), training=False))


# ------------------------------------------------------------ what it computes


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
def test_it_is_the_transformers_library_s_bert(folder, dtype, tolerance):
    made = hidden(load_encoder(folder, dtype=dtype))
    assert made.dtype == dtype
    np.testing.assert_allclose(made[THERE], GOLDENS["hidden"][THERE], rtol=0, atol=tolerance)


def test_positions_of_roberta_begin_after_the_padding_code(tmp_path):
    config = CONFIG | {"model_type": "xlm-roberta"}
    folder = write_encoder(tmp_path / "model", config=config)
    encoder = load_encoder(folder, dtype="float64")
    assert encoder.max_length == 15
    expected = GOLDENS["hidden_roberta"]
    np.testing.assert_allclose(hidden(encoder)[THERE], expected[THERE], rtol=0, atol=1e-12)
    assert abs(expected - GOLDENS["hidden"]).max() > 0.01
    named = {f"roberta.{name}": array for name, array in TENSORS.items()}
    named["lm_head.bias"] = np.zeros(30)
    other = load_encoder(write_encoder(tmp_path / "named", named, config), dtype="float64")
    assert other == encoder
    implied = {key: value for key, value in config.items() if key != "pad_token_id"}
    assert read_config(implied, "here")["pad_token_id"] == 1
    with pytest.raises(ValueError, match="leaves no position after pad_token_id 15"):
        read_config(config | {"pad_token_id": 15}, "here")


def test_the_goldens_tell_token_types_apart(folder):
    encoder = load_encoder(folder, dtype="float64")
    made = hidden(encoder, GOLDENS["codes"])  # all of type 0
    assert abs(made - GOLDENS["hidden"])[2].max() > 0.01


def test_a_file_a_prefix_and_tensors_that_are_not_needed(folder, encoder, tmp_path):
    more = {f"bert.{name}": array for name, array in TENSORS.items()}
    more |= {"cls.predictions.bias": np.zeros(30), "bert.embeddings.position_ids": np.arange(16)}
    other = write_encoder(tmp_path / "other", more)
    for path in (other, str(other), other / "model.safetensors"):
        assert load_encoder(path) == encoder


def test_weights_of_16_bits_are_widened(tmp_path):
    halves = {name: array.astype(np.float16) for name, array in TENSORS.items()}
    wide = {name: array.astype(np.float32) for name, array in halves.items()}
    one = load_encoder(write_encoder(tmp_path / "half", halves))
    assert one.dtype == np.float32
    assert one == load_encoder(write_encoder(tmp_path / "wide", wide))


def write_bfloat16(path, tensors):
    """Write tensors, given as float32, without their last 16 bits."""
    import json

    header, data = {}, b""
    for name, array in tensors.items():
        raw = (array.view(np.uint32) >> 16).astype("<u2").tobytes()
        places = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": places}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_bfloat16(folder, tmp_path):
    cut = {
        name: (np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16 << 16).view(np.float32)
        for name, array in TENSORS.items()
    }
    expected = load_encoder(write_encoder(tmp_path / "cut", cut))
    other = write_encoder(tmp_path / "b")
    write_bfloat16(other / "model.safetensors", cut)
    assert load_encoder(other) == expected


# ------------------------------------------------------------ memory


def test_layers_in_turn_compute_the_same(encoder):
    memory = Turns()
    for codes in (CODES, CODES[:1], CODES):
        network = encoder._network(codes.shape[1])
        workspace = Workspace(network, len(codes), training=False, memory=memory)
        for arrays in workspace.rows(len(codes)):
            for array in arrays.values():
                array.view(np.uint8).fill(255)
        made = network.forward(codes, workspace)
        np.testing.assert_array_equal(made, hidden(encoder, codes))
    assert memory.nbytes == sum(sizes_of(encoder._network(5), 4))


@pytest.mark.parametrize("kind", ["encoder", "dropout"])
def test_no_layer_writes_over_what_it_reads(encoder, kind):
    network, x = encoder._network(5, SequencePool(), UnitLength()), CODES
    if kind == "dropout":  # which hands on its input
        layers = [Dense(3), Dropout(0.5), Dense(3), Dropout(0.5), Dropout(0.5), Dense(2)]
        network, x = Network(layers, (4,), np.float64), np.random.default_rng(0).normal(size=(5, 4))
        network.init(np.random.RandomState(0))
    expected = network.forward(x, Workspace(network, 5, training=False)).copy()
    workspace = Workspace(network, 5, training=False, memory=Turns())
    np.testing.assert_array_equal(network.forward(x, workspace), expected)
    work = workspace.rows(len(x))
    arrays = [[array for array in own.values() if array.size] for own in work]
    for own, read in zip(arrays, workspace.inputs, strict=True):
        assert not any(np.shares_memory(array, read) for array in own)
        for i, array in enumerate(own):
            assert not any(np.shares_memory(array, other) for other in own[:i])
    first, _, third = [own for own in arrays if own][:3]
    assert np.shares_memory(first[0], third[0])


def test_workspace_of_64_texts_of_128_tokens():
    network = Network(
        [*layers_of(read_config(MINILM, "here")), SequencePool()], (128,), np.dtype(np.float32)
    )
    assert sum(sizes_of(network, 64)) <= 600 * 2**20


def test_batches_of_a_real_size_take_as_much_as_is_said():
    config = read_config(MINILM, "here")
    n_params = Network(layers_of(config), (512,), np.dtype(np.float32)).params.size
    encoder = Encoder(config, np.zeros(n_params, np.float32))
    codes = [np.ones(length, np.int32) for length in [512, 512, *range(1, 128)] * 3]
    found = {}
    for network, rows in inference._batches(encoder, codes, [SequencePool()], 32):
        found[network.input_shape[0]] = len(rows), sum(sizes_of(network, len(rows)))
    assert found[512][0] == 1  # one alone takes more
    assert 16 < max(n for n, _ in found.values()) <= 32
    assert all(size <= 1.01 * inference.BATCH_BYTES for length, (_, size) in found.items()
               if length <= 128)  # fmt: skip
    assert max(size for _, size in found.values()) < 80 * 2**20


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_threads_have_batches_of_like_size(encoder, n_threads):
    batches = inference._batches(encoder, [np.arange(3)] * 50, [SequencePool()], 32, n_threads)
    sizes = [len(rows) for _, rows in batches]
    assert sum(sizes) == 50 and np.ptp(sizes) <= 1
    assert len(sizes) == {1: 2, 2: 2, 3: 3}[n_threads]


# ------------------------------------------------------------ content


def test_it_never_changes(encoder):
    with pytest.raises(AttributeError, match="never changes: 'config'"):
        encoder.config = {}
    with pytest.raises(AttributeError, match="never changes"):
        encoder.n_codes = 3
    with pytest.raises(TypeError):
        encoder.config["vocab_size"] = 3
    for array in encoder.weights().values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_copies_are_the_same_object(encoder):
    for one in (copy.copy(encoder), copy.deepcopy(encoder), clone(encoder)):
        assert one is encoder
    assert clone(TextEncoder(encoder)).model is encoder


def test_equal_by_content(folder, encoder, tmp_path):
    twin = load_encoder(folder)
    assert twin is not encoder
    assert twin == encoder
    assert len({twin, encoder}) == 1
    assert encoder != "an encoder"
    others = {
        "weights": {"tensors": TENSORS | {"embeddings.LayerNorm.bias": np.zeros(8)}},
        "config": {"config": CONFIG | {"layer_norm_eps": 1e-5}},
        "tokenizer": {"tokenizer": None},
        "pooling": {"pooling": {"pooling_mode_mean_tokens": True}},
    }
    for name, given in others.items():
        assert load_encoder(write_encoder(tmp_path / name, **given)) != encoder, name
    assert load_encoder(folder, dtype="float64") != encoder


def test_a_pickle_holds_the_weights_once(encoder):
    alone = len(pickle.dumps(encoder))
    assert alone < encoder._params.nbytes + 2000 + len(encoder.tokenizer_json)
    both = pickle.dumps([encoder, TextEncoder(encoder)])
    assert len(both) < alone + 3000
    one, other = pickle.loads(both)
    assert one == other.model == encoder
    assert np.shares_memory(one._params, other.model._params)
    np.testing.assert_array_equal(hidden(one), hidden(encoder))
    with pytest.raises(ValueError, match="read-only"):
        one.weights()["norm.beta"][...] = 0


def test_joblib(encoder, tmp_path):
    joblib.dump(encoder, tmp_path / "file")
    assert joblib.load(tmp_path / "file") == encoder
    assert joblib.load(tmp_path / "file", mmap_mode="r") == encoder


def test_a_pickle_by_reference(tmp_path):
    folder = write_encoder(tmp_path / "model")
    encoder = load_encoder(folder, by_reference=True)
    stored = pickle.dumps(encoder)
    assert len(stored) < 500
    again = pickle.loads(stored)
    assert again == encoder
    assert len(pickle.dumps(again)) < 500
    write_encoder(folder, TENSORS | {"embeddings.LayerNorm.bias": np.zeros(8)})
    with pytest.raises(ValueError, match=r"refers to the encoder in .*files were changed"):
        pickle.loads(stored)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"refers to the encoder.*lacks 'config.json'"):
        pickle.loads(stored)


def test_what_it_says_of_itself(encoder):
    numbers = encoder.n_codes, encoder.n_features, encoder.max_length, encoder.padding_index
    assert numbers == (30, 8, 16, 0)
    assert encoder.n_params == sum(
        array.size for name, array in TENSORS.items() if not name.startswith("pooler")
    )
    assert repr(encoder).startswith("<Encoder: 2 blocks, 8 features, 30 tokens")
    assert list(encoder.config) == list(read_config(CONFIG, "here"))


# ------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_type": "t5"}, "model_type is 't5', not one of 'bert'.*Supported are"),
        ({"model_type": None}, "model_type is None"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type.*Supported"),
        ({"is_decoder": True}, "is_decoder is True, not False"),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new'.*'gelu', 'relu'"),
        ({"hidden_act": ["gelu"]}, "hidden_act is"),
        ({"hidden_size": 9}, "hidden_size is 9, which 2 heads"),
        ({"hidden_size": "8"}, "hidden_size is '8'"),
        ({"vocab_size": -1}, "vocab_size is -1, and must be a whole number"),
        ({"layer_norm_eps": 0}, "layer_norm_eps is 0"),
        ({"hidden_dropout_prob": 1}, "hidden_dropout_prob is 1"),
    ],
)
def test_a_configuration_that_is_not_supported(change, message, tmp_path):
    folder = write_encoder(tmp_path / "model", config=CONFIG | change)
    with pytest.raises(ValueError, match=rf"config\.json: {message}"):
        load_encoder(folder)


def test_a_configuration_that_lacks_something(tmp_path):
    for name in ("model_type", "hidden_size"):
        config = {key: value for key, value in CONFIG.items() if key != name}
        with pytest.raises(ValueError, match=rf"config\.json .*'{name}'.*Supported"):
            load_encoder(write_encoder(tmp_path / name, config=config))
    with pytest.raises(ValueError, match="names no 'model_type'"):
        load_encoder(write_encoder(tmp_path / "list", config=[1]))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_hidden_layers": 3}, r"lacks the tensor 'encoder\.layer\.2\.attention"),
        ({"num_hidden_layers": 1}, r"holds the tensor 'encoder\.layer\.1\.attention.*no place"),
        ({"vocab_size": 31}, r"word_embeddings.weight' has shape \(30, 8\).* \(31, 8\)"),
        ({"intermediate_size": 13}, r"intermediate\.dense\.weight' has shape \(12, 8\)"),
    ],
)
def test_a_configuration_that_does_not_fit_its_weights(change, message, tmp_path):
    folder = write_encoder(tmp_path / "model", config=CONFIG | change)
    with pytest.raises(ValueError, match=message):
        load_encoder(folder)


def test_weights_of_another_type_and_weights_that_are_not_finite(tmp_path):
    name = "embeddings.LayerNorm.bias"
    folder = write_encoder(tmp_path / "int", TENSORS | {name: np.zeros(8, np.int64)})
    with pytest.raises(ValueError, match="has type I64; supported are F32, F16"):
        load_encoder(folder)
    folder = write_encoder(tmp_path / "nan", TENSORS | {name: np.full(8, np.nan)})
    with pytest.raises(ValueError, match="not finite"):
        load_encoder(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_files_that_are_damaged_or_missing(name, tmp_path):
    folder = write_encoder(tmp_path / "model")
    whole = (folder / name).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff\xfe" + whole):
        (folder / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{name} is no whole"):
            load_encoder(folder)
    (folder / name).unlink()
    if name == "tokenizer.json":
        assert load_encoder(folder).tokenizer_json is None
        return
    with pytest.raises(FileNotFoundError, match=f"lacks '{name}'. It holds"):
        load_encoder(folder)


@pytest.mark.parametrize("mode", ["mean", "first", "max", "last"])
def test_the_folder_says_how_to_pool(encoder, mode, tmp_path):
    keys = dict.fromkeys(MODES.values(), False) | {"word_embedding_dimension": 8}
    folder = write_encoder(tmp_path / "model", pooling=keys | {MODES[mode]: True})
    other = pickle.loads(pickle.dumps(load_encoder(folder)))
    assert (other.pooling, encoder.pooling) == (mode, None)
    texts = ["a b c", "d"]
    expected = TextEncoder(encoder, mode).transform(texts)
    np.testing.assert_array_equal(TextEncoder(other).transform(texts), expected)
    assert (abs(TextEncoder(encoder).transform(texts) - expected).max() < 1e-6) == (mode == "mean")
    given = TextEncoder(other, "mean").transform(texts)
    np.testing.assert_array_equal(given, TextEncoder(encoder).transform(texts))


def test_pooling_that_is_not_supported(tmp_path):
    two = {MODES["mean"]: True, MODES["max"]: True}
    for name, asked in {"two": two, "other": {"pooling_mode_weightedmean_tokens": True}}.items():
        folder = write_encoder(tmp_path / name, pooling=asked)
        with pytest.raises(ValueError, match=r"1_Pooling.config\.json asks for \['pooling_mode_"):
            load_encoder(folder)


def test_no_folder_and_no_dtype(folder):
    with pytest.raises(FileNotFoundError, match="there is no folder or file 'nowhere'"):
        load_encoder("nowhere")
    with pytest.raises(ValueError, match="dtype must be"):
        load_encoder(folder, dtype="float16")


def test_without_the_libraries(folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r'pip install "skbp\[text\]"'):
        load_encoder(folder)


def test_an_encoder_is_not_built_of_too_few_weights(encoder):
    with pytest.raises(ValueError, match=r"shape \(3,\).*the network needs"):
        Encoder(encoder.config, np.zeros(3, np.float32)).weights()
