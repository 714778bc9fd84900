"""Estimators for tables as they come: numbers, categories, dates, holes.

`TabularClassifier` and `TabularRegressor` prepare a raw table, train one or several networks and
predict. A preset, such as `RealMLP`, holds all numbers by which that is done.
"""

from skbp.tabular.classifier import TabularClassifier
from skbp.tabular.ft_transformer import FTTransformer
from skbp.tabular.realmlp import RealMLP
from skbp.tabular.realmlp_td import RealMLPTD
from skbp.tabular.regressor import TabularRegressor
from skbp.tabular.resnet import ResNet
from skbp.tabular.tabm import TabM

__all__ = [
    "FTTransformer", "RealMLP", "RealMLPTD", "ResNet", "TabM", "TabularClassifier",
    "TabularRegressor",
]  # fmt: skip
