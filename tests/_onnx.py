"""What tests of ONNX models share: networks with a layer each, and the runtimes."""

import numpy as np
import pytest

from skbp import layers as L
from skbp._engine.network import Network
from skbp._engine.objective import predict_raw

onnx = pytest.importorskip("onnx", reason="needs skbp[test]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs skbp[test]")
from onnx.reference import ReferenceEvaluator  # noqa: E402

#: How far float32 and float64 may be from what the network computes in float64.
TOLERANCES = {np.float32: 1e-5, np.float64: 1e-12}
N_ROWS = 7


def runs(model, *inputs):
    """Yield the outputs for each input by onnxruntime and by onnx's reference evaluator: dicts."""
    onnx.checker.check_model(model, full_check=True)
    names = [output.name for output in model.graph.output]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for runtime in (session, ReferenceEvaluator(model)):
        for X in inputs:
            with np.errstate(all="ignore"):  # the evaluator computes both sides of a choice
                found = runtime.run(None, {"X": X})
            yield dict(zip(names, found, strict=True))


def numbers(*shape):
    return lambda rng: rng.normal(size=(N_ROWS, *shape))


def series(time, k):
    """Sequences with absent steps anywhere: one row is whole, one has none at all."""

    def draw(rng):
        x = rng.normal(size=(N_ROWS, time, k))
        absent = rng.random((N_ROWS, time)) < 0.4
        absent[0], absent[1] = False, True
        x[absent] = np.nan
        return x

    return draw


def codes(n_codes, *shape, padding=None):
    def draw(rng):
        x = rng.integers(0, n_codes, (N_ROWS, *shape)).astype(float)
        if padding is not None:
            x[0] = np.where(x[0] == padding, (padding + 1) % n_codes, x[0])
            x[1] = padding
        return x

    return draw


def table(n_numbers, cardinalities):
    def draw(rng):
        chosen = rng.integers(0, cardinalities, (N_ROWS, len(cardinalities)))
        return np.column_stack([rng.normal(size=(N_ROWS, n_numbers)), chosen])

    return draw


def out(k=3):
    return L.Dense(k, "identity")


FLAT, IMAGE = numbers(4), numbers(2, 5, 6)
TIME, SERIES, TEXT = numbers(6, 4), series(6, 4), codes(5, 6, padding=0)
WORDS = L.Embedding(5, 4, padding_index=0)
BINS = [[-1.0, -0.2, 0.3, 1.0], [-0.5, 0.5], [-1.0, 0.0, 1.0]]

