"""Layers: what a network is built of."""

from skbp.layers.base import Layer
from skbp.layers.dense import Dense
from skbp.layers.dropout import Dropout

__all__ = ["LAYERS", "Dense", "Dropout", "Layer"]

LAYERS: dict[str, type[Layer]] = {"dense": Dense, "dropout": Dropout}
