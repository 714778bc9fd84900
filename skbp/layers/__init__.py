"""Layers: what a network is built of."""

from skbp.layers.base import Layer
from skbp.layers.dense import Dense
from skbp.layers.dropout import Dropout
from skbp.layers.noise import GaussianNoise
from skbp.layers.norm import NORMALIZATIONS, BatchNorm, LayerNorm, Norm

__all__ = [
    "LAYERS", "NORMALIZATIONS", "BatchNorm", "Dense", "Dropout", "GaussianNoise", "Layer",
    "LayerNorm", "Norm",
]  # fmt: skip

LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "dropout": Dropout,
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "gaussian_noise": GaussianNoise,
}
