"""Layers: what a network is built of."""

from skbp.layers._pass import Pass
from skbp.layers._past import Past
from skbp.layers.attention import MultiHeadAttention
from skbp.layers.augment import RandomErasing, RandomFlip, RandomShift
from skbp.layers.base import Layer
from skbp.layers.batch_ensemble import BatchEnsemble, MemberScale, SharedDense
from skbp.layers.branches import ColumnBranch, Parallel
from skbp.layers.categories import CategoryEmbedding
from skbp.layers.compose import Residual, Sequential
from skbp.layers.conv import Conv1D, Conv2D
from skbp.layers.dense import Dense
from skbp.layers.dropout import Dropout
from skbp.layers.elementwise import LearnedActivation, Scale
from skbp.layers.embedding import Embedding, EmbeddingBag
from skbp.layers.gated import GLU
from skbp.layers.lora import LoRA
from skbp.layers.members import MemberColumns, MemberDense
from skbp.layers.noise import CodeDropout, GaussianNoise
from skbp.layers.norm import NORMALIZATIONS, BatchNorm, LayerNorm, Norm
from skbp.layers.numeric import PeriodicEmbedding
from skbp.layers.piecewise import PiecewiseLinearEmbedding
from skbp.layers.pool import (
    AvgPool1D,
    AvgPool2D,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool1D,
    MaxPool2D,
)
from skbp.layers.positions import PositionalEncoding
from skbp.layers.recurrent import GRU, LSTM, RNN, Recurrent
from skbp.layers.sequence_pool import SequencePool
from skbp.layers.shape import Flatten, Input, Reshape
from skbp.layers.tied import Tied
from skbp.layers.token_embedding import TokenEmbedding
from skbp.layers.tokens import FeatureTokenizer
from skbp.layers.transformer import TransformerEncoder
from skbp.layers.unit_length import UnitLength

__all__ = [
    "GLU", "GRU", "LAYERS", "LSTM", "NORMALIZATIONS", "RNN", "AvgPool1D", "AvgPool2D",
    "BatchEnsemble", "BatchNorm", "CategoryEmbedding", "CodeDropout", "ColumnBranch", "Conv1D",
    "Conv2D", "Dense", "Dropout", "Embedding", "EmbeddingBag", "FeatureTokenizer", "Flatten",
    "GaussianNoise", "GlobalAveragePool", "GlobalMaxPool", "Input", "Layer", "LayerNorm",
    "LearnedActivation", "LoRA", "MaxPool1D", "MaxPool2D", "MemberColumns", "MemberDense",
    "MemberScale", "MultiHeadAttention", "Norm", "Parallel", "Pass", "Past", "PeriodicEmbedding",
    "PiecewiseLinearEmbedding", "PositionalEncoding", "RandomErasing", "RandomFlip", "RandomShift",
    "Recurrent", "Reshape", "Residual", "Scale", "SequencePool", "Sequential", "SharedDense",
    "Tied", "TokenEmbedding", "TransformerEncoder", "UnitLength",
]  # fmt: skip

LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "dropout": Dropout,
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "gaussian_noise": GaussianNoise,
    "code_dropout": CodeDropout,
    "random_flip": RandomFlip,
    "random_shift": RandomShift,
    "random_erasing": RandomErasing,
    "conv_1d": Conv1D,
    "conv_2d": Conv2D,
    "max_pool_1d": MaxPool1D,
    "max_pool_2d": MaxPool2D,
    "avg_pool_1d": AvgPool1D,
    "avg_pool_2d": AvgPool2D,
    "global_max_pool": GlobalMaxPool,
    "global_average_pool": GlobalAveragePool,
    "flatten": Flatten,
    "reshape": Reshape,
    "input": Input,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "sequential": Sequential,
    "residual": Residual,
    "parallel": Parallel,
    "column_branch": ColumnBranch,
    "embedding": Embedding,
    "embedding_bag": EmbeddingBag,
    "token_embedding": TokenEmbedding,
    "multi_head_attention": MultiHeadAttention,
    "positional_encoding": PositionalEncoding,
    "sequence_pool": SequencePool,
    "transformer_encoder": TransformerEncoder,
    "glu": GLU,
    "lora": LoRA,
    "tied": Tied,
    "unit_length": UnitLength,
    "scale": Scale,
    "learned_activation": LearnedActivation,
    "periodic_embedding": PeriodicEmbedding,
    "piecewise_linear_embedding": PiecewiseLinearEmbedding,
    "category_embedding": CategoryEmbedding,
    "feature_tokenizer": FeatureTokenizer,
    "member_dense": MemberDense,
    "member_columns": MemberColumns,
    "member_scale": MemberScale,
    "batch_ensemble": BatchEnsemble,
    "shared_dense": SharedDense,
}
