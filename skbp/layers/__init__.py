"""Layers: what a network is built of."""

from skbp.layers.attention import (
    MultiHeadAttention,
    PositionalEncoding,
    SequencePool,
    TransformerEncoder,
)
from skbp.layers.base import Layer
from skbp.layers.compose import ColumnBranch, Parallel, Residual, Sequential
from skbp.layers.dense import Dense
from skbp.layers.dropout import Dropout
from skbp.layers.embedding import Embedding, EmbeddingBag
from skbp.layers.noise import GaussianNoise
from skbp.layers.norm import NORMALIZATIONS, BatchNorm, LayerNorm, Norm

__all__ = [
    "LAYERS",
    "NORMALIZATIONS",
    "BatchNorm",
    "ColumnBranch",
    "Dense",
    "Dropout",
    "Embedding",
    "EmbeddingBag",
    "GaussianNoise",
    "Layer",
    "LayerNorm",
    "MultiHeadAttention",
    "Norm",
    "Parallel",
    "PositionalEncoding",
    "Residual",
    "SequencePool",
    "Sequential",
    "TransformerEncoder",
]  # fmt: skip

LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "dropout": Dropout,
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "gaussian_noise": GaussianNoise,
    "sequential": Sequential,
    "residual": Residual,
    "parallel": Parallel,
    "column_branch": ColumnBranch,
    "embedding": Embedding,
    "embedding_bag": EmbeddingBag,
    "multi_head_attention": MultiHeadAttention,
    "positional_encoding": PositionalEncoding,
    "sequence_pool": SequencePool,
    "transformer_encoder": TransformerEncoder,
}