#: Name of a layer in its registry, and behind a colon of a variant: layers, and rows for them.
NETWORKS = {
    "dense": ([L.Dense(5), out()], FLAT),
    "dense:ntk": ([L.Dense(5, "tanh", ntk=True, max_norm=1.0), out()], FLAT),
    "dense:in_steps": ([L.Dense(5), L.SequencePool(), out()], SERIES),
    "dropout": ([L.Dropout(0.5), L.Dense(3), L.Dropout(0.2), out()], FLAT),
    "gaussian_noise": ([L.GaussianNoise(0.5), out()], FLAT),
    "code_dropout": ([L.CodeDropout(0.5), L.EmbeddingBag(5, 3), out()], codes(5, 4)),
    "batch_norm": ([L.BatchNorm("tanh"), out()], FLAT),
    "batch_norm:images": ([L.BatchNorm(), L.Flatten(), out()], IMAGE),
    "batch_norm:sequences": ([L.BatchNorm(), L.SequencePool(), out()], SERIES),
    "layer_norm": ([L.LayerNorm("gelu"), out()], FLAT),
    "layer_norm:images": ([L.LayerNorm(), L.Flatten(), out()], IMAGE),
    "layer_norm:sequences": ([L.LayerNorm(), L.SequencePool(), out()], SERIES),
    "random_flip": ([L.RandomFlip(), L.Flatten(), out()], IMAGE),
    "random_shift": ([L.RandomShift(1), L.Flatten(), out()], IMAGE),
    "random_erasing": ([L.RandomErasing(), L.Flatten(), out()], IMAGE),
    "conv_1d": ([L.Conv1D(3, 2), L.Flatten(), out()], TIME),
    "conv_1d:settings": (
        [L.Conv1D(4, 3, stride=2, padding=2, dilation=2, groups=2, activation="tanh"),
         L.Flatten(), out()], TIME,
    ),
    "conv_1d:same": ([L.Conv1D(3, 3, stride=2, padding="same"), L.Flatten(), out()], TIME),
    "conv_1d:absent": ([L.Conv1D(3, 3, padding=1), L.SequencePool(), out()], SERIES),
    "conv_1d:absent_strided": ([L.Conv1D(3, 2, stride=2), L.SequencePool("max"), out()], SERIES),
    "conv_1d:absent_padding": ([L.Conv1D(3, 2, padding=2), L.SequencePool(), out()], SERIES),
    "conv_2d": ([L.Conv2D(3, 2), L.Flatten(), out()], IMAGE),
    "conv_2d:settings": (
        [L.Conv2D(4, (2, 3), stride=(1, 2), padding=(1, 2), dilation=(2, 1), groups=2),
         L.Flatten(), out()], IMAGE,
    ),
    "conv_2d:same": ([L.Conv2D(3, (2, 3), stride=2, padding="same"), L.Flatten(), out()], IMAGE),
    "max_pool_1d": ([L.MaxPool1D(2, padding=1), L.Flatten(), out()], TIME),
    "max_pool_1d:absent": ([L.MaxPool1D(2), L.SequencePool(), out()], SERIES),
    "max_pool_1d:overlap": ([L.MaxPool1D(3, 1, padding=1), L.SequencePool(), out()], SERIES),
    "max_pool_2d": ([L.MaxPool2D((2, 3), (1, 2), padding=1), L.Flatten(), out()], IMAGE),
    "avg_pool_1d": ([L.AvgPool1D(2, padding=1), L.Flatten(), out()], TIME),
    "avg_pool_1d:absent": ([L.AvgPool1D(3, 1, padding=1), L.SequencePool(), out()], SERIES),
    "avg_pool_2d": ([L.AvgPool2D((2, 3), (1, 2), padding=1), L.Flatten(), out()], IMAGE),
    "global_max_pool": ([L.GlobalMaxPool(), out()], IMAGE),
    "global_max_pool:absent": ([L.GlobalMaxPool(), out()], SERIES),
    "global_max_pool:time": ([L.GlobalMaxPool(), out()], TIME),
    "global_average_pool": ([L.GlobalAveragePool(), out()], IMAGE),
    "global_average_pool:absent": ([L.GlobalAveragePool(), out()], SERIES),
    "flatten": ([L.Flatten(), out()], IMAGE),
    "reshape": ([L.Reshape((2, -1)), L.Dense(3), L.Flatten(), out()], FLAT),
    "reshape:absent": (
        [L.Reshape((6, 4)), L.GRU(3), out()],
        lambda rng: SERIES(rng).reshape(N_ROWS, 24),
    ),
    "input": ([L.Input((2, 5, 6)), L.Conv2D(2, 2), L.Flatten(), out()], numbers(60)),
    "rnn": ([L.RNN(3), out()], TIME),
    "rnn:relu": ([L.RNN(3, "relu", num_layers=2, bidirectional=True), out()], SERIES),
    "rnn:gelu": ([L.RNN(3, "gelu", return_sequences=True), L.SequencePool(), out()], SERIES),
    "lstm": ([L.LSTM(3), out()], TIME),
    "lstm:levels_whole": (
        [L.LSTM(3, True, bidirectional=True, num_layers=2), L.SequencePool(), out()], TIME,
    ),
    "lstm:absent": ([L.LSTM(3), out()], SERIES),
    "lstm:levels": (
        [L.LSTM(3, True, bidirectional=True, num_layers=2, dropout=0.5), L.SequencePool(), out()],
        SERIES,
    ),
    "gru": ([L.GRU(3), out()], TIME),
    "gru:levels_whole": (
        [L.GRU(3, True, bidirectional=True, num_layers=2), L.SequencePool(), out()], TIME,
    ),
    "gru:absent": ([L.GRU(3, bidirectional=True), out()], SERIES),
    "gru:levels": (
        [L.GRU(3, True, bidirectional=True, num_layers=2), L.SequencePool("last"), out()], SERIES,
    ),
    "gru:codes": ([WORDS, L.GRU(3, num_layers=2), out()], TEXT),
    "sequential": ([L.Sequential([L.Dense(5), [L.LayerNorm()]]), out()], FLAT),
    "residual": ([L.Residual([L.LayerNorm(), L.Dense(4)]), out()], FLAT),
    "residual:absent": ([L.Residual(L.GRU(4, True)), L.SequencePool(), out()], SERIES),
    "parallel": ([L.Parallel([L.Dense(3), [L.LayerNorm(), L.Dense(2)]]), out()], FLAT),
    "parallel:sum": ([L.Parallel([L.Dense(3), L.Dense(3, "tanh")], join="sum"), out()], FLAT),
    "parallel:product": (
        [L.Parallel([L.Dense(3), L.Dense(3), L.Dense(3, "tanh")], join="product"), out()], FLAT,
    ),
    "parallel:absent": (
        [L.Parallel([L.GRU(2, True), L.Conv1D(2, 3, padding=1)]), L.SequencePool(), out()], SERIES,
    ),
    "parallel:absent_differently": (
        [L.Parallel([L.GRU(2, True), L.MaxPool1D(3, 1, padding=1)], join="concat"),
         L.SequencePool(), out()], SERIES,
    ),
    "parallel:images": ([L.Parallel([L.Conv2D(2, 2), L.Conv2D(2, 2)]), L.Flatten(), out()], IMAGE),
    "column_branch": (
        [L.ColumnBranch([(slice(0, 3, 2), L.Dense(3)), ([3, 1], L.Dense(2))]), out()], FLAT,
    ),
    "column_branch:codes": (
        [L.ColumnBranch([([0, 1], L.Dense(3)), ([2, 3], [L.Embedding([3, 4], 2), L.Flatten()])]),
         out()], table(2, [3, 4]),
    ),
    "column_branch:absent": (
        [L.ColumnBranch([(slice(0, 24), [L.Input((6, 4)), L.GRU(3)]), ([24], L.Dense(2))]), out()],
        lambda rng: np.column_stack([SERIES(rng).reshape(N_ROWS, 24), rng.normal(size=N_ROWS)]),
    ),
    "embedding": ([L.Embedding([3, 5], 2), L.Flatten(), out()], table(0, [3, 5])),
    "embedding:padding": ([WORDS, L.SequencePool(), out()], TEXT),
    "embedding_bag": ([L.EmbeddingBag(5, 3), out()], codes(5, 4)),
    "embedding_bag:padding": ([L.EmbeddingBag(5, 3, padding_index=0), out()], TEXT),
    "embedding_bag:sum": ([L.EmbeddingBag(5, 3, "sum", 0), out()], TEXT),
    "embedding_bag:sum_of_all": ([L.EmbeddingBag([3, 5], 3, "sum"), out()], table(0, [3, 5])),
    "token_embedding": (
        [L.TokenEmbedding(5, 3, padding_index=0), L.SequencePool(), out()],
        codes(10, 6, padding=0),
    ),
    "multi_head_attention": ([L.MultiHeadAttention(2), L.SequencePool(), out()], TIME),
    "multi_head_attention:absent": (
        [L.MultiHeadAttention(2, causal=True), L.SequencePool(), out()], SERIES,
    ),
    "multi_head_attention:two": (
        [L.MultiHeadAttention(2, causal=True), L.MultiHeadAttention(1), L.SequencePool(), out()],
        SERIES,
    ),
    "multi_head_attention:rotary": (
        [L.MultiHeadAttention(1, positions="rotary"), L.SequencePool(), out()], SERIES,
    ),
    "positional_encoding": ([WORDS, L.PositionalEncoding(), L.GRU(3), out()], TEXT),
    "positional_encoding:learned": (
        [L.PositionalEncoding("learned", max_len=9), L.SequencePool(), out()], SERIES,
    ),
    **{
        f"sequence_pool:{mode}{name}": ([L.SequencePool(mode), out()], rows)
        for mode in ("mean", "max", "last", "first")
        for name, rows in (("", TIME), ("_absent", SERIES))
    },
    "transformer_encoder": ([L.TransformerEncoder(2, 5), L.SequencePool(), out()], TIME),
    "transformer_encoder:absent": (
        [L.TransformerEncoder(2, 5, norm="post", causal=True, positions="rotary"),
         L.SequencePool(), out()], SERIES,
    ),
    "glu": ([L.GLU("silu"), out()], FLAT),
    "glu:in_steps": ([L.GLU(), L.SequencePool(), out()], SERIES),
    "lora": ([L.LoRA(L.Dense(5), 2), out()], FLAT),
    "lora:attention": (
        [L.LoRA(L.TransformerEncoder(2, 5), 2, targets=["q", "v", "weight"]), L.SequencePool(),
         out()], SERIES,
    ),
    "tied": (
        [L.Embedding(5, 4, name="tokens"), L.SequencePool(), L.Tied("tokens.weight", 5)],
        codes(5, 6),
    ),
    "unit_length": (
        [L.UnitLength(), out()], lambda rng: FLAT(rng) * (np.arange(N_ROWS) != 2)[:, None],
    ),
    "scale": ([L.Scale(), out()], FLAT),
    "learned_activation": ([L.LearnedActivation(), L.LearnedActivation("gelu"), out()], FLAT),
    "periodic_embedding": ([L.PeriodicEmbedding(3, 2, n_numeric=3), out()], FLAT),
    "periodic_embedding:plr": ([L.PeriodicEmbedding(3, 2, kind="plr"), out()], FLAT),
    "periodic_embedding:none": ([L.PeriodicEmbedding(3, 2, n_numeric=0), out()], FLAT),
    "periodic_embedding:members": (
        [L.MemberColumns([[0, 1, 2], [3, 0, 1]]), L.PeriodicEmbedding(3, 2), L.MemberDense(3, 2)],
        FLAT,
    ),
    "piecewise_linear_embedding": (
        [L.PiecewiseLinearEmbedding(BINS, 2, n_numeric=3), out()], FLAT,
    ),
    "piecewise_linear_embedding:learned": (
        [L.PiecewiseLinearEmbedding([-1.0, 0.0, 2.0], 2, learned=True), out()], FLAT,
    ),
    "category_embedding": ([L.CategoryEmbedding([3, 4], 2), out()], table(2, [3, 4])),
    "category_embedding:sizes": (
        [L.CategoryEmbedding([3, 4], [1, 2]), out()], table(0, [3, 4]),
    ),
    "category_embedding:members": (
        [L.MemberColumns([[0, 1, 2], [1, 2, 3]]), L.CategoryEmbedding([4], 2),
         L.MemberDense(3, 2)], table(2, [4, 4]),
    ),
    "feature_tokenizer": (
        [L.FeatureTokenizer(4, [3, 4]), L.TransformerEncoder(2, 4), L.SequencePool("first"), out()],
        table(2, [3, 4]),
    ),
    "feature_tokenizer:numbers": ([L.FeatureTokenizer(4), L.Flatten(), out()], FLAT),
    "feature_tokenizer:codes": (
        [L.FeatureTokenizer(4, [3, 4]), L.Flatten(), out()], table(0, [3, 4]),
    ),
    "member_dense": ([L.MemberDense(5, 2, "tanh", ntk=True), L.MemberDense(3, 2)], FLAT),
    "member_columns": (
        [L.MemberColumns([[0, 2], [3, 1]]), L.MemberColumns([[1], [0]]), L.MemberDense(3, 2)], FLAT,
    ),
    "member_scale": ([L.MemberScale(2), L.MemberScale(2), L.MemberDense(3, 2)], FLAT),
    "batch_ensemble": (
        [L.BatchEnsemble(5, 2, first="normal"), L.BatchEnsemble(5, 2, "mish"), L.MemberDense(3, 2)],
        FLAT,
    ),
    "shared_dense": ([L.MemberScale(2), L.SharedDense(5, 2), L.MemberDense(3, 2)], FLAT),
}  # fmt: skip

