"""Layers: what a network is built of."""

from skbp.layers.base import Layer
from skbp.layers.dense import Dense
from skbp.layers.dropout import Dropout
from skbp.layers.noise import GaussianNoise
from skbp.layers.norm import NORMALIZATIONS, BatchNorm, LayerNorm, Norm
from skbp.layers.recurrent import GRU, LSTM, RNN, Recurrent

__all__ = [
    "GRU", "LAYERS", "LSTM", "NORMALIZATIONS", "RNN", "BatchNorm", "Dense", "Dropout",
    "GaussianNoise", "Layer", "LayerNorm", "Norm", "Recurrent",
]  # fmt: skip

LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "dropout": Dropout,
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "gaussian_noise": GaussianNoise,
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
}
