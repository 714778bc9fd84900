"""Recurrent layers."""

from skbp.layers.recurrent.base import Recurrent
from skbp.layers.recurrent.gru import GRU
from skbp.layers.recurrent.lstm import LSTM
from skbp.layers.recurrent.rnn import RNN

__all__ = ["GRU", "LSTM", "RNN", "Recurrent"]