#: Behind a layer with a bias, whose outputs at absent steps are not zero.
NETWORKS |= {
    f"{name}:behind_dense": ([L.Dense(4, "identity"), layer, *after, out()], SERIES)
    for name, layer, after in (
        ("conv_1d", L.Conv1D(3, 3, padding=1), [L.SequencePool()]),
        ("max_pool_1d", L.MaxPool1D(2), [L.SequencePool()]),
        ("avg_pool_1d", L.AvgPool1D(2), [L.SequencePool()]),
        ("global_max_pool", L.GlobalMaxPool(), []),
        ("global_average_pool", L.GlobalAveragePool(), []),
        ("multi_head_attention", L.MultiHeadAttention(2), [L.SequencePool()]),
        ("sequence_pool", L.SequencePool(), []),
        ("sequence_pool:max", L.SequencePool("max"), []),
        ("sequence_pool:last", L.SequencePool("last"), []),
        ("rnn", L.RNN(3), []),
        ("gru", L.GRU(3, return_sequences=True), [L.SequencePool("max")]),
    )
}


def network_of(layers, shape, seed=0, dtype=np.float64):
    """Return a network whose parameters and state are all drawn, none at a first value."""
    rng = np.random.RandomState(seed)
    network = Network(layers, shape, dtype)
    if not network.needs_batch:
        network.init(rng)
    network.params += 0.3 * rng.normal(size=network.params.size)
    network.state[:] = rng.uniform(0.5, 2, network.state.size)
    return network


def raw_of(network, X):
    return np.array(predict_raw(network, X))
